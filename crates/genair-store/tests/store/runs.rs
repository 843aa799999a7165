//! A run from claim to end, in one process and in many threads.

use std::time::{Duration, Instant};

use genair_protocol::{InputFile, Protocol, RunEvent, Split};
use genair_store::{
    Claim, Continued, Doomed, FailedRuns, InputKind, Machine, Owner, RunId, RunState, Store,
    StoreErrorKind,
};
use serde_json::json;

use crate::{Lab, events, failed, finish, new_run, owner};

fn rows_of(lab: &mut Lab, run: RunId) -> i64 {
    let count = format!(
        "SELECT (SELECT count(*) FROM epochs WHERE run_id = {run}) + (SELECT count(*) FROM metrics WHERE run_id = {run})
              + (SELECT count(*) FROM ranks WHERE run_id = {run}) + (SELECT count(*) FROM artefacts WHERE run_id = {run})
              + (SELECT count(*) FROM diagnostics WHERE run_id = {run})
              + (SELECT count(*) FROM item_space WHERE run_id = {run})
              + (SELECT count(*) FROM run_inputs WHERE run_id = {run})"
    );
    lab.store.query(&count).unwrap().rows[0][0]
        .as_i64()
        .unwrap()
}

#[test]
fn a_finished_run_reads_back_as_it_was_told() {
    let mut lab = Lab::new();
    let run = lab.register(&[new_run("a1", 44)])[0];
    // A value whose decimal form is long: it must come back to the last bit.
    let ndcg = 0.1_f64 + 0.2;
    finish(&mut lab.store, run, ndcg);

    let details = lab.reader().show_run(run).unwrap();
    let row = &details.run;
    assert_eq!(
        (row.state, row.attempts, row.identity.as_str()),
        (RunState::Finished, 1, "a1")
    );
    assert_eq!(
        (row.seed, row.code_revision.as_deref(), row.code_dirty),
        (44, Some("4b825dc"), Some(false))
    );
    assert_eq!(
        (row.host.as_deref(), row.parameters, row.users),
        (Some("bench"), Some(1_234), Some(3))
    );
    assert_eq!((row.head_item, row.long_user), (Some(4), Some(5)));
    assert_eq!(
        (row.best_epoch, row.cpu_seconds, row.peak_memory_bytes),
        (Some(1), Some(2.0), None)
    );
    assert!(row.created_at <= row.started_at.clone().unwrap() && row.started_at <= row.finished_at);
    assert_eq!(details.owner, None);
    assert_eq!(details.failure, None);
    assert_eq!(details.sweeps[0].variant, "alpha=1e-4");
    assert_eq!(
        details
            .epochs
            .iter()
            .map(|e| (e.loss, e.calibration, e.valid, e.best))
            .collect::<Vec<_>>(),
        [
            (1.25, Some(2.5), Some(0.125), true),
            (1.0, None, None, false)
        ]
    );
    let diagnostics: Vec<_> = details
        .diagnostics
        .iter()
        .map(|d| (d.epoch, d.name.as_str(), d.value))
        .collect();
    assert_eq!(
        diagnostics,
        [
            (0, "alignment", 1.5),
            (0, "uniformity", -2.0),
            (1, "uniformity", -2.5)
        ],
        "the last ones are of the best epoch"
    );
    let values: Vec<_> = details
        .metrics
        .iter()
        .map(|m| (m.split, m.metric.as_str(), m.value))
        .collect();
    assert_eq!(
        values,
        [
            (Split::Valid, "hr", 0.5),
            (Split::Valid, "ndcg", 0.25),
            (Split::Test, "hr", 0.5),
            (Split::Test, "ndcg", ndcg),
        ]
    );
    assert_eq!(
        (
            details.artefacts[0].kind.as_str(),
            details.artefacts[0].bytes
        ),
        ("checkpoint", 4_096)
    );
    let ranks = lab
        .store
        .query("SELECT user, rank FROM ranks ORDER BY user")
        .unwrap()
        .rows;
    assert_eq!(
        ranks,
        [
            [json!(1), json!(0)],
            [json!(2), json!(6)],
            [json!(3), json!(2)]
        ]
    );

    assert_eq!(
        lab.store.claim(run, &owner(), FailedRuns::Retry).unwrap(),
        Claim::Finished
    );
}

#[test]
fn a_failed_run_says_why_and_is_tried_again_only_when_asked() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    for event in events(0.5).iter().take(6) {
        lab.store.record(run, &owner(), event).unwrap();
    }
    lab.store.record(run, &owner(), &failed()).unwrap();
    let details = lab.store.show_run(run).unwrap();
    let failure = details.failure.unwrap();
    assert_eq!(details.run.state, RunState::Failed);
    assert_eq!(
        (failure.kind.as_str(), failure.phase.as_str()),
        ("plugin-failed", "training")
    );
    assert_eq!(details.epochs.len(), 2, "what led to the failure stays");

    assert_eq!(
        lab.store.claim(run, &owner(), FailedRuns::Keep).unwrap(),
        Claim::Failed(failure)
    );
    assert_eq!(
        lab.store.claim(run, &owner(), FailedRuns::Retry).unwrap(),
        Claim::Claimed
    );
    let details = lab.store.show_run(run).unwrap();
    assert_eq!(
        (details.run.state, details.run.attempts, details.failure),
        (RunState::Running, 2, None)
    );
    assert_eq!(details.run.host, None);
    assert_eq!(rows_of(&mut lab, run), 0);
}

#[test]
fn a_released_run_is_pending_with_nothing_left() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    lab.store
        .record_input(run, &owner(), InputKind::Vectors, &input())
        .unwrap();
    for event in events(0.5).iter().take(12) {
        lab.store.record(run, &owner(), event).unwrap();
    }
    assert_eq!(rows_of(&mut lab, run), 2 + 5 + 3 + 1 + 3 + 1 + 1);
    lab.store.release(run, &owner()).unwrap();
    assert_eq!(rows_of(&mut lab, run), 0);
    let row = lab.store.show_run(run).unwrap().run;
    assert_eq!(
        (row.state, row.host, row.started_at),
        (RunState::Pending, None, None)
    );
}

fn input() -> InputFile {
    InputFile {
        path: "cache/vectors/1f.safetensors".into(),
        sha256: "1f".to_owned(),
    }
}

#[test]
fn what_a_run_was_made_of_reads_back() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    lab.store
        .record_input(run, &owner(), InputKind::Vectors, &input())
        .unwrap();
    lab.store
        .record(run, &owner(), &RunEvent::Resumed { epoch: 3 })
        .unwrap();
    let started = events(0.5).remove(0);
    lab.store.record(run, &owner(), &started).unwrap();
    let details = lab.store.show_run(run).unwrap();
    let read = &details.inputs[0];
    assert_eq!(
        (read.kind.as_str(), read.path.as_str(), read.sha256.as_str()),
        ("vectors", "cache/vectors/1f.safetensors", "1f")
    );
    assert_eq!(details.run.resumed_from_epoch, Some(3));
    assert_eq!(
        details.machine,
        Some(Machine {
            host: "bench".to_owned(),
            cpu: "AMD EPYC 9R14".to_owned(),
            cores: 4,
            memory_bytes: Some(16 << 30),
            system: "linux 6.1 x86_64".to_owned(),
        })
    );
    assert_eq!(
        lab.store.code_diff(run).unwrap().as_deref(),
        Some("--- a/lib.rs")
    );
    let error = lab.store.code_diff(RunId(99)).unwrap_err();
    assert!(
        matches!(error.kind, StoreErrorKind::UnknownRun { .. }),
        "{error}"
    );
}

/// A worker on another machine may be started again at any time; what it says is told from the beginning.
#[test]
fn an_attempt_takes_the_place_of_the_one_before_it_and_keeps_the_inputs() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    lab.store
        .record_input(run, &owner(), InputKind::Vectors, &input())
        .unwrap();
    for attempt in ["node1-7-1", "node2-8-2", "node2-8-2"] {
        lab.store.begin_attempt(run, &owner(), attempt).unwrap();
        for event in &events(0.5)[..9] {
            lab.store.record(run, &owner(), event).unwrap();
        }
    }
    let details = lab.store.show_run(run).unwrap();
    assert_eq!(details.run.attempt.as_deref(), Some("node2-8-2"));
    assert_eq!((details.run.attempts, details.epochs.len()), (1, 2));
    assert_eq!(details.inputs.len(), 1);
    lab.store.release(run, &owner()).unwrap();
    let error = lab.store.begin_attempt(run, &owner(), "node3-9-3");
    let error = error.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::NotHeld { .. }));
    assert_eq!(lab.store.show_run(run).unwrap().run.attempt, None);
}

#[test]
fn a_pruned_run_keeps_its_epochs_and_can_be_taken_to_its_end() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    for event in events(0.5).iter().take(6) {
        lab.store.record(run, &owner(), event).unwrap();
    }
    lab.store.prune(run, &owner(), 2).unwrap();
    let details = lab.store.show_run(run).unwrap();
    assert_eq!(
        (
            details.run.state,
            details.run.pruned_at_epoch,
            details.epochs.len()
        ),
        (RunState::Pruned, Some(2), 2)
    );
    assert_eq!(lab.store.run_counts().unwrap().pruned, 1);
    assert_eq!(
        lab.store.claim(run, &owner(), FailedRuns::Retry).unwrap(),
        Claim::Pruned { epoch: 2 }
    );
    assert!(lab.store.unprune(run, Continued::Asked).unwrap());
    assert!(
        !lab.store.unprune(run, Continued::Asked).unwrap(),
        "it is pending already"
    );
    assert_eq!(lab.store.show_run(run).unwrap().epochs.len(), 2);
    finish(&mut lab.store, run, 0.5);
    let row = lab.store.show_run(run).unwrap().run;
    assert_eq!(
        (row.state, row.attempts, row.pruned_at_epoch),
        (RunState::Finished, 2, None)
    );
    assert!(!lab.store.unprune(run, Continued::Asked).unwrap());
}

#[test]
fn only_the_holder_records() {
    let mut lab = Lab::new();
    let run = lab.register(&[new_run("a1", 44)])[0];
    let record =
        |lab: &mut Lab, owner: &Owner| lab.store.record(run, owner, &events(0.5)[3]).unwrap_err();
    let error = record(&mut lab, &owner());
    assert!(
        matches!(error.kind, StoreErrorKind::NotHeld { .. }),
        "{error}"
    );
    finish(&mut lab.store, run, 0.5);
    let error = record(&mut lab, &owner());
    assert!(
        matches!(error.kind, StoreErrorKind::NotHeld { .. }),
        "{error}"
    );
    assert_eq!(lab.store.show_run(run).unwrap().epochs.len(), 2);
}

#[test]
fn an_event_is_recorded_whole_or_not_at_all() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    let RunEvent::Metrics { rows, .. } = &events(0.5)[7] else {
        panic!("the order of events changed")
    };
    let twice = RunEvent::Metrics {
        epoch: None,
        split: Split::Test,
        protocol: Protocol::Full,
        rows: [rows.as_slice(), rows.as_slice()].concat(),
    };
    let error = lab.store.record(run, &owner(), &twice).unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Sqlite(_)), "{error}");
    assert_eq!(rows_of(&mut lab, run), 0);
}

#[test]
fn a_run_without_results_does_not_finish() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    let error = lab
        .store
        .record(run, &owner(), events(0.5).last().unwrap())
        .unwrap_err();
    assert!(
        matches!(error.kind, StoreErrorKind::NothingMeasured { .. }),
        "{error}"
    );
    assert_eq!(
        lab.store.show_run(run).unwrap().run.state,
        RunState::Running
    );
}

#[test]
fn the_ranks_of_many_users_take_a_moment() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    let ranks: Vec<Vec<u32>> = (0..22_000).rev().map(|rank| vec![rank]).collect();
    let began = Instant::now();
    let event = RunEvent::Ranks {
        split: Split::Test,
        protocol: Protocol::Sampled100,
        ranks,
    };
    lab.store.record(run, &owner(), &event).unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    let sum = lab
        .store
        .query("SELECT count(*), sum(user + rank), max(user) FROM ranks")
        .unwrap();
    assert_eq!(
        sum.rows,
        [[json!(22_000), json!(22_000_u64 * 22_000), json!(22_000)]]
    );
}

#[test]
fn many_threads_write_through_their_own_stores() {
    let mut lab = Lab::new();
    let runs: Vec<_> = (0..8)
        .map(|seed| new_run(&format!("run {seed}"), seed))
        .collect();
    let numbers = lab.register(&runs);
    std::thread::scope(|scope| {
        for &run in &numbers {
            let lab = &lab;
            let mut store = lab.another_store();
            scope.spawn(move || {
                for _ in 0..5 {
                    store.claim(run, &owner(), FailedRuns::Retry).unwrap();
                    for event in events(0.5).iter().take(12) {
                        store.record(run, &owner(), event).unwrap();
                    }
                    store.heartbeat(&owner()).unwrap();
                    store.release(run, &owner()).unwrap();
                }
                finish(&mut store, run, 0.5);
            });
        }
    });
    assert_eq!(lab.store.run_counts().unwrap().finished, 8);
}

#[test]
fn ids_of_the_data_are_kept_once_and_as_long_as_a_run_has_them() {
    let mut lab = Lab::new();
    let runs = lab.register(&[new_run("a1", 44), new_run("a2", 45)]);
    for &run in &runs {
        finish(&mut lab.store, run, 0.5);
    }
    let one = |store: &mut Store, sql: &str| store.query(sql).unwrap().rows[0][0].clone();
    assert_eq!(one(&mut lab.store, "SELECT count(*) FROM id_sets"), 1);
    let users = "SELECT group_concat(user_id, ' ') FROM (SELECT user_id FROM run_users WHERE run_id = 2 ORDER BY user)";
    assert_eq!(one(&mut lab.store, users), "u1 x\u{fc} \"3\"");
    let item = "SELECT item_id FROM run_items WHERE run_id = 1 AND item = 7";
    assert_eq!(one(&mut lab.store, item), "i7");
    let ranks = lab
        .store
        .user_ranks(runs[0], Split::Test, Protocol::Full)
        .unwrap();
    assert_eq!(ranks[1], (2, Some("x\u{fc}".to_owned()), 1, 6));
    for (run, left) in [(runs[0], 7), (runs[1], 0)] {
        lab.store.delete(&Doomed::Runs(vec![run])).unwrap();
        assert_eq!(one(&mut lab.store, "SELECT count(*) FROM item_ids"), left);
    }
}
