//! Every public data set, read from a small file in its published form, against what pandas reads
//! (`tests/oracles/datasets/make.py`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use genair_data::{Dataset, load};
use genair_protocol::DatasetSpec;
use genair_spec::{SpecFile, SpecOptions, recipes};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    sequences: Vec<(String, Vec<String>)>,
    titles: BTreeMap<String, String>,
}

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/datasets"
    ))
}

/// Names of data sets, their fixtures, and the field that has titles.
const DATASETS: [(&str, &str, &str); 15] = [
    ("movielens-1m", "movielens-1m", "title"),
    ("movielens-20m", "movielens-20m", "title"),
    ("amazon-2014:Beauty", "amazon-2014-Beauty", "title"),
    (
        "amazon-2018:Luxury_Beauty",
        "amazon-2018-Luxury_Beauty",
        "title",
    ),
    ("amazon-2023:All_Beauty", "amazon-2023-All_Beauty", "title"),
    ("yelp", "yelp", "name"),
    ("steam", "steam", "app_name"),
    ("lastfm-1k", "lastfm-1k", ""),
    ("gowalla", "gowalla", ""),
    ("diginetica", "diginetica", ""),
    ("kuairand", "kuairand", ""),
    ("mind", "mind", "title"),
    ("goodreads:poetry", "goodreads-poetry", "title"),
    ("s3-rec:Beauty", "s3-rec", ""),
    ("llm-esr-yelp", "llm-esr-yelp", "name"),
];

/// The dataset that a spec with this kind describes.
fn spec_of(kind: &str, fixture: &str) -> DatasetSpec {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spec.toml");
    let data = fixtures().join(fixture).canonicalize().unwrap();
    let text = format!(
        "[sweep]\nname = \"x\"\nbackbone = \"popularity\"\n[dataset.d]\nkind = \"{kind}\"\npath = {data:?}\n"
    );
    std::fs::write(&path, text).unwrap();
    let file = SpecFile::read(&path, &SpecOptions::default()).unwrap();
    let public = file.public_datasets();
    assert_eq!((public[0].name.as_str(), &public[0].folder), (kind, &data));
    let mut datasets = file
        .datasets()
        .unwrap_or_else(|error| panic!("{kind}: {error}"));
    datasets.remove(0).2
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

#[test]
fn every_public_data_set_is_read_as_pandas_reads_it() {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&text).unwrap();
    let known: Vec<&str> = DATASETS
        .iter()
        .map(|(name, ..)| name.split(':').next().unwrap())
        .collect();
    assert!(
        recipes().keys().all(|name| known.contains(&name.as_str())),
        "a recipe has no test"
    );
    for (name, fixture, title) in DATASETS {
        let dataset =
            load(&spec_of(name, fixture)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = &expected[fixture];
        assert_eq!(sequences(&dataset), expected.sequences, "{name}");
        if !expected.titles.is_empty() {
            for item in dataset.items() {
                let found = dataset
                    .metadata(item)
                    .get(title)
                    .and_then(|title| title.as_str());
                let wanted = expected.titles.get(dataset.raw_item(item));
                assert_eq!(found, wanted.map(String::as_str), "{name}");
            }
        }
    }
}

#[test]
fn what_a_recipe_leaves_out_is_counted() {
    let of =
        |name: &str, fixture: &str| load(&spec_of(name, fixture)).unwrap().statistics().removed;
    assert_eq!(of("steam", "steam").items_without_id, 1);
    assert_eq!(
        of("amazon-2018:Luxury_Beauty", "amazon-2018-Luxury_Beauty").duplicate_items,
        1
    );
    assert!(of("lastfm-1k", "lastfm-1k").missing > 0);
    assert!(of("kuairand", "kuairand").low_rating > 0);
    assert!(of("mind", "mind").repeats > 0);
}
