//! Specs: the TOML a user writes, its layers and axes, and the runs it describes.
//!
//! Owns the format, its defaults and every message about a mistake in it. Runs nothing and reads no
//! data.

mod axes;
mod check;
mod data_path;
mod expand;
mod key_path;
mod load;
mod params;
mod problem;
mod ranges;
mod representation;
mod section;
mod settings;
mod sources;

use std::fmt;
use std::path::PathBuf;

use genair_protocol::RunSpec;
use serde::Serialize;

use crate::stage::VectorsStage;

pub use check::{Accepts, Backbones};
pub use expand::ArchetypeJob;
pub use load::{DEFAULT_SPEC, SpecFile};
pub use problem::{Place, Problem, SpecError};
pub use settings::{Setting, settings};

/// A spec, checked and expanded.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// `sweep.name`.
    pub name: String,
    /// `sweep.description`.
    pub description: Option<String>,
    /// The spec file as the user named it.
    pub spec_path: PathBuf,
    /// The spec file's text.
    pub spec_text: String,
    /// Datasets slowest, then backbones, representations, axes in the order of the file, seeds.
    pub runs: Vec<SweepRun>,
    /// Oddities that do no harm.
    pub warnings: Vec<Problem>,
}

/// One run as its spec describes it.
#[derive(Clone, Debug)]
pub struct SweepRun {
    /// What tells it from the sweep's other runs.
    pub labels: Labels,
    /// Every value that decides its numbers.
    pub spec: RunSpec,
    /// The backbone's plugin; none for a built-in backbone.
    pub plugin: Option<PluginFile>,
    /// What makes its item vectors; none where they need no stage of their own.
    pub vectors: Option<VectorsStage>,
}

/// A plugin's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginFile {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
}

/// What tells a run from the others of its sweep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Labels {
    /// Name of the dataset in the spec.
    pub dataset: String,
    /// Name of the backbone.
    pub backbone: String,
    /// Name of the representation; `none` for a built-in backbone.
    pub representation: String,
    /// Values of the swept axes, such as `lr=1e-4,dropout=0.5`; empty where there are none.
    pub variant: String,
    /// Seed of the run.
    pub seed: u64,
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            dataset,
            backbone,
            representation,
            variant,
            seed,
        } = self;
        write!(f, "{dataset} {backbone} {representation}")?;
        if !variant.is_empty() {
            write!(f, " {variant}")?;
        }
        write!(f, " seed {seed}")
    }
}
