//! Every user's rank with its run's labels, for others' statistics.

use std::path::Path;

use genair_store::{ColumnKind, RankedRun, RanksFilter, Store, TableColumn};
use serde::Serialize;
use serde_json::Value;

use super::ExportFormat;
use super::sink::Sink;
use crate::ReportError;

/// How much was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExportedRanks {
    /// Finished runs, at least 1; a run of two sweeps counts twice.
    pub runs: usize,
    /// Rows of the file.
    pub rows: u64,
}

/// Writes a file with a row per sweep, finished run and user: the run's labels, the user's number in
/// the filtered dataset, from 1, and the rank of the user's target, from 0.
///
/// # Errors
/// An unknown sweep or run; no ranks that pass the filter; a file that cannot be written.
pub fn export_ranks(
    store: &mut Store,
    filter: &RanksFilter,
    format: ExportFormat,
    path: &Path,
) -> Result<ExportedRanks, ReportError> {
    let runs = runs_with_ranks(store, filter)?;
    let mut sink = Sink::create(path, format, "ranks", columns())?;
    for run in &runs {
        let labels = [
            Value::from(run.run_id.0),
            Value::from(run.sweep.as_str()),
            Value::from(run.labels.dataset.as_str()),
            Value::from(run.labels.backbone.as_str()),
            Value::from(run.labels.representation.as_str()),
            Value::from(run.labels.axes.to_string()),
            Value::from(run.labels.axes.to_json()),
            Value::from(run.configuration.as_str()),
            Value::from(run.labels.seed),
        ];
        for (user, rank) in store.user_ranks(run.run_id, filter.split, filter.protocol)? {
            let rank = [Value::from(user), Value::from(rank)];
            sink.write(labels.iter().cloned().chain(rank).collect())?;
        }
    }
    Ok(ExportedRanks {
        runs: runs.len(),
        rows: sink.finish()?,
    })
}

fn columns() -> Vec<TableColumn> {
    use ColumnKind::{Integer, Text};
    [
        ("run_id", Integer),
        ("sweep", Text),
        ("dataset", Text),
        ("backbone", Text),
        ("representation", Text),
        ("variant", Text),
        ("axes", Text),
        ("configuration", Text),
        ("seed", Integer),
        ("user", Integer),
        ("rank", Integer),
    ]
    .map(|(name, kind)| TableColumn {
        name: name.to_owned(),
        kind,
    })
    .into()
}

fn runs_with_ranks(store: &mut Store, filter: &RanksFilter) -> Result<Vec<RankedRun>, ReportError> {
    store.require_sweep(filter.sweep.as_deref())?;
    let runs = store.ranked_runs(filter)?;
    let without = filter
        .runs
        .iter()
        .find(|&&wanted| !runs.iter().any(|run| run.run_id == wanted));
    if without.is_some() || runs.is_empty() {
        return Err(ReportError::NoRanks {
            path: store.path().to_owned(),
            run: without.copied(),
            split: filter.split.to_string(),
            protocol: filter.protocol.to_string(),
        });
    }
    Ok(runs)
}
