//! `genair export ...`.

use std::path::PathBuf;

use clap::Subcommand;

use super::DatabaseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
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
