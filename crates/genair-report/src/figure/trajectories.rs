//! A search as it went: each run's validation by epoch, until it was pruned or done.

use std::collections::{BTreeMap, BTreeSet};

use genair_store::{EpochRecord, RunId, RunState, Select, Store};

use super::Drawing;
use super::chart::{Axis, Chart, Panel, Point, Series, Shape};
use super::learning::stop_metric;
use super::looks::Looks;
use super::measured::add_to_legend;
use super::style::{INK, Look, PALE};
use crate::ReportError;
use crate::build::{fail_with, text};
use crate::error::TableError;
use crate::runs::{Run, require_like_data, runs_of, states};
use crate::spec::{Dimension, FigureSpec, ReportSpec, TableSpec};
use crate::write::csv;

/// The validated epochs of a run, and what the validation came to.
type Steps = Vec<(u64, f64)>;

/// A panel for each dataset.
pub(super) fn trajectories(
    store: &mut Store,
    report: &ReportSpec,
    spec: &FigureSpec,
) -> Result<Drawing, ReportError> {
    let table = TableSpec {
        select: Select::None,
        ..spec.table()
    };
    let fail = |key: &str, kind: TableError| fail_with(report, &table, key, kind);
    let mut runs = runs_of(store, &table, &fail)?;
    runs.retain(|run| matches!(run.state, RunState::Finished | RunState::Pruned));
    if runs.is_empty() {
        let all = runs_of(store, &table, &fail)?;
        let states = states(&all.iter().collect::<Vec<_>>());
        return Err(fail("sweeps", TableError::NoFinishedRuns { states }));
    }
    let numbers: Vec<RunId> = runs.iter().map(|run| run.run_id).collect();
    let metric = stop_metric(store, &numbers)?.map_err(|kind| fail("sweeps", kind))?;
    let steps = read(store, &numbers)?;
    if steps.is_empty() {
        let what = "validated epochs";
        return Err(fail("sweeps", TableError::NotStored { what }));
    }
    let datasets: BTreeSet<&str> = runs.iter().map(|run| run.labels.dataset.as_str()).collect();
    let mut looks = Looks::new(store, report, None)?;
    let mut legend = Vec::new();
    let mut panels = Vec::new();
    for dataset in &datasets {
        let of_dataset = runs.iter().filter(|run| run.labels.dataset == *dataset);
        let of_dataset: Vec<&Run> = of_dataset.collect();
        require_like_data(&of_dataset).map_err(|kind| fail("sweeps", kind))?;
        let mut series = series(&of_dataset, &steps, &mut looks, &mut legend, report);
        let numbers: Vec<RunId> = of_dataset.iter().map(|run| run.run_id).collect();
        let points = store.prune_thresholds(&numbers)?.into_iter();
        let points = points.map(|(epoch, threshold)| Point::exact(epoch as f64, threshold));
        let points: Vec<Point> = points.collect();
        if points.len() > 1 {
            let look = Look {
                colour: INK,
                variant: 1,
            };
            add_to_legend(&mut legend, "threshold at last".to_owned(), look);
            series.push(Series::line(look, points, false));
        }
        panels.push(Panel {
            title: match datasets.len() {
                1 => String::new(),
                _ => text(&Dimension::Dataset, dataset, report),
            },
            x: Axis::linear("Epoch"),
            y: Axis::linear(format!("Validation {metric}")),
            series,
        });
    }
    let pruned = runs.iter().filter(|run| run.state == RunState::Pruned);
    let (all, pruned) = (runs.len(), pruned.count());
    let notes = vec![
        format!("Validation split. {all} runs, {pruned} of them pruned."),
        "A cross ends a pruned run, a circle a finished one; dashed: what the last run to be judged \
         at an epoch had to reach."
            .to_owned(),
    ];
    Ok(Drawing {
        chart: Chart {
            panels,
            legend,
            wide: false,
        },
        csv: to_csv(&runs, &steps, &table),
        notes,
    })
}

/// Pruned runs first, so that the others lie on top of them.
fn series(
    runs: &[&Run],
    steps: &BTreeMap<RunId, Steps>,
    looks: &mut Looks<'_>,
    legend: &mut Vec<(String, Look)>,
    report: &ReportSpec,
) -> Vec<Series> {
    let mut drawn = Vec::new();
    for pruned in [true, false] {
        let of_state = |run: &&&Run| (run.state == RunState::Pruned) == pruned;
        for run in runs.iter().filter(of_state) {
            let Some(steps) = steps.get(&run.run_id) else {
                continue; // Nothing is trained.
            };
            let (name, look) = if pruned {
                // A cross is marker number 4; its dash is that of number 0.
                let look = Look {
                    colour: PALE,
                    variant: 4,
                };
                ("pruned".to_owned(), look)
            } else {
                let backbone = &run.labels.backbone;
                let colour = looks.colour(&Dimension::Backbone, backbone);
                let name = text(&Dimension::Backbone, backbone, report);
                (name, Look::plain(colour))
            };
            let point = |(epoch, valid): &(u64, f64)| Point::exact(*epoch as f64, *valid);
            let points: Vec<Point> = steps.iter().map(point).collect();
            let end = points.last().copied();
            drawn.push(Series::line(look, points, false));
            if let Some(end) = end {
                let points = vec![end];
                let shape = Shape::Points { points };
                drawn.push(Series { look, shape });
            }
            add_to_legend(legend, name, look);
        }
    }
    drawn
}

fn read(store: &mut Store, runs: &[RunId]) -> Result<BTreeMap<RunId, Steps>, ReportError> {
    let validated = |epochs: Vec<EpochRecord>| -> Steps {
        let steps = epochs
            .iter()
            .filter_map(|own| Some((own.epoch, own.valid?)));
        steps.collect()
    };
    let runs = store.epochs_of(runs)?.into_iter();
    let runs = runs.map(|(run, epochs)| (run, validated(epochs)));
    Ok(runs.filter(|(_, steps)| !steps.is_empty()).collect())
}

fn to_csv(runs: &[Run], steps: &BTreeMap<RunId, Steps>, table: &TableSpec) -> String {
    let records = runs.iter().flat_map(|run| {
        let steps = steps.get(&run.run_id).into_iter().flatten();
        steps.map(move |(epoch, valid)| {
            let labels: Vec<&str> = table.rows.iter().map(|d| run.label(d)).collect();
            [
                run.run_id.to_string(),
                run.state.to_string(),
                run.labels.dataset.clone(),
                labels.join(" "),
                run.labels.seed.to_string(),
                epoch.to_string(),
                valid.to_string(),
            ]
        })
    });
    let header = [
        "run_id", "state", "dataset", "labels", "seed", "epoch", "valid",
    ];
    csv([header.map(str::to_owned)].into_iter().chain(records))
}
