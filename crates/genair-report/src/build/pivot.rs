//! Runs by row and column. A cell holds the runs of one configuration, one for each seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use genair_protocol::text::{check_name, escaped};
use genair_store::Choice;
use itertools::Itertools;

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
        let by_sweep = spec.by_sweep();
        let runs = distinct_runs(selection, by_sweep)?;
        let sort_key = |labels: &[String], orders: &[Vec<String>]| -> Vec<usize> {
            std::iter::zip(labels, orders)
                .map(|(label, order)| order.iter().position(|l| l == label).unwrap_or(order.len()))
                .collect()
        };
        let orders = |dimensions: &[Dimension]| -> Vec<Vec<String>> {
            let values = |dimension| order::values(dimension, &runs, spec);
            dimensions.iter().map(values).collect()
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
                let label = |d: &Dimension| match d.is_measured() {
                    true => measured.label(d),
                    false => run.label(d).to_owned(),
                };
                let labels: Vec<String> = spec.columns.iter().map(label).collect();
                let column = ((sort_key(&labels, &column_orders), labels), measured);
                rows.insert(row.clone());
                columns.insert(column.clone());
                let cell = cells.entry((row.clone(), column));
                cell.or_default().push((run, value));
            }
        }
        let number = |(row, column): &(Key, (Key, Measured))| -> At {
            let row = rows.iter().position(|known| known == row);
            let column = columns.iter().position(|known| known == column);
            (row.unwrap_or_default(), column.unwrap_or_default())
        };
        let cells = cells.into_iter().map(|(key, runs)| (number(&key), runs));
        let cells = cells.collect();
        let columns = columns.into_iter();
        let columns = columns.map(|((_, labels), measured)| (labels, measured));
        let pivot = Self {
            by_sweep,
            row_dimensions: spec.rows.clone(),
            column_dimensions: spec.columns.clone(),
            cells,
            rows: rows.into_iter().map(|(_, labels)| labels).collect(),
            columns: columns.collect(),
        };
        pivot.require_one_configuration_per_cell()?;
        Ok(pivot)
    }

    fn require_one_configuration_per_cell(&self) -> Result<(), TableError> {
        for runs in self.cells.values() {
            let (first, _) = runs[0];
            let own = self.configuration_of(first);
            let has_labels = |run: &Run| self.configuration_of(run) == own;
            let is_mixed = |run: &Run| has_labels(run) && run.configuration != first.configuration;
            if let Some((other, _)) = runs.iter().find(|(run, _)| is_mixed(run)) {
                return Err(TableError::Mixed {
                    first: first.run_id,
                    second: other.run_id,
                    configuration: own.to_string(),
                });
            }
            let Some((other, _)) = runs.iter().find(|(run, _)| !has_labels(run)) else {
                continue;
            };
            let candidates = [
                Dimension::Dataset,
                Dimension::Backbone,
                Dimension::Representation,
                Dimension::Variant,
            ];
            let differs = |own: &Dimension| first.label(own) != other.label(own);
            let differing = candidates.into_iter().find(differs);
            return Err(TableError::Ambiguous {
                first: own.to_string(),
                second: self.configuration_of(other).to_string(),
                dimension: differing.unwrap_or(Dimension::Sweep).to_string(),
            });
        }
        Ok(())
    }

    fn column_labels(&self) -> impl Iterator<Item = &Vec<String>> {
        self.columns.iter().map(|(labels, _)| labels)
    }

    /// What each column measures.
    pub(super) fn measured(&self) -> impl Iterator<Item = &Measured> {
        self.columns.iter().map(|(_, measured)| measured)
    }

    /// A column as an error calls it.
    pub(super) fn column_name(&self, column: usize) -> String {
        let (labels, measured) = &self.columns[column];
        let labels = labels.iter().filter(|label| !label.is_empty()).join(" ");
        match labels.is_empty() {
            true => measured.to_string(),
            false => labels,
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
            let labels = within.iter().map(|own| runs[0].0.label(own));
            groups.entry(labels.collect()).or_default().push(at);
        }
        groups.into_values().collect()
    }

    /// Labels that never vary, for the notes: dimensions and their one value.
    pub(super) fn constants(&self) -> Vec<(&Dimension, &str)> {
        let rows = self.row_dimensions.iter().enumerate();
        let rows = rows.map(|(at, own)| (own, constant(self.rows.iter(), at)));
        let columns = self.column_dimensions.iter().enumerate();
        let columns = columns.map(|(at, own)| (own, constant(self.column_labels(), at)));
        let known = rows
            .chain(columns)
            .filter_map(|(own, label)| Some((own, label?)));
        known.collect()
    }

    /// The table, with labels that never vary left out.
    pub(super) fn table(
        self,
        mut cells: BTreeMap<At, Cell>,
        notes: Vec<String>,
        choices: Vec<Choice>,
        spec: &TableSpec,
        report: &ReportSpec,
    ) -> Table {
        let varies = |at: &usize| constant(self.rows.iter(), *at).is_none();
        let mut shown_rows = (0..self.row_dimensions.len()).filter(varies).collect_vec();
        if shown_rows.is_empty() {
            shown_rows.push(0); // A row needs a name.
        }
        let varies = |at: &usize| constant(self.column_labels(), *at).is_none();
        let mut shown_columns = (0..self.column_dimensions.len())
            .filter(varies)
            .collect_vec();
        if shown_columns.is_empty() {
            let mut dimensions = self.column_dimensions.iter();
            shown_columns.extend(dimensions.position(|d| *d == Dimension::Metric));
        }
        let labels_of = |dimensions: &[Dimension], shown: &[usize], names: &[String]| {
            let label = |&at: &usize| Label {
                name: names[at].clone(),
                text: text(&dimensions[at], &names[at], report),
            };
            shown.iter().map(label).collect()
        };
        let columns = self.columns.iter().map(|(labels, measured)| Column {
            labels: labels_of(&self.column_dimensions, &shown_columns, labels),
            measure: measured.measure,
        });
        let columns: Vec<Column> = columns.collect();
        let rows = self.rows.iter().enumerate().map(|(row, labels)| {
            let cells = (0..columns.len()).map(|column| cells.remove(&(row, column)));
            Row {
                labels: labels_of(&self.row_dimensions, &shown_rows, labels),
                cells: cells.collect(),
            }
        });
        Table {
            name: spec.name.clone(),
            caption: spec.caption.clone(),
            rows: rows.collect(),
            row_dimensions: pick(&self.row_dimensions, &shown_rows),
            column_dimensions: pick(&self.column_dimensions, &shown_columns),
            columns,
            choices,
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
        (Dimension::Protocol, "sampled-99") => "99 sampled negatives".to_owned(),
        (Dimension::Protocol, "sampled-100-popularity") => "100 popular negatives".to_owned(),
        (Dimension::Protocol, "full-with-history") => "full ranking with the history".to_owned(),
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

/// The one label that all have in this place, if there is one.
fn constant<'l>(mut labels: impl Iterator<Item = &'l Vec<String>>, at: usize) -> Option<&'l str> {
    let first = labels.next()?[at].as_str();
    labels.all(|labels| labels[at] == first).then_some(first)
}

fn pick(dimensions: &[Dimension], at: &[usize]) -> Vec<Dimension> {
    at.iter().map(|&at| dimensions[at].clone()).collect()
}
