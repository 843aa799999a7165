//! What the page knows of every run from the start, and the results of all runs, measure by measure.

use std::collections::HashMap;
use std::time::SystemTime;

use genair_protocol::{Cohort, Metric, Protocol, Split};
use genair_store::{
    CohortUsers, Measure, MeasureResults, PageRun, RunId, RunState, Select, Standpoint, Store,
    SweepRecord, SweptRun, choose,
};
use serde::Serialize;

use super::blocks::Blocks;
use crate::ReportError;

/// The block `index`.
#[derive(Serialize)]
pub(super) struct Index {
    pub(super) made_at: String,
    pub(super) sweeps: Vec<SweepRecord>,
    /// One each, by number; others name a run by its place here.
    pub(super) runs: Vec<PageRun>,
    pub(super) places: Vec<Place>,
    /// What was measured. Block `measure-N` has the N-th's value of every run, NaN for none.
    measures: Vec<Measure>,
    cohort_users: Vec<CohortUsers>,
    /// Runs of a block `details-N` or `curves-N`.
    chunk: usize,
    /// Epochs of a curve at the most; longer ones are thinned out.
    pub(super) curve_points: u32,
    pub(super) ranks: super::ranks::Listed,
}

/// Runs of a block: few enough to unpack at once, many enough to share what they have in common.
pub(super) const CHUNK: usize = 100;

/// A run in a sweep that describes it now.
#[derive(Serialize)]
pub(super) struct Place {
    run: usize,
    sweep: usize,
    /// Its axes and what tells it from others of its labels, as they are shown.
    variant: String,
    /// Whether validation chose another configuration of its sweep's search.
    left_out: bool,
}

impl Index {
    /// Reads all but the results.
    pub(super) fn read(store: &mut Store, wanted: &[String]) -> Result<Self, ReportError> {
        store.require_sweep(None)?;
        for name in wanted {
            store.require_sweep(Some(name))?;
        }
        let mut sweeps = store.sweeps()?;
        sweeps.retain(|sweep| wanted.is_empty() || wanted.contains(&sweep.name));
        let runs = store.page_runs(wanted)?;
        let places = places(store, &sweeps, &runs)?;
        Ok(Self {
            made_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
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
    pub(super) fn run_places(&self) -> HashMap<RunId, usize> {
        self.runs.iter().map(|run| run.run_id).zip(0..).collect()
    }

    /// Every protocol that something was measured by.
    pub(super) fn protocols(&self) -> Vec<Protocol> {
        let mut protocols = Protocol::ALL.to_vec();
        protocols.retain(|protocol| self.measures.iter().any(|of| of.protocol == *protocol));
        protocols
    }

    /// The largest cut-off of any measure.
    pub(super) fn largest_cutoff(&self) -> u32 {
        self.measures.iter().map(|m| m.k).max().unwrap_or(1)
    }

    /// Reads the results of finished runs.
    pub(super) fn add_measures(
        &mut self,
        store: &mut Store,
        blocks: &mut Blocks,
    ) -> Result<(), ReportError> {
        let places = self.run_places();
        let mut all = store.results_by_measure()?;
        all.sort_by_key(|of| order(&of.measure));
        for MeasureResults { measure, results } in all {
            let mut values = vec![f64::NAN; self.runs.len()];
            let mut any = false;
            for (run, value) in results {
                if let Some(&run) = places.get(&run)
                    && self.runs[run].state == RunState::Finished
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
        if let Some(measure) = self.measures.first() {
            self.cohort_users = store.cohort_users(measure)?;
        }
        Ok(())
    }
}

/// Where people look for a measure: test first, everyone first, NDCG and HR before MRR.
fn order(measure: &Measure) -> impl Ord + use<> {
    let metrics = [Metric::Ndcg, Metric::Hr];
    let metric = metrics.iter().position(|of| *of == measure.metric);
    (
        measure.split != Split::Test,
        measure.protocol.as_str(),
        measure.cohort != Cohort::All,
        measure.cohort.as_str(),
        metric.unwrap_or(usize::MAX),
        measure.metric.as_str(),
        measure.k,
    )
}

/// Where the runs are in the sweeps.
fn places(
    store: &mut Store,
    sweeps: &[SweepRecord],
    runs: &[PageRun],
) -> Result<Vec<Place>, ReportError> {
    let runs: HashMap<_, usize> = runs.iter().map(|of| of.run_id).zip(0..).collect();
    let mut places = Vec::new();
    for (at, sweep) in sweeps.iter().enumerate() {
        let swept = store.runs_of_sweep(sweep.sweep_id)?;
        let kept = |run: &SweptRun| Select::Auto.kept(run, &sweep.searched);
        let standpoints = swept
            .iter()
            .map(|run| (run, Standpoint::of(run, kept(run))));
        let is_chosen = choose(standpoints).is_chosen;
        let swept = std::iter::zip(swept, is_chosen);
        // One that a sweep has added meanwhile is left for the next page.
        places.extend(swept.filter_map(|(run, is_chosen)| {
            Some(Place {
                run: *runs.get(&run.run_id)?,
                sweep: at,
                variant: run.labels.axes.and(run.differences.as_ref()).to_string(),
                left_out: run.state == RunState::Finished && !is_chosen,
            })
        }));
    }
    Ok(places)
}
