//! Looking after a database: copies, merging what several machines have done, files of other versions.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::json;

/// A lab with the spec of one sweep that several machines share.
fn machine(seeds: &str) -> Lab {
    let lab = Lab::new();
    lab.write(
        "s.toml",
        tiny_spec(
            "shared",
            &["popularity", "sasrec"],
            "[train.stop]\nmax_epochs = 2\n",
        ),
    );
    let seeds = format!("sweep.seeds={seeds}");
    lab.genair(["sweep", "s.toml", "--set", &seeds]).expect(0);
    lab
}

/// Everything that was measured, whatever machine, number or time it has.
fn content(lab: &Lab) -> Vec<Vec<serde_json::Value>> {
    [
        "SELECT identity, state, best_epoch, epochs FROM runs ORDER BY 1",
        "SELECT identity, sweeps.name, variant, superseded FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id) ORDER BY 1",
        "SELECT identity, epoch, loss, valid FROM epochs JOIN runs USING (run_id) ORDER BY 1, 2",
        "SELECT identity, split, protocol, cohort, metric, k, value FROM metrics JOIN runs USING (run_id) ORDER BY 1, 2, 3, 4, 5, 6",
        "SELECT identity, split, protocol, user, rank FROM ranks JOIN runs USING (run_id) ORDER BY 1, 2, 3, 4",
    ]
    .iter()
    .flat_map(|sql| lab.rows(sql))
    .collect()
}

/// The database is lost, and the files of its runs are not.
#[test]
fn a_database_is_made_again_of_the_folder_of_its_runs() {
    let lab = Lab::new();
    lab.install_plugin("libgenair_misbehaving.so", "misbehaving");
    let more = "[backbone.misbehaving]\nfault = \"nan\"\n[train.stop]\nmax_epochs = 2\n";
    lab.write(
        "s.toml",
        tiny_spec("lost", &["popularity", "sasrec", "misbehaving"], more),
    );
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins"])
        .expect(3);
    let all = "SELECT identity, state, failure_kind, best_epoch, epochs, seconds, attempt, host, machine, code_revision,
        libtorch, parameters FROM runs ORDER BY run_id";
    let before = (content(&lab), lab.rows(all));
    let rebuild = ["results", "rebuild", "genair-artefacts"];
    let refused = lab.genair(rebuild).expect(2);
    assert!(
        refused.stderr.contains("there is such a file already"),
        "{refused}"
    );
    std::fs::remove_file(lab.path("genair.db")).unwrap();
    insta::assert_snapshot!(lab.genair(rebuild).expect(0), @r"
    exit: 0
    --- stdout
    genair.db: 3 runs of 1 sweep: 2 finished, 1 failed, 0 pending; 0 without a folder left out
    ");
    assert_eq!((content(&lab), lab.rows(all)), before);
    assert_eq!(lab.rows("SELECT count(*) FROM owners"), [[json!(0)]]);
    // Nothing is done again.
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins"])
        .expect(3);
    assert_eq!((content(&lab), lab.rows(all)), before);

    // What is broken is left out, and said.
    let run = lab.lines("SELECT substr(identity, 1, 16) || '/events.' || attempt || '.jsonl' FROM runs WHERE backbone = 'sasrec'");
    let events = std::fs::read_to_string(lab.artefacts().join(&run)).unwrap();
    lab.write(lab.artefacts().join(&run), events.replace("epoch", "epoc"));
    let rebuilt = lab.genair([
        "results",
        "rebuild",
        "genair-artefacts",
        "--db",
        "other.db",
        "--format",
        "json",
    ]);
    let rebuilt = rebuilt.expect(0).json();
    assert_eq!(
        (
            &rebuilt["finished"],
            &rebuilt["failed"],
            &rebuilt["pending"]
        ),
        (&json!(1), &json!(1), &json!(1))
    );
    let reason = rebuilt["skipped"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("is no event"), "{reason}");
    let refused = lab
        .genair(["results", "rebuild", "plugins", "--db", "third.db"])
        .expect(2);
    assert!(refused.stderr.contains("is no folder of runs"), "{refused}");
    assert!(!lab.path("third.db").exists());
}

#[test]
fn parts_of_a_sweep_from_two_machines_become_one() {
    let (ours, theirs) = (machine("[1, 2]"), machine("[2, 3]"));
    let alone = machine("[1, 2, 3]");
    let other = theirs.path("genair.db");
    let other = other.to_str().unwrap();
    let merged = ours
        .genair(["results", "merge", other, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        merged[0],
        json!({ "file": other, "added": 2, "replaced": 0, "kept": 2, "running": 0, "sweeps": 0, "differing": [] })
    );
    assert_eq!(
        content(&ours),
        content(&alone),
        "as if one machine had done it all"
    );
    let again = ours
        .genair(["results", "merge", other, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&again[0]["added"], &again[0]["kept"]),
        (&json!(0), &json!(4))
    );
    assert_eq!(content(&ours), content(&alone));
    // The whole sweep is done here, too.
    let plan = ours
        .genair([
            "plan",
            "s.toml",
            "--set",
            "sweep.seeds=[1, 2, 3]",
            "--format",
            "json",
        ])
        .expect(0)
        .json();
    assert!(
        plan.as_array()
            .unwrap()
            .iter()
            .all(|run| run["state"] == "finished"),
        "{plan}"
    );
}

/// Makes a database of the lab one of another version of the schema: the number is in the file's header,
/// <https://www.sqlite.org/fileformat2.html#the_database_header>.
fn set_version(lab: &Lab, name: &str, version: u32) {
    let mut bytes = std::fs::read(lab.path(name)).unwrap();
    bytes[60..64].copy_from_slice(&version.to_be_bytes());
    lab.write(name, bytes);
}

#[test]
fn merging_takes_nothing_where_one_file_cannot_be_taken() {
    let lab = machine("[1]");
    for name in ["fine.db", "newer.db"] {
        std::fs::copy(lab.path("genair.db"), lab.path(name)).unwrap();
    }
    set_version(&lab, "newer.db", 7000);
    std::fs::remove_file(lab.path("genair.db")).unwrap();
    lab.write(
        "notes.txt",
        "Certainly not a database, but longer than the header of one, which has a hundred bytes.\n"
            .repeat(2),
    );
    insta::assert_snapshot!(lab.genair(["results", "merge", "fine.db", "newer.db"]), @r"
    exit: 2
    --- stderr
    error: database newer.db: its tables are of schema version 7000, and this genair knows version 5 alone; use the genair that wrote the file, or choose another file with `--db`
    ");
    assert!(!lab.path("genair.db").exists(), "nothing was begun");
    insta::assert_snapshot!(lab.genair(["results", "merge", "notes.txt"]), @r"
    exit: 2
    --- stderr
    error: database notes.txt: the file is not an SQLite database; choose another with `--db`: error returned from database: (code: 26) file is not a database: (code: 26) file is not a database
    ");
    insta::assert_snapshot!(lab.genair(["results", "merge", "no.db"]), @r"
    exit: 2
    --- stderr
    error: database no.db: there is no such file; `genair sweep` creates it, `--db` names another
    ");

    let other = std::fs::read(lab.path("fine.db")).unwrap();
    insta::assert_snapshot!(lab.genair(["results", "merge", "fine.db"]), @r"
    exit: 0
    --- stdout
    database  added  replaced  kept  running  sweeps
    fine.db       2         0     0        0       1
    ");
    assert_eq!(std::fs::read(lab.path("fine.db")).unwrap(), other);
    insta::assert_snapshot!(lab.genair(["results", "merge", "genair.db"]), @r"
    exit: 2
    --- stderr
    error: database genair.db: this is the database itself; name another one to merge into it
    ");
}

#[test]
fn a_database_of_another_version_is_refused_by_all_but_a_backup() {
    let lab = machine("[1]");
    set_version(&lab, "genair.db", 0);
    let before = std::fs::read(lab.path("genair.db")).unwrap();
    for command in [
        ["plan", "s.toml"].as_slice(),
        &["sweep", "s.toml"],
        &["watch", "--once"],
        &["results", "leaderboard"],
        &["results", "vacuum"],
        &["results", "delete", "1", "--yes"],
        &["export", "csv", "--out", "tables"],
    ] {
        let refused = lab.genair(command.iter().copied()).expect(2);
        assert!(
            refused.stderr.contains(
                "error: database genair.db: its tables are of schema version 0, and this genair knows version 5 alone; \
                 use the genair that wrote the file, or choose another file with `--db`"
            ),
            "{refused}"
        );
    }
    lab.genair(["results", "backup", "copy.db"]).expect(0);
    assert_eq!(std::fs::read(lab.path("genair.db")).unwrap(), before);
}

#[test]
fn a_backup_is_a_database_and_replaces_nothing() {
    let lab = machine("[1]");
    let copied = lab
        .genair(["results", "backup", "copy.db", "--format", "json"])
        .expect(0)
        .json();
    let size = std::fs::metadata(lab.path("copy.db")).unwrap().len();
    assert_eq!(copied, json!({ "file": "copy.db", "bytes": size }));
    let [own, copy] = ["genair.db", "copy.db"].map(|db| {
        lab.genair(["results", "leaderboard", "--db", db])
            .expect(0)
            .stdout
    });
    assert_eq!(own, copy);
    insta::assert_snapshot!(lab.genair(["results", "backup", "copy.db"]), @r"
    exit: 2
    --- stderr
    error: database copy.db: there is such a file already; name one that does not exist
    ");
    insta::assert_snapshot!(lab.genair(["results", "backup", "b.db", "--db", "no.db"]), @r"
    exit: 2
    --- stderr
    error: database no.db: there is no such file; `genair sweep` creates it, `--db` names another
    ");
    insta::assert_snapshot!(lab.genair(["results", "vacuum", "--db", "no.db"]), @r"
    exit: 2
    --- stderr
    error: database no.db: there is no such file; `genair sweep` creates it, `--db` names another
    ");
    assert!(!lab.path("no.db").exists());
    // Where nothing was deleted, SQLite may pack the same rows into a page more.
    lab.genair(["results", "delete", "1", "--yes"]).expect(0);
    let vacuumed = lab
        .genair(["results", "vacuum", "--format", "json"])
        .expect(0)
        .json();
    assert!(
        vacuumed["bytes_after"].as_u64() < vacuumed["bytes_before"].as_u64(),
        "{vacuumed}"
    );
}
