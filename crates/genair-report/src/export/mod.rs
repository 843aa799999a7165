//! The database's own tables and views as files for other programs: CSV and Parquet, and ranks with
//! their runs' labels.

mod columns;
mod parquet;
mod ranks;

use std::path::{Path, PathBuf};

use genair_store::Store;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ReportError;
use crate::rows::rows;
use crate::spec::suggestion;
use crate::write::{create, failed, keep};
use columns::{ColumnType, column_types};
pub use ranks::{RanksFilter, export_ranks};

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
}

/// Rows read at once, about: what bounds memory, and a row group of Parquet.
const CHUNK_ROWS: u64 = 200_000;

/// Writes tables or views to `folder/NAME.EXTENSION` and returns the files. No names mean every table
/// and no view.
///
/// A table is read run by run in chunks, so that memory does not grow with it. A sweep that writes
/// meanwhile may thus appear in one chunk and not in another, but each run's rows are whole.
///
/// # Errors
/// A name that is no table or view; a file that cannot be written.
pub fn export_tables(
    store: &mut Store,
    folder: &Path,
    format: ExportFormat,
    names: &[String],
) -> Result<Vec<PathBuf>, ReportError> {
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
        .iter()
        .map(|name| {
            let path = folder.join(format!("{name}.{}", format.extension()));
            match format {
                ExportFormat::Csv => csv_file(store, name, &path)?,
                ExportFormat::Parquet => parquet::file(store, name, &path)?,
            }
            Ok(path)
        })
        .collect()
}

fn csv_file(store: &mut Store, table: &str, path: &Path) -> Result<(), ReportError> {
    let mut file = create(path)?;
    let mut writer = csv::Writer::from_writer(&mut file);
    let columns = column_types(store, table)?;
    let wrong = |error: csv::Error| failed(path, error.into());
    let names = columns.iter().map(|(name, _)| name);
    writer.write_record(names).map_err(wrong)?;
    for chunk in chunks(store, table, &columns)? {
        for row in store.query(&chunk)?.rows {
            writer.write_record(row.iter().map(field)).map_err(wrong)?;
        }
    }
    writer.flush().map_err(|source| failed(path, source))?;
    drop(writer);
    keep(file, path)
}

fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Queries that together return a table, each about [`CHUNK_ROWS`] rows of whole runs.
fn chunks(
    store: &mut Store,
    table: &str,
    columns: &[(String, ColumnType)],
) -> Result<Vec<String>, ReportError> {
    #[derive(Deserialize)]
    struct RunRows {
        run_id: i64,
        rows: u64,
    }
    // A name from sqlite_schema, quoted as one.
    let all = format!("SELECT * FROM \"{table}\"");
    if table == "runs" || !columns.iter().any(|(name, _)| name == "run_id") {
        return Ok(vec![all]);
    }
    let counts: Vec<RunRows> = rows(
        store,
        &format!(
            "SELECT run_id, count(*) AS rows FROM \"{table}\" GROUP BY run_id ORDER BY run_id"
        ),
    )?;
    let mut chunks = Vec::new();
    let (mut first, mut held) = (None, 0);
    for (at, run) in counts.iter().enumerate() {
        let start = *first.get_or_insert(run.run_id);
        held += run.rows;
        if held >= CHUNK_ROWS || at + 1 == counts.len() {
            chunks.push(format!(
                "{all} WHERE run_id BETWEEN {start} AND {}",
                run.run_id
            ));
            (first, held) = (None, 0);
        }
    }
    Ok(chunks)
}
