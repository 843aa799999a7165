//! `genair export ...`, `genair results html` and `genair results export-ranks`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use genair_protocol::{Protocol, Split};

use super::{DatabaseArgs, RecommendationsArgs};

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
    /// Write the lists that a finished run recommends to all users
    ///
    /// A row has the columns user_id, rank (from 0), item_id and score, with the ids of the data. `genair recommend`
    /// says what a list is. A row of `--targets` has user_id and item_id.
    ///
    /// JSON: {file, rows, targets, users}.
    Recommendations(RecommendationsArgs),
    /// Write runs as MLflow files
    ///
    /// Each sweep becomes an experiment, and each epoch a step.
    ///
    /// For MLflow 3.7 and later, convert the folder with `mlflow migrate-filestore --source FOLDER --target
    /// sqlite:///mlflow.db`. Earlier versions open it with `mlflow ui --backend-store-uri FOLDER`.
    ///
    /// JSON: {folder, experiments, runs}.
    Mlflow {
        /// Export only this sweep
        #[arg(long)]
        sweep: Option<String>,
        /// The folder to write to; it must be empty or missing
        #[arg(long, value_name = "FOLDER", default_value = "mlruns")]
        out: PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Write TensorBoard event files, one folder per run
    ///
    /// Includes runs that are still training. Rerun the command to add new events.
    ///
    /// JSON: {folder, runs, events}.
    Tensorboard {
        /// The folder to write to; created if missing
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        /// Export only runs of this sweep
        #[arg(long)]
        sweep: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TablesArgs {
    /// Tables and views to export [default: all tables, no views]
    pub(crate) tables: Vec<String>,
    /// The folder to write to; existing files are replaced
    #[arg(long, value_name = "FOLDER", default_value = "results/export")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RanksArgs {
    /// Export only runs of this sweep
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Export only this run; may be repeated [default: all finished runs]
    #[arg(long = "run", value_name = "RUN")]
    pub(crate) runs: Vec<i64>,
    /// The split whose targets are ranked: test or valid
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// The candidates of the ranking: full or sampled-100
    #[arg(long, default_value_t = Protocol::Full)]
    pub(crate) protocol: Protocol,
    /// The file to write; its extension, .csv or .parquet, selects the format
    #[arg(long, value_name = "FILE", default_value = "results/ranks.csv")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HtmlArgs {
    /// Include only this sweep; may be repeated [default: all]
    #[arg(long = "sweep", value_name = "SWEEP")]
    pub(crate) sweeps: Vec<String>,
    /// Include the .svg figures of this folder, such as the output of `genair report`; may be repeated
    #[arg(long = "figures", value_name = "FOLDER")]
    pub(crate) figures: Vec<PathBuf>,
    /// The page's heading [default: the database's file name]
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// The file to write [default: the database's path with the extension .html]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}
