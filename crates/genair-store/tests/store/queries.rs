//! A user's own SQL.

use genair_store::StoreErrorKind;
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
        "SELECT 1; DELETE FROM runs",
        "PRAGMA query_only = OFF; DELETE FROM runs",
        "PRAGMA user_version = 9",
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
    check(
        &mut lab,
        "SELECT 1; SELECT 1, 2",
        "there is more than one statement; send them one at a time",
    );
}
