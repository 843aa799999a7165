//! Every user's rank with its run's labels, for others' statistics.

use std::path::Path;

use genair_protocol::{Protocol, Split};
use genair_store::Store;
use genair_toml::suggestion;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ExportFormat;
use super::columns::{Column, ColumnType};
use super::sink::Sink;
use crate::ReportError;
use crate::rows::{list, literal, rows};

/// Which ranks to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RanksFilter {
    /// Only runs of the sweep with this name.
    pub sweep: Option<String>,
    /// Only runs with these numbers; empty means all.
    pub runs: Vec<i64>,
    /// Of which target.
    pub split: Split,
    /// Among which candidates.
    pub protocol: Protocol,
}

/// How much was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExportedRanks {
    /// Finished runs, at least 1; a run of two sweeps counts twice.
    pub runs: usize,
    /// Rows of the file.
    pub rows: u64,
}

#[derive(Deserialize)]
struct LabelledRun {
    run_id: i64,
    sweep: String,
    dataset: String,
    backbone: String,
    representation: String,
    variant: String,
    configuration: String,
    seed: u64,
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
            Value::from(run.run_id),
            Value::from(run.sweep.as_str()),
            Value::from(run.dataset.as_str()),
            Value::from(run.backbone.as_str()),
            Value::from(run.representation.as_str()),
            Value::from(run.variant.as_str()),
            Value::from(run.configuration.as_str()),
            Value::from(run.seed),
        ];
        let sql = format!(
            "SELECT user, rank FROM ranks
             WHERE run_id = {} AND split = '{}' AND protocol = '{}' ORDER BY user",
            run.run_id, filter.split, filter.protocol
        );
        store.query_each(&sql, |rank| {
            sink.write(labels.iter().cloned().chain(rank).collect())
        })?;
    }
    Ok(ExportedRanks {
        runs: runs.len(),
        rows: sink.finish()?,
    })
}

fn columns() -> Vec<Column> {
    use ColumnType::{Integer, Text};
    [
        ("run_id", Integer),
        ("sweep", Text),
        ("dataset", Text),
        ("backbone", Text),
        ("representation", Text),
        ("variant", Text),
        ("configuration", Text),
        ("seed", Integer),
        ("user", Integer),
        ("rank", Integer),
    ]
    .map(|(name, kind)| Column::new(name, kind))
    .into()
}

fn runs_with_ranks(
    store: &mut Store,
    filter: &RanksFilter,
) -> Result<Vec<LabelledRun>, ReportError> {
    require_sweep(store, filter.sweep.as_deref())?;
    let mut conditions = match filter.runs.as_slice() {
        // Whoever names a run means it, even if a newer one has replaced it.
        [] => "NOT superseded".to_owned(),
        runs => format!("runs.run_id IN ({})", list(runs.iter().copied())),
    };
    if let Some(name) = &filter.sweep {
        conditions += &format!(" AND sweeps.name = {}", literal(name));
    }
    let (split, protocol) = (filter.split, filter.protocol);
    let runs: Vec<LabelledRun> = rows(
        store,
        &format!(
            "SELECT runs.run_id, sweeps.name AS sweep, dataset, backbone, representation, variant, configuration, seed
             FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
             WHERE state = 'finished' AND {conditions}
               AND EXISTS (SELECT 1 FROM ranks
                           WHERE ranks.run_id = runs.run_id AND split = '{split}' AND protocol = '{protocol}')
             ORDER BY sweep_id, runs.run_id"
        ),
    )?;
    let without = filter
        .runs
        .iter()
        .find(|&&wanted| !runs.iter().any(|run| run.run_id == wanted));
    if without.is_some() || runs.is_empty() {
        return Err(ReportError::NoRanks {
            path: store.path().to_owned(),
            run: without.copied(),
            split: split.to_string(),
            protocol: protocol.to_string(),
        });
    }
    Ok(runs)
}

/// Fails unless the database has a sweep, and one of this name where one is wanted.
///
/// # Errors
/// As said, with the nearest name; a database that cannot be read.
pub fn require_sweep(store: &mut Store, wanted: Option<&str>) -> Result<(), ReportError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let sweeps: Vec<Named> = rows(store, "SELECT name FROM sweeps ORDER BY sweep_id")?;
    let path = store.path().to_owned();
    if sweeps.is_empty() {
        return Err(ReportError::EmptyDatabase { path });
    }
    match wanted {
        Some(name) if !sweeps.iter().any(|sweep| sweep.name == name) => {
            Err(ReportError::UnknownSweep {
                path,
                name: name.to_owned(),
                hint: suggestion(name, sweeps.iter().map(|sweep| sweep.name.as_str())),
            })
        }
        _ => Ok(()),
    }
}
