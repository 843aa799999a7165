//! Figures whose numbers are the cells of a table: sensitivity curves, bars by cohort, accuracy against
//! cost.

use std::collections::BTreeSet;

use genair_protocol::text::escaped;
use genair_store::{RunId, Store};
use itertools::Itertools;

use super::Drawing;
use super::chart::{Axis, Chart, Panel, Point, Scale, Series, Shape};
use super::looks::Looks;
use super::style::Look;
use crate::ReportError;
use crate::build::{build, chosen, fail_with};
use crate::error::TableError;
use crate::render::{Format, render};
use crate::spec::{Dimension, FigureSpec, Measure, ReportSpec, Spread};
use crate::table::{Column, Label, Table};

/// A metric by a swept setting.
pub(super) fn sensitivity(
    store: &mut Store,
    report: &ReportSpec,
    spec: &FigureSpec,
) -> Result<Drawing, ReportError> {
    let table = build(store, report, &spec.table())?;
    let x = Dimension::from(spec.x.clone().unwrap_or_default());
    let Some(x_at) = table.row_dimensions.iter().position(|own| *own == x) else {
        let error = TableError::OneValue {
            axis: x.to_string(),
        };
        return Err(fail_with(report, &spec.table(), "x", error));
    };
    let mut looks = looks(store, report, &table)?;
    let series_dimensions = without(&table.row_dimensions, x_at);
    let values = table.rows.iter().map(|row| row.labels[x_at].name.clone());
    let values: Vec<String> = values.unique().filter(|value| !value.is_empty()).collect();
    let (scale, places) = Scale::of(&values);
    // The labels of each series, without those of the horizontal axis.
    let series = table
        .rows
        .iter()
        .map(|row| without(&row.labels, x_at))
        .unique();
    let series: Vec<Vec<Label>> = series.collect();
    let mut legend = Vec::new();
    let mut panels = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let mut drawn = Vec::new();
        for labels in &series {
            let look = looks.of(&series_dimensions, labels);
            let points = std::iter::zip(&values, &places).filter_map(|(value, x)| {
                let row = table.rows.iter().find(|row| {
                    row.labels[x_at].name == *value && without(&row.labels, x_at) == *labels
                })?;
                let cell = row.cells[at].as_ref()?;
                Some(Point::of(&cell.summary, *x, spec.spread))
            });
            let points: Vec<Point> = points.collect();
            if points.is_empty() {
                continue;
            }
            add_to_legend(&mut legend, series_name(labels), look);
            drawn.push(Series::line(look, points, true));
        }
        panels.push(Panel {
            title: title(&table, column, &[Dimension::Metric]),
            x: Axis {
                label: label_of(report, x.as_str()),
                scale: scale.clone(),
            },
            y: Axis::linear(column.measure.title()),
            series: drawn,
        });
    }
    Ok(drawing(report, panels, legend, false, &table, spec))
}

/// A metric by cohort of users.
pub(super) fn cohorts(
    store: &mut Store,
    report: &ReportSpec,
    spec: &FigureSpec,
) -> Result<Drawing, ReportError> {
    let table = build(store, report, &spec.table())?;
    let mut looks = looks(store, report, &table)?;
    let cohort = column_place(&table, &Dimension::Cohort);
    let cohort_of = |column: &Column| match cohort {
        Some(at) => column.labels[at].text.clone(),
        None => "all users".to_owned(),
    };
    let users = users_of_cohorts(store, &table)?;
    let slots = table.rows.len();
    let mut legend = Vec::new();
    let mut panels = Vec::new();
    for columns in panels_without(&table, &Dimension::Cohort) {
        let name = |&at: &usize| with_users(&cohort_of(&table.columns[at]), &users[at]);
        let names: Vec<String> = columns.iter().map(name).collect();
        let mut drawn = Vec::new();
        for (slot, row) in table.rows.iter().enumerate() {
            let look = looks.of(&table.row_dimensions, &row.labels);
            let points = columns.iter().enumerate().filter_map(|(x, &at)| {
                let cell = row.cells[at].as_ref()?;
                Some(Point::of(&cell.summary, x as f64, spec.spread))
            });
            let points: Vec<Point> = points.collect();
            add_to_legend(&mut legend, series_name(&row.labels), look);
            let shape = Shape::Bars {
                points,
                slot,
                slots,
            };
            drawn.push(Series { look, shape });
        }
        let first = &table.columns[columns[0]];
        panels.push(Panel {
            title: title(&table, first, &[Dimension::Metric, Dimension::Cohort]),
            x: Axis {
                label: String::new(),
                scale: Scale::Categories(names),
            },
            y: Axis::linear(first.measure.title()),
            series: drawn,
        });
    }
    Ok(drawing(report, panels, legend, true, &table, spec))
}

/// A cohort over how many users it has; from the fewest to the most where runs differ.
fn with_users(name: &str, users: &BTreeSet<u64>) -> String {
    match (users.first(), users.last()) {
        (Some(least), Some(most)) if least < most => format!("{name}\nn = {least}\u{2013}{most}"),
        (Some(users), _) => format!("{name}\nn = {users}"),
        (None, _) => name.to_owned(),
    }
}

/// How many users each column is over, run by run.
fn users_of_cohorts(store: &mut Store, table: &Table) -> Result<Vec<BTreeSet<u64>>, ReportError> {
    let runs: Vec<RunId> = runs_of(table).unique().collect();
    let results = store.test_results(&runs)?;
    let cohort = column_place(table, &Dimension::Cohort);
    let of_column = |(at, column): (usize, &Column)| {
        let cohort = cohort.map_or("all", |place| column.labels[place].name.as_str());
        let cells = table.rows.iter().filter_map(|row| row.cells[at].as_ref());
        let runs = cells.flat_map(|cell| &cell.runs);
        let own = runs.filter_map(|run| results.get(&run.run)).flatten();
        let own = own.filter(|own| own.cohort.as_str() == cohort);
        own.map(|own| own.users).collect()
    };
    Ok(table.columns.iter().enumerate().map(of_column).collect())
}

/// A metric against what it costs.
pub(super) fn cost(
    store: &mut Store,
    report: &ReportSpec,
    spec: &FigureSpec,
) -> Result<Drawing, ReportError> {
    let table = build(store, report, &spec.table())?;
    let mut looks = looks(store, report, &table)?;
    let cost = spec.cost();
    let dataset = column_place(&table, &Dimension::Dataset);
    let dataset_of = |column: &Column| dataset.map(|at| column.labels[at].name.clone());
    let mut legend = Vec::new();
    let mut panels = Vec::new();
    let measured = table.columns.iter().enumerate();
    for (at, column) in measured.filter(|(_, column)| column.measure != cost) {
        let cost_at = table
            .columns
            .iter()
            .position(|other| other.measure == cost && dataset_of(other) == dataset_of(column));
        let mut drawn = Vec::new();
        for row in &table.rows {
            let cell = |at: usize| row.cells[at].as_ref();
            let (Some(own), Some(cost)) = (cell(at), cost_at.and_then(cell)) else {
                continue;
            };
            let look = looks.of(&table.row_dimensions, &row.labels);
            add_to_legend(&mut legend, series_name(&row.labels), look);
            let points = vec![Point::of(&own.summary, cost.summary.mean, spec.spread)];
            let shape = Shape::Points { points };
            drawn.push(Series { look, shape });
        }
        let costs = drawn.iter().flat_map(|series| series.shape.extent().0);
        let costs: Vec<f64> = costs.collect();
        // Costs have neither protocol nor cohort, which makes one of either look like one of several.
        let mut unsaid = vec![Dimension::Metric];
        unsaid.extend((spec.protocols.len() == 1).then_some(Dimension::Protocol));
        unsaid.extend((spec.cohorts.len() <= 1).then_some(Dimension::Cohort));
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = costs.iter().copied().fold(0.0, f64::max);
        let wide = least > 0.0 && most > 20.0 * least;
        panels.push(Panel {
            title: title(&table, column, &unsaid),
            x: Axis {
                label: cost_label(cost),
                scale: if wide { Scale::Log } else { Scale::Linear },
            },
            y: Axis::linear(column.measure.title()),
            series: drawn,
        });
    }
    Ok(drawing(report, panels, legend, false, &table, spec))
}

pub(super) fn cost_label(cost: Measure) -> String {
    match cost {
        Measure::CpuSeconds => "CPU seconds of a run".to_owned(),
        Measure::SecondsPerEpoch => "Seconds per epoch".to_owned(),
        Measure::PeakMemoryMib => "Peak memory (MiB)".to_owned(),
        Measure::Parameters => "Trainable parameters".to_owned(),
        other => other.title(),
    }
}

fn drawing(
    report: &ReportSpec,
    panels: Vec<Panel>,
    legend: Vec<(String, Look)>,
    wide: bool,
    table: &Table,
    spec: &FigureSpec,
) -> Drawing {
    let cells = table.rows.iter().flat_map(|row| &row.cells).flatten();
    let seeds = cells.map(|cell| cell.summary.n).max().unwrap_or_default();
    let spread = spread_note(seeds, spec.spread);
    Drawing {
        chart: Chart::new(panels, legend, wide),
        csv: render(table, Format::Csv),
        notes: table
            .notes
            .iter()
            .take(1)
            .cloned()
            .chain(chosen(&table.choices, report))
            .chain([spread])
            .collect(),
    }
}

/// What a line and its band are.
pub(super) fn spread_note(seeds: usize, spread: Spread) -> String {
    if seeds < 2 {
        return "One run each.".to_owned();
    }
    let band = match spread {
        Spread::None => "",
        Spread::Std => "; band or bar: one standard deviation to either side",
        Spread::Interval => "; band or bar: 95 % t-interval of the mean",
    };
    format!("Mean over {seeds} seeds{band}.")
}

/// The runs behind a table's cells.
fn runs_of(table: &Table) -> impl Iterator<Item = RunId> {
    let cells = table.rows.iter().flat_map(|row| &row.cells).flatten();
    cells.flat_map(|cell| &cell.runs).map(|run| run.run)
}

/// Where a dimension stands among those that tell columns apart.
fn column_place(table: &Table, dimension: &Dimension) -> Option<usize> {
    let mut dimensions = table.column_dimensions.iter();
    dimensions.position(|own| own == dimension)
}

pub(super) fn looks<'r>(
    store: &mut Store,
    report: &'r ReportSpec,
    table: &Table,
) -> Result<Looks<'r>, ReportError> {
    let only = match runs_of(table).next() {
        Some(run) if !table.row_dimensions.contains(&Dimension::Backbone) => {
            Some(store.backbone_of(run)?)
        }
        _ => None,
    };
    Looks::new(store, report, only)
}

pub(super) fn add_to_legend(legend: &mut Vec<(String, Look)>, name: String, look: Look) {
    if !legend.iter().any(|(known, _)| *known == name) {
        legend.push((name, look));
    }
}

pub(super) fn series_name(labels: &[Label]) -> String {
    let texts = labels.iter().map(|label| &label.text);
    texts.filter(|text| !text.is_empty()).join(", ")
}

fn label_of(report: &ReportSpec, name: &str) -> String {
    let own = report.names.get(name).cloned();
    own.unwrap_or_else(|| escaped(name).into_owned())
}

/// A column's labels that tell panels apart, but those of `unsaid` dimensions.
pub(super) fn title(table: &Table, column: &Column, unsaid: &[Dimension]) -> String {
    let labels: Vec<Label> = std::iter::zip(&table.column_dimensions, &column.labels)
        .filter(|(dimension, _)| !unsaid.contains(dimension))
        .map(|(_, label)| label.clone())
        .collect();
    series_name(&labels)
}

/// Columns that differ in one dimension alone, together.
fn panels_without(table: &Table, dimension: &Dimension) -> Vec<Vec<usize>> {
    let at = column_place(table, dimension);
    let key = |column: &Column| match at {
        Some(at) => without(&column.labels, at),
        None => column.labels.clone(),
    };
    let columns = table.columns.iter().map(key).zip(0..).into_group_map();
    columns.into_values().sorted().collect()
}

fn without<T: Clone>(list: &[T], at: usize) -> Vec<T> {
    let others = list.iter().enumerate().filter(|(own, _)| *own != at);
    others.map(|(_, value)| value.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cohort_stands_over_its_users() {
        for (users, expected) in [
            (&[][..], "tail items"),
            (&[60], "tail items\nn = 60"),
            (&[60, 58], "tail items\nn = 58\u{2013}60"),
        ] {
            let users = users.iter().copied().collect();
            assert_eq!(with_users("tail items", &users), expected);
        }
    }
}
