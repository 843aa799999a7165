//! The database as files.

use genair_protocol::{Protocol, Split};
use genair_report::export::mlflow::export_mlflow;
use genair_report::export::{
    ExportFormat, ExportedRanks, ExportedTable, export_ranks, export_tables,
};
use genair_store::{RanksFilter, RunId};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::database::{Database, End, RUN, Run, USERS, main_sweep};

#[test]
fn parquet_holds_what_the_table_holds() {
    let mut database = Database::of(&main_sweep());
    let folder = database.path("export");
    let files = export_tables(&mut database.store, &folder, ExportFormat::Parquet, &[]).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.table.as_str()).collect();
    assert!(names.contains(&"metrics") && !names.contains(&"leaderboard"));
    assert!(!names.iter().any(|name| name.starts_with('_')));
    for ExportedTable { table, file, rows } in files {
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
        assert_eq!(rows, found as u64, "{table}");
    }
}

#[test]
fn csv_holds_views_by_name() {
    let runs = [Run {
        axes: &[("lr", "1"), ("note", "a \"b\", c")],
        ..RUN
    }];
    let mut database = Database::of(&runs);
    let folder = database.path("export");
    let names = ["leaderboard_mean".to_owned()];
    let files = export_tables(&mut database.store, &folder, ExportFormat::Csv, &names).unwrap();
    assert_eq!(files[0].file, folder.join("leaderboard_mean.csv"));
    let mut reader = csv::Reader::from_path(&files[0].file).unwrap();
    assert_eq!(reader.headers().unwrap().iter().nth(12), Some("mean"));
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!(&record[4], r#"lr=1,note="a \"b\", c""#);
    assert_eq!(&record[5], r#"{"lr":"1","note":"a \"b\", c"}"#);
    assert_eq!(&record[13], "");
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
        runs: Vec::new(),
        split: Split::Test,
        protocol: Protocol::Full,
    };
    let mut export = |filter: &RanksFilter, format| {
        export_ranks(&mut database.store, filter, format, &path).map_err(|error| error.to_string())
    };
    let (both, one) = (
        ExportedRanks {
            runs: 2,
            rows: 2 * USERS as u64,
        },
        ExportedRanks {
            runs: 1,
            rows: USERS as u64,
        },
    );
    assert_eq!(export(&filter, ExportFormat::Csv), Ok(both));
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 2 * USERS);
    let ranks: Vec<u32> = records[..USERS]
        .iter()
        .map(|record| record[12].parse().unwrap())
        .collect();
    assert_eq!(ranks, RUN.ranks(Split::Test));
    let second: Vec<&str> = records[USERS].iter().collect();
    assert_eq!(
        second[..7],
        ["2", "other", "beauty", "gru4rec", "id", "", "{}"]
    );
    assert_eq!(second[8..10], ["44", "1"]);
    assert_ne!(second[7], &records[0][7], "another configuration");

    filter.sweep = Some("other".to_owned());
    assert_eq!(export(&filter, ExportFormat::Csv), Ok(one));
    filter.sweep = None;
    filter.runs = vec![RunId(2)];
    assert_eq!(export(&filter, ExportFormat::Parquet), Ok(one));
    let file = std::fs::File::open(&path).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let first = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let fields: Vec<Field> = first
        .get_column_iter()
        .map(|(_, field)| field.clone())
        .collect();
    assert_eq!(
        (&fields[0], &fields[1], &fields[9]),
        (
            &Field::Long(2),
            &Field::Str("other".to_owned()),
            &Field::Long(1)
        )
    );

    let ends = |error: Result<ExportedRanks, String>, end: &str| {
        let error = error.unwrap_err();
        assert!(error.ends_with(end), "{error}");
    };
    filter.runs = vec![RunId(2), RunId(7)];
    ends(
        export(&filter, ExportFormat::Csv),
        "run 7 is not a finished run with test ranks of protocol full",
    );
    filter.runs.clear();
    filter.sweep = Some("othr".to_owned());
    ends(
        export(&filter, ExportFormat::Csv),
        "there is no sweep `othr`\nhint: did you mean `other`?",
    );
    filter.sweep = None;
    filter.split = Split::Valid;
    ends(
        export(&filter, ExportFormat::Csv),
        "no finished run has valid ranks of protocol full",
    );
}

#[test]
fn a_computed_column_has_the_type_of_its_values() {
    let mut database = Database::of(&main_sweep());
    let folder = database.path("export");
    let names = ["leaderboard_mean".to_owned()];
    export_tables(&mut database.store, &folder, ExportFormat::Parquet, &names).unwrap();
    let file = std::fs::File::open(folder.join("leaderboard_mean.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let first = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let of = |name: &str| {
        let found = first.get_column_iter().find(|(column, _)| *column == name);
        found.unwrap().1.clone()
    };
    assert!(matches!(of("mean"), Field::Double(_)) && matches!(of("n"), Field::Long(3)));
    assert!(matches!(of("variant"), Field::Str(_)));
}

#[test]
fn mlflow_s_folder_has_experiments_and_runs() {
    let mut runs = main_sweep();
    runs.push(Run {
        sweep: "other",
        ..RUN
    });
    runs.push(Run {
        end: End::Pending,
        seed: 99,
        ..RUN
    });
    let mut database = Database::of(&runs);
    let folder = database.path("mlruns");
    let mut told = Vec::new();
    let exported = export_mlflow(&mut database.store, None, &folder, |done, all| {
        told.push((done, all));
    })
    .unwrap();
    // One of main's runs is other's as well; one has not begun.
    assert_eq!((exported.experiments, exported.runs), (2, 16));
    assert_eq!(told.last(), Some(&(16, 16)));
    let runs_of = |experiment: &str| {
        let entries = std::fs::read_dir(folder.join(experiment)).unwrap();
        let entries = entries.map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    assert_eq!((runs_of("1").len(), runs_of("2").len()), (15, 1));
    let run = &runs_of("2")[0];
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    assert_eq!(read("params/dataset.max_len"), "50");
    assert_eq!(read("tags/genair.run_id"), "2");
    let loss = read("metrics/train/loss");
    let loss: Vec<&str> = loss.split_whitespace().collect();
    // A moment, a value and an epoch each.
    assert_eq!(
        [loss[1], loss[2], loss[4], loss[5]],
        ["0.75", "1", "0.5", "2"]
    );
    assert!(read("metrics/valid/ndcg_at_10").ends_with(" 0.075 2\n"));
    let metric = read("metrics/result/test/full/all/ndcg_at_10");
    let sql = "SELECT value FROM leaderboard WHERE sweep = 'other' AND split = 'test' AND protocol = 'full'
               AND cohort = 'all' AND metric = 'ndcg' AND k = 10";
    let value = database.store.query(sql).unwrap().rows[0][0]
        .as_f64()
        .unwrap();
    assert_eq!(metric.split(' ').nth(1).unwrap().parse(), Ok(value));
    assert!(read("meta.yaml").contains("status: 3\n"));
    assert!(run.join("artifacts").is_dir());

    // The same run has the same name next time, and nothing is mixed into what is there.
    let again = database.path("again");
    export_mlflow(&mut database.store, Some("other"), &again, |_, _| {}).unwrap();
    assert!(again.join("1").join(run.file_name().unwrap()).is_dir());
    let error = export_mlflow(&mut database.store, None, &again, |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
}
