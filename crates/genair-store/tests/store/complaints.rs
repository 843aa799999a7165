//! What users of other tools complain about, each complaint as a test of the same name. Real processes,
//! since that is where it goes wrong: a test starts itself several times over, and what it does then is
//! in its `Child` branch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use genair_store::{Claim, FailedRuns, NewRun, RunId, RunState, Store, StoreErrorKind};

use crate::opening::set_version;
use crate::{Lab, failed, finish, new_run, owner};

const CHILD: &str = "GENAIR_STORE_TEST_CHILD";

/// The database, where this process is one that a test started.
fn given_database() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "how a test tells the processes it starts what they are"
    )]
    let database = std::env::var_os(CHILD);
    database.map(PathBuf::from)
}

/// Starts this program again, to run only `test`, as a child that uses `database`.
fn start(test: &str, database: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("complaints::{test}"), "--exact"])
        .env(CHILD, database)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn all_succeed(children: Vec<Child>) {
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

fn wait_for(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !what() {
        assert!(
            Instant::now() < deadline,
            "the other process did not come that far"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processes that find an old database all migrate it, and corrupt or lose it
/// (<https://github.com/daizutabi/hydraflow/issues/245>). Here nothing is ever migrated: processes that start
/// together make the tables once, and all of them leave those of another version as they are.
#[test]
fn hydraflow_245_parallel_migrations() {
    if let Some(database) = given_database() {
        wait_for(|| database.with_extension("go").exists());
        match Store::open(&database) {
            Ok(mut store) => {
                let sweep = format!("of process {}", std::process::id());
                store.begin_sweep(&sweep, "main.toml", "").unwrap();
                store.close().unwrap();
            }
            Err(error) => assert!(
                matches!(
                    error.kind,
                    StoreErrorKind::OtherSchema { found: 7, known: _ }
                ),
                "{error}"
            ),
        }
        return;
    }
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.db");
        let all_open = || {
            let children = (0..4)
                .map(|_| start("hydraflow_245_parallel_migrations", &path))
                .collect();
            std::fs::write(path.with_extension("go"), "").unwrap();
            all_succeed(children);
        };
        all_open();
        let mut store = Store::open(&path).unwrap();
        let rows = store.query("SELECT count(*) FROM sweeps").unwrap().rows;
        assert_eq!(rows, [[4]], "each row still there");
        store.close().unwrap();

        set_version(&path, 7);
        let before = std::fs::read(&path).unwrap();
        all_open();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

fn grid() -> Vec<NewRun> {
    (0..20)
        .map(|seed| new_run(&format!("run {seed}"), seed))
        .collect()
}

/// Workers that start together take the same trial
/// (<https://github.com/optuna/optuna/issues/2021>).
#[test]
fn optuna_2021_duplicate_trials() {
    if let Some(database) = given_database() {
        wait_for(|| database.with_extension("go").exists());
        let mut store = Store::open(&database).unwrap();
        let sweep = store.begin_sweep("main", "main.toml", "").unwrap();
        for run in store.register(sweep, &grid()).unwrap().runs {
            match store.claim(run, &owner(), FailedRuns::Keep).unwrap() {
                Claim::Claimed => {
                    let mine =
                        database.with_file_name(format!("claimed {run} {}", std::process::id()));
                    std::fs::write(mine, "").unwrap();
                    let events = crate::events(0.5);
                    for event in events {
                        store.record(run, &owner(), &event).unwrap();
                    }
                }
                Claim::Finished | Claim::HeldBy(_) => {}
                other => panic!("{other:?}"),
            }
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.db");
    let children = (0..4)
        .map(|_| start("optuna_2021_duplicate_trials", &path))
        .collect();
    std::fs::write(path.with_extension("go"), "").unwrap();
    all_succeed(children);
    let mut claims = BTreeMap::new();
    for entry in folder.path().read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(claim) = name.strip_prefix("claimed ") {
            let (run, _) = claim.split_once(' ').unwrap();
            *claims.entry(run.to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(claims.len(), grid().len());
    assert!(claims.values().all(|&times| times == 1), "{claims:?}");
    let mut store = Store::open(&path).unwrap();
    let rows = store
        .query("SELECT count(*), sum(state = 'finished'), sum(attempts) FROM runs")
        .unwrap()
        .rows;
    assert_eq!(rows, [[20, 20, 20]]);
}

/// A trial whose process was killed is RUNNING for ever
/// (<https://github.com/optuna/optuna/issues/1883>).
#[test]
fn optuna_1883_zombie_running() {
    if let Some(database) = given_database() {
        let mut store = Store::open(&database).unwrap();
        let claim = store.claim(RunId(1), &owner(), FailedRuns::Keep).unwrap();
        assert_eq!(claim, Claim::Claimed);
        for event in crate::events(0.5).iter().take(6) {
            store.record(RunId(1), &owner(), event).unwrap();
        }
        std::fs::write(database.with_extension("held"), "").unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let mut lab = Lab::new();
    let run = lab.register(&[new_run("a1", 44)])[0];
    let path = lab.folder.path().join("results.db");
    for attempt in 1..=3 {
        let mut child = start("optuna_1883_zombie_running", &path);
        let held = path.with_extension("held");
        wait_for(|| held.exists());
        std::fs::remove_file(&held).unwrap();
        let claim = lab.store.claim(run, &owner(), FailedRuns::Keep).unwrap();
        assert!(matches!(claim, Claim::HeldBy(by) if by.pid == child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let details = lab.store.show_run(run).unwrap();
        assert_eq!(
            (details.run.state, details.run.attempts),
            (RunState::Running, attempt)
        );
        assert!(
            details.owner.unwrap().is_stale(),
            "known at once, without a time-out"
        );
    }
    finish(&mut lab.store, run, 0.5);
    let details = lab.store.show_run(run).unwrap();
    assert_eq!(
        (details.run.state, details.run.attempts),
        (RunState::Finished, 4)
    );
    assert_eq!(
        details.epochs.len(),
        2,
        "nothing of the killed attempts is left"
    );
}

/// Parameters that cannot work are tried again and again
/// (<https://github.com/optuna/optuna/issues/566>).
#[test]
fn optuna_566_retry_of_failing_parameters() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    lab.store.record(run, &owner(), &failed()).unwrap();
    for _ in 0..3 {
        lab.register(&[new_run("a1", 44)]);
        let claim = lab.store.claim(run, &owner(), FailedRuns::Keep).unwrap();
        assert!(matches!(claim, Claim::Failed(failure) if failure.kind == "plugin-failed"));
    }
    assert_eq!(lab.store.show_run(run).unwrap().run.attempts, 1);
}

/// A sweep that was interrupted starts from nothing
/// (<https://github.com/facebookresearch/hydra/issues/1407>).
#[test]
fn hydra_1407_no_resume() {
    let mut lab = Lab::new();
    let numbers = lab.register(&grid());
    for &run in &numbers[..7] {
        finish(&mut lab.store, run, 0.5);
    }
    lab.store
        .claim(numbers[7], &owner(), FailedRuns::Keep)
        .unwrap();
    lab.store.remove_owner(&owner()).unwrap();
    let again = lab.register(&grid());
    assert_eq!(again, numbers);
    let left: Vec<RunId> = again
        .into_iter()
        .filter(|&run| lab.store.claim(run, &owner(), FailedRuns::Keep).unwrap() == Claim::Claimed)
        .collect();
    assert_eq!(left, numbers[7..]);
}
