//! `genair recommend` and `genair export recommendations`.

use std::path::PathBuf;

use clap::Args;
use genair_protocol::Split;

use super::{CacheArgs, DatabaseArgs, PluginArgs};

#[derive(Debug, Args)]
pub(crate) struct RecommendArgs {
    /// The run's number
    pub(crate) run: i64,
    /// Recommend to this user, by its id in the data; may be repeated
    #[arg(long = "user", value_name = "ID", required_unless_present = "history")]
    pub(crate) users: Vec<String>,
    /// Recommend to somebody with these items, by their ids in the data, oldest first
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        conflicts_with = "users"
    )]
    pub(crate) history: Vec<String>,
    #[command(flatten)]
    pub(crate) lists: ListOptions,
}

#[derive(Debug, Args)]
pub(crate) struct RecommendationsArgs {
    /// The run's number
    pub(crate) run: i64,
    /// The file to write; its extension, .csv or .parquet, selects the format
    #[arg(
        long,
        value_name = "FILE",
        default_value = "results/recommendations.csv"
    )]
    pub(crate) out: PathBuf,
    /// Also write the target of each user to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) targets: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) lists: ListOptions,
}

/// What lists are made of.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// The number of items of a list
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) k: u32,
    /// The split whose histories are used: test or valid
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// Recommend also items of the history, as RecBole does
    #[arg(long)]
    pub(crate) with_history: bool,
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
