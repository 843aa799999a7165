//! Watching sweeps: one frame, logs, event files.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::json;

fn swept() -> Lab {
    let lab = Lab::new();
    let spec = tiny_spec(
        "watched",
        &["sasrec"],
        "[train]\noptimizer.lr = [1e-3, 1e30]\nstop.max_epochs = 3\n",
    );
    lab.write("s.toml", spec);
    lab.genair(["sweep", "s.toml", "-j", "1"]).expect(3);
    lab
}

#[test]
fn one_frame_tells_what_ran_what_failed_and_why() {
    let lab = swept();
    let frame = lab.genair(["watch", "--once"]).expect(0);
    assert_eq!(frame.stderr, "");
    for expected in [
        "> watched",
        "1/2",
        "finished",
        "failed",
        "tiny sasrec id lr=1e-3 seed 1",
        "3/3",
        "run 2 failed while validating (non-finite)",
    ] {
        assert!(
            frame.stdout.contains(expected),
            "no `{expected}` in\n{}",
            frame.stdout
        );
    }
    let curve = frame
        .stdout
        .lines()
        .find(|line| line.contains("lr=1e-3"))
        .unwrap();
    assert!(curve.contains('█') || curve.contains('▁'), "{curve}");
    let snapshot = lab.genair(["watch", "--format", "json"]).expect(0).json();
    assert_eq!(snapshot["sweeps"][0]["finished"], json!(1));
    assert_eq!(snapshot["sweeps"][0]["failed"], json!(1));
    assert_eq!(snapshot["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_watched_is_said() {
    let lab = swept();
    insta::assert_snapshot!(lab.genair(["watch", "--once", "--sweep", "wached"]), @r"
    exit: 2
    --- stderr
    error: genair.db has no sweep `wached`; there are watched
    ");
    insta::assert_snapshot!(lab.genair(["watch", "--once", "--db", "no.db"]), @r"
    exit: 2
    --- stderr
    error: database no.db: there is no such file; `genair sweep` creates it, `--db` names another
    ");
    insta::assert_snapshot!(lab.genair(["watch"]), @r"
    exit: 2
    --- stderr
    error: standard output is no terminal; `--once` writes one frame as plain text
    ");
}

#[test]
fn a_sweep_at_work_can_be_watched() {
    let lab = Lab::new();
    lab.write(
        "s.toml",
        tiny_spec(
            "long",
            &["sasrec"],
            "[train.stop]\nmax_epochs = 500\npatience = 500\n",
        ),
    );
    let sweep = lab.start(["sweep", "s.toml", "-j", "1"]);
    lab.wait_for_training();
    let frame = lab
        .genair(["watch", "--once", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(frame["runs"][0]["state"], "running");
    assert_eq!(frame["runs"][0]["max_epochs"], 500);
    assert!(frame["runs"][0]["epoch"].as_u64() > Some(0), "{frame}");
    let out = lab
        .genair(["export", "tensorboard", "--out", "tb", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(out["runs"], 1);
    drop(sweep);
}

#[test]
fn log_lines_can_be_json() {
    let lab = Lab::new();
    lab.write("s.toml", tiny_spec("logged", &["popularity"], ""));
    lab.genair(["sweep", "s.toml"]).expect(0);
    let other_seed = [
        "--log-format",
        "json",
        "sweep",
        "s.toml",
        "--set",
        "sweep.seeds=[2]",
    ];
    let sweep = lab.genair(other_seed).expect(0);
    let lines = sweep.stderr.lines();
    let mut line = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let line = line.next_back().unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(
        line["fields"]["message"]
            .as_str()
            .unwrap()
            .contains("left out"),
        "{line}"
    );
}

#[test]
fn event_files_are_brought_up_to_date() {
    let lab = swept();
    let export = || {
        lab.genair(["export", "tensorboard", "--out", "tb", "--format", "json"])
            .expect(0)
            .json()
    };
    let first = export();
    assert_eq!(
        (&first["runs"], &first["folder"]),
        (&json!(2), &json!("tb"))
    );
    let file =
        "tb/watched/00001-tiny-sasrec-id-lr=1e-3-seed1/events.out.tfevents.0000000000.genair";
    let bytes = std::fs::read(lab.path(file)).unwrap();
    assert_eq!(export(), first);
    assert_eq!(
        std::fs::read(lab.path(file)).unwrap(),
        bytes,
        "nothing is added twice"
    );
    let unknown = lab
        .genair(["export", "tensorboard", "--out", "x", "--sweep", "wached"])
        .expect(2);
    assert!(unknown.stderr.contains("watched"), "{unknown}");
    assert!(!lab.path("x").exists());
}
