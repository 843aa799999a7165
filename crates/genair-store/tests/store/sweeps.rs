//! Which runs belong to a sweep, and what the leaderboard shows of them.

use genair_eval::{Cohort, Protocol, Split};
use genair_store::{LeaderboardFilter, NewRun, RunFilter, RunState, StoreErrorKind};

use crate::{Lab, finish, new_run};

#[test]
fn registering_again_changes_nothing() {
    let mut lab = Lab::new();
    let runs = [new_run("a1", 44), new_run("b2", 45)];
    let first = lab.register(&runs);
    finish(&mut lab.store, first[0], 0.5);
    assert_eq!(lab.register(&runs), first);
    let reversed: Vec<NewRun> = runs.iter().rev().cloned().collect();
    assert_eq!(lab.register(&reversed), [first[1], first[0]]);
    let states = lab
        .store
        .run_states(&["b2".to_owned(), "zz".to_owned(), "a1".to_owned()])
        .unwrap();
    assert_eq!(
        states,
        [Some(RunState::Pending), None, Some(RunState::Finished)]
    );
    assert_eq!(lab.store.run_states(&[]).unwrap(), []);
}

#[test]
fn a_bad_run_registers_none() {
    let mut lab = Lab::new();
    let sweep = lab.store.begin_sweep("main", "main.toml", "").unwrap();
    let error = lab
        .store
        .register(sweep, &[new_run("a1", 44), new_run("b2", u64::MAX)])
        .unwrap_err();
    assert!(
        matches!(
            error.kind,
            StoreErrorKind::TooLarge {
                what: "seed",
                value: u64::MAX
            }
        ),
        "{error}"
    );
    assert_eq!(lab.store.run_counts().unwrap().pending, 0);
}

#[test]
fn a_sweep_keeps_its_number_and_takes_the_new_text() {
    let mut lab = Lab::new();
    let first = lab.store.begin_sweep("main", "old.toml", "old").unwrap();
    let other = lab.store.begin_sweep("other", "other.toml", "").unwrap();
    assert_ne!(first, other);
    assert_eq!(
        lab.store.begin_sweep("main", "new.toml", "new").unwrap(),
        first
    );
    let sweeps = lab
        .store
        .query("SELECT name, spec_path, spec_text FROM sweeps ORDER BY sweep_id")
        .unwrap();
    assert_eq!(
        sweeps.rows,
        [["main", "new.toml", "new"], ["other", "other.toml", ""]]
    );
}

#[test]
fn a_run_supersedes_the_one_whose_labels_it_has() {
    let mut lab = Lab::new();
    let old = lab.register(&[new_run("old", 44), new_run("other seed", 45)]);
    let elsewhere = lab.store.begin_sweep("elsewhere", "e.toml", "").unwrap();
    lab.store
        .register(elsewhere, &[new_run("old", 44)])
        .unwrap();
    finish(&mut lab.store, old[0], 0.25);
    finish(&mut lab.store, old[1], 0.375);
    let new = lab.register(&[new_run("new", 44)]);
    finish(&mut lab.store, new[0], 0.5);

    let values = |lab: &mut Lab, sweep: &str| -> Vec<f64> {
        let filter = LeaderboardFilter {
            sweep: Some(sweep.to_owned()),
            split: Some(Split::Test),
            protocol: Some(Protocol::Full),
            cohort: Some(Cohort::All),
        };
        let rows = lab.store.leaderboard(&filter).unwrap();
        rows.iter()
            .filter(|row| row.metric.as_str() == "ndcg")
            .map(|row| row.value)
            .collect()
    };
    assert_eq!(values(&mut lab, "main"), [0.375, 0.5]);
    assert_eq!(
        values(&mut lab, "elsewhere"),
        [0.25],
        "another sweep is not touched"
    );

    lab.register(&[new_run("old", 44)]);
    assert_eq!(
        values(&mut lab, "main"),
        [0.25, 0.375],
        "the spec went back to the old run"
    );
}

#[test]
fn the_leaderboard_has_the_published_columns() {
    let mut lab = Lab::new();
    let run = lab.register(&[new_run("a1", 44), new_run("b2", 45)])[0];
    finish(&mut lab.store, run, 0.75);
    let board = lab
        .store
        .query("SELECT * FROM leaderboard WHERE split = 'test' AND metric = 'ndcg'")
        .unwrap();
    assert_eq!(
        board.columns.join(", "),
        "sweep, run_id, dataset, backbone, representation, variant, seed, split, protocol, cohort, metric, k, value"
    );
    let row = serde_json::to_string(&board.rows).unwrap();
    assert_eq!(
        row,
        r#"[["main",1,"tiny","sasrec","id","alpha=1e-4",44,"test","full","all","ndcg",10,0.75]]"#
    );
    let all = lab
        .store
        .leaderboard(&LeaderboardFilter::default())
        .unwrap();
    assert_eq!(
        all.len(),
        4,
        "results alone: no row of an epoch, none of the pending run"
    );
    let json = serde_json::to_value(&all[3]).unwrap();
    assert_eq!(json["split"], "valid");
    assert_eq!(json["cohort"], "all");
}

#[test]
fn lists_can_be_narrowed() {
    let mut lab = Lab::new();
    let runs = lab.register(&[new_run("a1", 44), new_run("b2", 45)]);
    finish(&mut lab.store, runs[0], 0.5);
    lab.register(&[new_run("c3", 45)]);
    let list =
        |lab: &mut Lab, filter: RunFilter| -> Vec<(i64, RunState, Option<f64>, Option<f64>)> {
            let runs = lab.store.list_runs(&filter).unwrap();
            runs.iter()
                .map(|run| (run.run_id.0, run.state, run.valid_ndcg_10, run.test_ndcg_10))
                .collect()
        };
    let finished = (1, RunState::Finished, Some(0.25), Some(0.5));
    let pending = |run| (run, RunState::Pending, None, None);
    assert_eq!(list(&mut lab, RunFilter::default()), [finished, pending(3)]);
    assert_eq!(
        list(
            &mut lab,
            RunFilter {
                superseded: true,
                ..RunFilter::default()
            }
        ),
        [finished, pending(2), pending(3)]
    );
    assert_eq!(
        list(
            &mut lab,
            RunFilter {
                state: Some(RunState::Finished),
                ..RunFilter::default()
            }
        ),
        [finished]
    );
    assert_eq!(
        list(
            &mut lab,
            RunFilter {
                sweep: Some("none".to_owned()),
                ..RunFilter::default()
            }
        ),
        []
    );
}
