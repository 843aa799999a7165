//! Files in every form that a spec can declare, against what pandas reads from them
//! (`tests/oracles/datasets/make.py`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use genair_data::{Dataset, load};
use genair_protocol::DatasetSpec;
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

fn expected(name: &str) -> Expected {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let mut all: BTreeMap<String, Expected> = serde_json::from_str(&text).unwrap();
    all.remove(name).unwrap()
}

/// The dataset of a fixture's folder under these settings.
fn dataset(name: &str, settings: &str) -> Dataset {
    let mut spec: DatasetSpec = toml::from_str(settings).unwrap();
    spec.path = Some(fixtures().join(name));
    load(&spec).unwrap_or_else(|error| panic!("{name}: {error}"))
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

/// Compares sequences, and the titles of the items that are left.
#[track_caller]
fn check(name: &str, settings: &str, title: &str) {
    let (dataset, expected) = (dataset(name, settings), expected(name));
    assert_eq!(sequences(&dataset), expected.sequences, "{name}");
    if expected.titles.is_empty() {
        return;
    }
    for item in dataset.items() {
        let found = dataset
            .metadata(item)
            .get(title)
            .and_then(|title| title.as_str());
        let wanted = expected
            .titles
            .get(dataset.raw_item(item))
            .map(String::as_str);
        assert_eq!(found, wanted, "{name}: {}", dataset.raw_item(item));
    }
}

#[test]
fn parts_of_recbole_are_one_log_and_titles_stay_texts() {
    check(
        "recbole-parts",
        "kind = \"recbole\"\ninteractions = [\"ds.train.inter\", \"ds.valid.inter\", \"ds.test.inter\"]",
        "movie_title",
    );
    let dataset = dataset(
        "recbole-parts",
        "kind = \"recbole\"\ninteractions = \"ds.*.inter\"",
    );
    let item = dataset.items().next().unwrap();
    assert_eq!(
        dataset.metadata(item)["genres"],
        serde_json::json!(["Action", "Drama"])
    );
}

#[test]
fn a_user_and_its_items_per_line() {
    check(
        "s3-rec",
        "interactions = \"Beauty.txt\"\nformat.kind = \"sequences\"",
        "",
    );
}

#[test]
fn two_columns_without_header_and_time() {
    let separated = "interactions = \"Beauty.txt\"\nformat = { header = false, separator = ";
    for separator in ["\" \"", "\"whitespace\""] {
        check("sasrec", &format!("{separated}{separator} }}"), "");
    }
}

#[test]
fn quoted_fields_in_latin_1_and_times_with_zones() {
    check(
        "book-crossing",
        "interactions = \"BX-Book-Ratings.csv\"\nformat = { separator = \";\", encoding = \"latin-1\" }
         columns = { user = \"User-ID\", item = \"ISBN\", time = \"Date\", rating = \"Book-Rating\" }",
        "",
    );
}

#[test]
fn utf_16_by_its_mark_and_times_by_a_format() {
    check(
        "spreadsheet",
        "interactions = \"log.txt\"\nformat.separator = \"\\t\"\ntime_format = \"%d/%b/%Y\"
         columns = { user = \"user\", item = \"item\", time = \"date\" }",
        "",
    );
}

#[test]
fn paths_into_json_and_nanoseconds_and_zstandard() {
    check(
        "nested",
        "interactions = \"events.ndjson.zst\"\ncolumns = { user = \"user.id\", item = \"item.sku\", time = \"at\" }",
        "",
    );
}

#[test]
fn a_file_per_category_without_headers() {
    check(
        "categories",
        "interactions = \"ratings_*.csv\"\ncolumns = { user = 1, item = 2, rating = 3, time = 4 }",
        "",
    );
    // The same by names.
    check(
        "categories",
        "interactions = \"ratings_*.csv\"\nformat.names = [\"user_id\", \"item_id\", \"rating\", \"timestamp\"]",
        "",
    );
}

/// What [`load`] says of a fixture under these settings, without its folder.
fn refused(name: &str, settings: &str) -> String {
    let mut spec: DatasetSpec = toml::from_str(settings).unwrap();
    spec.path = Some(fixtures().join(name));
    let said = load(&spec).unwrap_err().to_string();
    said.replace(&format!("{}/", fixtures().join(name).display()), "")
}

#[test]
fn what_a_spec_does_not_say_is_asked_for() {
    for (name, settings, expected) in [
        (
            "sasrec",
            "interactions = \"Beauty.txt\"",
            "the name of `Beauty.txt` does not say how it is written; set `format` (`genair data inspect` finds out)",
        ),
        (
            "categories",
            "interactions = \"ratings_Toys.csv\"",
            "is no header (",
        ),
        (
            "categories",
            "interactions = \"ratings_Toys.csv\"\nformat.header = false",
            "say which column is which, such as `columns = { user = 1, item = 2, rating = 3, time = 4 }`",
        ),
        (
            "categories",
            "interactions = \"*.tsv\"",
            "has no file `*.tsv`; correct the pattern",
        ),
        (
            "movielens-1m",
            "interactions = \"ml-1m.zip/ratings.dat\"\nformat.separator = \"::\"",
            "`ml-1m.zip` has no member `ratings.dat` (it has ml-1m/README, ml-1m/ratings.dat, ml-1m/movies.dat); correct the name",
        ),
        (
            "nested",
            "interactions = \"events.ndjson.zst\"\ncolumns = { user = \"user\", item = \"item.sku\" }",
            "events.ndjson.zst:1: `user` is a list or an object; name a single value, such as `user.id`",
        ),
    ] {
        let said = refused(name, settings);
        assert!(
            said.ends_with(expected) || said.contains(expected),
            "{said}"
        );
    }
}

#[test]
fn damaged_archives_are_refused() {
    for (name, file, member, separator) in [
        ("movielens-1m", "ml-1m.zip", "ml-1m/ratings.dat", "::"),
        (
            "kuairand",
            "KuaiRand-Pure.tar.gz",
            "KuaiRand-Pure/data/log_standard_4_08_to_4_21_pure.csv",
            ",",
        ),
        ("nested", "events.ndjson.zst", "", ","),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(fixtures().join(name).join(file)).unwrap();
        let whole = bytes.len();
        std::fs::write(folder.path().join(file), &bytes[..whole / 3]).unwrap();
        let interactions = if member.is_empty() {
            file.to_owned()
        } else {
            format!("{file}/{member}")
        };
        let mut spec: DatasetSpec =
            toml::from_str("columns = { user = \"user.id\", item = \"item.sku\" }").unwrap();
        spec.interactions = Some(interactions.as_str().into());
        if !member.is_empty() {
            spec.format = Some(genair_protocol::TableFormat {
                separator: Some(separator.to_owned()),
                ..Default::default()
            });
        }
        spec.path = Some(folder.path().to_owned());
        let said = load(&spec).unwrap_err().to_string();
        assert!(said.contains("truncated or damaged"), "{said}");
    }
}
