//! What the columns of a table or view hold.

use genair_store::Store;
use serde::Deserialize;

use crate::ReportError;
use crate::rows::{literal, rows};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Integer,
    Real,
    Text,
}

/// The columns of a table or view, in order. Those of a view that are computed declare no type; they
/// are numbers (`mean`, `std`) or counts (`n`), and a real column takes both.
pub(super) fn column_types(
    store: &mut Store,
    table: &str,
) -> Result<Vec<(String, ColumnType)>, ReportError> {
    #[derive(Deserialize)]
    struct Declared {
        name: String,
        r#type: String,
    }
    let declared: Vec<Declared> = rows(
        store,
        &format!(
            "SELECT name, type FROM pragma_table_info({}) ORDER BY cid",
            literal(table)
        ),
    )?;
    let column = |declared: Declared| {
        let kind = match declared.r#type.as_str() {
            "INTEGER" => ColumnType::Integer,
            "TEXT" => ColumnType::Text,
            _ => ColumnType::Real,
        };
        (declared.name, kind)
    };
    Ok(declared.into_iter().map(column).collect())
}
