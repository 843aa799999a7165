//! A finished table: labels, numbers and marks, ready for any format. Computes nothing.

use genair_store::{Choice, RunId};
use serde::Serialize;

use crate::spec::{Delta, Dimension, Measure, Spread};
use genair_eval::statistics::Summary;

/// A table of results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name, which is that of its files.
    pub name: String,
    /// What stands above it.
    pub caption: Option<String>,
    /// What tells rows apart, from the outermost.
    pub row_dimensions: Vec<Dimension>,
    /// What tells columns apart, from the outermost.
    pub column_dimensions: Vec<Dimension>,
    /// Its columns, from the left.
    pub columns: Vec<Column>,
    /// Its rows, from the top.
    pub rows: Vec<Row>,
    /// Configurations that validation chose, and how many others each stands for.
    pub choices: Vec<Choice>,
    /// What a reader must know to read it, in sentences.
    pub notes: Vec<String>,
    /// How numbers are shown.
    pub style: Style,
}

/// How numbers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Style {
    /// Decimals of ranking metrics.
    pub digits: usize,
    /// What stands beside a mean.
    pub spread: Spread,
    /// How the difference from the baseline is shown.
    pub delta: Delta,
}

/// A label by its name in the database and in print.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Label {
    /// As in the database.
    pub name: String,
    /// As in print.
    pub text: String,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// One label per dimension of the columns.
    pub labels: Vec<Label>,
    /// What is measured.
    pub measure: Measure,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// One label per dimension of the rows.
    pub labels: Vec<Label>,
    /// One cell per column; none where nothing was measured.
    pub cells: Vec<Option<Cell>>,
}

/// Results of one configuration over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Mean and spread over seeds.
    pub summary: Summary,
    /// Each run's value.
    pub runs: Vec<RunValue>,
    /// Whether it is among the best of those it is compared with.
    pub place: Option<Place>,
    /// How it differs from its baseline.
    pub comparison: Option<Comparison>,
    /// Whether it is the baseline of others.
    pub baseline: bool,
}

/// One run's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RunValue {
    /// The run's number in the database.
    pub run: RunId,
    /// Its seed.
    pub seed: u64,
    /// Its value.
    pub value: f64,
}

/// A cell's place among those it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// None is better.
    Best,
    /// Only the best are better.
    Second,
}

/// A configuration beside its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Difference of the means over seeds.
    pub absolute: f64,
    /// The same as a share of the baseline; none where that is 0.
    pub relative: Option<f64>,
    /// The paired test over users, where one was made.
    pub test: Option<Tested>,
}

/// A paired test over users, of the mean over seeds of each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tested {
    /// Users.
    pub users: usize,
    /// Mean over users of the difference.
    pub mean_difference: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// Student's t, for a t-test.
    pub t: Option<f64>,
    /// Two-sided p value.
    pub p: f64,
    /// The same, corrected for all tests of the table (Holm).
    pub p_holm: f64,
    /// Cohen's d_z.
    pub effect_size: f64,
    /// Which of the two is better, where the corrected p value is below one of the table's levels.
    pub verdict: Option<Verdict>,
    /// Number of the table's levels that the corrected p value is below.
    pub marks: usize,
}

/// What a test says of a configuration beside its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is better than the baseline.
    Better,
    /// It is worse.
    Worse,
}

impl Verdict {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Better, Self::Worse];

    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
        }
    }

    /// What marks a cell in print, once for each level.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Better => "*",
            Self::Worse => "\u{2020}",
        }
    }
}
