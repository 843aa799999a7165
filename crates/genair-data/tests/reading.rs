//! Files to datasets through the public API: formats, defaults, and an error for every bad line.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use genair_data::{DataError, Dataset, fingerprint, load};
use genair_protocol::{Columns, DatasetKind, DatasetSpec, UnknownItems};
use tempfile::TempDir;

const ROWS: &str =
    "user_id\titem_id\ttimestamp\nu\ta\t3\nu\tb\t1\nu\tc\t2\nv\ta\t1\nv\tc\t2\nv\tb\t3\n";
const ITEMS: &str = "{\"item_id\": \"a\", \"title\": \"A\"}\n{\"item_id\": \"b\"}\n{\"item_id\": \"c\", \"title\": \"C\"}\n";

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn table(folder: &TempDir) -> DatasetSpec {
    DatasetSpec {
        path: Some(folder.path().to_owned()),
        ..DatasetSpec::default()
    }
}

fn recbole(folder: &TempDir) -> DatasetSpec {
    DatasetSpec {
        kind: DatasetKind::Recbole,
        ..table(folder)
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn raw_sequences(dataset: &Dataset) -> Vec<(String, Vec<String>)> {
    let items = |user| {
        dataset
            .sequence(user)
            .iter()
            .map(|&item| dataset.raw_item(item).to_owned())
            .collect()
    };
    (0..dataset.num_users())
        .map(|user| (dataset.raw_user(user).to_owned(), items(user)))
        .collect()
}

fn expected() -> Vec<(String, Vec<String>)> {
    let row = |user: &str, items: [&str; 3]| (user.to_owned(), items.map(str::to_owned).to_vec());
    vec![row("u", ["b", "c", "a"]), row("v", ["a", "c", "b"])]
}

/// The whole error, causes included, without the temporary folder's name.
fn message(folder: &Path, error: &DataError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text.replace(&format!("{}/", folder.display()), "")
        .replace(&folder.display().to_string(), "FOLDER")
}

#[track_caller]
fn check_error(files: &[(&str, &[u8])], adapt: impl Fn(&mut DatasetSpec), expected: &str) {
    let folder = folder(files);
    let mut spec = if files.iter().any(|(name, _)| name.contains(".inter")) {
        recbole(&folder)
    } else {
        table(&folder)
    };
    adapt(&mut spec);
    let error = load(&spec).unwrap_err();
    assert_eq!(message(folder.path(), &error), expected);
}

#[test]
fn every_format_yields_the_same_dataset() {
    let csv = ROWS
        .replace('\t', ",")
        .replace("u,a", "\"u\",\"a\"")
        .replace('\n', "\r\n");
    let inter = ROWS.replacen(
        "user_id\titem_id\ttimestamp",
        "user_id:token\titem_id:token\ttimestamp:float",
        1,
    );
    let with_bom = format!("\u{feff}{ROWS}");
    let order = ROWS.replacen("timestamp", "order", 1);
    let reordered = "rating\titem_id\tx\torder\tuser_id\n1\ta\t\t3\tu\n1\tb\t\t1\tu\n5\tc\t\t2\tu\n1\ta\t\t1\tv\n1\tc\t\t2\tv\n1\tb\t\t3\tv";
    for (name, bytes) in [
        ("interactions.tsv", ROWS.as_bytes().to_vec()),
        ("interactions.tsv.gz", gzip(ROWS)),
        ("interactions.csv", csv.clone().into_bytes()),
        ("interactions.csv.gz", gzip(&csv)),
        ("interactions.tsv", with_bom.into_bytes()),
        ("interactions.tsv", order.into_bytes()),
        ("interactions.tsv", reordered.into()),
        ("x.inter", inter.clone().into_bytes()),
        ("x.inter.gz", gzip(&inter)),
    ] {
        let folder = folder(&[(name, &bytes)]);
        let spec = if name.starts_with('x') {
            recbole(&folder)
        } else {
            table(&folder)
        };
        assert_eq!(raw_sequences(&load(&spec).unwrap()), expected(), "{name}");
    }
}

#[test]
fn ratings_above_the_threshold_count() {
    let rows = "user_id\titem_id\ttimestamp\trating\nu\ta\t1\t5\nu\tb\t2\t4.5\nu\tc\t3\t3\nu\td\t4\t4\nu\te\t5\t0\n";
    let folder = folder(&[("interactions.tsv", rows.as_bytes())]);
    let dataset = load(&table(&folder)).unwrap();
    assert_eq!(
        (
            dataset.num_interactions(),
            dataset.statistics().removed.low_rating
        ),
        (4, 1),
        "default: above 0"
    );
    let dataset = load(&DatasetSpec {
        min_rating: Some(3.0),
        ..table(&folder)
    })
    .unwrap();
    assert_eq!(
        (
            dataset.num_interactions(),
            dataset.statistics().removed.low_rating
        ),
        (3, 2)
    );
    assert_eq!(dataset.statistics().rows_read, 5);
}

#[test]
fn metadata_follow_dense_ids() {
    for (name, bytes) in [
        ("items.jsonl", ITEMS.as_bytes().to_vec()),
        ("items.jsonl.gz", gzip(ITEMS)),
    ] {
        let folder = folder(&[("interactions.tsv", ROWS.as_bytes()), (name, &bytes)]);
        let dataset = load(&table(&folder)).unwrap();
        let titles: Vec<_> = dataset
            .items()
            .map(|item| dataset.metadata(item).get("title").cloned())
            .collect();
        assert_eq!(titles, [None, Some("C".into()), Some("A".into())]);
        assert_eq!(dataset.statistics().items_without_metadata, 1);
    }
}

#[test]
fn item_ids_in_json_may_be_numbers() {
    let rows = "user_id\titem_id\ttimestamp\nu\t1\t1\nu\t2\t2\nu\t3\t3\n";
    let items = "{\"item_id\": 1, \"title\": \"one\"}\n{\"item_id\": \"2\"}\n\n{\"item_id\": 3}";
    let folder = folder(&[
        ("interactions.tsv", rows.as_bytes()),
        ("items.jsonl", items.as_bytes()),
    ]);
    let dataset = load(&table(&folder)).unwrap();
    let first = dataset.sequence(0)[0];
    assert_eq!(dataset.metadata(first)["title"], "one");
}

#[test]
fn recbole_items_have_typed_fields() {
    let inter = ROWS.replacen(
        "user_id\titem_id\ttimestamp",
        "user_id:token\titem_id:token\ttimestamp:float",
        1,
    );
    let items = "item_id:token\tname:token\ttags:token_seq\tyear:float\tsizes:float_seq\na\tA \"x\" z\tred big\t1995\t1 2.5\nb\t\t\t\t\nc\tC\t\t0.5\t\n";
    let folder = folder(&[("x.inter", inter.as_bytes()), ("x.item", items.as_bytes())]);
    let dataset = load(&recbole(&folder)).unwrap();
    let metadata: Vec<_> = dataset
        .items()
        .map(|item| serde_json::to_value(dataset.metadata(item)).unwrap())
        .collect();
    let expected = [
        serde_json::json!({}),
        serde_json::json!({"name": "C", "year": 0.5}),
        serde_json::json!({"name": "A \"x\" z", "tags": ["red", "big"], "year": 1995, "sizes": [1, 2.5]}),
    ];
    assert_eq!(metadata, expected);
}

#[test]
fn unknown_items_are_refused_dropped_or_kept() {
    let rows = format!("{ROWS}u\tz\t9\n");
    let files: [(&str, &[u8]); 2] = [
        ("interactions.tsv", rows.as_bytes()),
        ("items.jsonl", ITEMS.as_bytes()),
    ];
    check_error(
        &files,
        |_| {},
        "interactions.tsv:8: item `z` is not in `items.jsonl`; add it there, or set `unknown_items` to \"keep\" or \"drop\"",
    );
    let folder = folder(&files);
    let with = |unknown_items| {
        load(&DatasetSpec {
            unknown_items: Some(unknown_items),
            ..table(&folder)
        })
        .unwrap()
    };
    let dropped = with(UnknownItems::Drop);
    assert_eq!(
        (
            dropped.num_items(),
            dropped.statistics().removed.unknown_item
        ),
        (3, 1)
    );
    let kept = with(UnknownItems::Keep);
    assert_eq!(
        (kept.num_items(), kept.statistics().items_without_metadata),
        (4, 2)
    );
}

#[test]
fn bad_lines_give_file_line_value_and_fix() {
    let rows = |line: &str| format!("user_id\titem_id\ttimestamp\nu\ta\t1\n{line}\nu\tb\t2\n");
    for (line, problem) in [
        (
            "u\ta",
            "2 fields where the header has 3; complete or remove the line",
        ),
        (
            "u\ta\t1\t2",
            "4 fields where the header has 3; complete or remove the line",
        ),
        (
            "\ta\t1",
            "`user_id` is empty; complete or remove the line, or set `missing` to \"drop\"",
        ),
        (
            "u\t\t1",
            "`item_id` is empty; complete or remove the line, or set `missing` to \"drop\"",
        ),
        (
            "u\ta\t",
            "`timestamp` is empty; complete or remove the line, or set `missing` to \"drop\"",
        ),
        (
            "u\ta\t1997-11-03",
            "`timestamp` is `1997-11-03`; write numbers or dates, not both",
        ),
        (
            "u\ta\tNaN",
            "`timestamp` is `NaN`; write a finite number or an ISO 8601 time, or name the form with `time_format`",
        ),
        (
            "u\ta\tinf",
            "`timestamp` is `inf`; write a finite number or an ISO 8601 time, or name the form with `time_format`",
        ),
        (
            "u\ta\t9007199254740993.0",
            "`timestamp` is `9007199254740993.0`, which a float does not hold exactly; write whole numbers below 2^63 without a decimal point",
        ),
    ] {
        let text = rows(line);
        check_error(
            &[("interactions.tsv", text.as_bytes())],
            |_| {},
            &format!("interactions.tsv:3: {problem}"),
        );
    }
    check_error(
        &[(
            "interactions.tsv",
            b"user_id\titem_id\ttimestamp\nu\ta\t1\n\n\nu\tb\xff\t2\n",
        )],
        |_| {},
        "interactions.tsv:5: not UTF-8; set `format.encoding` to \"latin-1\" or \"utf-16\", or convert the file",
    );
    check_error(
        &[(
            "interactions.tsv",
            b"user_id\titem_id\ttimestamp\r\nu\ta\t1\r\n\r\nu\tb\tx",
        )],
        |_| {},
        "interactions.tsv:4: `timestamp` is `x`; write a finite number or an ISO 8601 time, or name the form with `time_format`",
    );
    check_error(
        &[(
            "interactions.csv",
            b"user_id,item_id,timestamp,rating\nu,a,1,2\nu,\"b\nc\",1,2\nu,a,1,good\n",
        )],
        |_| {},
        "interactions.csv:5: `rating` is `good`; write a finite number, or set `columns.rating` to false",
    );
    check_error(
        &[(
            "x.inter",
            b"user_id:token\titem_id:token\ttimestamp:float\nu\ta\tx\n",
        )],
        |_| {},
        "x.inter:2: `timestamp` is `x`; write a finite number or an ISO 8601 time, or name the form with `time_format`",
    );
}

#[test]
fn bad_headers_name_the_column_and_the_key() {
    check_error(
        &[("interactions.tsv", b"user_id\titem\ttimestamp\nu\ta\t1\n")],
        |_| {},
        "`interactions.tsv` has no column `item_id` (it has user_id, item, timestamp); correct the file, or set `columns.item`",
    );
    check_error(
        &[("interactions.tsv", b"user_id\titem_id\twhen\nu\ta\t1\n")],
        |spec| {
            spec.columns = Some(Columns {
                time: Some("day".into()),
                ..Columns::default()
            })
        },
        "`interactions.tsv` has no column `day` (it has user_id, item_id, when); correct the file, or set `columns.time`",
    );
    check_error(
        &[("interactions.tsv", ROWS.as_bytes())],
        |spec| {
            spec.columns = Some(Columns {
                rating: Some("stars".into()),
                ..Columns::default()
            })
        },
        "`interactions.tsv` has no column `stars` (it has user_id, item_id, timestamp); correct the file, or set `columns.rating`",
    );
    check_error(
        &[("interactions.tsv", ROWS.as_bytes())],
        |spec| spec.min_rating = Some(3.0),
        "`min_rating` is set, but `interactions.tsv` has no column `rating` (it has user_id, item_id, timestamp); remove `min_rating`, or set `columns.rating`",
    );
    check_error(
        &[("interactions.tsv", b"user_id\tuser_id\titem_id\n")],
        |_| {},
        "interactions.tsv:1: the header has two columns `user_id`; rename one",
    );
    check_error(
        &[(
            "x.inter",
            b"user_id\titem_id:token\ttimestamp:float\nu\ta\t1\n",
        )],
        |_| {},
        "x.inter:1: column `user_id` has no type RecBole knows; write it as `name:token`, `name:float`, `name:token_seq` or `name:float_seq`",
    );
    check_error(
        &[(
            "x.inter",
            b"user_id:token\titem_id:token_seq\ttimestamp:float\nu\ta\t1\n",
        )],
        |_| {},
        "x.inter:1: column `item_id` is of type token_seq where token is needed; correct the header",
    );
}

#[test]
fn bad_items_files_name_the_line() {
    let check = |items: &[u8], expected: &str| {
        check_error(
            &[
                ("interactions.tsv", ROWS.as_bytes()),
                ("items.jsonl", items),
            ],
            |_| {},
            expected,
        );
    };
    check(
        b"{\"item_id\": \"a\"}\n{\"item_id\": 7}\n{\"item_id\": \"7\"}\n",
        "items.jsonl:3: item `7` is on line 2 already; remove one of the two, or set `items_format.duplicates` to \"first\" or \"last\"",
    );
    check(
        b"{\"item_id\": \"a\"}\n[1]\n",
        "items.jsonl:2: a JSON array; write one object per line, for example with `jq -c '.[]'`",
    );
    check(
        b"{\"item_id\": \"a\", \"price\": NaN}\n",
        "items.jsonl:1: NaN and Infinity are not JSON; write null",
    );
    check(
        b"{'item_id': 'a'}\n",
        "items.jsonl:1: a Python dictionary and no JSON; set `kind = \"python-lines\"` in `format` or `items_format`",
    );
    check(
        b"{\"item_id\": \"a\"\n",
        "items.jsonl:1: not a JSON object (EOF while parsing an object at line 1 column 15); write one object per line",
    );
    check(
        b"{\"id\": \"a\"}\n",
        "items.jsonl:1: `item_id` is missing; an item id is a non-empty string or an integer; `items_format.id` names its key",
    );
    check(
        b"{\"item_id\": 1.5}\n",
        "items.jsonl:1: `item_id` is 1.5; an item id is a non-empty string or an integer; `items_format.id` names its key",
    );
    check(
        b"{\"item_id\": \"\xe9\"}\n",
        "items.jsonl:1: not UTF-8; set `items_format.encoding` to \"latin-1\" or \"utf-16\", or convert the file",
    );
}

#[test]
fn absent_empty_and_broken_files_are_told_apart() {
    let none = "interactions.tsv, .csv, .jsonl, .ndjson or .parquet, each also with .gz or .zst";
    check_error(
        &[],
        |_| {},
        &format!(
            "`FOLDER` has no interactions file (looked for {none}); correct `path`, or name the file with `interactions`"
        ),
    );
    check_error(
        &[],
        |spec| spec.path = spec.path.as_ref().map(|path| path.join("nowhere")),
        "cannot read `nowhere`: No such file or directory (os error 2)",
    );
    check_error(
        &[("interactions.tsv", ROWS.as_bytes())],
        |spec| spec.items = Some("meta.jsonl".into()),
        "cannot read `meta.jsonl`: No such file or directory (os error 2)",
    );
    let empty = "`interactions.tsv` has no interactions; it needs one row per interaction, after the header if it has one";
    check_error(&[("interactions.tsv", b"")], |_| {}, empty);
    check_error(
        &[("interactions.tsv", b"user_id\titem_id\ttimestamp\n")],
        |_| {},
        empty,
    );
    check_error(
        &[("data.txt", ROWS.as_bytes())],
        |spec| spec.interactions = Some("data.txt".into()),
        "the name of `data.txt` does not say how it is written; set `format` (`genair data inspect` finds out)",
    );
    check_error(
        &[("a.inter", ROWS.as_bytes()), ("b.inter.gz", b"")],
        |_| {},
        "`FOLDER` has several candidates (a.inter, b.inter.gz); name one with `interactions`",
    );
    check_error(
        &[(
            "interactions.tsv",
            b"user_id\titem_id\ttimestamp\nu\ta\t1\nu\tb\t2\n",
        )],
        |_| {},
        "no interaction is left of 2: 2 fell to users with fewer than 3 interactions; loosen the filter that took most",
    );
}

#[test]
fn a_truncated_archive_never_passes_for_a_short_one() {
    let many: String = (0..20_000)
        .map(|i| format!("u{}\ti{}\t{i}\n", i % 700, i * 7919 % 997))
        .collect();
    let whole = gzip(&format!("user_id\titem_id\ttimestamp\n{many}"));
    for len in [0, 5, whole.len() / 2, whole.len() - 1] {
        let folder = folder(&[("interactions.tsv.gz", &whole[..len])]);
        let error = load(&table(&folder)).unwrap_err();
        let expected = "`interactions.tsv.gz` is a truncated or damaged gzip file; get it again";
        assert!(
            message(folder.path(), &error).starts_with(expected),
            "{len}: {error}"
        );
    }
}

#[test]
fn the_fingerprint_follows_content_and_settings_but_not_the_place() {
    let files: [(&str, &[u8]); 2] = [
        ("interactions.tsv", ROWS.as_bytes()),
        ("items.jsonl", ITEMS.as_bytes()),
    ];
    let (here, there) = (folder(&files), folder(&files));
    let original = fingerprint(&table(&here)).unwrap();
    assert_eq!(fingerprint(&table(&there)).unwrap(), original);
    assert_eq!(original.len(), 64);

    let other_settings = DatasetSpec {
        max_len: 20,
        ..table(&here)
    };
    assert_ne!(fingerprint(&other_settings).unwrap(), original);
    std::fs::write(
        there.path().join("items.jsonl"),
        ITEMS.replace("\"A\"", "\"B\""),
    )
    .unwrap();
    assert_ne!(fingerprint(&table(&there)).unwrap(), original);
    std::fs::remove_file(here.path().join("items.jsonl")).unwrap();
    assert_ne!(fingerprint(&table(&here)).unwrap(), original);
    std::fs::remove_file(here.path().join("interactions.tsv")).unwrap();
    assert!(matches!(
        fingerprint(&table(&here)),
        Err(DataError::NoInteractionsFile { .. })
    ));
}
