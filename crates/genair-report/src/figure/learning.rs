//! Learning curves: loss and validation by epoch.

use std::collections::BTreeMap;

use genair_store::Store;
use serde::Deserialize;

use super::chart::{Axis, Chart, Panel, Point, Series, Shape};
use super::measured::{add_to_legend, linear, looks, series_name, spread_note, title};
use super::{Drawing, csv};
use crate::ReportError;
use crate::build::{build, fail_with};
use crate::error::TableError;
use crate::rows::{list, rows};
use crate::spec::{Dimension, FigureSpec, Measure, ReportSpec, Spread};
use crate::statistics::summarise;
use crate::table::Cell;

/// An epoch of a run.
#[derive(Clone, Debug, Deserialize)]
struct Epoch {
    run_id: i64,
    epoch: u64,
    loss: f64,
    valid: Option<f64>,
}

/// Epochs by run.
type Epochs = BTreeMap<i64, Vec<Epoch>>;

/// A number of an epoch, where there is one.
type Curve = fn(&Epoch) -> Option<f64>;

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
    let mut records = Vec::new();
    let mut seeds = 0;
    for (at, column) in table.columns.iter().enumerate() {
        let cells = || {
            table
                .rows
                .iter()
                .filter_map(|row| Some((row, row.cells[at].as_ref()?)))
        };
        let runs: Vec<i64> = cells().flat_map(|(_, cell)| run_numbers(cell)).collect();
        let metric = stop_metric(store, &runs).and_then(|found| {
            found.map_err(|kind| fail_with(report, &spec.table(), "sweeps", kind))
        })?;
        let epochs = read(store, &runs)?;
        for (curve, value) in CURVES {
            let mut drawn = Vec::new();
            for (row, cell) in cells() {
                let look = looks.of(&table.row_dimensions, &row.labels);
                let points = mean_curve(&epochs, cell, value, spec.spread);
                if points.is_empty() {
                    continue; // Nothing is trained, or this was not measured.
                }
                seeds = seeds.max(cell.runs.len());
                for point in &points {
                    records.push([
                        title(&table, column, &[Dimension::Metric]),
                        series_name(&row.labels),
                        curve.to_owned(),
                        point.x.to_string(),
                        point.y.to_string(),
                        point.low.to_string(),
                        point.high.to_string(),
                    ]);
                }
                add_to_legend(&mut legend, &row.labels, look);
                let markers = false;
                let shape = Shape::Line { points, markers };
                drawn.push(Series { look, shape });
            }
            panels.push(Panel {
                title: title(&table, column, &[Dimension::Metric]),
                x: linear("Epoch".to_owned()),
                y: Axis {
                    label: match curve {
                        "valid" => format!("Validation {metric}"),
                        _ => "Training loss".to_owned(),
                    },
                    ..linear(String::new())
                },
                series: drawn,
            });
        }
    }
    if records.is_empty() {
        let what = "epochs of training";
        let kind = TableError::NotStored { what };
        return Err(fail_with(report, &spec.table(), "sweeps", kind));
    }
    let mut notes: Vec<String> = table.notes.first().cloned().into_iter().collect();
    notes.push(spread_note(seeds, spec.spread));
    notes.push("A curve ends where the first of its seeds stopped.".to_owned());
    Ok(Drawing {
        chart: Chart {
            panels,
            legend: if legend.len() > 1 { legend } else { Vec::new() },
            wide: false,
        },
        csv: csv(
            ["panel", "series", "curve", "epoch", "mean", "low", "high"],
            records,
        ),
        notes,
    })
}

fn run_numbers(cell: &Cell) -> impl Iterator<Item = i64> {
    cell.runs.iter().map(|run| run.run)
}

/// The early-stopping metric of the runs, which must have the same, as a header.
pub(super) fn stop_metric(
    store: &mut Store,
    runs: &[i64],
) -> Result<Result<String, TableError>, ReportError> {
    #[derive(Deserialize)]
    struct Metric {
        metric: Option<String>,
        runs: String,
    }
    let sql = format!(
        "SELECT json_extract(spec, '$.train.stop.metric') AS metric, group_concat(run_id, ', ') AS runs
         FROM runs WHERE run_id IN ({}) GROUP BY 1",
        list(runs.iter().copied())
    );
    let found: Vec<Metric> = rows(store, &sql)?;
    Ok(match found.as_slice() {
        [] => Ok(String::new()),
        [one] => {
            let measure = one
                .metric
                .as_deref()
                .and_then(|metric| metric.parse::<Measure>().ok());
            Ok(measure.map_or_else(|| "metric".to_owned(), Measure::title))
        }
        several => {
            let groups = several.iter().map(|group| {
                let metric = group.metric.as_deref().unwrap_or("unknown");
                format!("  {metric}: runs {}", group.runs)
            });
            Err(TableError::Unlike {
                column: "epoch".to_owned(),
                fact: "train.stop.metric",
                groups: groups.collect::<Vec<_>>().join("\n"),
                allowed: false,
            })
        }
    })
}

fn read(store: &mut Store, runs: &[i64]) -> Result<Epochs, ReportError> {
    let sql = format!(
        "SELECT run_id, epoch, loss, valid FROM epochs WHERE run_id IN ({}) ORDER BY run_id, epoch",
        list(runs.iter().copied())
    );
    let mut epochs = Epochs::new();
    for epoch in rows::<Epoch>(store, &sql)? {
        epochs.entry(epoch.run_id).or_default().push(epoch);
    }
    Ok(epochs)
}

/// The mean over a cell's runs by epoch, for the epochs at which all of them have a value.
fn mean_curve(
    epochs: &Epochs,
    cell: &Cell,
    value: fn(&Epoch) -> Option<f64>,
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
        let [low, high] = match spread {
            Spread::None => None,
            Spread::Std => summary
                .std
                .map(|std| [summary.mean - std, summary.mean + std]),
            Spread::Interval => summary.interval,
        }
        .unwrap_or([summary.mean, summary.mean]);
        Some(Point {
            x: epoch as f64,
            y: summary.mean,
            low,
            high,
        })
    });
    points.collect()
}
