//! What crosses between `genair` and the worker `genair-report`, which makes tables, figures, pages and exports.
//!
//! The worker reads a [`ReportRequest`] as JSON, the first line of its standard input, and says [`ReportEvent`]s, one JSON
//! object a line. The last one is `done` or `failed`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Protocol, Split};

/// What is to be made, and of which database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// The database, which is only read.
    pub database: PathBuf,
    /// What is to be made.
    pub task: ReportTask,
}

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportTask {
    /// The tables and figures of a report spec.
    Report {
        /// The spec's file.
        spec: PathBuf,
        /// The folder to write to; absent: the tables are shown.
        out: Option<PathBuf>,
        /// Names of the tables and figures to make; empty: all.
        only: Vec<String>,
        /// Whether those without results are skipped instead of refused.
        skip_missing: bool,
    },
    /// Tables and views as files.
    Tables {
        /// The folder to write to.
        out: PathBuf,
        /// The files' form: `csv` or `parquet`.
        form: String,
        /// Names of tables and views; empty: all tables.
        tables: Vec<String>,
    },
    /// Ranks of users as one file, whose ending says its form.
    Ranks {
        /// The file.
        out: PathBuf,
        /// A sweep's name; absent: all.
        sweep: Option<String>,
        /// Numbers of runs; empty: all.
        runs: Vec<i64>,
        /// The split whose targets are ranked.
        split: Split,
        /// The candidates.
        protocol: Protocol,
    },
    /// Recommended lists as one file, whose ending says its form.
    Recommendations {
        /// The lists, a [`RecommendedList`](crate::RecommendedList) as JSON a line.
        lists: PathBuf,
        /// The file.
        out: PathBuf,
        /// A file for the targets; absent: they are not written.
        targets: Option<PathBuf>,
    },
    /// Runs as MLflow files.
    Mlflow {
        /// The folder to write to.
        out: PathBuf,
        /// A sweep's name; absent: all.
        sweep: Option<String>,
    },
    /// TensorBoard event files.
    Tensorboard {
        /// The folder to write to.
        out: PathBuf,
        /// A sweep's name; absent: all.
        sweep: Option<String>,
    },
    /// The database as one HTML page.
    Page {
        /// The file to write.
        out: PathBuf,
        /// The heading; absent: the database's file name.
        title: Option<String>,
        /// Names of sweeps; empty: all.
        sweeps: Vec<String>,
        /// SVG files to include.
        figures: Vec<PathBuf>,
    },
}

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportEvent {
    /// A line of news.
    Note(String),
    /// So many of all runs are exported.
    Progress {
        /// Those that are.
        done: usize,
        /// All.
        all: usize,
    },
    /// It is made.
    Done {
        /// The result for people.
        text: String,
        /// The result as JSON.
        value: Value,
    },
    /// It cannot be made: each mistake with its causes.
    Failed(Vec<String>),
}
