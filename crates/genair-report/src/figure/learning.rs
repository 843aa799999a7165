//! Learning curves: loss and validation by epoch.

use std::collections::BTreeMap;

use genair_eval::statistics::summarise;
use genair_store::{ByRun, EpochRecord, RunId, Store};
use itertools::Itertools;

use super::Drawing;
use super::chart::{Axis, Chart, Panel, Point, Series};
use super::measured::{add_to_legend, looks, series_name, spread_note, title};
use crate::ReportError;
use crate::build::{build, chosen, fail_with};
use crate::error::TableError;
use crate::spec::{Dimension, FigureSpec, Measure, ReportSpec, Spread};
use crate::table::Cell;
use crate::write::csv;

/// A number of an epoch, where there is one.
type Curve = fn(&EpochRecord) -> Option<f64>;

/// What is drawn of an epoch.
const CURVES: [(&str, Curve); 2] = [
    ("valid", |epoch| epoch.valid),
    ("loss", |epoch| Some(epoch.loss)),
];

/// Validation and loss by epoch, mean over the seeds, as far as all of them got.
pub(super) fn curves(
    store: &mut Store,
    report: &ReportSpec,
    spec: &FigureSpec,
) -> Result<Drawing, ReportError> {
    let table = build(store, report, &spec.table())?;
    let mut looks = looks(store, report, &table)?;
    let mut legend = Vec::new();
    let mut panels = Vec::new();
    let header = ["panel", "series", "curve", "epoch", "mean", "low", "high"];
    let mut records = vec![header.map(str::to_owned)];
    let mut seeds = 0;
    for (at, column) in table.columns.iter().enumerate() {
        let cells = || {
            let rows = table.rows.iter();
            rows.filter_map(|row| Some((row, row.cells[at].as_ref()?)))
        };
        let runs: Vec<RunId> = cells().flat_map(|(_, cell)| run_numbers(cell)).collect();
        let metric = stop_metric(store, &runs).and_then(|found| {
            found.map_err(|kind| fail_with(report, &spec.table(), "sweeps", kind))
        })?;
        let epochs = store.epochs_of(&runs)?;
        for (curve, value) in CURVES {
            let mut drawn = Vec::new();
            for (row, cell) in cells() {
                let look = looks.of(&table.row_dimensions, &row.labels);
                let name = series_name(&row.labels);
                let points = mean_curve(&epochs, cell, value, spec.spread);
                if points.is_empty() {
                    continue; // Nothing is trained, or this was not measured.
                }
                seeds = seeds.max(cell.runs.len());
                for point in &points {
                    records.push([
                        title(&table, column, &[Dimension::Metric]),
                        name.clone(),
                        curve.to_owned(),
                        point.x.to_string(),
                        point.y.to_string(),
                        point.low.to_string(),
                        point.high.to_string(),
                    ]);
                }
                add_to_legend(&mut legend, name, look);
                drawn.push(Series::line(look, points, false));
            }
            panels.push(Panel {
                title: title(&table, column, &[Dimension::Metric]),
                x: Axis::linear("Epoch"),
                y: Axis::linear(match curve {
                    "valid" => format!("Validation {metric}"),
                    _ => "Training loss".to_owned(),
                }),
                series: drawn,
            });
        }
    }
    if records.len() == 1 {
        let what = "epochs of training";
        let kind = TableError::NotStored { what };
        return Err(fail_with(report, &spec.table(), "sweeps", kind));
    }
    let mut notes: Vec<String> = table.notes.iter().take(1).cloned().collect();
    notes.extend(chosen(&table.choices, report));
    notes.push(spread_note(seeds, spec.spread));
    notes.push("A curve ends where the first of its seeds stopped.".to_owned());
    Ok(Drawing {
        chart: Chart::new(panels, legend, false),
        csv: csv(records),
        notes,
    })
}

fn run_numbers(cell: &Cell) -> impl Iterator<Item = RunId> {
    cell.runs.iter().map(|run| run.run)
}

/// The early-stopping metric of the runs, which must have the same, as a header.
pub(super) fn stop_metric(
    store: &mut Store,
    runs: &[RunId],
) -> Result<Result<String, TableError>, ReportError> {
    let found = store.stop_metrics(runs)?;
    Ok(match found.as_slice() {
        [] => Ok(String::new()),
        [(metric, _)] => {
            let measure = metric.as_deref();
            let measure = measure.and_then(|metric| metric.parse::<Measure>().ok());
            Ok(measure.map_or_else(|| "metric".to_owned(), Measure::title))
        }
        several => {
            let mut groups = several.iter().map(|(metric, runs)| {
                let metric = metric.as_deref().unwrap_or("unknown");
                format!("  {metric}: runs {}", runs.iter().join(", "))
            });
            Err(TableError::Unlike {
                column: "epoch".to_owned(),
                fact: "train.stop.metric",
                groups: groups.join("\n"),
                allowed: false,
            })
        }
    })
}

/// The mean over a cell's runs by epoch, for the epochs at which all of them have a value.
fn mean_curve(
    epochs: &ByRun<EpochRecord>,
    cell: &Cell,
    value: Curve,
    spread: Spread,
) -> Vec<Point> {
    let mut values: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for run in run_numbers(cell) {
        for epoch in epochs.get(&run).into_iter().flatten() {
            values.entry(epoch.epoch).or_default().extend(value(epoch));
        }
    }
    values.retain(|_, values| values.len() == cell.runs.len());
    let points = values.into_iter().filter_map(|(epoch, values)| {
        // A loss that is not finite has no place on an axis.
        let summary = summarise(&values).ok()?;
        Some(Point::of(&summary, epoch as f64, spread))
    });
    points.collect()
}
