//! Of the points of a search, validation chooses the one that is shown.

use genair_report::html::PageSpec;
use genair_report::{Format, Table, render};
use genair_store::RunId;
use serde_json::Value;

use crate::database::{Database, End, RUN, Run};
use crate::html::Page;

/// Axes, then the test rank and the validation rank.
type Point = (&'static [(&'static str, &'static str)], f64, f64);

/// Learning rates with their test and validation ranks: the best on the test split is not the one on the other.
const POINTS: [Point; 3] = [
    (&[("lr", "1e-2"), ("loss", "bce")], 20.0, 60.0),
    (&[("lr", "1e-3"), ("loss", "bce")], 40.0, 30.0),
    (&[("lr", "1e-4"), ("loss", "bce")], 10.0, 5.0),
];

/// Two representations of two seeds; the last point lacks a seed.
fn database() -> Database {
    let mut runs = Vec::new();
    for (representation, better) in [("id", 1.0), ("archetype", 0.5)] {
        for (axes, test, valid) in POINTS {
            for seed in [44, 45] {
                runs.push(Run {
                    representation,
                    axes,
                    seed,
                    mean_rank: test * better,
                    valid_rank: Some(valid * better),
                    end: match (axes[0].1, seed) {
                        ("1e-4", 45) => End::Pruned,
                        _ => End::Finished,
                    },
                    ..RUN
                });
            }
        }
    }
    Database::of(&runs).searching(&["lr"])
}

const SPEC: &str = "[table.t]\nsweeps = [\"main\"]\nmetrics = [\"ndcg@10\"]\n";

/// The runs of each row.
fn runs(table: &Table) -> Vec<Vec<RunId>> {
    let cells = table.rows.iter().filter_map(|row| row.cells[0].as_ref());
    let runs = cells.map(|cell| cell.runs.iter().map(|run| run.run).collect());
    runs.collect()
}

fn numbers<const N: usize>(rows: [[i64; 2]; N]) -> Vec<Vec<RunId>> {
    rows.map(|runs| runs.map(RunId).to_vec()).to_vec()
}

#[test]
fn the_best_on_the_validation_split_stands_for_its_search() {
    let mut database = database();
    let spec = format!("{SPEC}baseline = {{ representation = \"id\" }}\n");
    let table = database.table(&spec);
    assert_eq!(runs(&table), numbers([[3, 4], [9, 10]]));
    let comparison = table.rows[1].cells[0].as_ref().unwrap().comparison;
    assert!(
        comparison.unwrap().test.is_some(),
        "the best of one is tested against the best of the other"
    );
    insta::assert_snapshot!(table.notes[1], @"Chosen on the validation split (ndcg@10, mean over seeds): beauty sasrec archetype lr=1e-3,loss=bce; beauty sasrec id lr=1e-3,loss=bce; 4 configurations left out (2 of them without a result of each seed).");
    let json: Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    let choice = &json["choices"][0];
    assert_eq!(choice["axes"]["lr"], "1e-3");
    assert_eq!(choice["of"]["axes"]["loss"], "bce");
    assert_eq!(
        (&choice["configurations"], &choice["competed"]),
        (&3.into(), &2.into())
    );
    // The loss is no part of the search, but of all axes.
    let valid = database.table(&format!("{spec}select = \"valid\"\n"));
    assert_eq!(runs(&valid), runs(&table));
}

#[test]
fn what_a_table_names_is_not_chosen_among() {
    let mut database = database();
    let table = database.table(&format!(
        "{SPEC}rows = [\"representation\", \"lr\"]\nwhere = {{ lr = [\"1e-2\", \"1e-3\"] }}\n"
    ));
    assert_eq!(runs(&table), numbers([[1, 2], [3, 4], [7, 8], [9, 10]]));
    assert!(table.choices.is_empty());
    let table = database.table(&format!(
        "{SPEC}select = \"none\"\nmay_differ = [\"seeds\"]\n"
    ));
    assert_eq!(table.rows.len(), 6);
    // Filters come first.
    let table = database.table(&format!("{SPEC}where = {{ lr = [\"1e-2\", \"1e-4\"] }}\n"));
    assert_eq!(runs(&table), numbers([[1, 2], [7, 8]]));
    let message = database.refusal(&format!("{SPEC}select = \"test\"\n"));
    assert!(
        message.starts_with("report.toml:4: `table.t.select`"),
        "{message}"
    );
}

#[test]
fn the_page_knows_what_is_left_out() {
    let mut database = database();
    let page = Page::of(&mut database, &PageSpec::default());
    let index = page.json("index");
    let left_out = index["places"].as_array().unwrap().iter();
    let left_out = left_out.filter(|place| place["left_out"] == true);
    let left_out: Vec<&Value> = left_out.map(|place| &place["run"]).collect();
    assert_eq!(left_out, [0, 1, 4, 6, 7, 10]);
}
