//! Jobs of a batch system, such as Slurm: submitted once each, and asked about seldom.
//!
//! One thread, the agent, talks to the batch system, at most once a second. It submits what waits as arrays, and lists
//! the jobs now and then. What a job's worker does is in the files of its run, which the threads of the sweep read
//! (`follow`); a list says only why a job waits, where it runs, and that it is over.
//!
//! A submission is in the database before the batch system is asked for it, and the system is told its token. Where its
//! answer is lost, or this process dies, the system is asked for the token before anything is submitted again. What
//! cannot be known is unknown, never over.

mod follow;
mod stage;
mod system;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use genair_archetype::Installation;
use genair_protocol::attempt_name;
use genair_store::{SubmissionState, Work};

pub use self::stage::{StageJobError, make_stage};
pub(crate) use self::system::{Array, BatchSystem, End, JobState, Listed, Needs, SubmitError};
use crate::interrupt::{Interrupt, Urgency};
use crate::schedule::SweepError;
use crate::shared_store::SharedStore;

/// How often the agent looks for something to do.
const TICK: Duration = Duration::from_millis(100);

/// Least time between two questions to the batch system.
const PACE: Duration = Duration::from_secs(1);

/// How long a job waits for others that can be submitted with it.
const GATHER: Duration = Duration::from_millis(500);

/// The longest that a job waits for others.
const GATHER_LONGEST: Duration = Duration::from_secs(3);

/// How much rarer lists get where nothing changes.
const QUIET: u32 = 6;

/// Time between two lists while it is not known whether jobs were submitted.
const IN_DOUBT: Duration = Duration::from_secs(5);

/// How long jobs wait that the batch system has no room for.
const FULL: Duration = Duration::from_secs(60);

/// Jobs that a node may lose before their workers begin. Then it is avoided.
const LOSSES_OF_A_NODE: usize = 2;

/// How a sweep uses a batch system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSettings {
    /// Time between two lists.
    pub(crate) poll: Duration,
    /// Bytes that a job may use.
    pub(crate) memory: Option<u64>,
    /// Whether jobs are submitted and then left alone.
    pub(crate) detach: bool,
    /// Jobs at once.
    pub(crate) jobs: usize,
    /// How long one may still ask for the end of all jobs, once this process was asked to stop.
    pub(crate) second_thoughts: Duration,
}

/// Runs and stages as jobs of a batch system.
pub(crate) struct BatchPool<'a> {
    system: &'a dyn BatchSystem,
    store: &'a SharedStore,
    installation: &'a Installation,
    settings: BatchSettings,
    /// Where the folders of submissions are.
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Work without a job.
    waiting: Vec<Request>,
    /// Work whose job is asked for at this moment.
    submitting: Vec<Work>,
    /// Work that has a job, or may have one.
    jobs: HashMap<Work, Job>,
    /// Jobs to end.
    cancelled: Vec<String>,
    /// Whether it is known what became of jobs whose answers were lost.
    settled: bool,
    /// Jobs that a node lost before their workers began.
    losses: HashMap<String, usize>,
    excluded: BTreeSet<String>,
    /// Reasons to wait that were told.
    told: BTreeSet<String>,
    /// Why nothing can be submitted.
    refused: Option<String>,
}

/// What is to become a job.
#[derive(Clone, Debug)]
struct Request {
    work: Work,
    command: Vec<String>,
    needs: Needs,
    since: Instant,
    not_before: Instant,
}

#[derive(Clone, Debug)]
struct Job {
    /// What was submitted by this process; none of an earlier one.
    request: Option<Request>,
    token: String,
    task: usize,
    /// Its number; none while it is not known whether the system has it.
    job: Option<String>,
    state: JobState,
    node: Option<String>,
    submitted: Instant,
    /// Whether its worker was asked to end, and nobody follows it.
    stopped: bool,
}

/// What is known of a work's job.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Status {
    state: JobState,
    node: Option<String>,
    /// Whether the system has the job for certain.
    submitted: bool,
    /// Where what it prints is before its worker begins.
    output: Option<PathBuf>,
}

impl<'a> BatchPool<'a> {
    /// Knows the jobs that earlier processes submitted for this database.
    pub(crate) fn new(
        system: &'a dyn BatchSystem,
        store: &'a SharedStore,
        installation: &'a Installation,
        settings: BatchSettings,
        artefacts: &Path,
    ) -> Result<Self, SweepError> {
        let (known, ended) =
            store.with(|store| Ok((store.submissions()?, store.ended_with_jobs()?)))?;
        let jobs = known.into_iter().filter_map(|own| {
            let job = Job {
                request: None,
                token: own.token.clone(),
                task: own.task as usize,
                job: own.job.clone(),
                state: JobState::Unknown,
                node: own.node.clone(),
                submitted: Instant::now(),
                stopped: own.run_id.is_some_and(|run| ended.contains(&run)),
            };
            Some((own.work()?, job))
        });
        let jobs: HashMap<Work, Job> = jobs.collect();
        Ok(Self {
            system,
            store,
            installation,
            settings,
            folder: artefacts.join("submissions"),
            state: Mutex::new(State {
                settled: jobs.is_empty(),
                jobs,
                ..State::default()
            }),
        })
    }

    /// Talks to the batch system until `ended` hangs up, and once more if jobs are to be ended, or were asked to end.
    pub(crate) fn serve(
        &self,
        interrupt: &Interrupt,
        ended: &Receiver<()>,
    ) -> Result<(), SweepError> {
        let longest = self.settings.poll * QUIET;
        let (mut interval, mut listed) = (self.settings.poll, None::<Instant>);
        let mut asked = Instant::now().checked_sub(PACE);
        let mut killed = false;
        loop {
            let last = ended.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout);
            if !killed && interrupt.urgency() == Urgency::Kill {
                killed = true;
                self.cancel_all()?;
            }
            if asked.is_some_and(|asked| asked.elapsed() < PACE) && !last {
                continue;
            }
            let cancelled = std::mem::take(&mut self.lock().cancelled);
            let has_jobs = !self.lock().jobs.is_empty();
            let pause = self.pause(interval);
            if !cancelled.is_empty() {
                if let Err(error) = self.system.cancel(&cancelled) {
                    tracing::warn!("jobs could not be ended: {error}");
                    if !last {
                        self.lock().cancelled.extend(cancelled);
                    }
                }
            } else if last {
                if self.lock().jobs.values().any(|job| job.stopped) {
                    let since = asked.map_or(PACE, |asked| asked.elapsed());
                    std::thread::sleep(PACE.saturating_sub(since));
                    self.list()?;
                }
                return Ok(());
            } else if let Some(requests) = self.next_array() {
                self.submit(requests)?;
            } else if has_jobs && listed.is_none_or(|listed: Instant| listed.elapsed() >= pause) {
                listed = Some(Instant::now());
                interval = match self.list()? {
                    Some(true) => self.settings.poll,
                    // Nothing new, or nothing known.
                    _ => (interval * 3 / 2).min(longest),
                };
            } else {
                continue;
            }
            // Only now: a call may take long, and what comes before it, too.
            asked = Some(Instant::now());
        }
    }

    /// Does `work` while the agent talks to the batch system.
    ///
    /// # Errors
    /// The system refuses the agent's thread; the database cannot be written; those of `work`.
    pub(crate) fn while_serving<T>(
        &self,
        interrupt: &Interrupt,
        work: impl FnOnce() -> Result<T, SweepError>,
    ) -> Result<T, SweepError> {
        std::thread::scope(|scope| {
            // Nothing is ever sent: the agent ends when this end is dropped, also by a panic of `work`.
            let (end, ended) = channel();
            let serve = move || {
                let served = self.serve(interrupt, &ended);
                if served.is_err() {
                    interrupt.request();
                }
                served
            };
            let agent = genair_process::spawn_scoped(scope, "asks the batch system", serve)?;
            let done = work();
            drop(end);
            agent.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            done
        })
    }

    /// Time to the next list: what is in doubt keeps others from being submitted.
    fn pause(&self, interval: Duration) -> Duration {
        match self.lock().settled {
            true => interval,
            false => interval.min(IN_DOUBT),
        }
    }

    /// The requests to submit next, which need the same; none where none is due.
    fn next_array(&self) -> Option<Vec<Request>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if !state.settled || state.refused.is_some() {
            return None;
        }
        let now = Instant::now();
        let is_due = |request: &Request| request.not_before <= now;
        let first = state
            .waiting
            .iter()
            .find(|own| own.not_before <= now)?
            .clone();
        let newest = state.waiting.iter().map(|own| own.since).max()?;
        if newest.elapsed() < GATHER && first.since.elapsed() < GATHER_LONGEST {
            return None;
        }
        let most = self.system.largest_array();
        let (mut array, mut others) = (Vec::new(), Vec::new());
        for request in state.waiting.drain(..) {
            let fits = array.len() < most && request.needs == first.needs && is_due(&request);
            // A run that the system still knows is never submitted again.
            match fits && !state.jobs.contains_key(&request.work) {
                true => array.push(request),
                false => others.push(request),
            }
        }
        state.waiting = others;
        state.submitting = array.iter().map(|own: &Request| own.work.clone()).collect();
        (!array.is_empty()).then_some(array)
    }

    fn submit(&self, requests: Vec<Request>) -> Result<(), SweepError> {
        let token = attempt_name(&genair_store::host(), std::process::id());
        let works: Vec<Work> = requests.iter().map(|own| own.work.clone()).collect();
        // First of all: whoever finds them asks for the token.
        self.store.with(|store| store.submit(&token, &works))?;
        let excluded = self.lock().excluded.clone();
        let folder = self.folder.join(&token);
        let array = Array {
            token: &token,
            folder: &folder,
            commands: requests.iter().map(|own| own.command.as_slice()).collect(),
            needs: requests[0].needs,
            at_once: self.settings.detach.then_some(self.settings.jobs),
            excluded: &excluded,
        };
        let answer = self.system.submit(&array);
        let mut state = self.lock();
        state.submitting.clear();
        match answer {
            Ok(number) => {
                let mut notes = Vec::new();
                for (task, request) in requests.into_iter().enumerate() {
                    let job = format!("{number}_{task}");
                    notes.push(SubmissionState {
                        work: request.work.clone(),
                        job: job.clone(),
                        state: JobState::Unknown.name(),
                        reason: None,
                        node: None,
                    });
                    state.enter(request, &token, task, Some(job));
                }
                drop(state);
                self.store.with(|store| store.note_submissions(&notes))?;
            }
            Err(SubmitError::Unknown(error)) => {
                tracing::warn!(
                    "it is not known whether jobs were submitted, so the batch system is asked first: {error}"
                );
                for (task, request) in requests.into_iter().enumerate() {
                    state.enter(request, &token, task, None);
                }
                state.settled = false;
            }
            Err(SubmitError::Full(error)) => {
                if state.told.insert(error.clone()) {
                    tracing::warn!("the batch system takes no more jobs for now: {error}");
                }
                state
                    .waiting
                    .extend(requests.into_iter().map(|own| Request {
                        not_before: Instant::now() + FULL,
                        ..own
                    }));
                drop(state);
                self.store.with(|store| store.forget_submissions(&works))?;
            }
            Err(SubmitError::Refused(error)) => {
                state.refused = Some(error);
                state.waiting.extend(requests);
                drop(state);
                self.store.with(|store| store.forget_submissions(&works))?;
            }
        }
        Ok(())
    }

    /// Asks for all jobs. Says whether anything has changed; none where nothing is known.
    fn list(&self) -> Result<Option<bool>, SweepError> {
        let begin = Instant::now();
        let listed = match self.system.list() {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!("the batch system does not say what became of the jobs: {error}");
                return Ok(None);
            }
        };
        let listed: HashMap<(&str, usize), &Listed> = listed
            .iter()
            .map(|own| ((own.token.as_str(), own.task), own))
            .collect();
        let mut state = self.lock();
        let (mut notes, mut never) = (Vec::new(), Vec::new());
        for (work, job) in &mut state.jobs {
            let (new, number, node) = match listed.get(&(job.token.as_str(), job.task)) {
                Some(found) => (
                    found.state.clone(),
                    Some(found.job.clone()),
                    found.node.clone(),
                ),
                // It was submitted meanwhile.
                None if job.submitted >= begin => continue,
                None if job.job.is_none() => {
                    never.push(work.clone());
                    continue;
                }
                None => (
                    JobState::Ended(End::Gone),
                    job.job.clone(),
                    job.node.clone(),
                ),
            };
            let node = node.or(job.node.clone());
            if (&new, &number, &node) != (&job.state, &job.job, &job.node) {
                notes.push(SubmissionState {
                    work: work.clone(),
                    job: number.clone().unwrap_or_default(),
                    state: new.name(),
                    reason: new.reason(),
                    node: node.clone(),
                });
                (job.state, job.job, job.node) = (new, number, node);
            }
            if job.stopped && matches!(job.state, JobState::Ended(_)) {
                job.request = None;
                never.push(work.clone());
            }
        }
        for work in &never {
            if let Some(request) = state.jobs.remove(work).and_then(|job| job.request) {
                state.waiting.push(request);
            }
        }
        state.settled = true;
        let loud: Vec<String> = notes.iter().filter_map(|own| own.reason.clone()).collect();
        for reason in loud.into_iter().filter(|reason| waits_for_ever(reason)) {
            if state.told.insert(reason.clone()) {
                tracing::warn!(
                    "jobs wait for `{reason}`, which may never change; see `[schedule.slurm]` (time, partition, qos) and `squeue`"
                );
            }
        }
        drop(state);
        self.store.with(|store| store.forget_submissions(&never))?;
        self.store.with(|store| store.note_submissions(&notes))?;
        Ok(Some(!notes.is_empty() || !never.is_empty()))
    }

    /// Ends every job that this process follows.
    fn cancel_all(&self) -> Result<(), SweepError> {
        let mut state = self.lock();
        let works: Vec<Work> = state.jobs.keys().cloned().collect();
        let numbers: Vec<String> = state
            .jobs
            .values()
            .filter_map(|own| own.job.clone())
            .collect();
        state.cancelled.extend(numbers);
        state.waiting.clear();
        drop(state);
        Ok(self.store.with(|store| store.forget_submissions(&works))?)
    }

    /// Asks for a job.
    fn request(&self, work: &Work, command: Vec<String>, threads: usize, can_wait: bool) {
        let now = Instant::now();
        self.lock().waiting.push(Request {
            work: work.clone(),
            command,
            needs: Needs {
                threads,
                memory: self.settings.memory,
                can_wait,
            },
            since: now,
            not_before: now,
        });
    }

    /// Where a work's job stands; none where it has none and asked for none.
    fn status(&self, work: &Work) -> Result<Option<Status>, SweepError> {
        let state = self.lock();
        if let Some(job) = state.jobs.get(work) {
            let output = self
                .folder
                .join(&job.token)
                .join(format!("{}.out", job.task));
            return Ok(Some(Status {
                state: job.state.clone(),
                node: job.node.clone(),
                submitted: job.job.is_some(),
                output: Some(output),
            }));
        }
        if let Some(reason) = &state.refused {
            return Err(SweepError::Batch {
                reason: reason.clone(),
            });
        }
        let waits = state.waiting.iter().any(|own| own.work == *work);
        let waits = waits || state.submitting.contains(work);
        Ok(waits.then_some(Status {
            state: JobState::Unknown,
            node: None,
            submitted: false,
            output: None,
        }))
    }

    /// Takes a work's job off the list: it is over, and nothing of it is missed any more.
    fn forget(&self, work: &Work) -> Result<(), SweepError> {
        self.lock().jobs.remove(work);
        let works = std::slice::from_ref(work);
        Ok(self.store.with(|store| store.forget_submissions(works))?)
    }

    /// A work's worker was asked to end, and nobody follows it any more.
    fn leave(&self, work: &Work) {
        if let Some(job) = self.lock().jobs.get_mut(work) {
            job.stopped = true;
        }
    }

    /// Has a work's job ended.
    fn cancel(&self, work: &Work) {
        let mut state = self.lock();
        let number = state.jobs.get(work).and_then(|own| own.job.clone());
        state.cancelled.extend(number);
    }

    /// A node lost a job before its worker began. Says whether the node is to blame, as far as can be told.
    fn blame(&self, node: Option<&str>) -> bool {
        let Some(node) = node.filter(|node| !node.is_empty()) else {
            return false;
        };
        let mut state = self.lock();
        let losses = state.losses.entry(node.to_owned()).or_default();
        *losses += 1;
        let is_bad = *losses >= LOSSES_OF_A_NODE;
        if is_bad && state.excluded.insert(node.to_owned()) {
            tracing::warn!(
                "node {node} has lost {LOSSES_OF_A_NODE} jobs before their workers began; it is avoided from now on"
            );
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, request: Request, token: &str, task: usize, job: Option<String>) {
        let entered = Job {
            token: token.to_owned(),
            task,
            job,
            state: JobState::Unknown,
            node: None,
            submitted: Instant::now(),
            stopped: false,
            request: Some(request.clone()),
        };
        self.jobs.insert(request.work, entered);
    }
}

/// Whether a reason to wait is one that waiting alone may not change.
fn waits_for_ever(reason: &str) -> bool {
    [
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "DependencyNeverSatisfied",
        "BadConstraints",
        "AccountNotAllowed",
    ]
    .iter()
    .any(|own| reason.contains(own))
        || reason.starts_with("QOS")
        || reason.starts_with("Assoc")
        || reason.starts_with("InvalidQOS")
        || reason.starts_with("InvalidAccount")
}

/// Reads a small file, none where it is not there.
fn read_if_there(path: &Path) -> Result<Option<String>, io::Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
