//! Which runs belong to a sweep, and what the leaderboard shows of them.

use genair_protocol::{Axes, Cohort, Metric, Protocol, Split};
use genair_store::{MeanFilter, NewRun, RunFilter, RunState, StoreErrorKind};

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
fn who_sweeps_a_spec_learns_that_another_one_took_its_name() {
    let mut lab = Lab::new();
    let own = lab.register(&[new_run("a1", 44), new_run("b2", 45)]);
    let sweep = lab.store.begin_sweep("main", "main.toml", "").unwrap();
    assert_eq!(lab.store.left_out(sweep, &own).unwrap(), 0);
    lab.register(&[new_run("b2", 45), new_run("c3", 46)]);
    assert_eq!(lab.store.left_out(sweep, &own).unwrap(), 1);
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

/// A run of another configuration: of another learning rate, other data or another plugin.
fn other(identity: &str, configuration: &str, seed: u64) -> NewRun {
    NewRun {
        configuration: configuration.to_owned(),
        ..new_run(identity, seed)
    }
}

#[test]
fn a_sweep_has_the_runs_of_its_present_spec_alone() {
    let mut lab = Lab::new();
    let old = [
        new_run("old 44", 44),
        new_run("old 45", 45),
        new_run("old 46", 46),
    ];
    let runs = lab.register(&old);
    let elsewhere = lab.store.begin_sweep("elsewhere", "e.toml", "").unwrap();
    lab.store.register(elsewhere, &old[..1]).unwrap();
    finish(&mut lab.store, runs[0], 0.25);
    finish(&mut lab.store, runs[1], 0.375);

    let values = |lab: &mut Lab, sweep: &str| -> Vec<f64> {
        let values = format!(
            "SELECT value FROM leaderboard WHERE sweep = '{sweep}' AND split = 'test' AND protocol = 'full'
               AND cohort = 'all' AND metric = 'ndcg' ORDER BY run_id"
        );
        let rows = lab.store.query(&values).unwrap().rows;
        rows.iter().map(|row| row[0].as_f64().unwrap()).collect()
    };
    let registered = |lab: &mut Lab, runs: &[NewRun]| {
        let sweep = lab.store.begin_sweep("main", "main.toml", "").unwrap();
        lab.store.register(sweep, runs).unwrap()
    };
    // A changed value with one seed less, and an axis value that is gone, and a seed that is gone.
    let new = [other("new 44", "c1", 44), old[1].clone()];
    let now = registered(&mut lab, &new);
    assert_eq!(now.left_out, 2, "seed 44 of the old text, and 46");
    finish(&mut lab.store, now.runs[0], 0.5);
    assert_eq!(values(&mut lab, "main"), [0.375, 0.5]);
    assert_eq!(
        values(&mut lab, "elsewhere"),
        [0.25],
        "another sweep is not touched"
    );
    // What is pending of the old text is nowhere.
    let progress = lab.store.sweep_progress().unwrap();
    let main = progress.iter().find(|own| own.sweep == "main").unwrap();
    assert_eq!((main.runs.pending, main.runs.finished), (0, 2));
    assert_eq!(lab.store.run_progress("main", 10).unwrap().len(), 2);
    let listed = RunFilter {
        sweep: Some("main".to_owned()),
        ..RunFilter::default()
    };
    assert_eq!(lab.store.list_runs(&listed).unwrap().len(), 2);

    // Back again, with all they had.
    let back = registered(&mut lab, &old);
    assert_eq!((back.runs, back.left_out), (runs, 1));
    assert_eq!(values(&mut lab, "main"), [0.25, 0.375]);
    assert_eq!(registered(&mut lab, &old).left_out, 0);
}

#[test]
fn a_mean_is_over_runs_that_share_a_configuration() {
    let mut lab = Lab::new();
    // As after a merge: of one label two configurations side by side.
    let spec = |rate: &str, seed: u64| {
        format!(
            r#"{{"dataset": {{"path": "/{rate}"}}, "seed": {seed}, "train": {{"lr": {rate}, "k": [5]}}}}"#
        )
    };
    let mut runs = Vec::new();
    for (identity, configuration, rate, data, seed) in [
        ("a", "c1", "0.001", "da7a", 44),
        ("b", "c1", "0.001", "da7a", 45),
        ("c", "c2", "0.03", "0ther", 46),
        ("d", "c3", "0.03", "da7a", 46),
    ] {
        let mut run = other(identity, configuration, seed);
        run.labels.axes = (identity == "d")
            .then_some(("lr", rate))
            .into_iter()
            .collect();
        runs.push(NewRun {
            spec: spec(rate, seed),
            data_sha256: data.to_owned(),
            ..run
        });
    }
    for (run, value) in std::iter::zip(lab.register(&runs), [0.25, 0.75, 0.5, 0.125]) {
        finish(&mut lab.store, run, value);
    }
    let means = lab
        .store
        .leaderboard_mean(&MeanFilter {
            sweep: Some("main".to_owned()),
            split: Split::Test,
            cohort: Cohort::All,
            protocol: Some(Protocol::Full),
            metric: Some(Metric::Ndcg),
            k: Some(10),
        })
        .unwrap();
    let rows: Vec<_> = means
        .iter()
        .map(|row| {
            let apart = row.axes.and(row.differences.as_ref());
            (apart.to_string(), row.mean, row.n)
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("data=da7a,train.lr=0.001".to_owned(), 0.5, 2),
            ("data=0ther,train.lr=0.03".to_owned(), 0.5, 1),
            ("lr=0.03".to_owned(), 0.125, 1),
        ]
    );
    // Whatever view averages: no row is over the three runs of one label.
    for view in ["leaderboard_mean", "best_per_backbone", "ablation"] {
        let sql = format!("SELECT max(n) <= 2 FROM {view}");
        assert_eq!(lab.store.query(&sql).unwrap().rows, [[1]], "{view}");
    }
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
        "sweep, run_id, dataset, backbone, representation, variant, axes, configuration, seed, split, protocol, cohort, metric, k, value"
    );
    let row = serde_json::to_string(&board.rows).unwrap();
    assert_eq!(
        row,
        r#"[["main",1,"tiny","sasrec","id","alpha=1e-4","{\"alpha\":\"1e-4\"}","c0",44,"test","full","all","ndcg",10,0.75]]"#
    );
    let all = "SELECT split, cohort FROM leaderboard ORDER BY split, metric";
    assert_eq!(
        lab.store.query(all).unwrap().rows,
        [
            ["test", "all"],
            ["test", "all"],
            ["valid", "all"],
            ["valid", "all"]
        ],
        "results alone: no row of an epoch, none of the pending run"
    );
}

#[test]
fn lists_can_be_narrowed() {
    let mut lab = Lab::new();
    let runs = lab.register(&[new_run("a1", 44), new_run("b2", 45)]);
    finish(&mut lab.store, runs[0], 0.5);
    lab.register(&[new_run("a1", 44), new_run("c3", 45)]);
    let list =
        |lab: &mut Lab, filter: RunFilter| -> Vec<(i64, RunState, Option<f64>, Option<f64>)> {
            let runs = lab.store.list_runs(&filter).unwrap();
            runs.iter()
                .map(|run| (run.run_id.0, run.state, run.valid, run.test))
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

#[test]
fn axes_come_back_as_they_were() {
    let mut lab = Lab::new();
    let axes: [&[(&str, &str)]; 4] = [
        &[("z", "1"), ("a", "2")],
        &[("z", "1,a=2")],
        &[("z", "it's \"x\"\n=\u{e9}\\")],
        &[("z", "")],
    ];
    let axes = axes.map(|axes| axes.iter().copied().collect::<Axes>());
    let mut runs = Vec::new();
    for (seed, axes) in std::iter::zip(44.., &axes) {
        let mut run = other(&format!("run {seed}"), &format!("c{seed}"), seed);
        run.labels.axes.clone_from(axes);
        runs.push(run);
    }
    for run in lab.register(&runs) {
        finish(&mut lab.store, run, 0.5);
    }
    let mut merged = Lab::new();
    merged.store.merge(lab.store.path()).unwrap();
    let filter = MeanFilter {
        sweep: None,
        split: Split::Test,
        cohort: Cohort::All,
        protocol: Some(Protocol::Full),
        metric: Some(Metric::Ndcg),
        k: Some(10),
    };
    for store in [&mut lab.store, &mut merged.store] {
        let means = store.leaderboard_mean(&filter).unwrap();
        let means: Vec<Axes> = means.into_iter().map(|row| row.axes).collect();
        assert_eq!(means, axes);
        let listed = store.list_runs(&RunFilter::default()).unwrap();
        let listed: Vec<Axes> = listed.into_iter().map(|run| run.labels.axes).collect();
        assert_eq!(listed, axes);
        let sweep = store.sweeps().unwrap()[0].sweep_id;
        let swept = store.runs_of_sweep(sweep).unwrap();
        let swept: Vec<Axes> = swept.into_iter().map(|run| run.labels.axes).collect();
        assert_eq!(swept, axes);
        let values = "SELECT axes ->> 'z' FROM sweep_runs ORDER BY run_id";
        let values = store.query(values).unwrap().rows;
        let expected = axes.iter().map(|own| own.get("z").unwrap());
        assert_eq!(values, expected.map(|own| [own]).collect::<Vec<_>>());
    }
}
