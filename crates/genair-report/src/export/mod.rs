//! The database's own tables and views as files for other programs: CSV and Parquet, ranks with their
//! runs' labels, and runs for MLflow and TensorBoard.

pub mod mlflow;
mod parquet;
mod ranks;
mod recommendations;
mod sink;
mod tensorboard;

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use genair_store::Store;
use genair_toml::suggestion;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ReportError;
pub use ranks::{ExportedRanks, export_ranks};
pub use recommendations::{ExportedRecommendations, export_recommendations};
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
    let known = store.tables()?;
    let tables = known.iter().filter(|known| !known.is_view);
    let chosen: Vec<String> = match names {
        [] => tables.map(|known| known.name.clone()).collect(),
        names => names.to_vec(),
    };
    let is_unknown = |name: &&String| !known.iter().any(|known| known.name == **name);
    if let Some(name) = chosen.iter().find(is_unknown) {
        return Err(ReportError::UnknownTable {
            path: store.path().to_owned(),
            name: name.clone(),
            hint: suggestion(name, known.iter().map(|known| known.name.as_str())),
        });
    }
    let export = |table: String| {
        let file = folder.join(format!("{table}.{}", format.extension()));
        let columns = store.table_columns(&table)?;
        let mut sink = Sink::create(&file, format, &table, columns)?;
        store.table_rows(&table, |row| sink.write(row))?;
        let rows = sink.finish()?;
        Ok(ExportedTable { table, file, rows })
    };
    chosen.into_iter().map(export).collect()
}

/// A moment, RFC 3339, in milliseconds since 1970.
fn milliseconds(moment: &str) -> Option<i64> {
    let moment = humantime::parse_rfc3339(moment).ok()?;
    let since = moment.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// The metric of early stopping in a resolved spec, such as `ndcg@10`; `metric` where it names none.
fn stop_metric(spec: &str) -> String {
    let spec: Value = serde_json::from_str(spec).unwrap_or_default();
    let metric = spec.pointer("/train/stop/metric").and_then(Value::as_str);
    metric.unwrap_or("metric").to_owned()
}
