//! Specs: the TOML a user writes, its layers and axes, and the runs it describes.
//!
//! Owns the format, its defaults and every message about a mistake in it. Runs nothing and reads no
//! data.

mod axes;
mod backbone;
mod check;
mod combination;
mod compose;
mod condition;
mod data_path;
mod dataset;
mod equal;
mod eval;
mod expand;
mod load;
mod meant;
mod names;
mod params;
mod parts;
mod prune;
mod range;
mod recipes;
mod representation;
mod resolve;
mod schedule;
mod schema;
mod search;
mod settings;
mod sweep;
mod train;

use std::path::PathBuf;

use genair_protocol::{AssociationSpec, DatasetSpec, Labels, RunSpec, VectorSource};
use serde::Serialize;

pub use check::{Accepts, Backbones};
pub use dataset::PublicDataset;
pub use genair_toml::{Origin, Place, Problem, SpecError};
pub use load::{DEFAULT_SPEC, SpecFile, SpecOptions};
pub use parts::ArchetypeJob;
pub use prune::{Across, Pruning, Rule};
pub use recipes::{NoRecipe, Recipe, RecipeFile, recipe, recipes};
pub use representation::VectorsStage;
pub use resolve::{Resolved, ResolvedValue};
pub use schedule::{ExecutorKind, Schedule, SlurmSettings};
pub use schema::schema;
pub use settings::{Setting, settings};

/// A spec, checked and expanded: its runs as `R` knows them, here as the spec describes them.
#[derive(Clone, Debug)]
pub struct Sweep<R = SweepRun> {
    /// `sweep.name`.
    pub name: String,
    /// `sweep.description`.
    pub description: Option<String>,
    /// The spec file as the user named it.
    pub spec_path: PathBuf,
    /// The spec's text: the file's, or all that it is put together from ([`SpecFile::text`]).
    pub spec_text: String,
    /// `sweep.checkpoint_seconds`; see [`genair_protocol::ResumeSpec::every_seconds`].
    pub checkpoint_seconds: f64,
    /// Labels of the axes that a search draws or lists points of, in the order of the file; none for a grid.
    pub searched: Vec<String>,
    /// Datasets slowest, then backbones, representations, axes in the order of the file, seeds.
    pub runs: Vec<R>,
    /// How the runs use the machine.
    pub schedule: Schedule,
    /// Which runs are stopped early; none where all go to their end.
    pub pruning: Option<Pruning>,
    /// Oddities that do no harm.
    pub warnings: Vec<Problem>,
}

/// One run as its spec describes it.
#[derive(Clone, Debug)]
pub struct SweepRun {
    /// What tells it from the sweep's other runs.
    pub labels: Labels,
    /// Every value that decides its numbers, but for one.
    pub spec: Draft,
    /// The backbone's plugin; none for a built-in backbone.
    pub plugin: Option<PluginFile>,
    /// What makes its item vectors; none where they need no stage of their own.
    pub vectors: Option<VectorsStage>,
    /// When it goes: 0 first.
    pub priority: usize,
    /// Places of the runs whose scores it combines, all before it; none for a run that trains.
    pub members: Vec<usize>,
}

impl<R> Sweep<R> {
    /// The same sweep with other runs.
    pub fn with_runs<T>(self, runs: Vec<T>) -> Sweep<T> {
        Sweep {
            name: self.name,
            description: self.description,
            spec_path: self.spec_path,
            spec_text: self.spec_text,
            checkpoint_seconds: self.checkpoint_seconds,
            searched: self.searched,
            runs,
            schedule: self.schedule,
            pruning: self.pruning,
            warnings: self.warnings,
        }
    }
}

/// A run's spec but for the recipe of its item vectors, which depends on the data.
#[derive(Clone, Debug)]
pub struct Draft(RunSpec);

impl Draft {
    /// Its dataset.
    pub fn dataset(&self) -> &DatasetSpec {
        &self.0.dataset
    }

    /// How its association scores are counted, if it calibrates.
    pub fn association(&self) -> Option<&AssociationSpec> {
        let calibration = self.0.representation.calibration.as_ref();
        calibration.map(|calibration| &calibration.association)
    }

    /// The run's spec, with the SHA-256 of the recipe of its item vectors, where they have one.
    pub fn complete(self, recipe_sha256: Option<String>) -> RunSpec {
        let mut spec = self.0;
        let representation = &mut spec.representation;
        let frozen = representation.frozen.as_mut().map(|own| &mut own.source);
        let imputed = representation.imputed.as_mut().map(|own| &mut own.source);
        if let (Some(source), Some(recipe_sha256)) = (frozen.or(imputed), recipe_sha256) {
            *source = VectorSource::File { recipe_sha256 };
        }
        spec
    }
}

/// A plugin's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginFile {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
}
