//! A table as text: LaTeX, Markdown, CSV, JSON. Decides how a number looks, never which.

mod delimited;
mod latex;
mod markdown;

pub(crate) use latex::escape as escape_latex;
pub(crate) use markdown::escape as escape_markdown;

use serde::{Deserialize, Serialize};

use crate::spec::{Delta, Spread};
use crate::table::{Cell, Column, Label, Place, Style, Table, Verdict};

/// A format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A `table` environment for plain LaTeX with the package `booktabs`.
    Latex,
    /// A table of GitHub's Markdown.
    Markdown,
    /// A row per cell, with names as in the database and all digits.
    Csv,
    /// Everything, per cell and run.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Latex, Self::Markdown, Self::Csv, Self::Json];

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Latex => "tex",
            Self::Markdown => "md",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// A table in a format, with a line feed at its end.
pub fn render(table: &Table, format: Format) -> String {
    match format {
        Format::Latex => latex::render(table),
        Format::Markdown => markdown::render(table),
        Format::Csv => delimited::render(table),
        Format::Json => {
            let json = serde_json::to_string_pretty(table);
            json.expect("a table has text keys and finite numbers") + "\n"
        }
    }
}

/// A cell's parts in print, for the formats that people read.
struct CellText {
    mean: String,
    /// Without its sign.
    spread: Option<String>,
    /// With its sign.
    delta: Option<String>,
    /// Of its test: which mark, and how often.
    verdict: Option<(Verdict, usize)>,
    place: Option<Place>,
}

impl CellText {
    fn of(cell: &Cell, column: &Column, style: Style) -> Self {
        let decimals = column.measure.decimals(style.digits);
        let number = |value: f64| format!("{value:.decimals$}");
        let spread = match style.spread {
            Spread::None => None,
            Spread::Std => cell.summary.std,
            Spread::Interval => cell.summary.interval.map(|[low, high]| (high - low) / 2.0),
        };
        let comparison = cell.comparison.as_ref();
        let delta = match style.delta {
            Delta::None => None,
            Delta::Absolute => comparison.map(|c| format!("{:+.decimals$}", c.absolute)),
            Delta::Relative => {
                comparison.and_then(|c| Some(format!("{:+.1} %", 100.0 * c.relative?)))
            }
        };
        Self {
            mean: number(cell.summary.mean),
            spread: spread.map(number),
            delta,
            verdict: comparison
                .and_then(|c| c.test)
                .and_then(|test| Some((test.verdict?, test.marks))),
            place: cell.place,
        }
    }
}

/// A label in print; a dash where a row lacks it.
fn shown(label: &Label) -> &str {
    if label.text.is_empty() {
        "\u{2013}"
    } else {
        &label.text
    }
}

/// Neighbouring columns alike in the first labels, up to `level`: the text and how many they are.
fn spans(columns: &[Column], level: usize) -> Vec<(&Label, usize)> {
    let mut spans: Vec<(&Label, usize)> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let label = &column.labels[level];
        let same = at > 0 && columns[at - 1].labels[..=level] == column.labels[..=level];
        match spans.last_mut() {
            Some((_, width)) if same => *width += 1,
            _ => spans.push((label, 1)),
        }
    }
    spans
}
