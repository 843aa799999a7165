//! What the page knows of every run from the start, and the results of all runs, measure by measure.

use std::collections::{BTreeSet, HashMap};

use genair_store::{Store, told_apart};
use serde::{Deserialize, Serialize};

use super::blocks::Blocks;
use super::cohorts::{self, CohortUsers};
use crate::ReportError;
use crate::export::require_sweep;
use crate::rows::{literal, rows};

/// The block `index`.
#[derive(Serialize)]
pub(super) struct Index {
    pub(super) made_at: String,
    pub(super) sweeps: Vec<Sweep>,
    /// One each, by number; others name a run by its place here.
    pub(super) runs: Vec<Run>,
    pub(super) places: Vec<Place>,
    /// What was measured. Block `measure-N` has the N-th's value of every run, NaN for none.
    measures: Vec<Measure>,
    cohort_users: Vec<CohortUsers>,
    /// Runs of a block `details-N` or `curves-N`.
    chunk: usize,
    /// Epochs of a curve at the most; longer ones are thinned out.
    pub(super) curve_points: usize,
    pub(super) ranks: super::ranks::Listed,
}

/// Runs of a block: few enough to unpack at once, many enough to share what they have in common.
pub(super) const CHUNK: usize = 100;

#[derive(Serialize, Deserialize)]
pub(super) struct Sweep {
    sweep_id: i64,
    pub(super) name: String,
    spec_path: String,
    spec_text: String,
    updated_at: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) run_id: i64,
    pub(super) state: String,
    dataset: String,
    backbone: String,
    representation: String,
    seed: i64,
    /// Runs of equal ones may be averaged; the beginning of the hash.
    configuration: String,
    /// What its numbers are of: the sequences, or where no run has told of them, the raw data.
    data: String,
    results_version: i64,
    max_len: Option<i64>,
    /// The metric of early stopping.
    monitor: Option<String>,
    head_item: Option<i64>,
    long_user: Option<i64>,
    users: Option<i64>,
    items: Option<i64>,
    interactions: Option<i64>,
    parameters: Option<i64>,
    epochs: Option<i64>,
    best_epoch: Option<i64>,
    seconds: Option<f64>,
    train_seconds: Option<f64>,
    cpu_seconds: Option<f64>,
    peak_memory_bytes: Option<i64>,
    /// Times of one machine may be compared.
    machine: Option<String>,
    pruned_at_epoch: Option<i64>,
    failure_kind: Option<String>,
    failure_phase: Option<String>,
    failure_message: Option<String>,
    failure_hint: Option<String>,
    finished_at: Option<String>,
}

/// A run in a sweep that describes it now.
#[derive(Serialize)]
pub(super) struct Place {
    run: usize,
    sweep: usize,
    variant: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Measure {
    split: String,
    pub(super) protocol: String,
    cohort: String,
    pub(super) metric: String,
    pub(super) k: i64,
}

impl Index {
    /// Reads all but the results.
    pub(super) fn read(store: &mut Store, wanted: &[String]) -> Result<Self, ReportError> {
        require_sweep(store, None)?;
        for name in wanted {
            require_sweep(store, Some(name))?;
        }
        let named = match wanted {
            [] => "1".to_owned(),
            names => {
                let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
                format!("sweeps.name IN ({})", names.join(", "))
            }
        };
        let sweeps: Vec<Sweep> = rows(
            store,
            &format!(
                "SELECT sweep_id, name, spec_path, spec_text, updated_at FROM sweeps
                 WHERE {named} ORDER BY sweep_id"
            ),
        )?;
        let runs: Vec<Run> = rows(
            store,
            &format!(
                "SELECT run_id, state, dataset, backbone, representation, seed,
                        substr(configuration, 1, 16) AS configuration,
                        coalesce(sequences_sha256, 'raw ' || data_sha256) AS data, results_version,
                        spec ->> '$.dataset.max_len' AS max_len, spec ->> '$.train.stop.metric' AS monitor,
                        head_item, long_user, users, items, interactions, parameters, epochs, best_epoch,
                        seconds, train_seconds, cpu_seconds, peak_memory_bytes,
                        host || ', ' || device || ', threads ' || threads AS machine, pruned_at_epoch,
                        failure_kind, failure_phase, failure_message, failure_hint, finished_at
                 FROM runs
                 WHERE run_id IN (SELECT run_id FROM sweep_runs JOIN sweeps USING (sweep_id)
                                  WHERE {named} AND NOT superseded)
                 ORDER BY run_id"
            ),
        )?;
        let places = places(store, &named, &sweeps, &runs)?;
        let made_at = store.query("SELECT strftime('%Y-%m-%dT%H:%M:%SZ')")?.rows;
        Ok(Self {
            made_at: made_at[0][0].as_str().unwrap_or_default().to_owned(),
            sweeps,
            runs,
            places,
            measures: Vec::new(),
            cohort_users: Vec::new(),
            chunk: CHUNK,
            curve_points: 0,
            ranks: super::ranks::Listed::default(),
        })
    }

    /// Where each run is in `runs`, by its number.
    pub(super) fn run_places(&self) -> HashMap<i64, usize> {
        self.runs.iter().map(|run| run.run_id).zip(0..).collect()
    }

    /// Every protocol that something was measured by.
    pub(super) fn protocols(&self) -> BTreeSet<&str> {
        self.measures
            .iter()
            .map(|of| of.protocol.as_str())
            .collect()
    }

    /// The largest cut-off of any measure.
    pub(super) fn largest_cutoff(&self) -> i64 {
        self.measures.iter().map(|m| m.k).max().unwrap_or(1)
    }

    /// Reads the results of finished runs.
    pub(super) fn add_measures(
        &mut self,
        store: &mut Store,
        blocks: &mut Blocks,
    ) -> Result<(), ReportError> {
        #[derive(Deserialize)]
        struct Measured {
            #[serde(flatten)]
            measure: Measure,
            results: String,
        }
        let places = self.run_places();
        // A row a measure instead of one a result, and 17 digits, which say which double it was.
        let mut all: Vec<Measured> = rows(
            store,
            "SELECT split, protocol, cohort, metric, k, group_concat(run_id || ' ' || printf('%!.17g', value)) AS results
             FROM metrics WHERE epoch IS NULL
             GROUP BY metric, k, split, protocol, cohort",
        )?;
        all.sort_by(|a, b| a.measure.order().cmp(&b.measure.order()));
        for Measured { measure, results } in all {
            let mut values = vec![f64::NAN; self.runs.len()];
            let mut any = false;
            for result in results.split(',') {
                let (run, value) = result.split_once(' ').unwrap_or_default();
                let run = run.parse().ok().and_then(|run: i64| places.get(&run));
                if let (Some(&run), Ok(value)) = (run, value.parse())
                    && self.runs[run].state == "finished"
                {
                    values[run] = value;
                    any = true;
                }
            }
            // A measure may be that of other sweeps alone.
            if any {
                blocks.add_numbers(&format!("measure-{}", self.measures.len()), &values);
                self.measures.push(measure);
            }
        }
        self.cohort_users = cohorts::read(store, self.measures.first())?;
        Ok(())
    }
}

impl Measure {
    /// Where people look for it: test first, everyone first, NDCG and HR before MRR.
    fn order(&self) -> impl Ord {
        let metric = ["ndcg", "hr"].iter().position(|of| *of == self.metric);
        (
            self.split != "test",
            self.protocol.clone(),
            self.cohort != "all",
            self.cohort.clone(),
            metric.unwrap_or(usize::MAX),
            self.metric.clone(),
            self.k,
        )
    }
}

fn places(
    store: &mut Store,
    named: &str,
    sweeps: &[Sweep],
    runs: &[Run],
) -> Result<Vec<Place>, ReportError> {
    let sweeps: HashMap<i64, usize> = sweeps.iter().map(|of| of.sweep_id).zip(0..).collect();
    let runs: HashMap<i64, usize> = runs.iter().map(|of| of.run_id).zip(0..).collect();
    let mut places = Vec::new();
    let sql = format!(
        "SELECT runs.run_id, sweep_runs.sweep_id, sweep_runs.variant, differences
         FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
         LEFT JOIN configurations AS own ON own.sweep_id = sweep_runs.sweep_id
              AND own.configuration = runs.configuration AND own.variant = sweep_runs.variant
         LEFT JOIN configuration_differences AS apart ON apart.configuration_id = own.configuration_id
         WHERE {named} AND NOT superseded ORDER BY sweep_runs.sweep_id, runs.run_id"
    );
    store.query_each::<ReportError>(&sql, |row| {
        let place = |at: usize, among: &HashMap<i64, usize>| among.get(&row[at].as_i64()?).copied();
        // One that a sweep has added meanwhile is left for the next page.
        if let (Some(run), Some(sweep)) = (place(0, &runs), place(1, &sweeps)) {
            places.push(Place {
                run,
                sweep,
                variant: told_apart(row[2].as_str().unwrap_or_default(), row[3].as_str()),
            });
        }
        Ok(())
    })?;
    Ok(places)
}
