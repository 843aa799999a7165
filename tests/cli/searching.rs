//! Searches and pruning through the real binary.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::json;

const RANGES: &str = "
[backbone.sasrec]
hidden_size = { choice = [8, 16] }
dropout = { uniform = [0.1, 0.5] }
[train]
batch_size = 16
optimizer.lr = { log_uniform = [1e-5, 3e-2] }
stop = { max_epochs = 5, patience = 5 }
[search]
kind = \"sobol\"
runs = 4
";

#[test]
fn a_pruned_run_can_be_continued_to_the_numbers_it_would_have_had() {
    let values = "SELECT variant, metrics.split, protocol, cohort, metric, k, value
        FROM metrics JOIN sweep_runs USING (run_id) WHERE epoch IS NULL ORDER BY 1, 2, 3, 4, 5, 6";
    let curves = "SELECT variant, epoch, loss, valid, best FROM epochs JOIN sweep_runs USING (run_id) ORDER BY 1, 2";
    let lab = Lab::new();
    lab.write("s.toml", tiny_spec("search", &["sasrec"], RANGES));
    lab.genair(["sweep", "s.toml", "-j", "1", "--db", "full.db"])
        .expect(0);
    let full = |sql: &str| {
        genair_store::Store::open_read_only(lab.path("full.db"))
            .unwrap()
            .query(sql)
            .unwrap()
            .rows
    };

    lab.write(
        "s.toml",
        tiny_spec(
            "search",
            &["sasrec"],
            &format!("{RANGES}[prune]\nkind = \"asha\"\ngrace = 2\n"),
        ),
    );
    let pruned = lab
        .genair(["sweep", "s.toml", "-j", "1", "--format", "json"])
        .expect(0);
    assert_eq!(pruned.json()["runs"].as_array().unwrap().len(), 4);
    let states = "SELECT DISTINCT state FROM runs ORDER BY state";
    assert_eq!(lab.lines(states), "finished\npruned");
    assert_eq!(
        lab.count("SELECT 1 FROM metrics JOIN runs USING (run_id) WHERE state = 'pruned'"),
        0
    );
    for row in lab.rows(values) {
        assert!(
            full(values).contains(&row),
            "pruning others changes nothing: {row:?}"
        );
    }

    let again = lab.genair(["sweep", "s.toml"]).expect(0);
    assert!(
        again.stderr.contains("pruned before and are left alone"),
        "{again}"
    );
    let sql = "SELECT run_id, rung, epoch, value, threshold, compared, pruned FROM prune_decisions";
    let decisions = lab.rows(sql);
    let stopped = "SELECT run_id FROM prune_decisions WHERE pruned ORDER BY run_id";
    assert!(lab.rows(stopped).len() >= 3, "the first three at least");
    lab.genair(["sweep", "s.toml", "--continue-pruned"])
        .expect(0);
    assert_eq!(lab.lines(states), "finished");
    let resumed = "SELECT run_id FROM runs WHERE resumed_from_epoch = 2 ORDER BY run_id";
    assert_eq!(
        lab.rows(resumed),
        lab.rows(stopped),
        "each from where it was stopped, promoted or asked for"
    );
    assert_eq!(lab.rows(values), full(values), "bit for bit");
    assert_eq!(lab.rows(curves), full(curves));
    assert_eq!(lab.rows(sql), decisions);
}

#[test]
fn the_leaderboard_shows_the_point_that_validation_chose() {
    let lab = Lab::new();
    let spec = tiny_spec("search", &["sasrec"], RANGES);
    lab.write("s.toml", spec.replace("seeds = [1]", "seeds = [1, 2]"));
    let swept = lab
        .genair(["sweep", "s.toml", "--format", "json"])
        .expect(0);
    let best = lab.rows(
        "SELECT configuration, mean FROM leaderboard_mean WHERE split = 'valid' AND protocol = 'full'
            AND cohort = 'all' AND metric = 'ndcg' AND k = 10 ORDER BY mean DESC, variant LIMIT 1",
    );
    let board = lab
        .genair(["results", "leaderboard", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(swept.json()["leaderboard"], board);
    let [own] = board.as_array().unwrap().as_slice() else {
        panic!("{board}")
    };
    assert_eq!(own["configuration"], best[0][0]);
    assert!(own["variant"].as_str().unwrap().contains("lr="), "{own}");
    let selected = &own["selected"];
    assert_eq!(selected["valid"], best[0][1]);
    assert_eq!(selected["metric"], "ndcg@10");
    assert_eq!(
        (&selected["configurations"], &selected["left_out"]),
        (&json!(4), &json!(3))
    );
    assert_eq!(selected["lacking_seeds"], 0);
    let text = lab.genair(["results", "leaderboard"]).expect(0);
    let told =
        "Chosen on the validation split (ndcg@10, mean over seeds): 3 configurations left out;";
    assert!(text.stdout.contains(told), "{text}");
    let all = lab.genair([
        "results",
        "leaderboard",
        "--select",
        "none",
        "--format",
        "json",
    ]);
    let all = all.expect(0).json();
    assert_eq!(all.as_array().unwrap().len(), 4);
    assert_eq!(all[0]["selected"], json!(null));
    lab.genair(["results", "leaderboard", "--select", "best"])
        .expect(2);
}

#[test]
fn what_runs_share_is_made_once_and_shown_as_a_graph() {
    let lab = Lab::new();
    lab.write("made.toml", tiny_spec("made", &["sasrec"], ""));
    lab.genair([
        "data",
        "export",
        "made.toml",
        "--dataset",
        "tiny",
        "--out",
        "data",
    ])
    .expect(0);
    let spec = "
[sweep]
name = \"graph\"
backbone = [\"sasrec\", \"popularity\"]
representation = [\"id\", \"tied\"]
[dataset.table]
path = \"data\"
max_len = [6, 12]
[representation.tied]
kind = \"id\"
calibration = { alpha = 1e-3 }
[train]
batch_size = 16
stop.max_epochs = 1
";
    lab.write("s.toml", spec);
    insta::with_settings!({filters => vec![("recipe [0-9a-f]{12}", "recipe [recipe]")]}, {
        insta::assert_snapshot!(lab.genair(["plan", "s.toml", "--graph"]).expect(0), @"
        exit: 0
        --- stdout
        s1 data of table (to make, recipe [recipe])
        ├─ r1 table sasrec id max_len=6 seed 44 (new)
        ├─ r2 table sasrec id max_len=12 seed 44 (new)
        ├─ r3 table sasrec tied max_len=6 seed 44 (new)
        ├─ r4 table sasrec tied max_len=12 seed 44 (new)
        ├─ r5 table popularity none max_len=6 seed 44 (new)
        └─ r6 table popularity none max_len=12 seed 44 (new)
        s2 associations of table (to make, recipe [recipe])
        ├─ r1 table sasrec id max_len=6 seed 44 (new)
        └─ r3 table sasrec tied max_len=6 seed 44 (new)
        s3 associations of table (to make, recipe [recipe])
        ├─ r2 table sasrec id max_len=12 seed 44 (new)
        └─ r4 table sasrec tied max_len=12 seed 44 (new)
        ");
    });
    let dot = lab.genair(["plan", "s.toml", "--graph", "dot"]).expect(0);
    assert!(
        dot.stdout.starts_with("digraph plan {\n") && dot.stdout.contains("s1 -> r1"),
        "{dot}"
    );
    let graph = lab
        .genair(["plan", "s.toml", "--graph", "--format", "json"])
        .expect(0)
        .json();
    let edges = graph["edges"].as_array().unwrap();
    assert!(
        edges.contains(&json!({ "from": "s1", "to": "r1" })),
        "{edges:?}"
    );
    assert!(
        edges.contains(&json!({ "from": "s1", "to": "s2" })),
        "{edges:?}"
    );

    lab.genair(["sweep", "s.toml"]).expect(0);
    // Sequences and catalogue.
    let prepared: Vec<_> = std::fs::read_dir(lab.path("cache/data")).unwrap().collect();
    assert_eq!(
        prepared.len(),
        2,
        "the same files for both lengths of history"
    );
    let hashes = "SELECT DISTINCT sequences_sha256 FROM runs";
    assert_eq!(lab.rows(hashes).len(), 1);
    let graph = lab
        .genair(["plan", "s.toml", "--graph", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&graph["stages"][0]["state"], &graph["runs"][0]["state"]),
        (&json!("ready"), &json!("finished"))
    );
    // The workers read the prepared file: without it, the data's own files would do.
    let data = std::fs::read(
        lab.path("genair-artefacts")
            .read_dir()
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
            .join("request.json"),
    )
    .unwrap();
    assert!(String::from_utf8(data).unwrap().contains("cache/data/"));
}
