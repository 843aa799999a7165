//! Rows of a query as values of ours.

use std::path::Path;

use genair_store::{QueryResult, Store};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ReportError;

/// Runs a query of this program's own and reads each row by the names of its columns.
pub(crate) fn rows<T: DeserializeOwned>(
    store: &mut Store,
    sql: &str,
) -> Result<Vec<T>, ReportError> {
    let QueryResult { columns, rows } = store.query(sql)?;
    rows.into_iter()
        .map(|row| {
            let named: Map<String, Value> = columns.iter().cloned().zip(row).collect();
            serde_json::from_value(Value::Object(named))
                .map_err(|source| unexpected(store.path(), "row", source))
        })
        .collect()
}

pub(crate) fn unexpected(path: &Path, what: &str, source: serde_json::Error) -> ReportError {
    ReportError::Unexpected {
        path: path.to_owned(),
        what: what.to_owned(),
        source,
    }
}

/// A list for `IN (...)`. Numbers only, so that no text of a user's becomes SQL.
pub(crate) fn list(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|n| n.to_string()).collect();
    numbers.join(", ")
}

/// Text as an SQL literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
