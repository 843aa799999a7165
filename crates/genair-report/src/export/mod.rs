//! The database's own tables and views as files for other programs: CSV and Parquet, ranks with their
//! runs' labels, and runs for MLflow and TensorBoard.

mod columns;
pub mod mlflow;
mod parquet;
mod ranks;
mod sink;
mod tensorboard;

use std::path::{Path, PathBuf};

use genair_store::Store;
use genair_toml::suggestion;
use serde::{Deserialize, Serialize};

use crate::ReportError;
use crate::rows::rows;
use columns::column_types;
pub use ranks::{ExportedRanks, RanksFilter, export_ranks, require_sweep};
use sink::Sink;
pub use tensorboard::{EventFiles, export_tensorboard};

/// A format of an exported table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// Comma-separated, with a header; an absent value is an empty field.
    Csv,
    /// Apache Parquet: 64-bit integers, doubles and UTF-8 text, all optional.
    Parquet,
}

impl ExportFormat {
    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a file's extension names, in either case.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        [Self::Csv, Self::Parquet]
            .into_iter()
            .find(|format| extension.eq_ignore_ascii_case(format.extension()))
    }
}

/// An exported file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportedTable {
    /// The table or view.
    pub table: String,
    /// Its file.
    pub file: PathBuf,
    /// Rows in it.
    pub rows: u64,
}

/// Writes tables or views to `folder/NAME.EXTENSION`. No names mean every table and no view.
///
/// Rows are passed on as they are read, so that memory does not grow with a table. Each file is of one
/// moment; a sweep that writes meanwhile may appear in one file and not in another.
///
/// # Errors
/// A name that is no table or view; a file that cannot be written.
pub fn export_tables(
    store: &mut Store,
    folder: &Path,
    format: ExportFormat,
    names: &[String],
) -> Result<Vec<ExportedTable>, ReportError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
        r#type: String,
    }
    let known: Vec<Named> = rows(
        store,
        "SELECT name, type FROM sqlite_schema
         WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_%' ESCAPE '\\'
         ORDER BY name",
    )?;
    let tables = known.iter().filter(|known| known.r#type == "table");
    let chosen: Vec<String> = if names.is_empty() {
        tables.map(|known| known.name.clone()).collect()
    } else {
        names.to_vec()
    };
    for name in &chosen {
        if !known.iter().any(|known| known.name == *name) {
            return Err(ReportError::UnknownTable {
                path: store.path().to_owned(),
                name: name.clone(),
                hint: suggestion(name, known.iter().map(|known| known.name.as_str())),
            });
        }
    }
    chosen
        .into_iter()
        .map(|table| {
            let file = folder.join(format!("{table}.{}", format.extension()));
            let columns = column_types(store, &table)?;
            let mut sink = Sink::create(&file, format, &table, columns)?;
            // A name from sqlite_schema, quoted as one.
            store.query_each(&format!("SELECT * FROM \"{table}\""), |row| sink.write(row))?;
            let rows = sink.finish()?;
            Ok(ExportedTable { table, file, rows })
        })
        .collect()
}
