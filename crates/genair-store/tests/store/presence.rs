//! Databases that are lost while they are open.

use genair_store::{RunId, Store, StoreErrorKind};

use crate::{Lab, finish, new_run};

/// Three runs, of which the first two are finished: their numbers, and the values of their metrics, are apart.
fn finished() -> (Lab, Vec<RunId>) {
    let mut lab = Lab::new();
    let runs = lab.register(&[new_run("a", 1), new_run("b", 2), new_run("c", 3)]);
    finish(&mut lab.store, runs[0], 0.25);
    finish(&mut lab.store, runs[1], 0.5);
    (lab, runs)
}

#[test]
fn what_finished_is_read_back_run_by_run() {
    let (mut lab, runs) = finished();
    lab.store.still_there().unwrap();
    lab.store.read_back(&runs[..2]).unwrap();
    for (asked, first, missing) in [
        (&runs[..], runs[2], 1),
        (&[RunId(99), RunId(98), runs[0]], RunId(98), 2),
    ] {
        match lab.store.read_back(asked).unwrap_err().kind {
            StoreErrorKind::NotRecorded { run, runs } => {
                assert_eq!((run, runs), (first, missing));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_database_that_is_gone_is_saved_once_for_each_that_had_it_open() {
    let (mut lab, _) = finished();
    let mut other = lab.another_store();
    let path = lab.store.path().to_owned();
    std::fs::remove_file(&path).unwrap();
    let mut copies = Vec::new();
    for store in [&mut lab.store, &mut other] {
        let lost = store.still_there().unwrap_err();
        assert!(matches!(lost.kind, StoreErrorKind::Deleted), "{lost}");
        match store.rescued(lost).kind {
            StoreErrorKind::Rescued { copy, .. } => copies.push(copy),
            other => panic!("{other}"),
        }
    }
    assert_ne!(copies[0], copies[1]);
    for copy in copies {
        assert_eq!(copy.parent(), path.parent());
        let counts = Store::open_read_only(copy).unwrap().run_counts().unwrap();
        assert_eq!((counts.finished, counts.pending), (2, 1));
    }
    // Another file at its place is not it.
    std::fs::write(&path, "").unwrap();
    let lost = lab.store.still_there().unwrap_err();
    assert!(matches!(lost.kind, StoreErrorKind::Replaced), "{lost}");
}

#[test]
fn other_errors_save_nothing() {
    let (mut lab, _) = finished();
    let error = lab.store.show_run(RunId(99)).unwrap_err();
    let error = lab.store.rescued(error);
    assert!(
        matches!(error.kind, StoreErrorKind::UnknownRun { .. }),
        "{error}"
    );
    let copies = lab.folder.path().read_dir().unwrap();
    let copies = copies.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("rescued")
    });
    assert_eq!(copies.count(), 0);
}
