//! Runs by row and column. A cell holds the runs of one configuration, one for each seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use genair_protocol::text::{check_name, escaped};

use super::order;
use crate::error::TableError;
use crate::runs::{Measured, Run, Selection};
use crate::spec::{Dimension, ReportSpec, TableSpec};
use crate::table::{Cell, Column, Label, Row, Style, Table};

/// A cell's row and column, from 0.
pub(super) type At = (usize, usize);

/// What tells runs apart but the seed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Configuration {
    /// Only where a table tells sweeps apart.
    pub(super) sweep: Option<String>,
    pub(super) dataset: String,
    pub(super) backbone: String,
    pub(super) representation: String,
    pub(super) variant: String,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} on {}",
            self.backbone, self.representation, self.dataset
        )?;
        if !self.variant.is_empty() {
            write!(f, " ({})", self.variant)?;
        }
        match &self.sweep {
            Some(sweep) => write!(f, " of sweep {sweep}"),
            None => Ok(()),
        }
    }
}

/// Runs of a cell and what each measured.
pub(super) type CellRuns<'r> = Vec<(&'r Run, f64)>;

/// Finished runs by row and column.
pub(super) struct Pivot<'r> {
    by_sweep: bool,
    row_dimensions: Vec<Dimension>,
    column_dimensions: Vec<Dimension>,
    rows: Vec<Vec<String>>,
    columns: Vec<(Vec<String>, Measured)>,
    pub(super) cells: BTreeMap<At, CellRuns<'r>>,
}

impl<'r> Pivot<'r> {
    /// Sorts the finished runs of a selection into cells.
    pub(super) fn new(selection: &'r Selection, spec: &TableSpec) -> Result<Self, TableError> {
        let by_sweep = spec
            .rows
            .iter()
            .chain(&spec.columns)
            .any(|d| *d == Dimension::Sweep);
        let runs = distinct_runs(selection, by_sweep)?;
        let sort_key = |labels: &[String], orders: &[Vec<String>]| -> Vec<usize> {
            std::iter::zip(labels, orders)
                .map(|(label, order)| order.iter().position(|l| l == label).unwrap_or(order.len()))
                .collect()
        };
        let orders = |dimensions: &[Dimension]| -> Vec<Vec<String>> {
            dimensions
                .iter()
                .map(|dimension| order::values(dimension, &runs, spec))
                .collect()
        };
        let (row_orders, column_orders) = (orders(&spec.rows), orders(&spec.columns));
        let all = Measured::all(spec);

        // Sorted by place first, numbered afterwards.
        type Key = (Vec<usize>, Vec<String>);
        let mut rows: BTreeSet<Key> = BTreeSet::new();
        let mut columns: BTreeSet<(Key, Measured)> = BTreeSet::new();
        let mut cells: BTreeMap<(Key, (Key, Measured)), CellRuns<'r>> = BTreeMap::new();
        for run in &runs {
            let labels: Vec<String> = spec.rows.iter().map(|d| run.label(d).to_owned()).collect();
            let row = (sort_key(&labels, &row_orders), labels);
            for &measured in &all {
                let Some(value) = selection.value(run, measured) else {
                    continue;
                };
                let label = |d: &Dimension| {
                    if d.is_measured() {
                        measured.label(d)
                    } else {
                        run.label(d).to_owned()
                    }
                };
                let labels: Vec<String> = spec.columns.iter().map(label).collect();
                let column = ((sort_key(&labels, &column_orders), labels), measured);
                rows.insert(row.clone());
                columns.insert(column.clone());
                cells
                    .entry((row.clone(), column))
                    .or_default()
                    .push((run, value));
            }
        }
        let number = |(row, column): &(Key, (Key, Measured))| -> At {
            let row = rows.iter().position(|known| known == row);
            let column = columns.iter().position(|known| known == column);
            (row.unwrap_or_default(), column.unwrap_or_default())
        };
        let pivot = Self {
            by_sweep,
            row_dimensions: spec.rows.clone(),
            column_dimensions: spec.columns.clone(),
            cells: cells
                .into_iter()
                .map(|(key, runs)| (number(&key), runs))
                .collect(),
            rows: rows.into_iter().map(|(_, labels)| labels).collect(),
            columns: columns
                .into_iter()
                .map(|((_, labels), measured)| (labels, measured))
                .collect(),
        };
        pivot.require_one_configuration_per_cell()?;
        Ok(pivot)
    }

    fn require_one_configuration_per_cell(&self) -> Result<(), TableError> {
        for runs in self.cells.values() {
            let (first, _) = runs[0];
            let labels_alone = runs.iter().find(|(run, _)| {
                self.configuration_of(run) == self.configuration_of(first)
                    && run.configuration != first.configuration
            });
            if let Some((other, _)) = labels_alone {
                return Err(TableError::Mixed {
                    first: first.run_id,
                    second: other.run_id,
                    configuration: self.configuration_of(first).to_string(),
                });
            }
            let Some((other, _)) = runs
                .iter()
                .find(|(run, _)| self.configuration_of(run) != self.configuration_of(first))
            else {
                continue;
            };
            let candidates = [
                Dimension::Dataset,
                Dimension::Backbone,
                Dimension::Representation,
                Dimension::Variant,
            ];
            let differing = candidates
                .into_iter()
                .find(|dimension| first.label(dimension) != other.label(dimension));
            return Err(TableError::Ambiguous {
                first: self.configuration_of(first).to_string(),
                second: self.configuration_of(other).to_string(),
                dimension: differing.unwrap_or(Dimension::Sweep).to_string(),
            });
        }
        Ok(())
    }

    /// What each column measures.
    pub(super) fn measured(&self) -> impl Iterator<Item = &Measured> {
        self.columns.iter().map(|(_, measured)| measured)
    }

    /// A column as an error calls it.
    pub(super) fn column_name(&self, column: usize) -> String {
        let labels: Vec<&str> = self.columns[column]
            .0
            .iter()
            .map(String::as_str)
            .filter(|label| !label.is_empty())
            .collect();
        if labels.is_empty() {
            self.columns[column].1.to_string()
        } else {
            labels.join(" ")
        }
    }

    /// The configuration in a cell that is not empty.
    pub(super) fn configuration(&self, at: At) -> Configuration {
        self.configuration_of(self.cells[&at][0].0)
    }

    pub(super) fn configuration_of(&self, run: &Run) -> Configuration {
        Configuration {
            sweep: self.by_sweep.then(|| run.sweep.clone()),
            dataset: run.labels.dataset.clone(),
            backbone: run.labels.backbone.clone(),
            representation: run.labels.representation.clone(),
            variant: run.variant.clone(),
        }
    }

    /// The cells of a column, those alike in `within` together.
    pub(super) fn groups(&self, column: usize, within: &[Dimension]) -> Vec<Vec<At>> {
        let mut groups: BTreeMap<Vec<&str>, Vec<At>> = BTreeMap::new();
        for (&at, runs) in self.cells.iter().filter(|(at, _)| at.1 == column) {
            let labels = within
                .iter()
                .map(|dimension| runs[0].0.label(dimension))
                .collect();
            groups.entry(labels).or_default().push(at);
        }
        groups.into_values().collect()
    }

    /// Labels that never vary, for the notes: dimensions and their one value.
    pub(super) fn constants(&self) -> Vec<(&Dimension, &str)> {
        let rows = constants(&self.row_dimensions, self.rows.iter().map(Vec::as_slice));
        let columns = self.columns.iter().map(|(labels, _)| labels.as_slice());
        let columns = constants(&self.column_dimensions, columns);
        rows.into_iter()
            .map(|at| (&self.row_dimensions[at], self.rows[0][at].as_str()))
            .chain(
                columns
                    .into_iter()
                    .map(|at| (&self.column_dimensions[at], self.columns[0].0[at].as_str())),
            )
            .collect()
    }

    /// The table, with labels that never vary left out.
    pub(super) fn table(
        self,
        mut cells: BTreeMap<At, Cell>,
        notes: Vec<String>,
        spec: &TableSpec,
        report: &ReportSpec,
    ) -> Table {
        let mut shown_rows = varying(&self.row_dimensions, self.rows.iter().map(Vec::as_slice));
        if shown_rows.is_empty() {
            shown_rows.push(0); // A row needs a name.
        }
        let labels = self.columns.iter().map(|(labels, _)| labels.as_slice());
        let mut shown_columns = varying(&self.column_dimensions, labels);
        if shown_columns.is_empty() {
            let metric = self
                .column_dimensions
                .iter()
                .position(|d| *d == Dimension::Metric);
            shown_columns.extend(metric);
        }
        let label = |dimension: &Dimension, name: &str| Label {
            name: name.to_owned(),
            text: text(dimension, name, report),
        };
        let columns = self.columns.iter().map(|(labels, measured)| Column {
            labels: shown_columns
                .iter()
                .map(|&at| label(&self.column_dimensions[at], &labels[at]))
                .collect(),
            measure: measured.measure,
        });
        let columns: Vec<Column> = columns.collect();
        let rows = self.rows.iter().enumerate().map(|(row, labels)| Row {
            labels: shown_rows
                .iter()
                .map(|&at| label(&self.row_dimensions[at], &labels[at]))
                .collect(),
            cells: (0..columns.len())
                .map(|column| cells.remove(&(row, column)))
                .collect(),
        });
        Table {
            name: spec.name.clone(),
            caption: spec.caption.clone(),
            rows: rows.collect(),
            row_dimensions: pick(&self.row_dimensions, &shown_rows),
            column_dimensions: pick(&self.column_dimensions, &shown_columns),
            columns,
            notes,
            style: Style::of(spec),
        }
    }
}

/// A label in print: as the report names it, else in words where the field has some.
pub(crate) fn text(dimension: &Dimension, name: &str, report: &ReportSpec) -> String {
    if let Some(text) = report.names.get(name) {
        return text.clone();
    }
    match (dimension, name) {
        // A database may have names that no spec can give; no format takes them as they are.
        (_, name) if check_name(name).is_err() => escaped(name).into_owned(),
        (Dimension::Metric, name) => name
            .parse()
            .map_or_else(|_| name.to_owned(), crate::spec::Measure::title),
        (Dimension::Protocol, "full") => "full ranking".to_owned(),
        (Dimension::Protocol, "sampled-100") => "100 sampled negatives".to_owned(),
        (Dimension::Cohort, "all") => "all users".to_owned(),
        (Dimension::Cohort, name) => format!("{}s", name.replace('-', " ")),
        (_, name) => name.to_owned(),
    }
}

/// One run for each configuration and seed.
fn distinct_runs(selection: &Selection, by_sweep: bool) -> Result<Vec<&Run>, TableError> {
    let mut runs: Vec<&Run> = Vec::new();
    for run in selection.runs.iter().filter(|run| run.finished()) {
        let alike = runs.iter().find(|known| {
            let labels = (&known.labels, &known.axes) == (&run.labels, &run.axes);
            labels && (!by_sweep || known.sweep == run.sweep)
        });
        match alike {
            // A run belongs to every sweep that describes it.
            Some(known) if known.run_id == run.run_id => {}
            Some(known) => {
                return Err(TableError::Doubled {
                    first: known.run_id,
                    second: run.run_id,
                    configuration: format!(
                        "{} {} on {}",
                        run.labels.backbone, run.labels.representation, run.labels.dataset
                    ),
                    seed: run.labels.seed,
                });
            }
            None => runs.push(run),
        }
    }
    Ok(runs)
}

/// Which dimensions have one value only, by place.
fn constants<'l>(
    dimensions: &[Dimension],
    labels: impl Iterator<Item = &'l [String]> + Clone,
) -> Vec<usize> {
    let one_value = |at: &usize| {
        let mut values = labels.clone().map(|labels| &labels[*at]);
        let first = values.next();
        values.all(|value| Some(value) == first)
    };
    (0..dimensions.len()).filter(one_value).collect()
}

fn varying<'l>(
    dimensions: &[Dimension],
    labels: impl Iterator<Item = &'l [String]> + Clone,
) -> Vec<usize> {
    let constant = constants(dimensions, labels);
    (0..dimensions.len())
        .filter(|at| !constant.contains(at))
        .collect()
}

fn pick(dimensions: &[Dimension], at: &[usize]) -> Vec<Dimension> {
    at.iter().map(|&at| dimensions[at].clone()).collect()
}
