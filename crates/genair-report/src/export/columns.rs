//! What the columns of a table or view hold.

use genair_store::Store;
use serde::Deserialize;
use serde_json::Value;

use crate::ReportError;
use crate::rows::{literal, rows};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Integer,
    Real,
    Text,
}

/// A column of an exported table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnType,
}

impl Column {
    pub(super) fn new(name: impl Into<String>, kind: ColumnType) -> Self {
        let name = name.into();
        Self { name, kind }
    }
}

/// The columns of a table or view, in order. A view's computed column, such as `mean`, declares no
/// type; its values tell, all of them.
pub(super) fn column_types(store: &mut Store, table: &str) -> Result<Vec<Column>, ReportError> {
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
    let undeclared: Vec<String> = declared
        .iter()
        .filter(|column| column.r#type.is_empty())
        .map(|column| {
            format!(
                "max(CASE typeof(\"{}\") WHEN 'text' THEN 2 WHEN 'real' THEN 1 ELSE 0 END)",
                column.name
            )
        })
        .collect();
    let mut found = Vec::new();
    if !undeclared.is_empty() {
        let sql = format!("SELECT {} FROM \"{table}\"", undeclared.join(", "));
        found = store.query(&sql)?.rows.into_iter().flatten().collect();
    }
    let mut found = found.iter().map(Value::as_i64);
    let column = |declared: Declared| {
        let kind = match declared.r#type.as_str() {
            "INTEGER" => ColumnType::Integer,
            "REAL" => ColumnType::Real,
            "TEXT" => ColumnType::Text,
            _ => match found.next().flatten() {
                Some(0) => ColumnType::Integer,
                Some(1) => ColumnType::Real,
                _ => ColumnType::Text,
            },
        };
        Column::new(declared.name, kind)
    };
    Ok(declared.into_iter().map(column).collect())
}
