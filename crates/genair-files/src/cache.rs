//! What the cache has where. Every name in it is made here, but for those of locks and of the logs that
//! engines write beside their records.

use std::path::{Path, PathBuf};

/// A folder of files that can be made again, each named after the hash of what decides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache(PathBuf);

impl Cache {
    /// The cache in this folder, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// A dataset: read, filtered, ordered and numbered.
    pub fn sequences(&self, recipe_sha256: &str) -> PathBuf {
        self.file("data", recipe_sha256, "json")
    }

    /// The items of a dataset, before any filter.
    pub fn catalogue(&self, recipe_sha256: &str) -> PathBuf {
        self.file("data", recipe_sha256, "catalogue.json")
    }

    /// Item vectors.
    pub fn vectors(&self, recipe_sha256: &str) -> PathBuf {
        self.file("vectors", recipe_sha256, "safetensors")
    }

    /// The texts that item vectors were made of.
    pub fn archetypes(&self, recipe_sha256: &str) -> PathBuf {
        self.file("vectors", recipe_sha256, "archetypes.jsonl")
    }

    /// Association scores of a dataset's training part.
    pub fn associations(&self, recipe_sha256: &str) -> PathBuf {
        self.file("associations", recipe_sha256, "safetensors")
    }

    /// The folder of the records that an engine made under settings of this hash.
    pub fn records(&self, settings_sha256: &str) -> PathBuf {
        self.0.join("archetypes").join(short(settings_sha256))
    }

    /// The folder of a model.
    pub fn model(&self, name: &str) -> PathBuf {
        self.0.join("models").join(name)
    }

    /// What the build of a worker says.
    pub fn build_log(&self) -> PathBuf {
        self.0.join("genair-llama.log")
    }

    /// The folder that remembers hashes of large files.
    pub fn hashes(&self) -> PathBuf {
        self.0.join("models").join(".sha256")
    }

    fn file(&self, folder: &str, sha256: &str, extension: &str) -> PathBuf {
        let name = format!("{}.{extension}", short(sha256));
        self.0.join(folder).join(name)
    }
}

/// Enough of a hash for a name.
fn short(sha256: &str) -> &str {
    &sha256[..sha256.len().min(16)]
}
