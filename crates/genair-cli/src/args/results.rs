//! `genair results ...`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{CacheArgs, DatabaseArgs, HtmlArgs, PluginArgs, RanksArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum Results {
    /// List recorded runs
    ///
    /// JSON: an array of runs, one for each sweep a run belongs to.
    List {
        /// Only this sweep's runs
        #[arg(long)]
        sweep: Option<String>,
        /// Also runs that a newer one of the same labels has replaced
        #[arg(long)]
        superseded: bool,
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
    /// Show what differs between two runs: spec, provenance, course and results
    ///
    /// JSON: {runs, spec, provenance, course, results, ranks}.
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
    /// Compare finished runs on the test split: mean and standard deviation over seeds
    ///
    /// JSON: an array of {sweep, dataset, backbone, representation, variant, seeds, scores}; a score is
    /// {protocol, metric, k, mean, std}, `std` is null for one seed.
    Leaderboard {
        /// Only this sweep
        #[arg(long)]
        sweep: Option<String>,
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
    /// Give the room of deleted rows back to the system, and bring an older database up to date
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
    /// Columns: run_id, sweep, dataset, backbone, representation, variant, seed, user, rank. The database does not
    /// keep raw ids: user N is the N-th of `genair data export`'s interactions.tsv. JSON: {file, runs, rows}.
    ExportRanks(RanksArgs),
}
