//! A user's own SQL.

use genair_store::{Fetched, StoreErrorKind};
use serde_json::json;

use crate::Lab;

#[test]
fn values_come_back_as_what_they_are() {
    let mut lab = Lab::new();
    let result = lab
        .store
        .query("SELECT 1 AS a, 2.5 AS b, 'x' AS a, NULL, x'00ff', 9e999 AS big")
        .unwrap();
    assert_eq!(result.columns, ["a", "b", "a", "NULL", "x'00ff'", "big"]);
    assert_eq!(
        result.rows,
        [[
            json!(1),
            json!(2.5),
            json!("x"),
            json!(null),
            json!("00ff"),
            json!("inf")
        ]]
    );
}

#[test]
fn columns_are_there_even_without_rows() {
    let mut lab = Lab::new();
    let result = lab.store.query("SELECT run_id, state FROM runs").unwrap();
    assert_eq!(result.columns, ["run_id", "state"]);
    assert!(result.rows.is_empty());
}

#[test]
fn writing_is_refused_by_stores_of_both_kinds() {
    let mut lab = Lab::new();
    lab.claimed_run();
    for sql in [
        "DELETE FROM runs",
        "INSERT INTO sweeps (name, spec_path, spec_text) VALUES ('x', '', '')",
        "DROP TABLE metrics",
        "WITH one AS (SELECT 1) DELETE FROM runs",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 9",
        "PRAGMA main.journal_mode = DELETE",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "CREATE TEMP TABLE t (a)",
        "VACUUM",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "EXPLAIN PRAGMA user_version = 9",
    ] {
        for mut store in [lab.another_store(), lab.reader()] {
            let error = store.query(sql).unwrap_err();
            assert!(
                matches!(error.kind, StoreErrorKind::QueryWrites),
                "{sql}: {error}"
            );
        }
    }
    assert_eq!(lab.store.run_counts().unwrap().running, 1);
    let version = lab.store.query("PRAGMA user_version").unwrap().rows;
    assert_eq!(version, [[json!(5)]]);
}

/// A reading connection may still make files elsewhere.
#[test]
fn no_statement_leaves_a_file() {
    let mut lab = Lab::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.db");
    let file = file.display();
    for sql in [
        format!("VACUUM INTO '{file}'"),
        format!("vacuum main into '{file}'"),
        format!("/* SELECT */ VACUUM -- SELECT\nINTO '{file}';"),
        format!("ATTACH '{file}' AS other"),
        format!("ATTACH 'file:{file}?mode=rwc' AS other"),
        format!("EXPLAIN VACUUM INTO '{file}'"),
        format!("SELECT 1; VACUUM INTO '{file}'"),
        format!("PRAGMA temp_store_directory = '{file}'"),
    ] {
        for mut store in [lab.another_store(), lab.reader()] {
            let error = store.query(&sql).unwrap_err();
            assert!(
                matches!(
                    error.kind,
                    StoreErrorKind::QueryWrites | StoreErrorKind::SeveralQueries
                ),
                "{sql}: {error}"
            );
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{sql}");
    }
    lab.store.query("SELECT 1").unwrap();
}

#[test]
fn what_reads_is_run() {
    let mut lab = Lab::new();
    for sql in [
        "-- one; two\nSELECT ';' ; ; /* three; */",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "VALUES (1), (2)",
        "EXPLAIN SELECT * FROM runs",
        "EXPLAIN QUERY PLAN SELECT * FROM runs",
        "PRAGMA table_info(runs)",
        "PRAGMA journal_mode",
        "SELECT name FROM pragma_table_info('runs')",
    ] {
        let result = lab
            .store
            .query(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(!result.rows.is_empty(), "{sql}");
    }
}

#[test]
fn rows_come_one_by_one_after_the_columns() {
    let mut lab = Lab::new();
    let mut seen = Vec::new();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let stopped = lab
        .store
        .query_streamed::<Box<dyn std::error::Error>>(endless, |fetched| {
            seen.push(fetched);
            match seen.len() {
                3 => Err("enough".into()),
                _ => Ok(()),
            }
        });
    assert_eq!(stopped.unwrap_err().to_string(), "enough");
    assert_eq!(
        seen,
        [
            Fetched::Columns(vec!["i".to_owned()]),
            Fetched::Row(vec![json!(1)]),
            Fetched::Row(vec![json!(2)])
        ]
    );
}

#[test]
fn a_statement_that_fails_shows_what_sqlite_says() {
    let mut lab = Lab::new();
    let check = |lab: &mut Lab, sql: &str, expected: &str| {
        let message = lab.store.query(sql).unwrap_err().to_string();
        assert!(message.ends_with(expected), "{message}");
    };
    check(
        &mut lab,
        "SELECT colour FROM runs",
        "the statement failed: no such column: colour",
    );
    check(
        &mut lab,
        "SELEKT 1",
        "the statement failed: near \"SELEKT\": syntax error",
    );
    for sql in [
        "SELECT 1; SELECT 1, 2",
        "SELECT 1 AS a; SELECT 'x' AS b",
        "SELECT 1; DELETE FROM runs",
    ] {
        check(
            &mut lab,
            sql,
            "there is more than one statement; send them one at a time",
        );
    }
    for sql in ["", " ; ", "-- SELECT 1"] {
        check(
            &mut lab,
            sql,
            "there is no statement; write one, such as `SELECT * FROM leaderboard`",
        );
    }
    // The driver would never come to an end of it.
    for sql in ["SELECT 1\0", "SELECT 1 \0 ", "SELECT '\0'"] {
        let place = sql.find('\0').unwrap() + 1;
        let expected =
            format!("the statement has a NUL character at line 1, column {place}; remove it");
        check(&mut lab, sql, &expected);
    }
}
