//! One database's runs in another.

use genair_store::{Claim, FailedRuns, Merged, NewRun, RunState, Store, StoreErrorKind};

use crate::opening::set_version;
use crate::{Lab, events, failed, finish, new_run, owner};

/// Registers `runs` and takes each as far as its letter says: planned, running, failed, (p)runed,
/// (e)nded, that is finished.
fn lab(runs: &[(&str, char)]) -> Lab {
    let mut lab = Lab::new();
    let planned: Vec<NewRun> = (44..)
        .zip(runs)
        .map(|(seed, (name, _))| new_run(name, seed))
        .collect();
    let numbers = lab.register(&planned);
    for (run, (_, how)) in numbers.into_iter().zip(runs) {
        let store = &mut lab.store;
        match how {
            '-' => {}
            'e' => finish(store, run, 0.5),
            _ => {
                assert_eq!(
                    store.claim(run, &owner(), FailedRuns::Keep).unwrap(),
                    Claim::Claimed
                );
                for event in events(0.5).iter().take(6) {
                    store.record(run, &owner(), event).unwrap();
                }
                match how {
                    'f' => store.record(run, &owner(), &failed()).unwrap(),
                    'p' => store.prune(run, &owner(), 2).unwrap(),
                    _ => {}
                }
            }
        }
    }
    lab
}

fn merge(into: &mut Lab, from: &Lab) -> Merged {
    into.store
        .merge(from.folder.path().join("results.db"))
        .unwrap()
}

/// Everything but what is of one database alone: numbers, owners and times.
fn content(store: &mut Store) -> String {
    let tables = [
        "SELECT identity, state, attempts, spec, machine, code_diff, host, best_epoch, pruned_at_epoch,
                failure_message FROM runs ORDER BY identity",
        "SELECT identity, name, variant, axes, superseded FROM sweep_runs JOIN runs USING (run_id)
         JOIN sweeps USING (sweep_id) ORDER BY identity, name",
        "SELECT identity, epoch, loss, valid, calibration FROM epochs JOIN runs USING (run_id) ORDER BY 1, 2",
        "SELECT identity, metrics.epoch, split, metric, value FROM metrics JOIN runs USING (run_id) ORDER BY 1, 2, 3, 4",
        "SELECT identity, user, rank FROM ranks JOIN runs USING (run_id) ORDER BY 1, 2",
        "SELECT identity, epoch, item, x, y, item_space.interactions FROM item_space JOIN runs USING (run_id) ORDER BY 1, 2, 3",
        "SELECT identity, epoch, name, value FROM diagnostics JOIN runs USING (run_id) ORDER BY 1, 2, 3",
        "SELECT identity, kind, path FROM artefacts JOIN runs USING (run_id) ORDER BY 1",
        "SELECT identity, user, user_id FROM run_users JOIN runs USING (run_id) ORDER BY 1, 2",
        "SELECT identity, item, item_id FROM run_items JOIN runs USING (run_id) ORDER BY 1, 2",
        "SELECT sha256, gzip FROM code_diffs",
        "SELECT * FROM machines",
    ];
    let parts = tables.map(|sql| serde_json::to_string(&store.query(sql).unwrap().rows).unwrap());
    parts.join("\n")
}

#[test]
fn the_further_state_of_a_run_stays_whichever_way_it_is_merged() {
    // Every pair of states two machines can have a run in, running ones apart.
    let states = ['-', 'f', 'p', 'e'];
    let names: Vec<String> = (0..16).map(|at| format!("run {at:02}")).collect();
    let side = |state: &dyn Fn(usize) -> char| {
        let runs: Vec<_> = (0..16).map(|at| (names[at].as_str(), state(at))).collect();
        lab(&runs)
    };
    let mut ours = side(&|at| states[at % 4]);
    let mut theirs = side(&|at| states[at / 4]);
    let copy = theirs.folder.path().join("copy.db");
    Store::backup(theirs.folder.path().join("results.db"), &copy).unwrap();

    let merged = merge(&mut ours, &theirs);
    assert_eq!(
        merged,
        Merged {
            replaced: 6,
            kept: 10,
            ..Merged::default()
        },
        "theirs is further in 6 of 16 pairs"
    );
    merge(&mut theirs, &ours);
    let states = |lab: &mut Lab| -> Vec<RunState> {
        let identities: Vec<String> = names.clone();
        lab.store
            .run_states(&identities)
            .unwrap()
            .into_iter()
            .flatten()
            .collect()
    };
    use RunState::{Failed, Finished, Pending, Pruned};
    assert_eq!(
        states(&mut ours),
        [
            Pending, Failed, Pruned, Finished, Failed, Failed, Pruned, Finished, Pruned, Pruned,
            Pruned, Finished, Finished, Finished, Finished, Finished
        ]
    );
    assert_eq!(states(&mut theirs), states(&mut ours));

    // The other order comes to the same, and so does another merge.
    let before = content(&mut ours.store);
    assert_eq!(ours.store.merge(&copy).unwrap().replaced, 0);
    assert_eq!(content(&mut ours.store), before);
}

#[test]
fn what_is_new_comes_with_everything_measured() {
    let mut ours = lab(&[]);
    let theirs = &mut lab(&[("a", 'e'), ("b", 'f'), ("c", 'p'), ("d", '-')]);
    let merged = merge(&mut ours, theirs);
    assert_eq!(
        merged,
        Merged {
            added: 4,
            ..Merged::default()
        },
        "{merged:?}"
    );
    assert_eq!(content(&mut ours.store), content(&mut theirs.store));
    let again = merge(&mut ours, theirs);
    assert_eq!(
        again,
        Merged {
            kept: 4,
            ..Merged::default()
        }
    );
    assert_eq!(content(&mut ours.store), content(&mut theirs.store));
    // A merged run is a run like any other.
    let states = ours.store.run_states(&["d".to_owned()]).unwrap();
    assert_eq!(states, [Some(RunState::Pending)]);
    let numbers = ours.register(&[new_run("d", 47)]);
    finish(&mut ours.store, numbers[0], 0.5);
}

#[test]
fn who_executes_a_run_keeps_it() {
    let mut ours = lab(&[("a", 'r'), ("b", 'r')]);
    let theirs = lab(&[("a", 'e'), ("c", 'r')]);
    let merged = merge(&mut ours, &theirs);
    assert_eq!(
        merged,
        Merged {
            added: 1,
            running: 1,
            ..Merged::default()
        }
    );
    let states = ours
        .store
        .run_states(&["a".to_owned(), "b".to_owned(), "c".to_owned()])
        .unwrap();
    assert_eq!(
        states,
        [
            Some(RunState::Running),
            Some(RunState::Running),
            Some(RunState::Pending)
        ],
        "what is executed for the other database is pending in this one"
    );
    // Once it is given back, theirs is the further one.
    ours.store.remove_owner(&owner()).unwrap();
    assert_eq!(merge(&mut ours, &theirs).replaced, 1);
}

#[test]
fn results_that_should_be_equal_and_are_not_are_named() {
    let mut ours = lab(&[("a", 'e'), ("b", '-')]);
    let mut theirs = lab(&[("a", 'e'), ("b", '-')]);
    for (lab, ndcg) in [(&mut ours, 0.25), (&mut theirs, 0.75)] {
        let run = lab.register(&[new_run("b", 45)])[0];
        finish(&mut lab.store, run, ndcg);
    }
    let merged = merge(&mut ours, &theirs);
    assert_eq!(merged.differing.len(), 1);
    let details = ours.store.show_run(merged.differing[0]).unwrap();
    assert_eq!(details.run.identity, "b");
    assert_eq!(details.metrics[3].value, 0.25, "ours is kept");
}

#[test]
fn the_sweep_that_was_swept_last_decides_the_leaderboard() {
    // Both have a run with the same labels, but of another identity: another version of the data, say.
    let test_values = |lab: &mut Lab| -> Vec<f64> {
        let values = "SELECT value FROM leaderboard WHERE split = 'test' AND metric = 'ndcg'
                      ORDER BY sweep, run_id";
        let rows = lab.store.query(values).unwrap().rows;
        rows.iter().map(|row| row[0].as_f64().unwrap()).collect()
    };
    let make = |identity: &str, ndcg: f64, text: &str| {
        let mut lab = Lab::new();
        let sweep = lab.store.begin_sweep("main", "main.toml", text).unwrap();
        let run = lab
            .store
            .register(sweep, &[new_run(identity, 44)])
            .unwrap()
            .runs[0];
        finish(&mut lab.store, run, ndcg);
        std::thread::sleep(std::time::Duration::from_millis(5));
        lab
    };
    let (mut older, mut newer) = (
        make("old", 0.25, "older text"),
        make("new", 0.75, "newer text"),
    );
    let copy = newer.folder.path().join("copy.db");
    Store::backup(newer.folder.path().join("results.db"), &copy).unwrap();

    let merged = merge(&mut newer, &older);
    assert_eq!((merged.added, merged.sweeps), (1, 0));
    assert_eq!(test_values(&mut newer), [0.75]);
    older.store.merge(&copy).unwrap();
    assert_eq!(test_values(&mut older), [0.75]);
    older.store.merge(&copy).unwrap();
    assert_eq!(test_values(&mut older), [0.75]);
    for lab in [&mut older, &mut newer] {
        let specs = "SELECT sweeps.spec_text, sweep_specs.spec_text FROM sweeps JOIN sweep_specs USING (sweep_id) ORDER BY 2";
        let rows = lab.store.query(specs).unwrap().rows;
        assert_eq!(
            rows,
            [["newer text", "newer text"], ["newer text", "older text"]]
        );
    }
}

#[test]
fn what_cannot_be_merged_is_refused_and_changes_nothing() {
    let mut ours = lab(&[("a", 'e')]);
    let before = content(&mut ours.store);
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "Not a database, but longer than the header of one, which is a hundred bytes long, as you see.\n").unwrap();
    let Lab {
        folder: newer,
        store,
    } = lab(&[("b", 'e')]);
    store.close().unwrap();
    let newer = newer.path().join("results.db");
    set_version(&newer, 7000);
    let itself = ours.folder.path().join("results.db");
    let other_name = ours.folder.path().join("linked.db");
    std::fs::hard_link(&itself, &other_name).unwrap();
    for (path, expected) in [
        (
            &text,
            "the file is not an SQLite database; choose another with `--db`",
        ),
        (
            &newer,
            "its tables are of schema version 7000, and this genair knows version 5 alone; \
             use the genair that wrote the file, or choose another file with `--db`",
        ),
        (
            &itself,
            "this is the database itself; name another one to merge into it",
        ),
        (
            &other_name,
            "this is the database itself; name another one to merge into it",
        ),
        (
            &folder.path().join("none.db"),
            "there is no such file; `genair sweep` creates it, `--db` names another",
        ),
    ] {
        let error = ours.store.merge(path).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(&error.path, path);
    }
    let error = ours.store.merge(folder.path()).unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::IsAFolder), "{error}");
    assert_eq!(content(&mut ours.store), before);
}
