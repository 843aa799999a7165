//! From runs to a table: cells, what may stand beside what, the baseline, tests and marks.

mod baseline;
mod comparable;
mod notes;
mod order;
mod pivot;
mod significance;

use std::collections::{BTreeMap, BTreeSet};

use genair_eval::statistics::summarise;
use genair_protocol::{Cohort, Protocol};
use genair_store::Store;
use itertools::Itertools;

use crate::ReportError;
use crate::error::TableError;
use crate::runs::select;
use crate::spec::{Measure, ReportSpec, TableSpec};
use crate::table::{Cell, Place, RunValue, Style, Table};
use pivot::{At, CellRuns, Pivot};

pub(crate) use notes::chosen;
pub(crate) use pivot::text;

/// Why a table or figure cannot be made, at one of its keys.
pub(crate) fn fail_with(
    report: &ReportSpec,
    spec: &TableSpec,
    key: &str,
    kind: TableError,
) -> ReportError {
    ReportError::Table {
        place: report.place(&spec.section, key),
        section: spec.section.clone(),
        kind: Box::new(kind),
    }
}

/// Makes one table.
pub(crate) fn build(
    store: &mut Store,
    report: &ReportSpec,
    spec: &TableSpec,
) -> Result<Table, ReportError> {
    let fail = |key: &str, kind: TableError| fail_with(report, spec, key, kind);
    let selection = select(store, spec, &fail)?;
    let pivot = Pivot::new(&selection, spec).map_err(|kind| fail("rows", kind))?;
    let baselines =
        baseline::find(&pivot, &selection, spec).map_err(|kind| fail("baseline", kind))?;
    comparable::check(&pivot, &baselines, spec).map_err(|kind| fail("sweeps", kind))?;
    let mut cells = summaries(&pivot).map_err(|kind| fail("sweeps", kind))?;
    for (at, other) in &baselines {
        let base = cells[other].summary.mean;
        if let Some(cell) = cells.get_mut(other) {
            cell.baseline = true;
        }
        if let Some(cell) = cells.get_mut(at) {
            cell.comparison = Some(baseline::comparison(cell.summary.mean, base));
        }
    }
    let tested = significance::test(store, &pivot, &baselines, spec, &fail)?;
    for (at, test) in &tested {
        if let Some(comparison) = cells.get_mut(at).and_then(|cell| cell.comparison.as_mut()) {
            comparison.test = Some(*test);
        }
    }
    mark_best(&pivot, spec, &mut cells);
    let notes = notes::notes(&pivot, &cells, &selection.choices, spec, report);
    let choices = selection.choices.clone();
    Ok(pivot.table(cells, notes, choices, spec, report))
}

fn summaries(pivot: &Pivot<'_>) -> Result<BTreeMap<At, Cell>, TableError> {
    let cell = |(at, runs): (&At, &CellRuns<'_>)| {
        let values: Vec<f64> = runs.iter().map(|(_, value)| *value).collect();
        let summary = summarise(&values).map_err(|source| TableError::Statistics {
            configuration: pivot.configuration(*at).to_string(),
            source,
        })?;
        let runs = runs.iter().map(|(run, value)| RunValue {
            run: run.run_id,
            seed: run.labels.seed,
            value: *value,
        });
        let cell = Cell {
            summary,
            runs: runs.collect(),
            place: None,
            comparison: None,
            baseline: false,
        };
        Ok((*at, cell))
    };
    pivot.cells.iter().map(cell).collect()
}

/// Marks the best and the second of each group, among those of the same seeds; what ties shares a place.
fn mark_best(pivot: &Pivot<'_>, spec: &TableSpec, cells: &mut BTreeMap<At, Cell>) {
    for (column, measured) in pivot.measured().enumerate() {
        for group in pivot.groups(column, &spec.best_within) {
            if measured.measure == Measure::Epochs {
                continue;
            }
            let group = of_most_alike_seeds(group, measured.measure, cells);
            let mut means: Vec<f64> = group.iter().map(|at| cells[at].summary.mean).collect();
            means.sort_by(f64::total_cmp);
            means.dedup();
            if means.len() < 2 {
                continue; // Where all are alike none is best.
            }
            if measured.measure.higher_is_better() {
                means.reverse();
            }
            for at in group {
                if let Some(cell) = cells.get_mut(&at) {
                    cell.place = match means.iter().position(|mean| *mean == cell.summary.mean) {
                        Some(0) => Some(Place::Best),
                        Some(1) => Some(Place::Second),
                        _ => None,
                    };
                }
            }
        }
    }
}

/// Those of a group that are means over the same seeds: a mean over other seeds, or one run, may be above
/// them by luck. Of several such sets the one of most cells, or else of most seeds. What a parameter count
/// is does not depend on luck.
fn of_most_alike_seeds(group: Vec<At>, measure: Measure, cells: &BTreeMap<At, Cell>) -> Vec<At> {
    if measure == Measure::Parameters {
        return group;
    }
    let mut alike: BTreeMap<BTreeSet<u64>, Vec<At>> = BTreeMap::new();
    for at in group {
        let seeds = cells[&at].runs.iter().map(|run| run.seed).collect();
        alike.entry(seeds).or_default().push(at);
    }
    let size = |(seeds, group): &(BTreeSet<u64>, Vec<At>)| (group.len(), seeds.len());
    let largest = alike.into_iter().max_by_key(size);
    largest.map(|(_, group)| group).unwrap_or_default()
}

/// Whether ranks can be compared user by user. Those of a cohort's users are not told apart, but that the ranks among
/// cold items tell whose target is cold.
fn is_testable(measured: &crate::runs::Measured) -> bool {
    let of_known_users = match measured.cohort {
        Some(Cohort::All) => true,
        Some(Cohort::ColdItem | Cohort::WarmItem) => measured.protocol == Some(Protocol::Full),
        _ => false,
    };
    let of_rank =
        matches!(measured.measure, Measure::Ranking { metric, .. } if metric.of_rank().is_some());
    of_rank && of_known_users
}

impl Style {
    fn of(spec: &TableSpec) -> Self {
        Self {
            digits: spec.digits,
            spread: spec.spread,
            delta: spec.delta,
        }
    }
}

/// Distinct values, in order, as a list of words.
fn listed<T: Ord + ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: BTreeSet<T> = values.into_iter().collect();
    values.iter().map(T::to_string).join(", ")
}
