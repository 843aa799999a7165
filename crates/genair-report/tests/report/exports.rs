//! The database as files.

use genair_eval::{Protocol, Split};
use genair_report::export::{ExportFormat, RanksFilter, export_ranks, export_tables};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::database::{Database, RUN, Run, USERS, main_sweep};

#[test]
fn parquet_holds_what_the_table_holds() {
    let mut database = Database::of(&main_sweep());
    let folder = database.path("export");
    let files = export_tables(&mut database.store, &folder, ExportFormat::Parquet, &[]).unwrap();
    let names: Vec<_> = files
        .iter()
        .map(|file| file.file_stem().unwrap().to_owned())
        .collect();
    assert!(
        names.iter().any(|name| name == "metrics")
            && !names.iter().any(|name| name == "leaderboard")
    );
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().starts_with('_'))
    );
    for file in files {
        let table = file.file_stem().unwrap().to_string_lossy().into_owned();
        let expected = database
            .store
            .query(&format!("SELECT * FROM {table}"))
            .unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(&file).unwrap()).unwrap();
        let mut found = 0;
        for (row, values) in reader.get_row_iter(None).unwrap().zip(&expected.rows) {
            let row = row.unwrap();
            for ((name, field), at) in row.get_column_iter().zip(0..) {
                assert_eq!(*name, expected.columns[at]);
                let value = &values[at];
                let same = match field {
                    Field::Null => value.is_null(),
                    Field::Long(number) => value.as_i64() == Some(*number),
                    Field::Double(number) => value.as_f64() == Some(*number),
                    Field::Str(text) => value.as_str() == Some(text),
                    _ => false,
                };
                assert!(same, "{table}.{name}: {field:?} is not {value}");
            }
            found += 1;
        }
        assert_eq!(found, expected.rows.len(), "{table}");
    }
}

#[test]
fn csv_holds_views_by_name() {
    let runs = [Run {
        variant: "lr=1,note=a \"b\", c",
        ..RUN
    }];
    let mut database = Database::of(&runs);
    let folder = database.path("export");
    let names = ["leaderboard_mean".to_owned()];
    let files = export_tables(&mut database.store, &folder, ExportFormat::Csv, &names).unwrap();
    assert_eq!(files, [folder.join("leaderboard_mean.csv")]);
    let mut reader = csv::Reader::from_path(&files[0]).unwrap();
    assert_eq!(reader.headers().unwrap().iter().nth(10), Some("mean"));
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!((&record[4], &record[11]), (runs[0].variant, ""));
    // Nothing but the file is left.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    let names = ["leaderbord".to_owned()];
    let error = export_tables(&mut database.store, &folder, ExportFormat::Csv, &names).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("there is no table or view `leaderbord`\nhint: did you mean `leaderboard`?")
    );
}

#[test]
fn ranks_come_with_their_labels() {
    let runs = [
        RUN,
        Run {
            sweep: "other",
            backbone: "gru4rec",
            ..RUN
        },
    ];
    let mut database = Database::of(&runs);
    let path = database.path("ranks.csv");
    let mut filter = RanksFilter {
        sweep: None,
        split: Split::Test,
        protocol: Protocol::Full,
    };
    assert_eq!(
        export_ranks(&mut database.store, &filter, &path).unwrap(),
        2
    );
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 2 * USERS);
    let ranks: Vec<u32> = records[..USERS]
        .iter()
        .map(|record| record[8].parse().unwrap())
        .collect();
    assert_eq!(ranks, RUN.ranks(Split::Test));
    assert_eq!(
        records[USERS].iter().take(8).collect::<Vec<_>>(),
        ["2", "other", "beauty", "gru4rec", "id", "", "44", "1"]
    );

    filter.sweep = Some("other".to_owned());
    assert_eq!(
        export_ranks(&mut database.store, &filter, &path).unwrap(),
        1
    );
    filter.sweep = Some("othr".to_owned());
    let error = export_ranks(&mut database.store, &filter, &path)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("there is no sweep `othr`\nhint: did you mean `other`?"),
        "{error}"
    );
    filter = RanksFilter {
        sweep: None,
        split: Split::Valid,
        ..filter
    };
    let error = export_ranks(&mut database.store, &filter, &path)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("no finished run has valid ranks of protocol full"),
        "{error}"
    );
}
