//! A value of an axis may hold what stands between axes, quotes and line feeds: it is one value everywhere.

use std::path::Path;

use genair_protocol::text::{escaped, quoted};
use genair_protocol::{Protocol, Split};
use genair_report::export::mlflow::export_mlflow;
use genair_report::export::{ExportFormat, export_ranks, export_tables, export_tensorboard};
use genair_report::html::PageSpec;
use genair_report::{Format, Lacking, render};
use genair_store::RanksFilter;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

use crate::database::{Database, RUN, Run};
use crate::html::Page;

const TEXT: &str = "1,b=\"2\", it's\nnew";
const COMMA: &str = "1,b=2";

/// The second and the third would be shown alike if nothing were in quotes.
fn database() -> Database {
    let axes: [&[(&str, &str)]; 3] = [
        &[("a", TEXT), ("c", "3")],
        &[("a", COMMA), ("c", "3")],
        &[("a", "1"), ("b", "2"), ("c", "3")],
    ];
    let runs = std::iter::zip(axes, [40.0, 30.0, 25.0]).map(|(axes, mean_rank)| Run {
        axes,
        mean_rank,
        ..RUN
    });
    Database::of(&runs.collect::<Vec<_>>())
}

fn variants() -> [String; 3] {
    [
        format!("a={},c=3", quoted(TEXT)),
        format!("a=\"{COMMA}\",c=3"),
        "a=1,b=2,c=3".to_owned(),
    ]
}

#[test]
fn a_table_has_a_row_for_each_value() {
    let mut database = database();
    let spec = "[table.t]\nsweeps = [\"main\"]\nrows = [\"a\", \"b\"]\nmetrics = [\"ndcg@10\"]\nprotocols = [\"full\"]";
    let table = database.table(spec);
    let rows: Vec<[&str; 2]> = table
        .rows
        .iter()
        .map(|row| [0, 1].map(|at| row.labels[at].name.as_str()))
        .collect();
    assert_eq!(rows, [[TEXT, ""], [COMMA, ""], ["1", "2"]]);
    for format in [Format::Markdown, Format::Latex] {
        let text = render(&table, format);
        assert!(text.contains("it's") && !text.contains("\nnew"), "{text}");
    }
    let text = render(&table, Format::Csv);
    let mut records = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(&records.records().next().unwrap().unwrap()[0], TEXT);
    let json: Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    assert_eq!(json["rows"][0]["labels"][0]["name"], TEXT);
    let table = database.table(&spec.replace("\"a\", \"b\"", "\"variant\""));
    let rows = table.rows.iter().map(|row| row.labels[0].name.clone());
    assert_eq!(rows.collect::<Vec<_>>(), variants());

    // A configuration without `b` is compared with the one that differs in `a` alone, however that is said.
    for baseline in [
        format!("a = {}", quoted(COMMA)),
        format!("variant = {}", quoted(&variants()[1])),
    ] {
        let values = format!("{}, {}", quoted(TEXT), quoted(COMMA));
        let spec = format!("{spec}\nwhere = {{ a = [{values}] }}\nbaseline = {{ {baseline} }}");
        let table = database.table(&spec);
        let cells: Vec<_> = table
            .rows
            .iter()
            .map(|row| row.cells[0].as_ref().unwrap())
            .collect();
        assert_eq!(cells.len(), 2, "{baseline}");
        assert!(
            cells[0].comparison.is_some() && cells[1].baseline,
            "{baseline}"
        );
    }
}

#[test]
fn a_figure_has_a_place_for_each_value() {
    let mut database = database();
    let spec =
        "[figure.f]\nkind = \"sensitivity\"\nsweeps = [\"main\"]\nx = \"a\"\nseries = [\"c\"]";
    let report = database.report(spec, Lacking::Refuse).unwrap();
    let mut records = csv::Reader::from_reader(report.figures[0].csv.as_bytes());
    let records: Vec<csv::StringRecord> = records.records().map(Result::unwrap).collect();
    for value in [TEXT, COMMA, "1"] {
        let own = records
            .iter()
            .filter(|record| record.iter().any(|field| field == value));
        assert!(own.count() > 0, "{value}: {records:?}");
    }
}

#[test]
fn every_export_has_the_value() {
    let mut database = database();
    let expected = json!({"a": TEXT, "c": "3"});
    let axes_of = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let folder = database.path("tables");
    let names = ["leaderboard_mean".to_owned(), "sweep_runs".to_owned()];
    for format in [ExportFormat::Csv, ExportFormat::Parquet] {
        for file in export_tables(&mut database.store, &folder, format, &names).unwrap() {
            let found: (Value, String) = if format == ExportFormat::Csv {
                let mut reader = csv::Reader::from_path(&file.file).unwrap();
                let headers = reader.headers().unwrap().clone();
                let record = reader.records().next().unwrap().unwrap();
                let of = |name: &str| &record[headers.iter().position(|own| own == name).unwrap()];
                (axes_of(of("axes")), of("variant").to_owned())
            } else {
                let file = std::fs::File::open(&file.file).unwrap();
                let reader = SerializedFileReader::new(file).unwrap();
                let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
                let of = |name: &str| match row.get_column_iter().find(|(own, _)| *own == name) {
                    Some((_, Field::Str(text))) => text.clone(),
                    other => panic!("{other:?}"),
                };
                (axes_of(&of("axes")), of("variant"))
            };
            assert_eq!(found, (expected.clone(), variants()[0].clone()));
        }
    }
    let ranks = database.path("ranks.csv");
    let filter = RanksFilter {
        sweep: None,
        runs: Vec::new(),
        split: Split::Test,
        protocol: Protocol::Full,
    };
    export_ranks(&mut database.store, &filter, ExportFormat::Csv, &ranks).unwrap();
    let mut reader = csv::Reader::from_path(&ranks).unwrap();
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!(
        (&record[5], axes_of(&record[6])),
        (variants()[0].as_str(), expected.clone())
    );

    let folder = database.path("mlruns");
    export_mlflow(&mut database.store, None, &folder, |_, _| {}).unwrap();
    let runs = std::fs::read_dir(folder.join("1"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let tags = runs.filter(|path| path.is_dir()).map(|run| {
        let read = |tag: &str| std::fs::read_to_string(run.join("tags").join(tag)).unwrap();
        (read("genair.variant"), axes_of(&read("genair.axes")))
    });
    let tags: Vec<(String, Value)> = tags.collect();
    assert!(
        tags.contains(&(variants()[0].clone(), expected)),
        "{tags:?}"
    );

    let folder = database.path("events");
    assert_eq!(
        export_tensorboard(&mut database.store, &folder, None)
            .unwrap()
            .runs,
        3
    );
    assert_eq!(std::fs::read_dir(folder.join("main")).unwrap().count(), 3);
}

#[test]
fn the_page_and_every_query_tell_values_apart() {
    let mut database = database();
    let page = Page::of(&mut database, &PageSpec::default());
    let places = &page.json("index")["places"];
    let shown = places
        .as_array()
        .unwrap()
        .iter()
        .map(|place| place["variant"].clone());
    assert_eq!(shown.collect::<Vec<_>>(), variants());
    assert!(
        variants()
            .iter()
            .all(|variant| escaped(variant) == *variant)
    );

    let sql = "SELECT DISTINCT axes ->> 'a', variant FROM leaderboard_mean ";
    let rows = database.store.query(sql).unwrap().rows;
    for (value, variant) in std::iter::zip([TEXT, COMMA, "1"], variants()) {
        assert!(
            rows.contains(&vec![json!(value), json!(variant)]),
            "{rows:?}"
        );
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/queries");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let sql = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let result = database.store.query(&sql).unwrap();
        if let Some(at) = result.columns.iter().position(|name| name == "variant") {
            let known = variants().map(Value::from);
            assert!(
                result.rows.iter().all(|row| known.contains(&row[at])),
                "{sql}"
            );
            checked += result.rows.len();
        }
    }
    assert!(checked > 0, "no query answers with a variant");
}
