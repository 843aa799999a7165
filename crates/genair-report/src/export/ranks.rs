//! Every user's rank with its run's labels, for others' statistics.

use std::path::Path;

use genair_eval::{Protocol, Split};
use genair_store::Store;
use serde::Deserialize;

use crate::ReportError;
use crate::rows::{literal, rows, unexpected};
use crate::spec::suggestion;
use crate::write::{create, failed, keep};

/// Which ranks to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RanksFilter {
    /// Only runs of the sweep with this name.
    pub sweep: Option<String>,
    /// Of which target.
    pub split: Split,
    /// Among which candidates.
    pub protocol: Protocol,
}

#[derive(Deserialize)]
struct LabelledRun {
    run_id: i64,
    sweep: String,
    dataset: String,
    backbone: String,
    representation: String,
    variant: String,
    seed: u64,
}

/// Writes a CSV file with a row per sweep, finished run and user: the run's labels, the user's number
/// in the filtered dataset, from 1, and the rank of the user's target, from 0. Returns the number of
/// runs, at least 1.
///
/// # Errors
/// An unknown sweep; no ranks that pass the filter; a file that cannot be written.
pub fn export_ranks(
    store: &mut Store,
    filter: &RanksFilter,
    path: &Path,
) -> Result<usize, ReportError> {
    let runs = runs_with_ranks(store, filter)?;
    let wrong = |error: csv::Error| failed(path, error.into());
    let mut file = create(path)?;
    let mut writer = csv::Writer::from_writer(&mut file);
    writer
        .write_record([
            "run_id",
            "sweep",
            "dataset",
            "backbone",
            "representation",
            "variant",
            "seed",
            "user",
            "rank",
        ])
        .map_err(wrong)?;
    for run in &runs {
        let (run_id, seed) = (run.run_id.to_string(), run.seed.to_string());
        for [user, rank] in ranks(store, filter, run.run_id)? {
            writer
                .write_record([
                    &run_id,
                    &run.sweep,
                    &run.dataset,
                    &run.backbone,
                    &run.representation,
                    &run.variant,
                    &seed,
                    &user.to_string(),
                    &rank.to_string(),
                ])
                .map_err(wrong)?;
        }
    }
    writer.flush().map_err(|source| failed(path, source))?;
    drop(writer);
    keep(file, path)?;
    Ok(runs.len())
}

fn runs_with_ranks(
    store: &mut Store,
    filter: &RanksFilter,
) -> Result<Vec<LabelledRun>, ReportError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let sweeps: Vec<Named> = rows(store, "SELECT name FROM sweeps ORDER BY sweep_id")?;
    let path = store.path().to_owned();
    if sweeps.is_empty() {
        return Err(ReportError::EmptyDatabase { path });
    }
    let mut of_sweep = String::new();
    if let Some(name) = &filter.sweep {
        if !sweeps.iter().any(|sweep| sweep.name == *name) {
            let hint = suggestion(name, sweeps.iter().map(|sweep| sweep.name.as_str()));
            return Err(ReportError::UnknownSweep {
                path,
                name: name.clone(),
                hint,
            });
        }
        of_sweep = format!("AND sweeps.name = {}", literal(name));
    }
    let (split, protocol) = (filter.split, filter.protocol);
    let runs: Vec<LabelledRun> = rows(
        store,
        &format!(
            "SELECT runs.run_id, sweeps.name AS sweep, dataset, backbone, representation, variant, seed
             FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
             WHERE state = 'finished' AND NOT superseded {of_sweep}
               AND EXISTS (SELECT 1 FROM ranks
                           WHERE ranks.run_id = runs.run_id AND split = '{split}' AND protocol = '{protocol}')
             ORDER BY sweep_id, runs.run_id"
        ),
    )?;
    if runs.is_empty() {
        return Err(ReportError::NoRanks {
            path,
            split: split.to_string(),
            protocol: protocol.to_string(),
        });
    }
    Ok(runs)
}

/// User and rank, one run at a time, so that memory does not grow with the sweep.
fn ranks(store: &mut Store, filter: &RanksFilter, run: i64) -> Result<Vec<[u32; 2]>, ReportError> {
    #[derive(Deserialize)]
    struct Packed {
        ranks: String,
    }
    let packed: Vec<Packed> = rows(
        store,
        &format!(
            "SELECT json_group_array(json_array(user, rank) ORDER BY user) AS ranks FROM ranks
             WHERE run_id = {run} AND split = '{}' AND protocol = '{}'",
            filter.split, filter.protocol
        ),
    )?;
    let mut ranks = Vec::new();
    for row in packed {
        let of_run: Vec<[u32; 2]> = serde_json::from_str(&row.ranks)
            .map_err(|source| unexpected(store.path(), "rank", source))?;
        ranks.extend(of_run);
    }
    Ok(ranks)
}
