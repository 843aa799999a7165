//! Lists of items by a finished run, for a terminal and for other evaluators.

use std::collections::{HashMap, HashSet};

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::{Value, json};

const EPOCHS: &str = "[train]\nbatch_size = 16\nstop = { max_epochs = 3, patience = 3 }\n";

fn lab(backbones: &[&str], more: &str) -> Lab {
    let lab = Lab::new();
    lab.write(
        "s.toml",
        tiny_spec("lists", backbones, &format!("{EPOCHS}{more}")),
    );
    lab.genair(["sweep", "s.toml"]).expect(0);
    lab
}

fn user_id(lab: &Lab, user: u32) -> String {
    lab.lines(&format!(
        "SELECT user_id FROM run_users WHERE run_id = 1 AND user = {user}"
    ))
}

/// The rows of a CSV file below its header.
fn rows(lab: &Lab, file: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(lab.path(file)).unwrap();
    let records = reader.records().map(|record| record.unwrap());
    records
        .map(|record| record.iter().map(str::to_owned).collect())
        .collect()
}

/// HR@k and NDCG@k of lists, from the files alone.
fn measured(lab: &Lab, lists: &str, targets: &str, k: usize) -> (f64, f64) {
    let mut of_user: HashMap<String, Vec<String>> = HashMap::new();
    for row in rows(lab, lists) {
        let list = of_user.entry(row[0].clone()).or_default();
        assert_eq!(row[1], list.len().to_string(), "ranks are from 0");
        list.push(row[2].clone());
    }
    let targets = rows(lab, targets);
    let (mut hits, mut gain) = (0.0, 0.0);
    for target in &targets {
        let place = of_user[&target[0]][..k]
            .iter()
            .position(|item| *item == target[1]);
        if let Some(place) = place {
            hits += 1.0;
            gain += 1.0 / (place as f64 + 2.0).log2();
        }
    }
    let users = targets.len() as f64;
    (hits / users, gain / users)
}

fn stored(lab: &Lab, run: u32, split: &str, protocol: &str, metric: &str) -> f64 {
    let value = format!(
        "SELECT value FROM metrics WHERE run_id = {run} AND epoch IS NULL AND split = '{split}'
         AND protocol = '{protocol}' AND cohort = 'all' AND metric = '{metric}' AND k = 10"
    );
    lab.rows(&value)[0][0].as_f64().unwrap()
}

#[test]
fn metrics_of_the_lists_are_those_of_the_run() {
    let more = "[eval]\nprotocols = [\"full\", \"full-with-history\"]\n";
    let lab = lab(&["sasrec"], more);
    for (split, protocol, flags) in [
        ("test", "full", vec![]),
        ("valid", "full", vec!["--split", "valid"]),
        ("test", "full-with-history", vec!["--with-history"]),
    ] {
        let arguments = [
            "export",
            "recommendations",
            "1",
            "--out",
            "l.csv",
            "--targets",
            "t.csv",
        ];
        let exported = lab
            .genair([&arguments[..], &flags, &["--format", "json"]].concat())
            .expect(0)
            .json();
        let expected = json!({"file": "l.csv", "rows": 800, "targets": "t.csv", "users": 80});
        assert_eq!(exported, expected);
        let (hr, ndcg) = measured(&lab, "l.csv", "t.csv", 10);
        let of = |metric| stored(&lab, 1, split, protocol, metric);
        assert!((hr - of("hr")).abs() < 1e-12, "{split} {protocol}");
        assert!((ndcg - of("ndcg")).abs() < 1e-12, "{split} {protocol}");
    }
    let written = lab
        .genair([
            "export",
            "recommendations",
            "1",
            "--k",
            "3",
            "--out",
            "l.parquet",
        ])
        .expect(0);
    assert_eq!(
        written.stdout,
        "l.parquet: 240 recommendations to 80 users\n"
    );
    let bytes = std::fs::read(lab.path("l.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

#[test]
fn every_kind_of_run_recommends() {
    let more = "[representation.noise]\nkind = \"random\"\nwidth = 8\n\
        [ensemble.both]\nof = [\"id\", \"noise\"]\nweights = [0.5]\n";
    let spec = tiny_spec(
        "lists",
        &["popularity", "caser"],
        &format!("{EPOCHS}{more}"),
    );
    let spec = spec.replacen(
        "[sweep]\n",
        "[sweep]\nrepresentation = [\"id\", \"noise\"]\n",
        1,
    );
    let lab = Lab::new();
    lab.write("s.toml", spec);
    lab.genair(["sweep", "s.toml"]).expect(0);
    let (first, last) = (user_id(&lab, 1), user_id(&lab, 80));
    for run in lab.rows("SELECT run_id, backbone, representation FROM runs") {
        let number = run[0].to_string();
        let lists = lab
            .genair([
                "recommend",
                &number,
                "--user",
                &last,
                "--user",
                &first,
                "--k",
                "5",
                "--format",
                "json",
            ])
            .expect(0)
            .json();
        let lists = lists.as_array().unwrap();
        assert_eq!(lists[0]["user_id"], json!(last), "in the order asked for");
        for (list, user) in lists.iter().zip([80, 1]) {
            let ids: HashSet<&Value> = list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| &item["item_id"])
                .collect();
            assert_eq!(ids.len(), 5);
            let rank = lab.rows(&format!(
                "SELECT rank FROM ranks WHERE run_id = {number} AND split = 'test' AND protocol = 'full' AND user = {user}"
            ));
            assert_eq!(list["target"]["rank"], rank[0][0], "{run:?}");
        }
    }
    // Caser has a vector for each user.
    let items = lab.rows("SELECT item_id FROM run_items WHERE run_id = 1 AND item IN (5, 7)");
    let history = format!(
        "{},{}",
        items[0][0].as_str().unwrap(),
        items[1][0].as_str().unwrap()
    );
    let popular = lab
        .genair(["recommend", "1", "--history", &history, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(popular[0]["history"], 2);
    assert_eq!(popular[0]["target"], Value::Null);
    insta::assert_snapshot!(lab.genair(["recommend", "2", "--history", &history]), @r"
    exit: 2
    --- stderr
    error: the backbone has parameters for each user, and this history is no user's
    hint: use `--user`
    ");
}

#[test]
fn a_list_is_a_table_for_people_and_rows_for_programs() {
    let lab = lab(&["popularity"], "");
    let user = user_id(&lab, 2);
    let told = lab
        .genair(["recommend", "1", "--user", &user, "--k", "2"])
        .expect(0);
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert!(lines[0].starts_with(&format!("user {user}, ")), "{told}");
    assert!(lines[0].contains("; target "), "{told}");
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        ["rank", "item_id", "title", "score"]
    );
    assert_eq!(lines.len(), 4);
    let csv = lab
        .genair([
            "recommend",
            "1",
            "--user",
            &user,
            "--k",
            "60",
            "--format",
            "csv",
        ])
        .expect(0);
    let first = csv.stdout.lines().next();
    assert_eq!(first, Some("user_id,rank,item_id,title,score"));
    assert!(
        csv.stderr.contains("1 of 1 lists have fewer than 60 items"),
        "{csv}"
    );
}

#[test]
fn what_is_missing_is_named() {
    let lab = lab(&["sasrec"], "");
    insta::assert_snapshot!(lab.genair(["recommend", "1", "--user", "nobody"]), @r"
    exit: 2
    --- stderr
    error: there is no user `nobody` in dataset `tiny`, whose filters left 80 users
    hint: write the id as in the data; `genair data stats SPEC` says what the filters left
    ");
    insta::assert_snapshot!(lab.genair(["recommend", "1", "--history", "nothing"]), @r"
    exit: 2
    --- stderr
    error: there is no item `nothing` in dataset `tiny`, whose filters left 60 items
    hint: write the id as in the data; `genair data stats SPEC` says what the filters left
    ");
    insta::assert_snapshot!(lab.genair(["recommend", "7", "--user", "u"]), @r"
    exit: 2
    --- stderr
    error: database genair.db: there is no run 7; `genair results list` shows those there are
    ");
    insta::assert_snapshot!(lab.genair(["export", "recommendations", "1", "--out", "l.json"]), @r"
    exit: 2
    --- stderr
    error: l.json: lists are written as .csv or .parquet; the file's extension says which
    ");
    let weights = lab.lines("SELECT path FROM artefacts");
    std::fs::remove_file(weights).unwrap();
    let gone = lab.genair(["recommend", "1", "--user", "u"]).expect(2);
    assert!(gone.stderr.contains("run 1 has no checkpoint"), "{gone}");
    assert!(
        gone.stderr.contains("hint: `genair results delete`"),
        "{gone}"
    );
    let left = std::fs::read_dir(lab.path("")).unwrap();
    let partial = |name: &String| name.ends_with(".partial");
    let names = left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(partial).count(), 0);
}
