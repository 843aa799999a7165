//! Tables and views as they are, for other programs.

use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, Row};

use crate::{Fetched, Store, StoreError};

/// A table or view that people may read.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Whether it is a view.
    pub is_view: bool,
}

/// What a column holds, besides NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Integers of 64 bits.
    Integer,
    /// Doubles.
    Real,
    /// Text, and blobs as lower-case hex.
    Text,
}

/// A column of a table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

impl Store {
    /// All tables and views, by name.
    pub fn tables(&mut self) -> Result<Vec<TableInfo>, StoreError> {
        self.rows(sqlx::query_as(
            "SELECT name, type = 'view' AS is_view FROM sqlite_schema
             WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
               AND name NOT LIKE '\\_%' ESCAPE '\\'
             ORDER BY name",
        ))
    }

    /// The columns of a table or view, in order; none of one that is not there. A view's computed column, such as
    /// `mean`, declares no type: its values tell, all of them.
    pub fn table_columns(&mut self, table: &str) -> Result<Vec<TableColumn>, StoreError> {
        self.read(async |connection| {
            let declared =
                sqlx::query_as("SELECT name, type FROM pragma_table_info(?) ORDER BY cid");
            let declared: Vec<(String, String)> =
                declared.bind(table).fetch_all(&mut *connection).await?;
            let undeclared = declared.iter().filter(|(_, kind)| kind.is_empty());
            let undeclared = undeclared.map(|(name, _)| {
                let name = identifier(name);
                format!("max(CASE typeof({name}) WHEN 'text' THEN 2 WHEN 'real' THEN 1 ELSE 0 END)")
            });
            let undeclared: Vec<String> = undeclared.collect();
            let mut found: Vec<Option<i64>> = Vec::new();
            if !undeclared.is_empty() {
                let (kinds, table) = (undeclared.join(", "), identifier(table));
                // Of names alone, each quoted.
                let kinds = sqlx::query(AssertSqlSafe(format!("SELECT {kinds} FROM {table}")));
                let row = kinds.fetch_one(connection).await?;
                let kinds = (0..row.len()).map(|at| row.try_get(at));
                found = kinds.collect::<Result<_, _>>()?;
            }
            let mut found = found.into_iter();
            let column = |(name, kind): (String, String)| {
                let kind = match kind.as_str() {
                    "INTEGER" => ColumnKind::Integer,
                    "REAL" => ColumnKind::Real,
                    "" => match found.next().flatten() {
                        Some(0) => ColumnKind::Integer,
                        Some(1) => ColumnKind::Real,
                        _ => ColumnKind::Text,
                    },
                    _ => ColumnKind::Text,
                };
                TableColumn { name, kind }
            };
            Ok(declared.into_iter().map(column).collect())
        })
    }

    /// Gives `take` each row of a table or view as it comes, a value for each column, so that memory does not grow with
    /// their number. All rows are of one snapshot of the database.
    ///
    /// # Errors
    /// No such table; a database that cannot be read; an error of `take`, which ends it.
    pub fn table_rows<E: From<StoreError>>(
        &mut self,
        table: &str,
        mut take: impl FnMut(Vec<Value>) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = format!("SELECT * FROM {}", identifier(table));
        self.query_streamed(&rows, |fetched| match fetched {
            Fetched::Columns(_) => Ok(()),
            Fetched::Row(row) => take(row),
        })
    }
}

/// A name in quotes.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
