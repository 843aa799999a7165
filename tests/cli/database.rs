//! One database, several processes: writers share the work, readers see what is done.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::json;

fn lab() -> Lab {
    let lab = Lab::new();
    let spec = tiny_spec(
        "shared",
        &["popularity", "sasrec"],
        "[train.stop]\nmax_epochs = 10\n",
    );
    lab.write("s.toml", spec.replace("seeds = [1]", "seeds = [1, 2, 3]"));
    lab
}

#[test]
fn two_sweeps_at_once_do_each_run_once() {
    let lab = lab();
    let both = [
        lab.start(["sweep", "s.toml", "-j", "1"]),
        lab.start(["sweep", "s.toml", "-j", "1"]),
    ];
    let [first, second] = both.map(|sweep| sweep.outcome().expect(0));
    assert_eq!(
        first.stdout, second.stdout,
        "both show the whole leaderboard"
    );
    assert_eq!(
        lab.rows("SELECT state, attempts, count(*) FROM runs GROUP BY 1, 2"),
        [[json!("finished"), json!(1), json!(6)]]
    );
    assert_eq!(lab.rows("SELECT count(*) FROM owners"), [[json!(0)]]);
    assert_eq!(lab.lines("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_reader_sees_what_is_done_while_a_sweep_writes() {
    let lab = lab();
    let sweep = lab.start(["sweep", "s.toml", "-j", "1"]);
    let mut reader = lab.wait_for("a finished run", |lab| {
        let mut store = lab
            .path("genair.db")
            .exists()
            .then(|| genair_store::Store::open_read_only(lab.path("genair.db")).ok())??;
        (store.run_counts().ok()?.finished > 0).then_some(store)
    });
    assert_eq!(
        lab.genair(["results", "list", "--format", "json"])
            .expect(0)
            .json()
            .as_array()
            .unwrap()
            .len(),
        6
    );
    let half_way = reader.run_counts().unwrap();
    assert!(half_way.finished < 6, "{half_way:?}");
    sweep.outcome().expect(0);
    assert_eq!(
        reader.run_counts().unwrap().finished,
        6,
        "an open reader sees later commits"
    );
    // A finished run is there whole: metrics of both splits, ranks of every user.
    let sql = "SELECT DISTINCT (SELECT count(*) FROM ranks WHERE run_id = runs.run_id) FROM runs";
    assert_eq!(lab.rows(sql), [[json!(160)]]);
}

#[test]
fn a_query_may_not_write() {
    let lab = lab();
    lab.genair([
        "sweep",
        "s.toml",
        "--set",
        "train.stop.max_epochs=1",
        "--set",
        "sweep.backbone=\"popularity\"",
    ])
    .expect(0);
    for sql in [
        "DELETE FROM runs",
        "UPDATE metrics SET value = 1",
        "DROP VIEW leaderboard",
        "PRAGMA application_id = 1",
    ] {
        let refused = lab.genair(["results", "sql", sql]);
        assert_eq!(refused.code, Some(2), "{sql}: {refused}");
    }
    insta::assert_snapshot!(lab.genair(["results", "sql", "DELETE FROM runs"]), @r"
    exit: 2
    --- stderr
    error: database genair.db: the statement writes; queries may only read
    ");
    assert_eq!(
        lab.rows("SELECT count(*), sum(state = 'finished') FROM runs"),
        [[json!(3), json!(3)]]
    );
    assert_eq!(
        lab.lines("SELECT DISTINCT 'value ' || (value <= 1.0) FROM metrics WHERE metric = 'ndcg'"),
        "value 1"
    );
}
