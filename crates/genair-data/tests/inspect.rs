//! `inspect` finds by itself how each published form is read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use genair_data::{Dataset, Inspection, inspect, load};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    sequences: Vec<(String, Vec<String>)>,
}

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/datasets"
    ))
}

fn sequences(dataset: &Dataset) -> Vec<(String, Vec<String>)> {
    let items = |user| {
        let items = dataset.sequence(user).iter();
        items
            .map(|&item| dataset.raw_item(item).to_owned())
            .collect()
    };
    let users = 0..dataset.num_users();
    users
        .map(|user| (dataset.raw_user(user).to_owned(), items(user)))
        .collect()
}

fn inspected(name: &str) -> Inspection {
    inspect(&fixtures().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_published_form_is_found() {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    for (name, expected) in &expected {
        // Only their publishers say that a field has a history, and that ids are mapped; Parquet needs a worker, which
        // tests/cli has.
        if ["mind", "llm-esr-yelp", "parquet"].contains(&name.as_str()) {
            continue;
        }
        match inspect(&fixtures().join(name)) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(found) => match load(&found.spec) {
                Err(error) => wrong.push(format!("{name}: {error}\n{found:?}")),
                Ok(dataset) if sequences(&dataset) != expected.sequences => {
                    wrong.push(format!("{name}: other sequences\n{found:?}"));
                }
                Ok(_) => {}
            },
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_may_surprise_is_told() {
    let found = inspected("sasrec");
    let told = found.warnings.join("\n");
    assert!(told.contains("the order of the file counts"), "{told}");
    let found = inspected("amazon-2018-Luxury_Beauty");
    assert_eq!(found.text_fields[0], "title");
    let told = found.warnings.join("\n");
    assert!(told.contains("is on line 3 already"), "{told}");
    let found = inspected("movielens-1m");
    assert!(
        found.found[0]
            .contains("separator \"::\", no header, times in `4` are Unix times in seconds"),
        "{:?}",
        found.found
    );
}

#[test]
fn a_folder_without_a_log_says_what_was_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "hello\nworld\n").unwrap();
    let said = inspect(folder.path()).unwrap_err().to_string();
    assert!(said.contains("(looked at a.txt)"), "{said}");
}
