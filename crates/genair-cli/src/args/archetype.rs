//! `genair archetype ...`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CacheArgs, SetArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum Archetype {
    /// Print the exact prompt that the model gets for an item
    ///
    /// JSON: {dataset, item, metadata, prompt}. `prompt` is null for an item without metadata.
    Prompt {
        #[command(flatten)]
        of: ArchetypeArgs,
        /// The item's id in the data [default: the first one]
        #[arg(long)]
        item: Option<String>,
    },
    /// Generate the archetypes that the cache lacks, and the item vectors
    ///
    /// For a representation of kind `text`, encodes each item's text instead. `genair sweep` does the same by itself.
    ///
    /// Press Ctrl-C to stop. Rerun the command to resume.
    ///
    /// JSON: an array of {dataset, representation, archetypes, vectors, counts}.
    Generate(ArchetypeArgs),
    /// Show an item: its metadata, prompt, answer, and nearest items in each space
    ///
    /// The nearest items need the vectors of all items. The command therefore first writes the archetypes that are
    /// missing, as `generate` does. `genair archetype prompt` needs none of them.
    ///
    /// JSON: {dataset, item, metadata, prompt, answer, neighbours}.
    Show {
        #[command(flatten)]
        of: ArchetypeArgs,
        /// The item's id in the data
        #[arg(long)]
        item: String,
        /// The number of nearest items
        #[arg(long, value_name = "N", default_value_t = 5)]
        neighbours: usize,
    },
    /// Write a report on the archetypes of a dataset
    ///
    /// The report has counts, lengths, explained variance, examples, and a picture of each space. Writes
    /// report.html, report.md and the pictures.
    ///
    /// JSON: {files}.
    Report {
        #[command(flatten)]
        of: ArchetypeArgs,
        /// The folder to write to [default: results/archetypes-DATASET]
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
        /// The field that colours the pictures [default: genres, genre, categories or category]
        #[arg(long, value_name = "FIELD")]
        category: Option<String>,
    },
    /// Convert vectors from other programs to a file of item vectors for specs
    ///
    /// JSON: {file, sha256, items, parts}.
    Import(ImportArgs),
    /// Write the prompts that have no answer yet as a file for a batch of the OpenAI protocol
    ///
    /// The engine must be `openai`. Each line is a request; its `custom_id` is the key of the record. `import-answers`
    /// reads the output of the batch.
    ///
    /// JSON: {file, prompts, answered, without_metadata}.
    ExportPrompts {
        #[command(flatten)]
        of: ArchetypeArgs,
        /// The file to write, JSON lines
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Read the output of a batch into the cache
    ///
    /// `genair sweep` and `generate` then use the answers as if the server had given them one by one.
    ///
    /// JSON: {kept, known, failed, first_failure, strange, missing}.
    ImportAnswers {
        #[command(flatten)]
        of: ArchetypeArgs,
        /// The output of the batch, JSON lines
        #[arg(long, value_name = "FILE")]
        answers: PathBuf,
    },
    /// List and download models
    #[command(subcommand)]
    Model(Model),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files in .npy, .npz, .safetensors, .csv, .csv.gz, .tsv or .parquet format, or a folder of hidden states by vLLM
    ///
    /// PART is context, archetype, text or vectors. It names the part that the file's array becomes. For a file
    /// with several arrays, it names the array to read.
    #[arg(required = true, value_name = "[PART=]FILE")]
    pub(crate) files: Vec<String>,
    /// The item ids of the rows, one per line or a JSON list [default: the order of the spec's items]
    #[arg(long, value_name = "FILE")]
    pub(crate) items: Option<PathBuf>,
    /// The column with the item ids of the rows, for csv and Parquet files
    #[arg(long, value_name = "COLUMN", conflicts_with = "items")]
    pub(crate) id_column: Option<String>,
    /// The model's .safetensors file with `model.norm.weight`, for a folder of hidden states
    ///
    /// vLLM writes hidden states without the model's final RMS norm. The import applies it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["items", "id_column"])]
    pub(crate) norm: Option<PathBuf>,
    /// The epsilon of that norm [default: `rms_norm_eps` of the config.json beside the file]
    #[arg(long, value_name = "NUMBER", requires = "norm")]
    pub(crate) norm_eps: Option<f64>,
    /// Reduce each part to N principal components; 0 keeps the vectors unchanged
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) components: usize,
    /// The spec whose dataset has the items
    ///
    /// Only the datasets of the spec are read. With --items, --id-column or --norm, warns of items that have no row.
    #[arg(long, value_name = "SPEC", required_unless_present_any = ["items", "id_column", "norm"])]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) set: SetArgs,
    /// The dataset of the spec [default: its only one]
    #[arg(long, requires = "spec")]
    pub(crate) dataset: Option<String>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// List the models that can be downloaded, and which are present
    ///
    /// JSON: an array of {name, summary, licence, present}.
    List(CacheArgs),
    /// Download a model and verify its checksums
    ///
    /// JSON: {name, path, already_there}.
    Fetch {
        /// The model's name
        name: String,
        /// Download the files from this web folder instead
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
    /// The dataset of the spec [default: its only one]
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// The representation, of kind archetype or text [default: the only one; for generate, all]
    #[arg(long)]
    pub(crate) representation: Option<String>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}
