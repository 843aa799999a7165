//! A sweep from its spec to the leaderboard, and what the numbers are worth.

use std::collections::BTreeMap;

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::{Value, json};

const BACKBONES: [&str; 5] = ["popularity", "sasrec", "bert4rec", "gru4rec", "caser"];

/// Three epochs of everything, on a catalogue in which 100 sampled negatives are not all there is.
fn swept() -> Lab {
    let lab = Lab::new();
    let quick = "[train.stop]\nmax_epochs = 3\n";
    lab.write(
        "s.toml",
        tiny_spec("tiny", &BACKBONES, quick).replace("catalogue = 60", "catalogue = 250"),
    );
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    lab
}

#[test]
fn a_sweep_leaves_every_number_it_promises_and_a_second_one_nothing_to_do() {
    let lab = swept();
    assert_eq!(
        lab.lines("SELECT backbone || ' ' || state FROM runs ORDER BY run_id"),
        "popularity finished\nsasrec finished\nbert4rec finished\ngru4rec finished\ncaser finished"
    );
    let leaderboard = lab.store().query("SELECT * FROM leaderboard").unwrap();
    let columns = [
        "sweep",
        "run_id",
        "dataset",
        "backbone",
        "representation",
        "variant",
        "axes",
        "configuration",
        "seed",
        "split",
        "protocol",
        "cohort",
        "metric",
        "k",
        "value",
    ];
    assert_eq!(leaderboard.columns, columns);
    let distinct = |column: &str| {
        lab.lines(&format!("SELECT group_concat(c) FROM (SELECT DISTINCT {column} AS c FROM leaderboard ORDER BY c)"))
    };
    assert_eq!(distinct("split"), "test,valid");
    assert_eq!(distinct("protocol"), "full,sampled-100");
    assert_eq!(
        distinct("cohort"),
        "all,head-item,long-user,short-user,tail-item"
    );
    assert_eq!(
        distinct("metric"),
        "coverage,gini,hr,mrr,ndcg,novelty,tail-share"
    );
    assert_eq!(distinct("k"), "5,10,20,50");
    assert_eq!(
        leaderboard.rows.len(),
        5 * 2 * 2 * 5 * 3 * 4 + 5 * 2 * 3 * 4 * 4,
        "every combination of ranks, and of lists, once"
    );

    let before = lab.rows("SELECT run_id, attempts, finished_at FROM runs ORDER BY run_id");
    let again = lab
        .genair(["sweep", "s.toml", "--format", "json"])
        .expect(0)
        .json();
    let outcomes = again["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["outcome"]);
    assert_eq!(outcomes.collect::<Vec<_>>(), [&json!("finished-before"); 5]);
    assert_eq!(
        lab.rows("SELECT run_id, attempts, finished_at FROM runs ORDER BY run_id"),
        before
    );
}

/// docs/method.md, section 7, from a target's rank (0 is the top).
fn measure(metric: &str, rank: f64, k: f64) -> f64 {
    match metric {
        _ if rank >= k => 0.0,
        "hr" => 1.0,
        "ndcg" => 1.0 / (rank + 2.0).log2(),
        "mrr" => 1.0 / (rank + 1.0),
        other => panic!("unknown metric {other}"),
    }
}

#[test]
fn metrics_follow_from_the_ranks_that_are_kept() {
    let lab = swept();
    let mut ranks: BTreeMap<(i64, String), Vec<f64>> = BTreeMap::new();
    for row in
        lab.rows("SELECT run_id, protocol, rank FROM ranks WHERE split = 'test' ORDER BY user")
    {
        let key = (
            row[0].as_i64().unwrap(),
            row[1].as_str().unwrap().to_owned(),
        );
        ranks.entry(key).or_default().push(row[2].as_f64().unwrap());
    }
    assert_eq!(ranks.len(), 10, "five runs, two protocols");
    assert!(ranks.values().all(|ranks| ranks.len() == 80), "every user");
    assert_ne!(
        ranks[&(2, "full".to_owned())],
        ranks[&(2, "sampled-100".to_owned())]
    );
    let sql = "SELECT run_id, protocol, metric, k, value FROM leaderboard WHERE split = 'test' AND cohort = 'all' \
         AND metric IN ('hr', 'ndcg', 'mrr')";
    let rows = lab.rows(sql);
    assert_eq!(rows.len(), 5 * 2 * 3 * 4);
    for row in rows {
        let of_run = &ranks[&(
            row[0].as_i64().unwrap(),
            row[1].as_str().unwrap().to_owned(),
        )];
        let (metric, k) = (row[2].as_str().unwrap(), row[3].as_f64().unwrap());
        let mean = of_run
            .iter()
            .map(|&rank| measure(metric, rank, k))
            .sum::<f64>()
            / 80.0;
        assert!(
            (mean - row[4].as_f64().unwrap()).abs() < 1e-12,
            "{row:?}: {mean}"
        );
    }
    // Two cohorts that complement each other weigh up to all users.
    let sql = "SELECT max(abs(whole - parts)) FROM (
        SELECT sum(value * users) FILTER (WHERE cohort = 'all') AS whole,
               sum(value * users) FILTER (WHERE cohort IN ('head-item', 'tail-item')) AS parts
        FROM metrics WHERE epoch IS NULL AND metric IN ('hr', 'ndcg', 'mrr')
        GROUP BY run_id, split, protocol, metric, k)";
    assert!(lab.rows(sql)[0][0].as_f64().unwrap() < 1e-9);
    assert!(
        lab.rows(
            &sql.replace("head-item", "long-user")
                .replace("tail-item", "short-user")
        )[0][0]
            .as_f64()
            .unwrap()
            < 1e-9
    );
}

#[test]
fn every_listing_is_json_on_request() {
    let lab = swept();
    let json = |arguments: &[&str]| -> Value {
        lab.genair(arguments.iter().copied().chain(["--format", "json"]))
            .expect(0)
            .json()
    };
    assert_eq!(json(&["check", "s.toml"])[0]["runs"], 5);
    assert_eq!(json(&["plan", "s.toml"])[4]["state"], "finished");
    assert_eq!(json(&["results", "list"])[1]["backbone"], "sasrec");
    assert_eq!(
        json(&["results", "show", "2"])["epochs"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        json(&["results", "leaderboard"]).as_array().unwrap().len(),
        5
    );
    assert_eq!(
        json(&["results", "sql", "SELECT 1 AS one"]),
        json!({ "columns": ["one"], "rows": [[1]] })
    );
    let plugins = json(&["plugin", "list"]);
    let usable = |name: &str| {
        plugins
            .as_array()
            .unwrap()
            .iter()
            .any(|plugin| plugin["name"] == name && plugin["error"].is_null())
    };
    assert!(BACKBONES[1..].iter().all(|name| usable(name)), "{plugins}");
    assert_eq!(
        json(&["plugin", "inspect", "sasrec"])["capabilities"]["causal"],
        true
    );
    assert_eq!(
        json(&["data", "stats", "s.toml"])[0]["statistics"]["users"],
        80
    );
    assert_eq!(json(&["doctor"])["ready"], true);
}

#[test]
fn a_run_records_where_it_came_from_and_what_it_took() {
    let lab = swept();
    let run = lab
        .genair(["results", "show", "2", "--format", "json"])
        .expect(0)
        .json();
    let record = &run["run"];
    for hash in [
        "identity",
        "spec_sha256",
        "data_sha256",
        "plugin_sha256",
        "sequences_sha256",
    ] {
        assert_eq!(record[hash].as_str().unwrap().len(), 64, "{hash}");
    }
    for known in [
        "code_revision",
        "code_dirty",
        "host",
        "libtorch",
        "trainer_version",
    ] {
        assert!(!record[known].is_null(), "{known}");
    }
    for positive in [
        "parameters",
        "seconds",
        "train_seconds",
        "peak_memory_bytes",
        "cpu_seconds",
        "best_epoch",
        "interactions",
    ] {
        assert!(record[positive].as_f64().unwrap() > 0.0, "{positive}");
    }
    assert_eq!(
        (&record["device"], &record["threads"]),
        (&json!("cpu"), &json!(1))
    );
    let spec: Value = serde_json::from_str(record["spec"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&spec["train"]["stop"]["max_epochs"], &spec["seed"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(
        spec["backbone"]["params"]["dropout"], 0.5,
        "defaults are written out"
    );
    let checkpoint = &run["artefacts"][0];
    let bytes = std::fs::read(checkpoint["path"].as_str().unwrap()).unwrap();
    assert_eq!(checkpoint["bytes"], bytes.len());
    assert_eq!(checkpoint["sha256"], sha256(&bytes));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn axes_become_variants_and_seeds_are_averaged() {
    let lab = Lab::new();
    lab.write(
        "s.toml",
        tiny_spec("axes", &["sasrec"], "[train.stop]\nmax_epochs = 1\n"),
    );
    lab.genair([
        "sweep",
        "s.toml",
        "--set",
        "sweep.seeds=[1, 2]",
        "--set",
        "train.optimizer.lr=[1e-2, 1e-4]",
    ])
    .expect(0);
    let runs = lab.lines(
        "SELECT variant || ' ' || seed FROM sweep_runs JOIN runs USING (run_id) ORDER BY run_id",
    );
    assert_eq!(runs, "lr=0.01 1\nlr=0.01 2\nlr=1e-4 1\nlr=1e-4 2");
    let board = lab
        .genair(["results", "leaderboard", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(board.as_array().unwrap().len(), 2);
    assert_eq!(board[0]["seeds"], 2);
    assert!(board[0]["scores"][0]["std"].is_number());
}

/// The made-up data have a sequential signal (an item's successors), which popularity cannot see.
/// With these settings, one seed and one machine gave test NDCG@10 of .095 (popularity), .24
/// (BERT4Rec), .50 (Caser), .51 (GRU4Rec) and .61 (SASRec): the factors leave a third to chance.
#[test]
fn every_backbone_learns_what_popularity_cannot_know() {
    let lab = Lab::new();
    let settings = "
[backbone.sasrec]
hidden_size = 32
dropout = 0.2
[backbone.bert4rec]
hidden_size = 32
dropout = 0.2
[backbone.gru4rec]
hidden_size = 32
[backbone.caser]
hidden_size = 32
dropout = 0.2
[train]
batch_size = 32
optimizer.lr = 5e-3
stop.max_epochs = 30
";
    let spec = tiny_spec("learn", &BACKBONES, settings);
    let larger = [
        "users = 300",
        "catalogue = 100",
        "mean_length = 12",
        "max_len = 20",
    ];
    let spec = [
        "users = 80",
        "catalogue = 60",
        "mean_length = 8",
        "max_len = 12",
    ]
    .iter()
    .zip(larger)
    .fold(spec, |spec, (from, to)| spec.replace(from, to));
    lab.write("s.toml", spec);
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    let sql = "SELECT backbone, value FROM leaderboard
        WHERE split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10";
    let ndcg: BTreeMap<String, f64> = lab
        .rows(sql)
        .into_iter()
        .map(|row| {
            (
                row[0].as_str().unwrap().to_owned(),
                row[1].as_f64().unwrap(),
            )
        })
        .collect();
    for (backbone, factor) in [
        ("sasrec", 4.0),
        ("gru4rec", 3.0),
        ("caser", 3.0),
        ("bert4rec", 1.5),
    ] {
        assert!(
            ndcg[backbone] > factor * ndcg["popularity"],
            "{backbone} is not {factor} times as good: {ndcg:?}"
        );
    }
}

#[test]
fn a_dataset_that_is_renamed_keeps_its_results() {
    let lab = Lab::new();
    let spec = tiny_spec(
        "names",
        &["popularity", "sasrec"],
        "[train.stop]\nmax_epochs = 1",
    );
    lab.write("s.toml", &spec);
    lab.genair(["sweep", "s.toml"]).expect(0);
    let leaderboard =
        "SELECT backbone, value FROM leaderboard WHERE metric = 'ndcg' AND k = 10 ORDER BY 1, 2";
    let before = lab.rows(leaderboard);
    // 60 items, of which each user knows some.
    let few = lab.genair(["results", "leaderboard"]).expect(0);
    assert!(
        few.stdout
            .contains("\n`tiny` is too small for the sample: some users have "),
        "{few}"
    );

    lab.write("s.toml", spec.replace("dataset.tiny", "dataset.small"));
    let again = lab.genair(["sweep", "s.toml"]).expect(0);
    assert!(
        again.stderr.contains("2 runs: 2 finished before, 0 to run"),
        "{again}"
    );
    assert!(
        again
            .stderr
            .contains("the dataset of 2 runs in the database has the name of this spec now"),
        "{again}"
    );
    assert_eq!(lab.rows(leaderboard), before);
    assert!(!before.is_empty());
    for sql in [
        "SELECT DISTINCT dataset FROM runs",
        "SELECT DISTINCT dataset FROM configurations",
        "SELECT DISTINCT spec ->> 'dataset_name' FROM runs",
    ] {
        assert_eq!(lab.rows(sql), [[json!("small")]], "{sql}");
    }

    // The same data under two names are the same runs, and that is told.
    let table = spec.split("[dataset.tiny]").nth(1).unwrap();
    let table = table.split("[train.stop]").next().unwrap();
    lab.write("s.toml", format!("{spec}\n[dataset.small]{table}"));
    let twice = lab.genair(["sweep", "s.toml"]).expect(0);
    assert!(
        twice
            .stderr
            .contains("dataset `small` has the data and settings of dataset `tiny`"),
        "{twice}"
    );
    assert_eq!(lab.count("SELECT * FROM runs"), 2);
}
