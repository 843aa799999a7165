//! A search as it went: each run's validation by epoch, until it was pruned or done.

use std::collections::BTreeMap;

use genair_store::Store;
use serde::Deserialize;

use super::chart::{Chart, Panel, Point, Series, Shape};
use super::learning::stop_metric;
use super::looks::Looks;
use super::measured::linear;
use super::style::{INK, Look, PALE};
use super::{Drawing, csv};
use crate::ReportError;
use crate::build::fail_with;
use crate::error::TableError;
use crate::rows::{list, rows};
use crate::runs::{Run, require_like_data, runs_of, states};
use crate::spec::{Dimension, FigureSpec, ReportSpec, TableSpec};

/// A validated epoch of a run.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Step {
    run_id: i64,
    epoch: u64,
    valid: f64,
}

/// A panel for each dataset.
pub(super) fn trajectories(
    store: &mut Store,
    report: &ReportSpec,
    spec: &FigureSpec,
) -> Result<Drawing, ReportError> {
    let table = spec.table();
    let fail = |key: &str, kind: TableError| fail_with(report, &table, key, kind);
    let mut runs = runs_of(store, &table, &fail)?;
    runs.retain(|run| matches!(run.state.as_str(), "finished" | "pruned"));
    if runs.is_empty() {
        let all = runs_of(store, &table, &fail)?;
        let states = states(&all.iter().collect::<Vec<_>>());
        return Err(fail("sweeps", TableError::NoFinishedRuns { states }));
    }
    let numbers: Vec<i64> = runs.iter().map(|run| run.run_id).collect();
    let metric = stop_metric(store, &numbers)?.map_err(|kind| fail("sweeps", kind))?;
    let steps = read(store, &numbers)?;
    if steps.is_empty() {
        let what = "validated epochs";
        return Err(fail("sweeps", TableError::NotStored { what }));
    }
    let mut datasets: Vec<&str> = runs.iter().map(|run| run.dataset.as_str()).collect();
    datasets.sort_unstable();
    datasets.dedup();
    let mut looks = Looks::new(store, report, None)?;
    let mut legend = Vec::new();
    let mut panels = Vec::new();
    for dataset in &datasets {
        let of_dataset: Vec<&Run> = runs.iter().filter(|run| run.dataset == *dataset).collect();
        require_like_data(&of_dataset).map_err(|kind| fail("sweeps", kind))?;
        let mut series = series(&of_dataset, &steps, &mut looks, &mut legend, report);
        let numbers = of_dataset.iter().map(|run| run.run_id);
        let points = thresholds(store, numbers)?;
        if points.len() > 1 {
            let look = Look {
                colour: INK,
                variant: 1,
            };
            let name = "threshold at last".to_owned();
            if !legend.iter().any(|(known, _)| *known == name) {
                legend.push((name, look));
            }
            let markers = false;
            let shape = Shape::Line { points, markers };
            series.push(Series { look, shape });
        }
        panels.push(Panel {
            title: if datasets.len() > 1 {
                crate::build::text(&Dimension::Dataset, dataset, report)
            } else {
                String::new()
            },
            x: linear("Epoch".to_owned()),
            y: linear(format!("Validation {metric}")),
            series,
        });
    }
    let count = |state: &str| runs.iter().filter(|run| run.state == state).count();
    let notes = vec![
        format!(
            "Validation split. {} runs, {} of them pruned.",
            runs.len(),
            count("pruned")
        ),
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
    steps: &BTreeMap<i64, Vec<Step>>,
    looks: &mut Looks<'_>,
    legend: &mut Vec<(String, Look)>,
    report: &ReportSpec,
) -> Vec<Series> {
    let mut drawn = Vec::new();
    for pruned in [true, false] {
        for run in runs.iter().filter(|run| (run.state == "pruned") == pruned) {
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
                let colour = looks.colour(&Dimension::Backbone, &run.backbone);
                let name = crate::build::text(&Dimension::Backbone, &run.backbone, report);
                (name, Look::plain(colour))
            };
            let points = steps
                .iter()
                .map(|step| Point::exact(step.epoch as f64, step.valid));
            let points: Vec<Point> = points.collect();
            let end = points.last().copied();
            let markers = false;
            let shape = Shape::Line { points, markers };
            drawn.push(Series { look, shape });
            if let Some(end) = end {
                let points = vec![end];
                let shape = Shape::Points { points };
                drawn.push(Series { look, shape });
            }
            if !legend.iter().any(|(known, _)| *known == name) {
                legend.push((name, look));
            }
        }
    }
    drawn
}

/// By epoch of a judgement, the threshold that the last run to be judged there was held against.
fn thresholds(
    store: &mut Store,
    runs: impl IntoIterator<Item = i64>,
) -> Result<Vec<Point>, ReportError> {
    #[derive(Deserialize)]
    struct Judgement {
        epoch: u64,
        threshold: f64,
    }
    // Columns beside max() are those of the row that has it.
    let sql = format!(
        "SELECT epoch, threshold, max(decided_at) FROM prune_decisions
         WHERE run_id IN ({}) AND threshold IS NOT NULL GROUP BY epoch ORDER BY epoch",
        list(runs)
    );
    let judgements: Vec<Judgement> = rows(store, &sql)?;
    let points = judgements
        .into_iter()
        .map(|judgement| Point::exact(judgement.epoch as f64, judgement.threshold));
    Ok(points.collect())
}

fn read(store: &mut Store, runs: &[i64]) -> Result<BTreeMap<i64, Vec<Step>>, ReportError> {
    let sql = format!(
        "SELECT run_id, epoch, valid FROM epochs
         WHERE run_id IN ({}) AND valid IS NOT NULL ORDER BY run_id, epoch",
        list(runs.iter().copied())
    );
    let mut steps: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for step in rows::<Step>(store, &sql)? {
        steps.entry(step.run_id).or_default().push(step);
    }
    Ok(steps)
}

fn to_csv(runs: &[Run], steps: &BTreeMap<i64, Vec<Step>>, table: &TableSpec) -> String {
    let records = runs.iter().flat_map(|run| {
        let steps = steps.get(&run.run_id).into_iter().flatten();
        steps.map(move |step| {
            let labels: Vec<&str> = table.rows.iter().map(|d| run.label(d)).collect();
            [
                run.run_id.to_string(),
                run.state.clone(),
                run.dataset.clone(),
                labels.join(" "),
                run.seed.to_string(),
                step.epoch.to_string(),
                step.valid.to_string(),
            ]
        })
    });
    csv(
        [
            "run_id", "state", "dataset", "labels", "seed", "epoch", "valid",
        ],
        records,
    )
}
