use std::process::{Child, Command};
use std::sync::Barrier;

use genair_protocol::{Labels, RunEvent, RunFailure, RunPhase};
use serde_json::json;

use super::*;
use crate::owner::started;
use crate::{CodeRevision, NewRun};

struct OneRun {
    folder: tempfile::TempDir,
    store: Store,
    run: RunId,
}

fn one_run() -> OneRun {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path().join("results.db")).unwrap();
    let sweep = store.begin_sweep("main", "main.toml", "").unwrap();
    let run = NewRun {
        identity: "a1".to_owned(),
        configuration: "ac".to_owned(),
        spec: "{}".to_owned(),
        spec_sha256: "b2".to_owned(),
        labels: Labels {
            dataset: "tiny".to_owned(),
            backbone: "sasrec".to_owned(),
            representation: "id".to_owned(),
            seed: 44,
            ..Labels::default()
        },
        data_sha256: "c3".to_owned(),
        plugin_sha256: None,
        results_version: 1,
    };
    let run = store.register(sweep, &[run]).unwrap().runs[0];
    OneRun { folder, store, run }
}

fn this_process() -> Owner {
    Owner::this_process(CodeRevision {
        revision: "4b825dc".to_owned(),
        dirty: true,
        diff: None,
    })
}

fn of_child(child: &Child) -> Owner {
    Owner {
        owner: format!("child {}", child.id()),
        pid: child.id(),
        pid_started: started(child.id()).unwrap(),
        ..this_process()
    }
}

#[test]
fn a_run_is_claimed_once_by_whoever_comes_first() {
    let OneRun { folder, run, .. } = one_run();
    let path = folder.path().join("results.db");
    let barrier = Barrier::new(4);
    let claims: Vec<Claim> = std::thread::scope(|scope| {
        let claim = || {
            let mut store = Store::open(&path).unwrap();
            barrier.wait();
            store.claim(run, &this_process(), FailedRuns::Keep).unwrap()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let count = |wanted: fn(&Claim) -> bool| claims.iter().filter(|claim| wanted(claim)).count();
    assert_eq!(count(|claim| matches!(claim, Claim::Claimed)), 1);
    assert_eq!(
        count(|claim| matches!(claim, Claim::HeldBy(by) if by.pid == std::process::id())),
        3
    );
}

#[test]
fn a_run_is_taken_over_once_its_process_ended_and_not_before() {
    let OneRun {
        folder: _folder,
        mut store,
        run,
    } = one_run();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let childs = of_child(&child);
    assert_eq!(
        store.claim(run, &childs, FailedRuns::Keep).unwrap(),
        Claim::Claimed
    );
    let refused = store.claim(run, &this_process(), FailedRuns::Keep).unwrap();
    assert!(matches!(refused, Claim::HeldBy(by) if by.pid == child.id()));
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(
        store.claim(run, &this_process(), FailedRuns::Keep).unwrap(),
        Claim::Claimed
    );
    let details = store.show_run(run).unwrap();
    assert_eq!(details.run.attempts, 2);
    assert_eq!(details.run.code_revision.as_deref(), Some("4b825dc"));
    assert_eq!(details.owner.unwrap().pid, std::process::id());
    let owners = store.query("SELECT count(*) FROM owners").unwrap().rows;
    assert_eq!(
        owners,
        [[json!(1)]],
        "the process that is gone is forgotten"
    );
    let late = store.release(run, &childs).unwrap_err().kind;
    assert!(matches!(late, StoreErrorKind::NotHeld { .. }), "{late}");
}

#[test]
fn a_failed_run_is_tried_again_by_what_it_failed_of() {
    let OneRun {
        folder: _folder,
        mut store,
        run,
    } = one_run();
    let owner = this_process();
    let crashed = [
        FailureKind::WorkerDied,
        FailureKind::Io,
        FailureKind::DiskFull,
    ];
    let invalid = [
        FailureKind::InvalidSpec,
        FailureKind::NonFinite,
        FailureKind::PluginFailed,
    ];
    for kind in crashed.into_iter().chain(invalid) {
        store.claim(run, &owner, FailedRuns::Retry).unwrap();
        let failure = RunFailure {
            kind,
            phase: RunPhase::Training,
            message: "as asked".to_owned(),
            hint: None,
        };
        store
            .record(run, &owner, &RunEvent::Failed(failure))
            .unwrap();
        assert_eq!(store.reopen(&[run], FailedRuns::Keep).unwrap(), 0);
        let reopened = store.reopen(&[run], FailedRuns::RetryCrashed).unwrap() == 1;
        assert_eq!(reopened, crashed.contains(&kind), "{kind:?}");
        let claim = store.claim(run, &owner, FailedRuns::RetryCrashed).unwrap();
        assert_eq!(claim == Claim::Claimed, reopened, "{kind:?}");
        if reopened {
            store.release(run, &owner).unwrap();
        } else {
            assert_eq!(store.reopen(&[run], FailedRuns::Retry).unwrap(), 1);
        }
    }
}

#[test]
fn runs_of_processes_that_are_gone_can_be_released_without_a_claim() {
    let OneRun {
        folder: _folder,
        mut store,
        run,
    } = one_run();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    store
        .claim(run, &of_child(&child), FailedRuns::Keep)
        .unwrap();
    assert_eq!(store.release_stale().unwrap(), 0, "it is there");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(store.release_stale().unwrap(), 1);
    let row = store.show_run(run).unwrap().run;
    assert_eq!((row.state, row.attempts), (RunState::Pending, 1));
    let owners = store.query("SELECT count(*) FROM owners").unwrap().rows;
    assert_eq!(owners, [[json!(0)]]);
}

#[test]
fn a_silent_process_of_another_machine_is_taken_over_after_a_minute() {
    let OneRun {
        folder: _folder,
        mut store,
        run,
    } = one_run();
    let elsewhere = Owner {
        owner: "elsewhere".to_owned(),
        host: "elsewhere".to_owned(),
        pid: 1,
        ..this_process()
    };
    assert_eq!(
        store.claim(run, &elsewhere, FailedRuns::Keep).unwrap(),
        Claim::Claimed
    );
    let mut silent_for = |seconds: u32| {
        let change = "UPDATE owners SET heartbeat_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?)";
        store
            .write(async |connection| {
                let by = format!("-{seconds} seconds");
                sqlx::query(change).bind(by).execute(connection).await?;
                Ok(())
            })
            .unwrap();
        store.claim(run, &this_process(), FailedRuns::Keep).unwrap()
    };
    assert!(matches!(silent_for(50), Claim::HeldBy(by) if by.host == "elsewhere"));
    assert_eq!(silent_for(70), Claim::Claimed);
}

#[test]
fn removing_an_owner_releases_its_runs() {
    let OneRun {
        folder: _folder,
        mut store,
        run,
    } = one_run();
    let owner = this_process();
    store.claim(run, &owner, FailedRuns::Keep).unwrap();
    store.heartbeat(&owner).unwrap();
    store.remove_owner(&owner).unwrap();
    assert_eq!(store.show_run(run).unwrap().run.state, RunState::Pending);
    assert_eq!(
        store.query("SELECT count(*) FROM owners").unwrap().rows,
        [[json!(0)]]
    );
}

/// How runs were judged outlives the attempt that was judged; configurations are kept by triggers; a submission is of
/// the attempt to come.
#[test]
fn every_table_of_results_is_known() {
    let OneRun {
        folder: _folder,
        mut store,
        ..
    } = one_run();
    let tables = store
        .query(
            "SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c
             WHERE m.type = 'table' AND c.name = 'run_id' AND m.name NOT IN ('runs', 'sweep_runs', 'prune_decisions', 'configurations', 'submissions')
             ORDER BY m.name",
        )
        .unwrap()
        .rows;
    let mut known = RESULTS;
    known.sort();
    assert_eq!(tables, known.map(|table| [table]));
}

#[test]
fn an_unknown_run_is_named() {
    let OneRun {
        folder: _folder,
        mut store,
        ..
    } = one_run();
    let error = store
        .claim(RunId(99), &this_process(), FailedRuns::Keep)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("there is no run 99; `genair results list` shows those there are")
    );
}
