//! Every user's rank with its run's labels, for others' statistics.

use std::path::Path;

use genair_store::ColumnKind::{self, Integer, Text};
use genair_store::{RankedRun, RanksFilter, RunId, Store, TableColumn};
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
/// the filtered dataset, from 1, the user's id in the data, the number of one of the user's targets, from 1, and its
/// rank, from 0.
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
        let labels = LABELS.map(|(_, _, label)| label(run));
        let ranks = store.user_ranks(run.run_id, filter.split, filter.protocol)?;
        for (user, user_id, target, rank) in ranks {
            let rank = [
                Value::from(user),
                Value::from(user_id),
                Value::from(target),
                Value::from(rank),
            ];
            sink.write(labels.iter().cloned().chain(rank).collect())?;
        }
    }
    Ok(ExportedRanks {
        runs: runs.len(),
        rows: sink.finish()?,
    })
}

/// A column that says the same of all users of a run.
type LabelColumn = (&'static str, ColumnKind, fn(&RankedRun) -> Value);

const LABELS: [LabelColumn; 9] = [
    ("run_id", Integer, |run| run.run_id.0.into()),
    ("sweep", Text, |run| run.sweep.as_str().into()),
    ("dataset", Text, |run| run.labels.dataset.as_str().into()),
    ("backbone", Text, |run| run.labels.backbone.as_str().into()),
    ("representation", Text, |run| {
        run.labels.representation.as_str().into()
    }),
    ("variant", Text, |run| run.labels.axes.to_string().into()),
    ("axes", Text, |run| run.labels.axes.to_json().into()),
    ("configuration", Text, |run| {
        run.configuration.as_str().into()
    }),
    ("seed", Integer, |run| run.labels.seed.into()),
];

fn columns() -> Vec<TableColumn> {
    let labels = LABELS.iter().map(|(name, kind, _)| (*name, *kind));
    let of_user = [
        ("user", Integer),
        ("user_id", Text),
        ("target", Integer),
        ("rank", Integer),
    ];
    let columns = labels.chain(of_user);
    let column = |(name, kind): (&str, ColumnKind)| TableColumn {
        name: name.to_owned(),
        kind,
    };
    columns.map(column).collect()
}

fn runs_with_ranks(store: &mut Store, filter: &RanksFilter) -> Result<Vec<RankedRun>, ReportError> {
    store.require_sweep(filter.sweep.as_deref())?;
    let runs = store.ranked_runs(filter)?;
    let is_without = |wanted: &&RunId| !runs.iter().any(|run| run.run_id == **wanted);
    let without = filter.runs.iter().find(is_without);
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
