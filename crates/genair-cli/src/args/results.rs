//! `genair results ...`.

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use genair_protocol::{Cohort, Metric, Protocol, Split};
use genair_store::{RunState, Select};

use super::{CacheArgs, DatabaseArgs, HtmlArgs, PluginArgs, RanksArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum Results {
    /// List recorded runs
    ///
    /// A run that belongs to several sweeps appears once for each.
    ///
    /// JSON: an array of runs. CSV: the columns of the table, with all digits.
    List(ListArgs),
    /// Show all data of one run, except the ranks of users
    Show(RunArgs),
    /// Show the commit and the uncommitted changes of the genair that executed a run
    ///
    /// The text output is a patch if there are uncommitted changes.
    ///
    /// JSON: {revision, dirty, diff}.
    Code(RunArgs),
    /// Compare two runs: results with a paired test, and differences of spec and provenance
    ///
    /// JSON: {runs, spec, provenance, course, results, ranks, tests}. A test is {protocol, metric, k, n,
    /// mean_difference, interval, t, p, effect_size}. It compares the second run with the first.
    Diff {
        /// The first run's number
        a: i64,
        /// The second run's number
        b: i64,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Repeat a finished run and compare the results with the stored ones, bit for bit
    ///
    /// First reports inputs of the run that are missing or have changed. Does not change the database. Exit code 5
    /// means that a result differs.
    ///
    /// JSON: {run_id, reproduced, inputs, comparisons}.
    Reproduce(ReproduceArgs),
    /// Show mean results and standard deviations over seeds
    ///
    /// Of the points of a search, it shows the best on the validation split; see --select.
    ///
    /// JSON: an array of {sweep, dataset, backbone, representation, variant, axes, configuration, differences,
    /// seeds, selected, scores}. A score is {protocol, metric, k, mean, std}. `std` is null for one seed. `differences`
    /// holds the settings that distinguish configurations with the same labels, which a merge can produce. `selected`
    /// is {metric, valid, planned_seeds, configurations, left_out, lacking_seeds} where validation chose the
    /// configuration among others. CSV: a row for each score.
    Leaderboard(LeaderboardArgs),
    /// Run one read-only SQL statement
    ///
    /// Tables include sweeps, runs, sweep_runs, epochs, metrics, ranks, artefacts and prune_decisions. The view
    /// `leaderboard` has the results of finished runs.
    ///
    /// The output is streamed, so memory use does not depend on the number of rows. A text table of more than 10,000
    /// rows has a new header after every 10,000.
    ///
    /// JSON: {columns, rows}.
    Sql {
        /// The SQL statement
        #[arg(required_unless_present = "file")]
        statement: Option<String>,
        /// Read the statement from a file
        #[arg(long, conflicts_with = "statement")]
        file: Option<PathBuf>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Delete runs or sweeps, with their results and files
    ///
    /// Asks for confirmation. Refuses to delete a run that a process is training.
    ///
    /// JSON: {runs, sweep, kept, bytes}. `kept` lists runs of the sweep that also belong to other sweeps.
    Delete(DeleteArgs),
    /// Shrink the database file after deletions
    ///
    /// Other processes can read the database meanwhile.
    ///
    /// JSON: {bytes_before, bytes_after}.
    Vacuum(DatabaseArgs),
    /// Copy the database to a new file
    ///
    /// The copy is a consistent snapshot, also while a sweep writes to the database.
    ///
    /// JSON: {file, bytes}.
    Backup {
        /// The new file; it must not exist
        #[arg(value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Copy the runs of other databases into the results database
    ///
    /// Use this to collect the results of several machines. Merging a database again changes nothing. If both
    /// databases have a run, the state with more progress stays. Exit code 5 means that the results of a run differ
    /// between the databases.
    ///
    /// JSON: an array of {file, added, replaced, kept, running, sweeps, differing}.
    Merge {
        /// The other databases; they are not changed
        #[arg(required = true, value_name = "OTHER.db")]
        others: Vec<PathBuf>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Make a new database from a folder of runs
    ///
    /// Use this if the database is lost and the files of its runs are not. The folder is the one beside the database,
    /// such as results/genair-artefacts. Runs that were pruned or killed are pending in the new database, and the next
    /// sweep goes on with them from their checkpoints.
    ///
    /// JSON: {finished, failed, pending, sweeps, without_folder, skipped}. `skipped` is an array of {path, reason}.
    Rebuild {
        /// The folder of runs
        folder: PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Write an HTML page with leaderboard, runs, comparisons and figures
    ///
    /// The page is one file and needs no network.
    ///
    /// JSON: {file, bytes, runs, runs_with_ranks}.
    Html(HtmlArgs),
    /// Write each user's rank in each run as CSV or Parquet
    ///
    /// The columns are run_id, sweep, dataset, backbone, representation, variant, axes, configuration, seed, user and
    /// rank. Average only over runs of the same configuration. The database does not keep raw user ids: user N is the
    /// N-th distinct user in the interactions.tsv of `genair data export`.
    ///
    /// JSON: {file, runs, rows}.
    ExportRanks(RanksArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The run's number
    pub(crate) run: i64,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// List only runs of this sweep
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// List only runs in this state
    #[arg(long, value_parser = named::<RunState>(RunState::NAMES))]
    pub(crate) state: Option<RunState>,
    /// Include runs that the current spec of their sweep no longer describes
    #[arg(long)]
    pub(crate) superseded: bool,
    #[command(flatten)]
    pub(crate) measure: MeasureArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// The run's number
    pub(crate) run: i64,
    /// The present folder of the run's data [default: the original one]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LeaderboardArgs {
    /// Show only this sweep
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// The split [default: test]
    #[arg(long, value_parser = named::<Split>(Split::NAMES))]
    pub(crate) split: Option<Split>,
    /// Show of configurations that differ in searched settings only the best on the validation split
    ///
    /// `auto` chooses among the points of a sweep's [search], `valid` among the values of all axes. With `none`, each
    /// configuration has a line. A choice is by the mean over seeds of the metric of early stopping; only
    /// configurations with a result of each seed compete.
    #[arg(long, default_value = "auto", value_parser = named::<Select>(Select::NAMES))]
    pub(crate) select: Select,
    #[command(flatten)]
    pub(crate) measure: MeasureArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The runs' numbers
    #[arg(required_unless_present = "sweep", value_name = "RUN")]
    pub(crate) runs: Vec<i64>,
    /// Delete this sweep, and its runs that belong to no other sweep
    #[arg(long, conflicts_with = "runs")]
    pub(crate) sweep: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

/// The results to show.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// The metric [default: ndcg; for leaderboard, ndcg and hr as text, all as JSON or CSV]
    #[arg(long, value_parser = named::<Metric>(Metric::NAMES))]
    pub(crate) metric: Option<Metric>,
    /// The cut-off of the metric [default: 10; for leaderboard, all as JSON or CSV]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) k: Option<u32>,
    /// The users to average over [default: all]
    #[arg(long, value_parser = named::<Cohort>(Cohort::NAMES))]
    pub(crate) cohort: Option<Cohort>,
    /// The candidates of the ranking [default: full; for leaderboard, both]
    #[arg(long, value_parser = named::<Protocol>(Protocol::NAMES))]
    pub(crate) protocol: Option<Protocol>,
}

/// Takes one of these names.
fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Error + Send + Sync> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}
