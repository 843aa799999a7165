//! Backups and vacuum, beside those who work on the database.

use std::sync::atomic::{AtomicBool, Ordering};

use genair_store::{FailedRuns, Store, StoreErrorKind};
use serde_json::json;

use crate::opening::{set_version, version_of};
use crate::{Lab, events, finish, new_run, owner};

fn files(lab: &Lab) -> Vec<String> {
    let mut names: Vec<String> = lab
        .folder
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_backup_is_one_moment_of_a_database_that_is_written() {
    let mut lab = Lab::new();
    let runs: Vec<_> = (0..2)
        .map(|seed| new_run(&format!("run {seed}"), seed))
        .collect();
    let numbers = lab.register(&runs);
    finish(&mut lab.store, numbers[0], 0.5);
    let mut writer = lab.another_store();
    let done = AtomicBool::new(false);
    let folder = lab.folder.path();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                writer
                    .claim(numbers[1], &owner(), FailedRuns::Keep)
                    .unwrap();
                for event in events(0.5).iter().take(11) {
                    writer.record(numbers[1], &owner(), event).unwrap();
                }
                writer.release(numbers[1], &owner()).unwrap();
            }
        });
        for number in 0..5 {
            let copy = folder.join(format!("copy {number}.db"));
            let bytes = Store::backup(folder.join("results.db"), &copy).unwrap();
            assert_eq!(bytes, copy.metadata().unwrap().len());
            let mut copy = Store::open(&copy).unwrap();
            let check = copy.query("PRAGMA integrity_check").unwrap().rows;
            assert_eq!(check, [[json!("ok")]]);
            assert_eq!(copy.show_run(numbers[0]).unwrap().metrics.len(), 4);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_backup_takes_no_name_that_is_taken_and_leaves_nothing_behind() {
    let mut lab = Lab::new();
    lab.claimed_run();
    let (from, taken) = (
        lab.folder.path().join("results.db"),
        lab.folder.path().join("taken"),
    );
    std::fs::write(&taken, "mine").unwrap();
    let before = files(&lab);
    let error = Store::backup(&from, &taken).unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Exists), "{error}");
    assert_eq!(error.path, taken);
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");

    let error = Store::backup(&taken, lab.folder.path().join("copy.db")).unwrap_err();
    assert!(
        matches!(error.kind, StoreErrorKind::NotADatabase(_)),
        "{error}"
    );
    let error = Store::backup(&from, "/nowhere/copy.db")
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(
            "its copy /nowhere/copy.db cannot be written; check that its folder may be written to"
        ),
        "{error}"
    );
    assert_eq!(files(&lab), before);
}

#[test]
fn a_backup_takes_a_database_of_any_version_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (other, copy) = (
        folder.path().join("other.db"),
        folder.path().join("copy.db"),
    );
    Store::open(&other).unwrap().close().unwrap();
    set_version(&other, 7);
    Store::backup(&other, &copy).unwrap();
    assert_eq!([other, copy].map(|path| version_of(&path)), [7, 7]);
}

#[test]
fn vacuum_gives_room_back_and_keeps_what_is_there() {
    let mut lab = Lab::new();
    let runs = lab.register(&[new_run("kept", 1), new_run("large", 2)]);
    let (kept, run) = (runs[0], runs[1]);
    finish(&mut lab.store, kept, 0.5);
    lab.store.claim(run, &owner(), FailedRuns::Keep).unwrap();
    let event = genair_protocol::RunEvent::Ranks {
        split: genair_protocol::Split::Test,
        protocol: genair_protocol::Protocol::Full,
        ranks: vec![vec![7]; 100_000],
    };
    lab.store.record(run, &owner(), &event).unwrap();
    lab.store.release(run, &owner()).unwrap();
    let before = lab.store.show_run(kept).unwrap();
    let mut reader = lab.reader();
    let vacuumed = lab.store.vacuum().unwrap();
    assert!(
        vacuumed.bytes_after < vacuumed.bytes_before / 4,
        "{vacuumed:?}"
    );
    assert_eq!(reader.show_run(kept).unwrap(), before);
}
