//! A swept value may be any text that fits on a line: every command and every file has it as one value.

use std::collections::BTreeSet;

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::{Value, json};

/// It looks like two axes, and holds both kinds of quotes.
const TEXT: &str = "it's 1,note=\"b\",c=d";
const SHOWN: &str = r#"note="it's 1,note=\"b\",c=d""#;

/// A sweep over a text of a plugin's.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.install_plugin("libgenair_misbehaving.so", "misbehaving");
    let settings = format!(
        "[backbone.misbehaving]\nnote = [\"plain\", \'\'\'{TEXT}\'\'\']\n[train.stop]\nmax_epochs = 1\n"
    );
    lab.write("s.toml", tiny_spec("s", &["misbehaving"], &settings));
    lab
}

/// The axes and variants in an array of JSON objects.
fn told(rows: &Value) -> BTreeSet<(String, String)> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        let variant = row["variant"].as_str().unwrap();
        (
            row["axes"]["note"].as_str().unwrap().to_owned(),
            variant.to_owned(),
        )
    })
    .collect()
}

#[test]
fn a_value_is_one_value_wherever_it_goes() {
    let lab = lab();
    let expected = [("plain", "note=plain"), (TEXT, SHOWN)];
    let expected: BTreeSet<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let json = |words: &[&str]| {
        let words = words.iter().copied().chain(["--format", "json"]);
        lab.genair(words).expect(0).json()
    };
    let plan = ["plan", "s.toml", "--plugin-dir", "plugins"];
    assert_eq!(told(&json(&plan)), expected);
    let sweep = ["sweep", "s.toml", "--plugin-dir", "plugins"];
    let swept = json(&sweep);
    assert_eq!(told(&swept["runs"]), expected);
    assert_eq!(told(&swept["leaderboard"]), expected);
    assert_eq!(told(&json(&["results", "list"])), expected);
    assert_eq!(told(&json(&["results", "leaderboard"])), expected);
    assert_eq!(told(&json(&["results", "show", "2"])["sweeps"]).len(), 1);
    for words in [
        &["results", "list"][..],
        &["results", "leaderboard"],
        &["results", "show", "2"],
        &["watch", "--once"],
    ] {
        let text = lab.genair(words.iter().copied()).expect(0).stdout;
        assert!(text.contains(SHOWN), "{text}");
    }
    let rows = "SELECT axes ->> 'note', variant FROM sweep_runs";
    let rows: BTreeSet<_> = lab
        .rows(rows)
        .into_iter()
        .map(|row| {
            let [axis, variant] = [0, 1].map(|at| row[at].as_str().unwrap().to_owned());
            (axis, variant)
        })
        .collect();
    assert_eq!(rows, expected);

    // The same spec again: nothing is run, nothing is entered twice.
    let again = json(&sweep);
    assert!(
        again["runs"]
            .as_array()
            .unwrap()
            .iter()
            .all(|run| run["outcome"] == "finished-before")
    );
    lab.genair(["results", "merge", "genair.db", "--db", "other.db"])
        .expect(0);
    let other = json(&["results", "leaderboard", "--db", "other.db"]);
    assert_eq!(told(&other), expected);

    let of_csv = |file: &str, axes: &str, variant: &str| {
        let mut reader = csv::Reader::from_path(lab.path(file)).unwrap();
        let headers = reader.headers().unwrap().clone();
        let at = |name: &str| headers.iter().position(|own| own == name).unwrap();
        let (axes, variant) = (at(axes), at(variant));
        let records = reader.records().map(|record| {
            let record = record.unwrap();
            (record[axes].to_owned(), record[variant].to_owned())
        });
        records.collect::<BTreeSet<_>>()
    };
    let as_json: BTreeSet<_> = expected
        .iter()
        .map(|(value, variant)| (json!({"note": value}).to_string(), variant.clone()))
        .collect();
    lab.genair([
        "export",
        "csv",
        "sweep_runs",
        "leaderboard",
        "--out",
        "tables",
    ])
    .expect(0);
    for table in ["sweep_runs", "leaderboard"] {
        assert_eq!(
            of_csv(&format!("tables/{table}.csv"), "axes", "variant"),
            as_json
        );
    }
    lab.genair(["results", "export-ranks", "--out", "ranks.csv"])
        .expect(0);
    assert_eq!(of_csv("ranks.csv", "axes", "variant"), as_json);
    lab.genair(["export", "parquet", "--out", "tables"])
        .expect(0);
    lab.genair(["export", "mlflow"]).expect(0);
    lab.genair(["export", "tensorboard", "--out", "events"])
        .expect(0);
    assert_eq!(std::fs::read_dir(lab.path("events/s")).unwrap().count(), 2);
    lab.genair(["results", "html"]).expect(0);

    let report = "[report]\nsweeps = [\"s\"]\n[table.t]\nrows = [\"note\", \"variant\"]\nmetrics = [\"ndcg@10\"]\n\
                  protocols = [\"full\"]\nbaseline = { note = \"plain\" }\n";
    lab.write("r.toml", report);
    lab.genair(["report", "r.toml", "--out", "report"])
        .expect(0);
    assert_eq!(of_csv("report/t.csv", "note", "variant"), expected);
}
