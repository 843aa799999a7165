//! Where this machine keeps what the pipeline needs: the cache and the worker binaries.

use std::path::{Path, PathBuf};

use genair_files::Cache;

/// Environment variable that admits the fake engine if it is `1`.
const ALLOW_FAKE: &str = "GENAIR_ALLOW_FAKE_ENGINE";
/// Environment variable with the file that the fake engine waits for.
const FAKE_WAITS_FOR: &str = "GENAIR_FAKE_ENGINE_WAITS_FOR";

/// Environment variable with the path of the worker `genair-trainer`.
const TRAINER: &str = "GENAIR_TRAINER";
/// Environment variable with the command that builds `genair-llama`.
const BUILD_LLAMA: &str = "GENAIR_BUILD_LLAMA";

/// How the fake engine behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeEngineSettings {
    /// A file without which it writes nothing.
    pub waits_for: Option<PathBuf>,
}

/// Where things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The cache; folders are made in it as they are needed.
    pub cache: Cache,
    /// The worker that trains, and computes principal components.
    pub trainer: PathBuf,
    /// The worker that runs language models.
    pub llama: PathBuf,
    /// The worker that runs sentence encoders.
    pub encoder: PathBuf,
    /// The worker that reads Parquet files.
    pub report: PathBuf,
    /// The command that builds the first of these, where it is known.
    pub build_llama: Option<PathBuf>,
    /// The fake engine, if it may run: it makes archetypes up, for tests.
    pub fake_engine: Option<FakeEngineSettings>,
}

impl Installation {
    /// Worker binaries beside the running program; the fake engine only if the environment says
    /// `GENAIR_ALLOW_FAKE_ENGINE=1`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        let program = std::env::current_exe().unwrap_or_default();
        let beside = |name: &str| program.with_file_name(name);
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place; outside a spec, so that no spec can start a command, or ask for made-up \
                      archetypes by itself"
        )]
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let build_llama = variable(BUILD_LLAMA).map(PathBuf::from);
        let fake_engine =
            variable(ALLOW_FAKE)
                .filter(|value| value == "1")
                .map(|_| FakeEngineSettings {
                    waits_for: variable(FAKE_WAITS_FOR).map(PathBuf::from),
                });
        Self {
            cache: Cache::new(cache),
            trainer: variable(TRAINER).map_or_else(|| beside("genair-trainer"), PathBuf::from),
            llama: beside("genair-llama"),
            encoder: beside("genair-encoder"),
            report: beside("genair-report"),
            build_llama,
            fake_engine,
        }
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
