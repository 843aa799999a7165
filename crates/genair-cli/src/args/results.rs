//! `genair results ...`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use genair_protocol::{Cohort, Metric, Protocol, Split, UnknownName};
use genair_store::RunState;

use super::{CacheArgs, DatabaseArgs, HtmlArgs, PluginArgs, RanksArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum Results {
    /// List recorded runs
    ///
    /// JSON: an array of runs, one for each sweep a run belongs to. CSV: the columns of the table, with all digits.
    List {
        /// Only this sweep's runs
        #[arg(long)]
        sweep: Option<String>,
        /// Only runs in this state
        #[arg(long, value_parser = states())]
        state: Option<RunState>,
        /// Also runs that the sweep's present spec does not describe any more
        #[arg(long)]
        superseded: bool,
        #[command(flatten)]
        measure: MeasureArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Show everything about one run but its ranks
    Show {
        /// The run's number
        run: i64,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Show the source of the program that executed a run: its commit, and how it differed from that
    ///
    /// The text is a patch where there is a difference. JSON: {revision, dirty, diff}.
    Code {
        /// The run's number
        run: i64,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Compare two runs: their results with a paired test, then spec, provenance and course where they differ
    ///
    /// JSON: {runs, spec, provenance, course, results, ranks, tests}; a test is {protocol, metric, k, n,
    /// mean_difference, interval, t, p, effect_size}, of the second run against the first.
    Diff {
        /// A run's number
        a: i64,
        /// Another one's
        b: i64,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Run a finished run again, aside, and compare with what is stored, bit for bit
    ///
    /// What the run was made from and is missing or changed is told first. JSON: {run_id, reproduced, inputs,
    /// comparisons}. Exit code 5: something differs.
    Reproduce {
        /// The run's number
        run: i64,
        /// Where the folder of its data is now [default: where it was]
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
        #[command(flatten)]
        plugins: PluginArgs,
        #[command(flatten)]
        database: DatabaseArgs,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Compare finished runs: mean and standard deviation over seeds
    ///
    /// JSON: an array of {sweep, dataset, backbone, representation, variant, axes, configuration, differences,
    /// seeds, scores}; a score is {protocol, metric, k, mean, std}, `std` is null for one seed; `differences` says what tells
    /// apart configurations of the same labels, which a merge may leave. CSV: a row for each score.
    Leaderboard {
        /// Only this sweep
        #[arg(long)]
        sweep: Option<String>,
        /// On which target [default: test]
        #[arg(long, value_parser = named::<Split>(Split::ALL, Split::as_str))]
        split: Option<Split>,
        #[command(flatten)]
        measure: MeasureArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Run one reading SQL statement
    ///
    /// Tables: sweeps, runs, sweep_runs, epochs, metrics, ranks, artefacts, prune_decisions; view: leaderboard.
    /// JSON: {columns, rows}. Rows are written as they come, so memory does not grow with their number; a table of
    /// more than 10,000 rows comes in blocks of as many, each with a header.
    Sql {
        /// The statement
        #[arg(required_unless_present = "file")]
        statement: Option<String>,
        /// Read the statement from a file
        #[arg(long, conflicts_with = "statement")]
        file: Option<PathBuf>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Delete runs for good, with everything measured of them and the files they wrote
    ///
    /// Asks first. Runs that a process is training are refused. JSON: {runs, sweep, kept, bytes}; `kept` are runs of
    /// the sweep that other sweeps have, too.
    Delete {
        /// The runs' numbers
        #[arg(required_unless_present = "sweep", value_name = "RUN")]
        runs: Vec<i64>,
        /// This sweep, and its runs that no other sweep has
        #[arg(long, conflicts_with = "runs")]
        sweep: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Give the room of deleted rows back to the system
    ///
    /// Readers may go on meanwhile. JSON: {bytes_before, bytes_after}.
    Vacuum {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Copy the database, one moment of it, also while a sweep writes to it
    ///
    /// JSON: {file, bytes}.
    Backup {
        /// The copy's file; there must be none yet
        #[arg(value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Take over the runs of other databases, such as those of other machines; may be repeated
    ///
    /// A run is known by its identity; of two states of one, the further one stays. JSON: an array of {file, added,
    /// replaced, kept, running, sweeps, differing}. Exit code 5: a run has other results there than here.
    Merge {
        /// The other databases; they stay as they are
        #[arg(required = true, value_name = "OTHER.db")]
        others: Vec<PathBuf>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Write a page to browse: leaderboard, runs, comparisons, figures, in one file that needs no network
    ///
    /// JSON: {file, bytes, runs, runs_with_ranks}.
    Html(HtmlArgs),
    /// Write each user's rank of runs with their labels, for statistics made elsewhere
    ///
    /// Columns: run_id, sweep, dataset, backbone, representation, variant, axes, configuration, seed, user, rank; average
    /// over runs of one configuration only. The database does not keep raw ids: user N is the N-th of `genair data export`'s
    /// interactions.tsv. JSON: {file, runs, rows}.
    ExportRanks(RanksArgs),
}

/// Which result of runs is shown.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// What was measured [default: of text, ndcg and, over seeds, hr]
    #[arg(long, value_parser = named::<Metric>(Metric::ALL, Metric::as_str))]
    pub(crate) metric: Option<Metric>,
    /// Its cut-off [default: of text, 10]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) k: Option<u32>,
    /// Averaged over which users [default: all]
    #[arg(long, value_parser = named::<Cohort>(Cohort::ALL, Cohort::as_str))]
    pub(crate) cohort: Option<Cohort>,
    /// Among which candidates [default: full, and over seeds both]
    #[arg(long, value_parser = named::<Protocol>(Protocol::ALL, Protocol::as_str))]
    pub(crate) protocol: Option<Protocol>,
}

/// Takes one of `all` by its name.
fn named<T>(all: &'static [T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err = UnknownName> + Copy + Send + Sync + 'static,
{
    let names = all.iter().map(|value| name(*value));
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

fn states() -> impl TypedValueParser<Value = RunState> {
    let state = |name: String| {
        let mut all = RunState::ALL.into_iter();
        all.find(|state| state.as_str() == name)
            .ok_or("no such state")
    };
    PossibleValuesParser::new(RunState::ALL.map(RunState::as_str)).try_map(state)
}
