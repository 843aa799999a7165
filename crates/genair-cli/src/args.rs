//! The command line.

mod export;
mod results;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use genair_spec::SpecOptions;
use genair_store::{StoreError, StoreErrorKind};

use crate::environment;

pub(crate) use export::{Export, HtmlArgs, RanksArgs, TablesArgs};
pub(crate) use results::{MeasureArgs, Results};

const EXIT_CODES: &str = "\
Environment: GENAIR_DB (database), GENAIR_PLUGIN_PATH (folders of plugins, separated by colons),
  GENAIR_TRAINER (worker binary), GENAIR_DEVICE (train.device), GENAIR_CACHE (models, archetypes, vectors)
Exit codes: 0 done, 1 bug, 2 bad input or output that cannot be written, 3 some runs failed,
  4 nothing to run, 5 results differ, 130 interrupted
JSON output keeps its keys from release to release; new ones may be added.";

/// Run sequential-recommendation experiments described in TOML
#[derive(Debug, Parser)]
#[command(name = "genair", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Standard output: tables, one JSON document, CSV of listings, or nothing (and no progress either)
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Say more on standard error; twice, even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say less on standard error
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) quiet: u8,
    /// How log messages on standard error look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Csv,
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
    /// None
    None,
    /// Those whose worker died or could not use its files, and those that lacked what is made before them; not those
    /// that would fail again
    Crashed,
    /// All that failed, whatever of
    Failed,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Validate specs and plugins; train nothing
    ///
    /// Its profiles are checked, too. JSON: an array of {spec, profile, sweep, runs, problems, warnings}; a problem
    /// is {place, key, message, hint}.
    Check {
        /// Spec files
        #[arg(required = true)]
        specs: Vec<PathBuf>,
        #[command(flatten)]
        set: SetArgs,
        #[command(flatten)]
        plugins: PluginArgs,
    },
    /// List the runs a spec expands to, which are done, and what they share
    ///
    /// JSON: an array of {dataset, backbone, representation, variant, axes, seed, state, identity, priority, spec};
    /// `state` is new, pending, running, finished, failed or pruned. With `--graph`: {stages, runs, edges}; a stage is
    /// {id, stage, dataset, state, recipe, path}, a run {id, state, priority} and its labels, an edge {from, to} goes
    /// from what is made to what needs it.
    Plan {
        #[command(flatten)]
        spec: SpecArgs,
        #[command(flatten)]
        plugins: PluginArgs,
        #[command(flatten)]
        database: DatabaseArgs,
        #[command(flatten)]
        cache: CacheArgs,
        /// Show what is made once and which runs need it, as a tree or in Graphviz's language
        #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "text")]
        graph: Option<GraphForm>,
    },
    /// Train every run of a spec that has no result yet
    ///
    /// Ctrl-C stops cleanly, twice at once; the same command goes on. JSON: {sweep, interrupted, runs, leaderboard};
    /// a run is {run_id, dataset, backbone, representation, variant, axes, seed, outcome, failure}, `outcome` is finished,
    /// finished-before, failed, failed-before, pruned, pruned-before or left; the leaderboard is that of `results
    /// leaderboard`.
    Sweep {
        #[command(flatten)]
        spec: SpecArgs,
        /// Runs at once [default: `schedule.jobs`, or else cores over `train.threads`]
        #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
        jobs: Option<u16>,
        /// Which failed runs are tried again; a run that crashes now, twice at the most unless `none`
        #[arg(long, value_enum, default_value_t = Retry::Crashed)]
        retry: Retry,
        /// Start nothing more once a run has failed; runs at work go to their end
        #[arg(long)]
        fail_fast: bool,
        /// Take runs to their end that were pruned
        #[arg(long)]
        continue_pruned: bool,
        #[command(flatten)]
        plugins: PluginArgs,
        #[command(flatten)]
        database: DatabaseArgs,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Watch the sweeps of a database: runs, validation curves, failures, time to go
    ///
    /// Reads only, so it may watch a sweep of any process. JSON, of one moment: {sweeps, sweep, stages, runs}.
    Watch {
        /// Begin with this sweep [default: the one swept last]
        #[arg(long)]
        sweep: Option<String>,
        /// Write one frame as plain text and end
        #[arg(long)]
        once: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Write results for other programs: CSV, Parquet, MLflow, TensorBoard
    #[command(subcommand)]
    Export(Export),
    /// Query, compare, and look after recorded runs
    #[command(subcommand)]
    Results(Results),
    /// Write the JSON Schema of specs, with the settings of the plugins found, for editors
    Schema {
        #[command(flatten)]
        plugins: PluginArgs,
    },
    /// Look at specs
    #[command(subcommand)]
    Spec(Spec),
    /// Make the tables and figures that a report spec describes, from the database alone
    ///
    /// Prints tables as Markdown. With --out it writes them as LaTeX, Markdown, CSV and JSON, figures as SVG, PDF, PNG
    /// and CSV, and an overview (index.md, and index.tex, which compiles). JSON: {tables, figures, skipped, files}.
    Report {
        /// The report spec
        report: PathBuf,
        /// The folder to write to
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
        /// Only this table or figure; may be repeated
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Leave out what the database has no results for yet, and say what would fill it
        #[arg(long)]
        skip_missing: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// List and inspect backbone plugins
    #[command(subcommand)]
    Plugin(Plugin),
    /// Get and describe data sets
    #[command(subcommand)]
    Data(Data),
    /// Write archetypes of items and look at them
    #[command(subcommand)]
    Archetype(Archetype),
    /// Say what is there, what is missing, and what to do about it
    ///
    /// JSON: {ready, findings}; a finding is {topic, fine, found, fix}.
    Doctor {
        #[command(flatten)]
        plugins: PluginArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Spec {
    /// Show a spec as it comes out of files, profiles, presets and overrides, and where each value comes from
    ///
    /// The text is a spec itself. JSON: {files, profiles, spec, values}; a value is {key, value, from}.
    Resolve {
        #[command(flatten)]
        spec: SpecArgs,
        #[command(flatten)]
        plugins: PluginArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// List the plugins found, usable or not
    ///
    /// JSON: an array of {name, path, sha256, abi, libtorch, rustc, descriptor, capabilities, error}.
    List {
        #[command(flatten)]
        plugins: PluginArgs,
    },
    /// Show one plugin: its settings with defaults and ranges, its handshake, its capabilities
    Inspect {
        /// Name in specs, such as sasrec
        name: String,
        #[command(flatten)]
        plugins: PluginArgs,
    },
    /// Write the package of a new backbone: a small real model to replace, with its tests
    ///
    /// JSON: {"folder": ...}.
    New {
        /// Its name in specs: lower-case letters, digits and `_`
        name: String,
        /// Where its folder is made
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Download a public data set and check it
    Fetch {
        /// Which one
        dataset: PublicDataset,
        /// Folder to put it in [default: data/NAME]
        #[arg(long)]
        dest: Option<PathBuf>,
        /// Another address of the official file
        #[arg(long)]
        url: Option<String>,
    },
    /// Read the data sets of a spec and describe them
    ///
    /// JSON: an array of {dataset, variant, axes, statistics}.
    Stats {
        #[command(flatten)]
        spec: SpecArgs,
        /// Only this data set of the spec
        #[arg(long)]
        dataset: Option<String>,
    },
    /// Write a data set of a spec, as filtered, for other programs: interactions.tsv and items.jsonl
    ///
    /// JSON: {dataset, folder, users, items, interactions}.
    Export {
        #[command(flatten)]
        spec: SpecArgs,
        /// Which data set of the spec
        #[arg(long)]
        dataset: String,
        /// Folder to put the files in; created if it is not there
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Archetype {
    /// Print exactly what the model will see for an item
    ///
    /// JSON: {dataset, item, metadata, prompt}; `prompt` is null for an item without metadata.
    Prompt {
        #[command(flatten)]
        of: ArchetypeArgs,
        /// The item's id in the data [default: the first one]
        #[arg(long)]
        item: Option<String>,
    },
    /// Write every item's archetype or read its text, unless the cache has it, and make the item vectors
    ///
    /// Ctrl-C stops; the same command goes on. JSON: an array of {dataset, representation, archetypes, vectors,
    /// counts}.
    Generate {
        #[command(flatten)]
        of: ArchetypeArgs,
    },
    /// Show an item: metadata, prompt, answer, and its nearest items in each space
    ///
    /// JSON: {dataset, item, metadata, prompt, answer, neighbours}.
    Show {
        #[command(flatten)]
        of: ArchetypeArgs,
        /// The item's id in the data
        #[arg(long)]
        item: String,
        /// How many nearest items
        #[arg(long, default_value_t = 5)]
        neighbours: usize,
    },
    /// Describe a catalogue's archetypes: counts, lengths, explained variance, examples, both spaces as pictures
    ///
    /// Writes report.html, report.md and the pictures. JSON: {files}.
    Report {
        #[command(flatten)]
        of: ArchetypeArgs,
        /// The folder to write to [default: results/archetypes-DATASET]
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
        /// The field that colours the pictures [default: genres, genre, categories or category]
        #[arg(long)]
        category: Option<String>,
    },
    /// Turn vectors made elsewhere into a file of item vectors that a spec can name
    ///
    /// JSON: {file, sha256, items, parts}.
    Import {
        /// .npy, .npz or .safetensors files; PART=FILE says what a file becomes (context, archetype, text or
        /// vectors), or which of its arrays is meant
        #[arg(required = true, value_name = "[PART=]FILE")]
        files: Vec<String>,
        /// Item ids of the rows, one a line or a JSON list; without it, rows are the items of the spec's data set in
        /// order
        #[arg(long)]
        items: Option<PathBuf>,
        /// Principal components of each part; 0: as they come
        #[arg(long, default_value_t = 0)]
        components: usize,
        /// The spec whose data set has the items; only its data sets are read. Beside --items, says which of them
        /// have no row
        #[arg(long, value_name = "SPEC", required_unless_present = "items")]
        spec: Option<PathBuf>,
        #[command(flatten)]
        set: SetArgs,
        /// Which data set of the spec [default: its only one]
        #[arg(long, requires = "spec")]
        dataset: Option<String>,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Get models
    #[command(subcommand)]
    Model(Model),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// List the models that can be fetched, and which are here
    ///
    /// JSON: an array of {name, summary, licence, present}.
    List {
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Download a model and check it
    ///
    /// JSON: {name, path, already_there}.
    Fetch {
        /// Its name
        name: String,
        /// Another folder of the same files on the web
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        cache: CacheArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ArchetypeArgs {
    /// The spec file
    #[arg(default_value = "experiments/quickstart.toml")]
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) set: SetArgs,
    /// Which data set of the spec [default: its only one]
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// Which representation of the spec, of kind archetype or text [default: its only one; generate: all]
    #[arg(long)]
    pub(crate) representation: Option<String>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    /// Where models, archetypes and item vectors are kept [default: GENAIR_CACHE, or else data/cache]
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
}

impl CacheArgs {
    /// The cache to use, as an absolute path.
    pub(crate) fn path(&self) -> PathBuf {
        let path = self
            .cache
            .clone()
            .or_else(environment::cache)
            .unwrap_or_else(|| "data/cache".into());
        std::path::absolute(&path).unwrap_or(path)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublicDataset {
    /// MovieLens-100k, 943 users and 1,682 films
    #[value(name = "ml-100k")]
    Ml100k,
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
    /// Override one setting, e.g. train.optimizer.lr=1e-4; a list makes an axis
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// Put this profile of the spec on top, [profile.NAME]; may be repeated
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
}

impl SetArgs {
    /// What is said about a spec beside its file.
    pub(crate) fn options(&self) -> SpecOptions {
        SpecOptions {
            profiles: self.profiles.clone(),
            overrides: self.overrides.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    /// A folder with plugins, searched before all others; may be repeated
    #[arg(long = "plugin-dir", value_name = "FOLDER")]
    pub(crate) folders: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// The results database [default: GENAIR_DB, or else results/genair.db]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The database to use.
    pub(crate) fn path(&self) -> PathBuf {
        self.db
            .clone()
            .or_else(environment::database)
            .unwrap_or_else(|| "results/genair.db".into())
    }

    /// The database to use, which has to be there.
    pub(crate) fn existing(&self) -> Result<PathBuf, StoreError> {
        let path = self.path();
        match path.try_exists() {
            // What else is wrong with it, opening it says.
            Ok(true) | Err(_) => Ok(path),
            Ok(false) if path.is_symlink() => Ok(path),
            Ok(false) => Err(StoreError {
                path,
                kind: StoreErrorKind::Missing,
            }),
        }
    }
}
