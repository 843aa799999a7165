//! The command line.

mod archetype;
mod export;
mod recommend;
mod results;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use genair_spec::{ExecutorKind, SpecOptions};
use genair_store::{Store, StoreError, StoreErrorKind};

use crate::environment;

pub(crate) use archetype::{Archetype, ArchetypeArgs, ImportArgs, Model};
pub(crate) use export::{Export, HtmlArgs, RanksArgs, TablesArgs};
pub(crate) use recommend::{ListOptions, RecommendArgs, RecommendationsArgs};
pub(crate) use results::{DeleteArgs, LeaderboardArgs, ListArgs, ReproduceArgs, Results, RunArgs};

const AFTER_HELP: &str = "\
Environment:
  GENAIR_DB           The results database
  GENAIR_CACHE        The folder of models, archetypes, item vectors and association scores
  GENAIR_PLUGIN_PATH  Folders of plugins, separated by colons
  GENAIR_TRAINER      The program that genair starts to train each run
  GENAIR_DEVICE       The device that runs use; overrides train.device of the spec
  GENAIR_BUILD_LLAMA  The command that builds genair-llama when a sweep needs it

Exit codes:
  0    Done
  1    A bug in genair
  2    Invalid input, or output that cannot be written
  3    Some runs or checks failed
  4    Nothing to run
  5    Results differ
  130  Interrupted

JSON output keeps its keys from release to release. New keys may be added.";

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Run sequential-recommendation experiments described in TOML
#[derive(Debug, Parser)]
#[command(name = "genair", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The format of results on standard output; csv works only for commands that print a list
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, help_heading = GLOBAL)]
    pub(crate) format: Format,
    /// Log more to standard error; repeat for more detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub(crate) verbose: u8,
    /// Print only errors: no results, no progress, no notes and no warnings
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,
    /// The format of log messages on standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, help_heading = GLOBAL)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Csv,
    /// No output: `--quiet`.
    #[value(skip)]
    Quiet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphForm {
    Text,
    Dot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Retry {
    /// Retry no run
    None,
    /// Retry runs whose worker crashed, had an I/O error or found the disk full, and runs whose stage failed
    Crashed,
    /// Retry all failed runs, whatever the reason
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorChoice {
    /// This machine
    Local,
    /// Jobs of a Slurm cluster
    Slurm,
}

impl From<ExecutorChoice> for ExecutorKind {
    fn from(choice: ExecutorChoice) -> Self {
        match choice {
            ExecutorChoice::Local => Self::Local,
            ExecutorChoice::Slurm => Self::Slurm,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check specs for mistakes without training
    ///
    /// Also checks each profile of a spec, unless --profile selects some. Plugins check their own settings.
    ///
    /// JSON: an array of {spec, profile, sweep, runs, problems, warnings}. A problem is {place, key, message, hint}.
    Check(CheckArgs),
    /// List the runs of a spec, their states and the stages they share
    ///
    /// JSON: an array of {dataset, backbone, representation, variant, axes, seed, state, identity, priority, spec}.
    /// `state` is new, pending, running, finished, failed or pruned.
    ///
    /// JSON with `--graph`: {stages, runs, edges}. A stage is {id, stage, dataset, state, recipe, path}. A run is
    /// {id, state, priority} with its labels. An edge {from, to} leads from a stage to a run or stage that needs it.
    Plan(PlanArgs),
    /// Train every run of a spec that has no result yet
    ///
    /// The command fetches public datasets whose folder is missing or empty. It makes
    /// the inputs that runs share, such as archetypes, in stages. Runs that do not need them train meanwhile.
    ///
    /// Press Ctrl-C to stop cleanly, and twice to kill the workers. Rerun the command to resume. Jobs of a batch system
    /// go on after the first Ctrl-C, and a second one within 5 s cancels them.
    ///
    /// JSON: {sweep, interrupted, runs, leaderboard}. A run is {run_id, dataset, backbone, representation, variant,
    /// axes, seed, outcome, failure}. `outcome` is finished, finished-before, failed, failed-before, pruned,
    /// pruned-before, submitted or left. `leaderboard` has the form of `genair results leaderboard`.
    Sweep(SweepArgs),
    /// Show the progress of sweeps: runs, validation curves, failures, time left
    ///
    /// Only reads the database, so it can watch the sweep of any process.
    ///
    /// JSON, of one moment: {sweeps, sweep, stages, runs}.
    Watch(WatchArgs),
    /// Recommend items to users by a finished run
    ///
    /// Uses the weights of the run's checkpoint, and the data, plugin and item vectors that it was trained with. A list
    /// has the items of the highest scores outside the user's history. Of equal scores, the item comes first that the
    /// data name first.
    ///
    /// JSON: an array of {user_id, history, target, items}. `history` is a number of items. The target is
    /// {item_id, title, rank}, and an item {item_id, title, score}. Ranks are from 0.
    Recommend(RecommendArgs),
    /// Export results as CSV, Parquet, MLflow or TensorBoard files
    #[command(subcommand)]
    Export(Export),
    /// List, compare, query, merge and delete recorded runs
    #[command(subcommand)]
    Results(Results),
    /// Print the JSON Schema of specs for editors
    ///
    /// The schema includes the settings of the plugins that genair finds.
    Schema(PluginArgs),
    /// Print a spec with all its settings and where each comes from
    #[command(subcommand)]
    Spec(Spec),
    /// Make the tables and figures of a report spec from the database
    ///
    /// Without --out, prints the tables as Markdown. With --out, writes each table as LaTeX, Markdown, CSV and JSON,
    /// each figure as SVG, PDF, PNG and CSV, and the overviews index.md and index.tex.
    ///
    /// JSON: {tables, figures, skipped, files}.
    Report(ReportArgs),
    /// List, inspect and create backbone plugins
    #[command(subcommand)]
    Plugin(Plugin),
    /// Download, describe and export datasets
    #[command(subcommand)]
    Data(Data),
    /// Generate and inspect archetypes of items
    #[command(subcommand)]
    Archetype(Archetype),
    /// Print an example spec, or list the examples
    ///
    /// `genair sweep NAME` writes the example to NAME.toml and trains it.
    ///
    /// JSON: {name, text}, or an array of {name, about}.
    Example(ExampleArgs),
    /// Write a first spec for a folder of data
    ///
    /// Reads the data to see that they can be used, and says how many users and items they have.
    ///
    /// JSON: {file, users, items}.
    Init(InitArgs),
    /// Print the completions of a shell, for its start-up file
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of genair or of a command, for `man -l -`
    Man {
        /// The command, such as `results list`
        command: Vec<String>,
    },
    /// Check the installation, and say how to fix what is missing
    ///
    /// JSON: {ready, findings}. A finding is {topic, fine, found, fix}.
    Doctor(DoctorArgs),
    /// Make a stage, as a job of a batch system; started by `genair sweep`
    #[command(hide = true)]
    Stage {
        /// The request that `genair sweep` wrote
        request: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Spec files
    #[arg(required = true)]
    pub(crate) specs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) set: SetArgs,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Show each stage with the runs that need it, as a tree (text) or for Graphviz (dot)
    #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "text")]
    pub(crate) graph: Option<GraphForm>,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// The number of jobs (runs and stages) at once [default: schedule.jobs, or cores / train.threads; Slurm: 100]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Which failed runs of earlier sweeps to retry
    ///
    /// A run that crashes during this sweep is retried at most twice, unless this is `none`.
    #[arg(long, value_enum, default_value_t = Retry::Crashed)]
    pub(crate) retry: Retry,
    /// Start no more jobs after a run has failed; let the running jobs finish
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Finish runs that were pruned
    #[arg(long)]
    pub(crate) continue_pruned: bool,
    /// Where to execute runs and stages [default: schedule.executor]
    #[arg(long, value_enum)]
    pub(crate) executor: Option<ExecutorChoice>,
    /// Submit the jobs of all runs, then exit; rerun the command to follow them
    ///
    /// Waits for the stages that runs need. Only for a batch system such as Slurm.
    #[arg(long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Show this sweep first [default: the one swept last]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Print the state once as plain text, then exit
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The report spec file
    pub(crate) report: PathBuf,
    /// The folder to write to
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Make only this table or figure; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Skip tables and figures without results, and name the specs that would train them
    #[arg(long)]
    pub(crate) skip_missing: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExampleArgs {
    /// The example
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder, with interactions.tsv (or .csv) or RecBole's atomic files
    pub(crate) folder: PathBuf,
    /// The spec to write; it must not exist
    #[arg(long, value_name = "FILE", default_value = "first.toml")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Also try this executor: Slurm, with a job of a second
    #[arg(long, value_enum)]
    pub(crate) executor: Option<ExecutorChoice>,
    /// Take [schedule.slurm] from this spec for the job
    #[arg(long, value_name = "SPEC", requires = "executor")]
    pub(crate) spec: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Spec {
    /// Print the complete spec, with the source of each value
    ///
    /// The complete spec merges the defaults, the preset, the files, the profiles and the overrides. The text output
    /// is a valid spec itself.
    ///
    /// JSON: {files, profiles, spec, values}. A value is {key, value, from}.
    Resolve(ResolveArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// List all plugins that were found, also unusable ones
    ///
    /// JSON: an array of {name, path, sha256, abi, libtorch, rustc, descriptor, capabilities, error}.
    List(PluginArgs),
    /// Show one plugin: its settings with defaults and ranges, its versions and capabilities
    Inspect {
        /// The plugin's name in specs, such as sasrec
        name: String,
        #[command(flatten)]
        plugins: PluginArgs,
    },
    /// Test whether a plugin does what every backbone must do
    ///
    /// Opens the built plugin and runs the conformance suite on it, once for each set of parameters. Exit code 3 means
    /// that a check failed.
    ///
    /// JSON: an array of {set, check, error}. `error` is null if the check passed.
    Test(PluginTestArgs),
    /// Create the package of a new backbone, with a small model to replace and its tests
    ///
    /// JSON: {"folder": ...}.
    New {
        /// The backbone's name in specs: lower-case letters, digits and `_`
        name: String,
        /// The folder in which to create the package
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// List the public datasets that `fetch` knows
    ///
    /// JSON: an array of {name, about, parts, terms, page, by_hand, files}.
    List,
    /// Download a public dataset from its publisher
    ///
    /// Files that are there are verified and not downloaded again. Where a licence needs a click, the command says what
    /// to download and where to put it. JSON: {folder, already_there, origin}.
    Fetch {
        /// The dataset, such as ml-100k, movielens-1m or amazon-2014:Beauty; `genair data list` has all
        dataset: String,
        /// The folder to write to [default: data/NAME, without what follows a colon]
        #[arg(long, value_name = "FOLDER")]
        dest: Option<PathBuf>,
        /// Download from this address instead: the official file of ml-100k, or the folder with the files of another
        #[arg(long)]
        url: Option<String>,
    },
    /// Look at a file or folder of data and print a [dataset] table that reads it
    ///
    /// Guesses from the beginnings of files, then reads everything. What may surprise goes to standard error. JSON: {spec,
    /// text_fields, found, warnings, statistics}.
    Inspect {
        /// A file, a folder, an archive or a member of one
        path: PathBuf,
    },
    /// Read the datasets of a spec and print their statistics
    ///
    /// JSON: an array of {dataset, variant, axes, statistics}.
    Stats {
        #[command(flatten)]
        spec: SpecArgs,
        /// Read only this dataset of the spec
        #[arg(long)]
        dataset: Option<String>,
    },
    /// Write a dataset, after filtering, as interactions.tsv and items.jsonl
    ///
    /// JSON: {dataset, folder, users, items, interactions}.
    Export {
        #[command(flatten)]
        spec: SpecArgs,
        /// The dataset of the spec
        #[arg(long)]
        dataset: String,
        /// The folder to write to; created if missing
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    /// The folder of models, archetypes and item vectors [default: GENAIR_CACHE, or data/cache]
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
}

impl CacheArgs {
    /// The cache to use, as an absolute path.
    pub(crate) fn path(&self) -> PathBuf {
        let path = self
            .cache
            .clone()
            .or_else(|| environment::path("GENAIR_CACHE"));
        let path = path.unwrap_or_else(|| "data/cache".into());
        std::path::absolute(&path).unwrap_or(path)
    }
}

#[derive(Debug, Args)]
pub(crate) struct SpecArgs {
    /// The spec file
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) set: SetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Override one setting, e.g. train.optimizer.lr=1e-4; a list is an axis; repeat for more settings
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// Apply the settings in [profile.NAME]; repeat for more profiles
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
}

impl SetArgs {
    /// The profiles and overrides of the command line.
    pub(crate) fn options(&self) -> SpecOptions {
        SpecOptions {
            profiles: self.profiles.clone(),
            overrides: self.overrides.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    /// Search this folder for plugins before the others; repeat for more folders
    #[arg(long = "plugin-dir", value_name = "FOLDER")]
    pub(crate) folders: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PluginTestArgs {
    /// The plugin's name in specs, such as sasrec
    pub(crate) name: String,
    /// A TOML file with a table of settings for each set of parameters [default: one set, the defaults]
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) plugins: PluginArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// The results database [default: GENAIR_DB, or results/genair.db]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The database to use.
    pub(crate) fn path(&self) -> PathBuf {
        let path = self.db.clone().or_else(|| environment::path("GENAIR_DB"));
        path.unwrap_or_else(|| "results/genair.db".into())
    }

    /// The database to use, open for reading.
    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        let store = Store::open_read_only(self.path())?;
        if let Some(age) = store.as_of().and_then(|as_of| as_of.elapsed().ok()) {
            tracing::warn!(
                "a sweep keeps {} to itself on a network file system; this is read from the sweep's copy of {} s ago",
                store.path().display(),
                age.as_secs()
            );
        }
        Ok(store)
    }

    /// The database to use.
    ///
    /// # Errors
    /// It does not exist.
    pub(crate) fn existing(&self) -> Result<PathBuf, StoreError> {
        let path = self.path();
        let kind = StoreErrorKind::Missing;
        match self.is_there() {
            true => Ok(path),
            false => Err(StoreError { path, kind }),
        }
    }

    /// Whether something is at its path; opening it reports any other problem.
    pub(crate) fn is_there(&self) -> bool {
        let path = self.path();
        path.is_symlink() || path.try_exists().unwrap_or(true)
    }
}
