//! A database that is deleted, replaced or damaged while a sweep writes to it: nothing is said to be finished that
//! is not in the file, and what there was is saved.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::json;

const RUNS: usize = 6;

fn lab() -> Lab {
    let lab = Lab::new();
    let spec = tiny_spec(
        "lost",
        &["sasrec"],
        "[train.stop]\nmax_epochs = 60\npatience = 60\n",
    );
    lab.write(
        "s.toml",
        spec.replace("seeds = [1]", "seeds = [1, 2, 3, 4, 5, 6]"),
    );
    lab
}

/// A sweep during which `harm` comes over the database, once a run has finished; what it says on standard error.
fn harmed(lab: &Lab, harm: impl FnOnce(&Path)) -> String {
    let sweep = lab.start(["sweep", "s.toml", "-j", "1"]);
    lab.wait_for("a finished run", |lab| {
        (lab.count("SELECT 1 FROM runs WHERE state = 'finished'") > 0).then_some(())
    });
    harm(&lab.path("genair.db"));
    let outcome = sweep.outcome().expect(2);
    assert_eq!(outcome.stdout, "", "{outcome}");
    assert_eq!(lab.workers(), Vec::<u32>::new());
    assert!(
        outcome.stderr.contains("error: database genair.db: "),
        "{outcome}"
    );
    outcome.stderr
}

/// The copy that was saved holds what had finished, and the sweep goes on with it.
fn assert_rescued(lab: &Lab, said: &str) {
    assert!(said.contains("genair-rescued.db"), "{said}");
    let mut copy = genair_store::Store::open_read_only(lab.path("genair-rescued.db")).unwrap();
    let finished = copy.run_counts().unwrap().finished;
    assert!(finished >= 1, "{finished}");
    assert!((finished as usize) < RUNS, "workers went on for nothing");
    lab.genair(["results", "merge", "genair-rescued.db", "--db", "new.db"])
        .expect(0);
    lab.genair(["sweep", "s.toml", "--db", "new.db"]).expect(0);
    let mut new = genair_store::Store::open_read_only(lab.path("new.db")).unwrap();
    assert_eq!(new.run_counts().unwrap().finished as usize, RUNS);
    assert_eq!(
        new.query("SELECT sum(attempts > 1), count(*) FROM runs")
            .unwrap()
            .rows[0][1],
        json!(RUNS)
    );
}

#[test]
fn a_deleted_database() {
    let lab = lab();
    let said = harmed(&lab, |path| std::fs::remove_file(path).unwrap());
    assert!(said.contains("was deleted or moved away"), "{said}");
    assert!(
        !lab.path("genair.db-wal").exists(),
        "it would be taken for the log of another file"
    );
    assert_rescued(&lab, &said);
}

#[test]
fn a_replaced_database() {
    let lab = lab();
    lab.write("other.db", "");
    let said = harmed(&lab, |path| {
        std::fs::rename(path.with_file_name("other.db"), path).unwrap()
    });
    assert!(said.contains("another file took its place"), "{said}");
    assert_rescued(&lab, &said);
}

#[test]
fn a_truncated_database() {
    let lab = lab();
    let said = harmed(&lab, |path| drop(std::fs::File::create(path).unwrap()));
    assert!(
        said.contains("the file is damaged (the file is empty)"),
        "{said}"
    );
}

#[test]
fn a_database_that_something_wrote_over() {
    let lab = lab();
    let said = harmed(&lab, |path| {
        let size = path.metadata().unwrap().len();
        let mut file = std::fs::File::options().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(4096)).unwrap();
        file.write_all(&vec![0xAA; (size - 4096) as usize]).unwrap();
    });
    assert!(said.contains("the file is damaged"), "{said}");
}

/// A folder that is moved, database and all.
#[test]
fn a_database_whose_folder_is_gone() {
    let lab = lab();
    lab.write("elsewhere/note", "");
    let said = harmed(&lab, |path| {
        std::fs::rename(path, path.with_file_name("elsewhere/x.db")).unwrap()
    });
    assert!(said.contains("was deleted or moved away"), "{said}");
    assert_rescued(&lab, &said);
}
