//! A log without a column of times: the order of the file is the order in time, for every user.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use genair_data::{Dataset, OrderedBy, export, load};
use genair_protocol::{Columns, DatasetKind, DatasetSpec, KCore, KCoreMode, UnknownItems};
use tempfile::TempDir;

/// Users take turns, so that nothing but the order of the file keeps a user's rows in order.
const ROWS: [[&str; 3]; 10] = [
    ["u", "d", "5"],
    ["v", "a", "5"],
    ["u", "a", "1"],
    ["u", "c", "5"],
    ["v", "d", "5"],
    ["w", "b", "5"],
    ["u", "b", "5"],
    ["v", "c", "5"],
    ["u", "d", "5"],
    ["v", "b", "5"],
];

fn text(header: &str, separator: &str) -> String {
    let rows = ROWS.map(|row| row.join(separator)).join("\n");
    format!("{}\n{rows}\n", header.replace(' ', separator))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn spec(folder: &TempDir, kind: DatasetKind) -> DatasetSpec {
    DatasetSpec {
        path: Some(folder.path().to_owned()),
        kind,
        ..DatasetSpec::default()
    }
}

fn written(name: &str, bytes: impl AsRef<[u8]>) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

fn sequences(dataset: &Dataset) -> Vec<String> {
    let sequence = |user| {
        let items = dataset.sequence(user).iter();
        let items: String = items.map(|&item| dataset.raw_item(item)).collect();
        format!("{} {items}", dataset.raw_user(user))
    };
    (0..dataset.num_users()).map(sequence).collect()
}

#[test]
fn every_format_without_times_keeps_the_order_of_the_file() {
    let plain = text("user_id item_id rating", "\t");
    let csv = text("user_id item_id rating", ",");
    let atomic = text("user_id:token item_id:token rating:float", "\t");
    for (name, bytes) in [
        ("interactions.tsv", plain.clone().into_bytes()),
        ("interactions.tsv.gz", gzip(&plain)),
        ("interactions.csv", csv.clone().into_bytes()),
        ("interactions.csv.gz", gzip(&csv)),
        ("x.inter", atomic.clone().into_bytes()),
        ("x.inter.gz", gzip(&atomic)),
    ] {
        let kind = match name.starts_with('x') {
            true => DatasetKind::Recbole,
            false => DatasetKind::Table,
        };
        let folder = written(name, bytes);
        let dataset = load(&spec(&folder, kind)).unwrap();
        assert_eq!(sequences(&dataset), ["u dacbd", "v adcb"], "{name}");
        assert_eq!(dataset.statistics().ordered_by, OrderedBy::FileOrder);
    }
}

#[test]
fn filters_leave_the_order_as_it_is() {
    let folder = written("interactions.tsv", text("user_id item_id rating", "\t"));
    std::fs::write(
        folder.path().join("items.jsonl"),
        "{\"item_id\": \"a\"}\n{\"item_id\": \"c\"}\n{\"item_id\": \"d\"}\n",
    )
    .unwrap();
    let whole = DatasetSpec {
        unknown_items: Some(UnknownItems::Drop),
        ..spec(&folder, DatasetKind::Table)
    };
    assert_eq!(sequences(&load(&whole).unwrap()), ["u dacd", "v adc"]);
    let rated = DatasetSpec {
        min_rating: Some(1.0),
        unknown_items: Some(UnknownItems::Keep),
        ..whole.clone()
    };
    assert_eq!(sequences(&load(&rated).unwrap()), ["u dcbd", "v adcb"]);
    for mode in [KCoreMode::SinglePass, KCoreMode::Iterative] {
        let core = DatasetSpec {
            k_core: Some(KCore {
                mode,
                user: 3,
                item: 3,
            }),
            unknown_items: Some(UnknownItems::Keep),
            ..whole.clone()
        };
        // Item d is met three times, b too, by w among others; a and c are not.
        let expected: &[&str] = match mode {
            KCoreMode::SinglePass => &["u dbd"],
            KCoreMode::Iterative => &[],
        };
        let found = load(&core).map_or_else(|_| Vec::new(), |dataset| sequences(&dataset));
        assert_eq!(found, expected, "{mode:?}");
    }
}

#[test]
fn a_column_of_times_wins_over_the_order_of_the_file() {
    let folder = written("interactions.tsv", text("user_id item_id order", "\t"));
    let dataset = load(&spec(&folder, DatasetKind::Table)).unwrap();
    assert_eq!(sequences(&dataset), ["u adcbd", "v adcb"]);
    assert_eq!(dataset.statistics().ordered_by, OrderedBy::Position);

    let named = written("interactions.tsv", text("user_id item_id day", "\t"));
    let mut spec = spec(&named, DatasetKind::Table);
    assert_eq!(sequences(&load(&spec).unwrap()), ["u dacbd", "v adcb"]);
    spec.columns = Some(Columns {
        time: Some("day".into()),
        ..Columns::default()
    });
    assert_eq!(sequences(&load(&spec).unwrap()), ["u adcbd", "v adcb"]);
}

#[test]
fn prepared_and_exported_data_keep_the_order() {
    let folder = written("interactions.tsv", text("user_id item_id rating", "\t"));
    let of = spec(&folder, DatasetKind::Table);
    let dataset = load(&of).unwrap();
    let path = folder.path().join("prepared.json");
    dataset.write_prepared(&path).unwrap();
    let prepared = Dataset::read_prepared(&path, &of).unwrap();
    assert_eq!(prepared.statistics(), dataset.statistics());
    assert_eq!(prepared.sequences_sha256(), dataset.sequences_sha256());

    let out = TempDir::new().unwrap();
    export(&dataset, out.path()).unwrap();
    let back = load(&spec(&out, DatasetKind::Table)).unwrap();
    assert_eq!(back.sequences_sha256(), dataset.sequences_sha256());
    assert_eq!(back.statistics().ordered_by, OrderedBy::Position);
}
