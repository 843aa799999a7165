//! `genair export ...`, `genair results html` and `genair results export-ranks`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use genair_protocol::{Protocol, Split};

use super::DatabaseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// Write tables and views as CSV files
    ///
    /// JSON: an array of {table, file, rows}.
    Csv(TablesArgs),
    /// Write tables and views as Parquet files
    ///
    /// JSON: an array of {table, file, rows}.
    Parquet(TablesArgs),
    /// Write runs as MLflow's files: a sweep becomes an experiment, an epoch a step
    ///
    /// MLflow 3.7 and later read the folder once `mlflow migrate-filestore --source FOLDER --target
    /// sqlite:///mlflow.db` has turned it into a database; earlier ones by `mlflow ui --backend-store-uri FOLDER`.
    /// JSON: {folder, experiments, runs}.
    Mlflow {
        /// Only this sweep
        #[arg(long)]
        sweep: Option<String>,
        /// The folder to write to, empty or not there yet
        #[arg(long, value_name = "FOLDER", default_value = "mlruns")]
        out: PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Write TensorBoard event files, a folder for each run, also of runs that are still going on
    ///
    /// The same command again brings them up to date. JSON: {folder, runs, events}.
    Tensorboard {
        /// The folder to write to; created if it is not there
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        /// Only this sweep's runs
        #[arg(long)]
        sweep: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TablesArgs {
    /// Tables and views [default: every table and no view]
    pub(crate) tables: Vec<String>,
    /// The folder to write to; a file of it is replaced
    #[arg(long, value_name = "FOLDER", default_value = "results/export")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RanksArgs {
    /// Only this sweep's runs
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Only this run; may be repeated [default: every finished run]
    #[arg(long = "run", value_name = "RUN")]
    pub(crate) runs: Vec<i64>,
    /// Of which target: test or valid
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// Among which candidates: full or sampled-100
    #[arg(long, default_value_t = Protocol::Full)]
    pub(crate) protocol: Protocol,
    /// The file to write; its ending, .csv or .parquet, is its format
    #[arg(long, value_name = "FILE", default_value = "results/ranks.csv")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HtmlArgs {
    /// Only this sweep; may be repeated [default: all]
    #[arg(long = "sweep", value_name = "SWEEP")]
    pub(crate) sweeps: Vec<String>,
    /// A folder whose .svg figures the page shows, such as one that `genair report` wrote; may be repeated
    #[arg(long = "figures", value_name = "FOLDER")]
    pub(crate) figures: Vec<PathBuf>,
    /// The page's heading [default: the database's file name]
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// The file to write [default: beside the database and named after it, as results/genair.html]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}
