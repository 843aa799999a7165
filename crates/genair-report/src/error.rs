//! Why a report cannot be made. A table that would compare unlike with unlike is one of the reasons.

use std::path::PathBuf;

use genair_store::{RunId, StoreError};
use genair_toml::SpecError;

use crate::report::Skipped;
use genair_eval::statistics::StatisticsError;

/// Why a report, a table or an export cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The report spec is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A table or figure that cannot be made from what is in the database.
    #[error("{place}: `{section}`: {kind}")]
    Table {
        /// File and line of the spec.
        place: String,
        /// The table or figure, such as `table.main`.
        section: String,
        /// What is wrong.
        kind: Box<TableError>,
    },
    /// Not one table or figure has results.
    #[error("database {}: it has no results for any table or figure of the report:{}", path.display(), lines(skipped))]
    NothingMade {
        /// The database file.
        path: PathBuf,
        /// Why, one by one.
        skipped: Vec<Skipped>,
    },
    /// A table or figure that the spec has not.
    #[error("{}: there is no table or figure `{name}`{}", path.display(), hint_line(hint))]
    UnknownItem {
        /// The report spec.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The nearest name, or all.
        hint: Option<String>,
    },
    /// A table or view to export that the database has not.
    #[error("database {}: there is no table or view `{name}`{}", path.display(), hint_line(hint))]
    UnknownTable {
        /// The database file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The nearest name, or all.
        hint: Option<String>,
    },
    /// No run has ranks that pass a filter.
    #[error("database {}: {} {split} ranks of protocol {protocol}", path.display(), match run {
        Some(run) => format!("run {run} is not a finished run with"),
        None => "no finished run has".to_owned(),
    })]
    NoRanks {
        /// The database file.
        path: PathBuf,
        /// The run asked for.
        run: Option<RunId>,
        /// The split asked for.
        split: String,
        /// The protocol asked for.
        protocol: String,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A figure cannot be drawn.
    #[error("figure `{figure}` cannot be drawn: {reason}")]
    Drawing {
        /// Its name.
        figure: String,
        /// What the drawing library said.
        reason: String,
    },
    /// A folder to export to that has something in it.
    #[error("{} is not empty; name a folder that is, or one that is not there yet", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// The template of a page fails, which is a bug.
    #[error("the template of the page fails")]
    Template {
        /// The template engine's reason.
        #[source]
        source: minijinja::Error,
    },
    /// A Parquet file cannot be written.
    #[error("cannot write {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        #[source]
        source: parquet::errors::ParquetError,
    },
}

impl ReportError {
    /// Whether the database just has no results for a table or figure yet, rather than the wrong ones.
    pub fn is_lack_of_results(&self) -> bool {
        let Self::Table { kind, .. } = self else {
            return false;
        };
        matches!(
            **kind,
            TableError::UnknownSweep { .. }
                | TableError::NoFinishedRuns { .. }
                | TableError::NotStored { .. }
        )
    }
}

/// What keeps one table from being made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A sweep the database has not.
    #[error("there is no sweep `{name}`{}", hint_line(hint))]
    UnknownSweep {
        /// The name in the spec.
        name: String,
        /// The nearest name, or all.
        hint: Option<String>,
    },
    /// An axis that no selected run has.
    #[error("no run has the axis `{name}`{}", hint_line(hint))]
    UnknownAxis {
        /// The name in the spec.
        name: String,
        /// The nearest name, or all.
        hint: Option<String>,
    },
    /// A label that no selected run has.
    #[error("no run has {dimension} `{value}`{}", hint_line(hint))]
    UnknownValue {
        /// The label's dimension.
        dimension: String,
        /// The value in the spec.
        value: String,
        /// The nearest value, or all.
        hint: Option<String>,
    },
    /// Nothing to show.
    #[error("no finished run passes its filters; {states}")]
    NoFinishedRuns {
        /// What there is instead, such as `3 pending, 1 failed`.
        states: String,
    },
    /// A metric that no selected run has.
    #[error("no finished run measured {measure}{}", hint_line(hint))]
    NotMeasured {
        /// Metric, protocol and cohort.
        measure: String,
        /// What there is.
        hint: Option<String>,
    },
    /// Runs that did not store what a figure shows.
    #[error("no finished run has stored {what}")]
    NotStored {
        /// What is missing.
        what: &'static str,
    },
    /// A curve of one point.
    #[error(
        "its runs have one value of `{axis}`, which makes no curve; sweep it, or name another axis in `x`"
    )]
    OneValue {
        /// The axis.
        axis: String,
    },
    /// Different configurations in one cell.
    #[error(
        "{first} and {second} fall into one cell; add `{dimension}` to rows or columns, or leave one out with `where`"
    )]
    Ambiguous {
        /// One configuration.
        first: String,
        /// Another.
        second: String,
        /// What tells them apart.
        dimension: String,
    },
    /// Two runs of one configuration and seed.
    #[error(
        "runs {first} and {second} are both {configuration} with seed {seed}, from different sweeps; name one sweep, or add `sweep` to rows or columns"
    )]
    Doubled {
        /// One run.
        first: RunId,
        /// Another.
        second: RunId,
        /// Their labels.
        configuration: String,
        /// Their seed.
        seed: u64,
    },
    /// Runs of the same labels that are no repetitions of one experiment.
    #[error(
        "runs {first} and {second} are both {configuration}, but differ in more than their seeds, so they have no mean\nhint: `genair results diff {first} {second}` shows in what; name one sweep, add `sweep` to rows or columns, or leave one out with `seeds`"
    )]
    Mixed {
        /// One run.
        first: RunId,
        /// Another.
        second: RunId,
        /// Their labels.
        configuration: String,
    },
    /// Runs that must not be compared.
    #[error("column `{column}` would compare runs that differ in {fact}:\n{groups}\nhint: show them in different tables or columns, leave some out with `where`{}", allowance(*allowed, fact))]
    Unlike {
        /// The column.
        column: String,
        /// What differs.
        fact: &'static str,
        /// Each value and who has it.
        groups: String,
        /// Whether `may_differ` may name the fact.
        allowed: bool,
    },
    /// A configuration whose baseline has not finished.
    #[error("{configuration} has no baseline: no finished run is {baseline}{found}")]
    MissingBaseline {
        /// The configuration.
        configuration: String,
        /// What its baseline would be.
        baseline: String,
        /// The state of the baseline's runs, if any, and what to do.
        found: String,
    },
    /// Runs to be tested without their users' ranks.
    #[error(
        "runs {runs} have no {protocol} ranks, so nothing can be tested; set test = {{ kind = \"none\" }}"
    )]
    NoRanks {
        /// The runs.
        runs: String,
        /// The protocol.
        protocol: String,
    },
    /// Ranks of which some users are missing.
    #[error(
        "run {run} has {protocol} ranks of {found} users, where {measured} were measured; the database is damaged"
    )]
    IncompleteRanks {
        /// The run.
        run: RunId,
        /// The protocol.
        protocol: String,
        /// Users with ranks.
        found: u64,
        /// Users behind its metrics.
        measured: u64,
    },
    /// A bootstrap whose smallest p value, corrected, is not below a level.
    #[error(
        "{tests} tests at level {level} need at least {needed} resamples, not {resamples}; raise test.resamples"
    )]
    TooFewResamples {
        /// Tests the p values are corrected for.
        tests: usize,
        /// The smallest level.
        level: f64,
        /// Resamples there must be.
        needed: usize,
        /// Resamples in the spec.
        resamples: usize,
    },
    /// A number that cannot be computed.
    #[error("{configuration}: {source}")]
    Statistics {
        /// The configuration.
        configuration: String,
        /// Why not.
        #[source]
        source: StatisticsError,
    },
}

fn hint_line(hint: &Option<String>) -> String {
    let hint = hint.as_ref().map(|hint| format!("\nhint: {hint}"));
    hint.unwrap_or_default()
}

fn lines(skipped: &[Skipped]) -> String {
    skipped.iter().map(|own| format!("\n  {own}")).collect()
}

fn allowance(allowed: bool, fact: &str) -> String {
    match allowed {
        true => format!(", or say with may_differ = [\"{fact}\"] that this is meant"),
        false => String::new(),
    }
}
