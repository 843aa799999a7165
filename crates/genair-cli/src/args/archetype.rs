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
    /// List and download models
    #[command(subcommand)]
    Model(Model),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files in .npy, .npz or .safetensors format
    ///
    /// PART is context, archetype, text or vectors. It names the part that the file's array becomes. For a file
    /// with several arrays, it names the array to read.
    #[arg(required = true, value_name = "[PART=]FILE")]
    pub(crate) files: Vec<String>,
    /// The item ids of the rows, one per line or a JSON list [default: the order of the spec's items]
    #[arg(long, value_name = "FILE")]
    pub(crate) items: Option<PathBuf>,
    /// Reduce each part to N principal components; 0 keeps the vectors unchanged
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) components: usize,
    /// The spec whose dataset has the items
    ///
    /// Only the datasets of the spec are read. With --items, warns of items that have no row.
    #[arg(long, value_name = "SPEC", required_unless_present = "items")]
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
