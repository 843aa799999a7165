//! Built-in backbones, and what lists are like beside being right.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::json;

const BASELINES: [&str; 5] = [
    "popularity",
    "random",
    "item_knn",
    "session_knn",
    "content_knn",
];

const MORE: &str = r#"
[representation.noise]
kind = "random"
[backbone.item_knn]
neighbours = [5, 20]
[eval]
protocols = ["full", "full-with-history"]
metrics = ["hr", "mrr", "recall", "map"]
k = [3, 10]
"#;

#[test]
fn built_in_backbones_are_measured_as_others() {
    let lab = Lab::new();
    let spec = tiny_spec("baselines", &BASELINES, MORE);
    let spec = spec.replace(
        "seeds = [1]",
        "seeds = [1]\nrepresentation = [\"id\", \"noise\"]",
    );
    lab.write("s.toml", spec);
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    // Item kNN has an axis, and content kNN a run with the vectors alone.
    assert_eq!(
        lab.rows("SELECT backbone, representation, count(*) FROM runs WHERE state = 'finished' GROUP BY 1, 2"),
        [
            json!(["content_knn", "noise", 1]),
            json!(["item_knn", "none", 2]),
            json!(["popularity", "none", 1]),
            json!(["random", "none", 1]),
            json!(["session_knn", "none", 1]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    // With one target, recall is HR and MAP is MRR.
    let pairs = "SELECT count(*), max(abs(a.value - b.value)) FROM metrics a JOIN metrics b
        USING (run_id, split, protocol, cohort, k) WHERE (a.metric, b.metric) IN (('hr', 'recall'), ('mrr', 'map'))";
    let pairs = &lab.rows(pairs)[0];
    assert!(pairs[0].as_u64().unwrap() > 100, "{pairs:?}");
    assert_eq!(pairs[1], json!(0.0));
    // What is random shows more of the catalogue than popularity does, and more evenly.
    let value = |backbone: &str, metric: &str| {
        let sql = format!(
            "SELECT value FROM leaderboard WHERE backbone = '{backbone}' AND split = 'test' AND protocol = 'full'
             AND cohort = 'all' AND k = 10 AND metric = '{metric}'"
        );
        lab.rows(&sql)[0][0].as_f64().unwrap()
    };
    for metric in ["coverage", "novelty", "tail-share"] {
        assert!(
            value("random", metric) > value("popularity", metric),
            "{metric}"
        );
    }
    assert!(value("random", "gini") < value("popularity", "gini"));
    assert!(value("content_knn", "intra-list-similarity").abs() <= 1.0);
    assert_eq!(
        lab.count(
            "SELECT * FROM metrics WHERE metric = 'intra-list-similarity' AND run_id NOT IN
            (SELECT run_id FROM runs WHERE representation = 'noise')"
        ),
        0
    );
    let table = lab
        .genair([
            "results",
            "leaderboard",
            "--metric",
            "coverage",
            "--k",
            "10",
        ])
        .expect(0);
    assert!(table.stdout.contains("Coverage@10"), "{table}");
}

#[test]
fn recent_popularity_needs_times() {
    let lab = Lab::new();
    let day = 86_400;
    // Item 9 is what all had lately, item 1 what all had long ago.
    let rows = (0..20).flat_map(|user| {
        let old = (1..6).map(move |item| (user, item, item));
        let new = (8..12).map(move |item| (user, item, 1_000 * day + item));
        old.chain(new)
    });
    let rows: String = rows
        .map(|(user, item, time)| format!("u{user}\ti{item}\t{time}\n"))
        .collect();
    let header = "user_id\titem_id\ttimestamp\n";
    lab.write("data/interactions.tsv", format!("{header}{rows}"));
    let spec = r#"
[sweep]
name = "recent"
seeds = [1]
backbone = ["popularity"]
[dataset.d]
path = "data"
[backbone.popularity]
days = 30
"#;
    lab.write("s.toml", spec);
    lab.genair(["sweep", "s.toml"]).expect(0);
    let first = lab
        .genair([
            "recommend",
            "1",
            "--history",
            "i1",
            "--k",
            "3",
            "--format",
            "json",
        ])
        .expect(0)
        .json();
    let items = first.to_string();
    assert!(
        items.contains("\"i8\"") && items.contains("\"i9\""),
        "{items}"
    );
    // Without times there is nothing recent.
    let rows = rows.lines().map(|row| {
        let (row, _) = row.rsplit_once('\t').unwrap();
        format!("{row}\n")
    });
    let rows: String = rows.collect();
    lab.write("data/interactions.tsv", format!("user_id\titem_id\n{rows}"));
    let spec = spec.replace("\"recent\"", "\"none\"");
    lab.write("s.toml", spec);
    let failed = lab.genair(["sweep", "s.toml"]).expect(3);
    assert!(
        failed.stderr.contains("backbone.popularity.days")
            && failed.stderr.contains("no Unix times"),
        "{failed}"
    );
}
