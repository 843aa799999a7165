//! Where this machine keeps what the pipeline needs: the cache and the worker binaries.

use std::path::{Path, PathBuf};

/// Environment variable that admits the fake engine if it is `1`.
const ALLOW_FAKE: &str = "GENAIR_ALLOW_FAKE_ENGINE";

/// Where things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Root of the cache; folders are made in it as they are needed.
    pub cache: PathBuf,
    /// The worker that runs language models.
    pub llama: PathBuf,
    /// The worker that runs sentence encoders.
    pub encoder: PathBuf,
    /// Whether the fake engine may run: it makes archetypes up, for tests.
    pub allow_fake_engine: bool,
}

impl Installation {
    /// Worker binaries beside the running program; the fake engine only if the environment says
    /// `GENAIR_ALLOW_FAKE_ENGINE=1`.
    pub fn new(cache: PathBuf) -> Self {
        let program = std::env::current_exe().unwrap_or_default();
        let beside = |name: &str| program.with_file_name(name);
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place; outside a spec, so that no spec can ask for made-up archetypes by itself"
        )]
        let allow_fake_engine = std::env::var_os(ALLOW_FAKE).is_some_and(|value| value == "1");
        Self {
            cache,
            llama: beside("genair-llama"),
            encoder: beside("genair-encoder"),
            allow_fake_engine,
        }
    }

    /// Folder of a model of the catalogue.
    pub(crate) fn model_folder(&self, name: &str) -> PathBuf {
        self.cache.join("models").join(name)
    }

    /// Folder of the records made under settings of this hash.
    pub(crate) fn records_folder(&self, settings_sha256: &str) -> PathBuf {
        let short = &settings_sha256[..settings_sha256.len().min(16)];
        self.cache.join("archetypes").join(short)
    }

    /// Where hashes of big files are remembered.
    pub(crate) fn hashes_folder(&self) -> PathBuf {
        self.cache.join("models").join(".sha256")
    }
}

/// How a worker is built, for errors that miss it.
pub(crate) fn build_command(worker: &Path) -> &'static str {
    if worker
        .file_name()
        .is_some_and(|name| name == "genair-encoder")
    {
        "just build"
    } else {
        "just llama"
    }
}
