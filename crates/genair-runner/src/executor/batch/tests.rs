//! The agent with a batch system whose answers are made up.

use std::sync::mpsc::channel;

use genair_store::Store;

use super::*;

/// What a made-up system is asked, and what it answers.
#[derive(Default)]
struct Scripted {
    /// Tokens and numbers of jobs of what it took.
    taken: Mutex<Vec<(String, usize)>>,
    /// When it was asked anything.
    asked: Mutex<Vec<Instant>>,
    /// Whether the answer to the next submission is lost, and whether it was taken all the same.
    lost: Mutex<Option<bool>>,
    /// Whether it does not answer lists.
    mute: Mutex<bool>,
    /// Whether all jobs are over.
    over: Mutex<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl BatchSystem for Scripted {
    fn submit(&self, array: &Array<'_>) -> Result<String, SubmitError> {
        lock(&self.asked).push(Instant::now());
        std::thread::sleep(Duration::from_millis(100));
        let lost = lock(&self.lost).take();
        if lost != Some(false) {
            lock(&self.taken).push((array.token.to_owned(), array.commands.len()));
        }
        match lost {
            Some(_) => Err(SubmitError::Unknown("timed out".to_owned())),
            None => Ok(lock(&self.taken).len().to_string()),
        }
    }

    fn list(&self) -> Result<Vec<Listed>, String> {
        lock(&self.asked).push(Instant::now());
        if *lock(&self.mute) {
            return Err("no answer".to_owned());
        }
        let mut listed = Vec::new();
        for (at, (token, jobs)) in lock(&self.taken).iter().enumerate() {
            listed.extend((0..*jobs).map(|task| Listed {
                token: token.clone(),
                task,
                job: format!("{}_{task}", at + 1),
                state: match *lock(&self.over) {
                    true => JobState::Ended(End::Completed),
                    false => JobState::Running,
                },
                node: Some("node1".to_owned()),
            }));
        }
        Ok(listed)
    }

    fn cancel(&self, _: &[String]) -> Result<(), String> {
        lock(&self.asked).push(Instant::now());
        Ok(())
    }

    fn largest_array(&self) -> usize {
        3
    }

    fn how_to_cancel(&self) -> String {
        String::new()
    }
}

fn work(number: usize) -> Work {
    Work::Stage(format!("{number:02}"))
}

/// Has the agent serve so many requests until `enough`.
fn serve(
    system: &Scripted,
    store: &SharedStore,
    folder: &Path,
    requests: usize,
    enough: impl Fn(&BatchPool<'_>) -> bool,
) {
    let installation = Installation::new(folder.join("cache"));
    let settings = BatchSettings {
        poll: Duration::from_secs(1),
        memory: None,
        detach: false,
        jobs: 10,
        second_thoughts: Duration::ZERO,
    };
    let pool = BatchPool::new(system, store, &installation, settings, folder).unwrap();
    for number in 0..requests {
        if pool.status(&work(number)).unwrap().is_none() {
            pool.request(&work(number), vec!["true".to_owned()], 1, false);
        }
    }
    let interrupt = Interrupt::default();
    let (end, ended) = channel();
    std::thread::scope(|scope| {
        let (pool, interrupt) = (&pool, &interrupt);
        let agent = scope.spawn(move || pool.serve(interrupt, &ended));
        let begin = Instant::now();
        while !enough(pool) && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(enough(pool));
        drop(end);
        agent.join().unwrap().unwrap();
    });
}

fn shared() -> (tempfile::TempDir, SharedStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("results.db")).unwrap();
    (folder, SharedStore::new(store))
}

fn all_run(requests: usize) -> impl Fn(&BatchPool<'_>) -> bool {
    move |pool| {
        let runs = |number| {
            // Also while it is submitted: whoever finds nothing asks for another job.
            let status = pool.status(&work(number)).unwrap().unwrap();
            status.state == JobState::Running
        };
        let states: Vec<bool> = (0..requests).map(runs).collect();
        !states.contains(&false)
    }
}

#[test]
fn what_waits_at_once_goes_as_arrays_and_nobody_asks_twice_a_second() {
    let (folder, store) = shared();
    let system = Scripted::default();
    serve(&system, &store, folder.path(), 7, all_run(7));
    let sizes: Vec<usize> = lock(&system.taken).iter().map(|(_, jobs)| *jobs).collect();
    assert_eq!(sizes, [3, 3, 1]);
    let asked = lock(&system.asked);
    for pair in asked.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(990), "{asked:?}");
    }
    let entered = store.with(|store| store.submissions()).unwrap();
    assert_eq!(entered.len(), 7);
    assert!(
        entered
            .iter()
            .all(|own| own.state == "running" && own.node.as_deref() == Some("node1"))
    );
}

/// The answer is lost: what was taken is found by its token, what was not is submitted again.
#[test]
fn a_lost_answer_submits_nothing_twice_and_loses_nothing() {
    for was_taken in [true, false] {
        let (folder, store) = shared();
        let system = Scripted::default();
        *lock(&system.lost) = Some(was_taken);
        serve(&system, &store, folder.path(), 2, all_run(2));
        assert_eq!(lock(&system.taken).len(), 1, "{was_taken}");
    }
}

/// Another process takes over, and finds what the first one submitted.
#[test]
fn a_later_process_knows_the_jobs_of_an_earlier_one() {
    let (folder, store) = shared();
    let system = Scripted::default();
    serve(&system, &store, folder.path(), 2, all_run(2));
    serve(&system, &store, folder.path(), 2, all_run(2));
    assert_eq!(lock(&system.taken).len(), 1);
    // The system knows them no more, once it answers.
    lock(&system.taken).clear();
    *lock(&system.mute) = true;
    let asked = lock(&system.asked).len();
    let is_asked = |_: &BatchPool<'_>| lock(&system.asked).len() > asked + 1;
    serve(&system, &store, folder.path(), 2, is_asked);
    let known = store.with(|store| store.submissions()).unwrap();
    assert!(
        known.iter().all(|own| own.state == "running"),
        "no answer is no news"
    );
    *lock(&system.mute) = false;
    serve(&system, &store, folder.path(), 2, |pool| {
        let status = pool.status(&work(1)).unwrap();
        status.is_some_and(|status| status.state == JobState::Ended(End::Gone))
    });
}

/// Nobody follows a run that was pruned; its job is taken off the list once it is over, at the end of the sweep at the
/// latest.
#[test]
fn jobs_that_were_asked_to_end_leave_the_list_once_they_are_over() {
    let (folder, store) = shared();
    let system = Scripted::default();
    serve(&system, &store, folder.path(), 2, all_run(2));
    let listed = || store.with(|store| store.submissions()).unwrap().len();
    assert_eq!(listed(), 2);
    *lock(&system.over) = true;
    serve(&system, &store, folder.path(), 2, |pool| {
        pool.leave(&work(0));
        true
    });
    assert_eq!(listed(), 1, "the other one is somebody's");
}

#[test]
fn reasons_that_do_not_change_by_themselves_are_known() {
    for loud in [
        "PartitionTimeLimit",
        "DependencyNeverSatisfied",
        "QOSMaxJobsPerUserLimit",
        "AssocGrpCpuLimit",
    ] {
        assert!(waits_for_ever(loud), "{loud}");
    }
    for quiet in ["Priority", "Resources", "None", "BeginTime"] {
        assert!(!waits_for_ever(quiet), "{quiet}");
    }
}
