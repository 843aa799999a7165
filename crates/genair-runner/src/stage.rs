//! Stages that runs share: prepared data, item vectors and association scores, each made once before the
//! runs that need it and kept in the cache under the hash of its recipe.
//!
//! Owns which run needs what, and where it is kept. How it is made is `prepare`'s business.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use genair_archetype::{
    ArchetypeError, AssembleError, EngineKind, ImportError, Installation, StateSource,
    VectorsRecipe, import_sha256,
};
use genair_calibration::AssociationsError;
use genair_data::{DataError, VectorsError};
use genair_protocol::{AssociationSpec, DatasetSpec, FailureKind};
use genair_spec::VectorsStage;
use serde::Serialize;
use serde_json::json;

use crate::prepare::import_of;

/// Something to be made before the runs that need it.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What it makes.
    pub kind: StageKind,
    /// Name of the dataset in the spec.
    pub dataset: String,
    /// The dataset.
    pub data: DatasetSpec,
    /// SHA-256 of its recipe, lower-case hex: data and every setting that decides its content.
    pub recipe_sha256: String,
    /// Where its outcome is kept.
    pub path: PathBuf,
}

/// What a stage makes.
#[derive(Clone, Debug, PartialEq)]
pub enum StageKind {
    /// The dataset: read, filtered, split.
    Data,
    /// Item vectors.
    Vectors(VectorsStage),
    /// Association scores of the training sequences.
    Associations(AssociationSpec),
}

/// The name of a stage's kind, as `plan` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    /// The dataset, read and filtered.
    Data,
    /// Item vectors from archetypes.
    Archetypes,
    /// Item vectors from a sentence encoder.
    Texts,
    /// Item vectors made elsewhere.
    Import,
    /// Association scores.
    Associations,
}

impl StageName {
    /// The name, as in `archetypes`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Archetypes => "archetypes",
            Self::Texts => "texts",
            Self::Import => "import",
            Self::Associations => "associations",
        }
    }
}

impl Stage {
    /// Whether its outcome is in the cache.
    pub fn is_ready(&self) -> bool {
        self.path.exists()
    }

    /// The worker binary that has yet to be built for it, if there is one: `genair-llama` is built on
    /// first need.
    pub fn missing_worker(&self, installation: &Installation) -> Option<&'static str> {
        let StageKind::Vectors(VectorsStage::Archetype { settings, .. }) = &self.kind else {
            return None;
        };
        let needed =
            settings.engine == EngineKind::LlamaCpp || settings.states == Some(StateSource::Local);
        let missing = needed && !self.is_ready() && !installation.llama.is_file();
        missing.then_some("genair-llama")
    }

    /// What kind of stage it is.
    pub fn name(&self) -> StageName {
        match &self.kind {
            StageKind::Vectors(VectorsStage::Text { .. }) => StageName::Texts,
            StageKind::Vectors(VectorsStage::Archetype { .. }) => StageName::Archetypes,
            StageKind::Vectors(VectorsStage::Import { .. }) => StageName::Import,
            StageKind::Data => StageName::Data,
            StageKind::Associations(_) => StageName::Associations,
        }
    }
}

/// Stages of a plan, each recipe once, in order of first need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stages {
    stages: Vec<Stage>,
    by_recipe: HashMap<String, usize>,
}

impl Stages {
    /// The number of a stage, entered if it is new.
    pub(crate) fn enter(&mut self, stage: Stage) -> usize {
        let next = self.stages.len();
        let at = *self
            .by_recipe
            .entry(stage.recipe_sha256.clone())
            .or_insert(next);
        if at == next {
            self.stages.push(stage);
        }
        at
    }

    pub(crate) fn into_vec(self) -> Vec<Stage> {
        self.stages
    }
}

/// Where a stage's outcome is kept.
pub(crate) fn path_of(cache: &Path, kind: &StageKind, recipe_sha256: &str) -> PathBuf {
    let (folder, extension) = match kind {
        StageKind::Data => ("data", "json"),
        StageKind::Vectors(_) => ("vectors", "safetensors"),
        StageKind::Associations(_) => ("associations", "safetensors"),
    };
    cache
        .join(folder)
        .join(format!("{}.{extension}", &recipe_sha256[..16]))
}

/// What decides the content of prepared data; the rest is told by each run.
pub(crate) fn prepared_spec(data: &DatasetSpec) -> DatasetSpec {
    let DatasetSpec {
        max_len, cohorts, ..
    } = DatasetSpec::default();
    DatasetSpec {
        max_len,
        cohorts,
        ..data.clone()
    }
}

/// SHA-256, lower-case hex, of what decides a file of prepared data: its spec and files.
pub(crate) fn data_sha256(fingerprint: &str) -> String {
    genair_files::sha256(json!({ "prepared": 2, "data": fingerprint }).to_string())
}

/// SHA-256, lower-case hex, of what decides a file of item vectors.
pub(crate) fn vectors_sha256(
    stage: &VectorsStage,
    data: &DatasetSpec,
    installation: &Installation,
) -> Result<String, StageError> {
    match stage {
        VectorsStage::Archetype {
            settings,
            components,
        } => {
            let catalogue = genair_data::catalogue(data)?;
            let recipe = VectorsRecipe::new(&catalogue, settings, *components, installation)?;
            Ok(recipe.sha256())
        }
        VectorsStage::Text {
            encoder,
            components,
        } => {
            let (catalogue, settings) = (genair_data::catalogue(data)?, encoder.engine_settings());
            let recipe = VectorsRecipe::new(&catalogue, &settings, *components, installation)?;
            Ok(recipe.sha256())
        }
        VectorsStage::Import { path, items } => {
            let (files, ids) = import_of(path, items.as_deref(), data)?;
            Ok(import_sha256(&files, &ids, 0)?)
        }
    }
}

/// SHA-256, lower-case hex, of what decides a dataset's association scores.
pub(crate) fn associations_sha256(data_sha256: &str, spec: &AssociationSpec) -> String {
    let recipe = json!({ "associations": 1, "data": data_sha256, "spec": spec });
    genair_files::sha256(recipe.to_string())
}

/// Why a stage has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The data cannot be read.
    #[error("the data cannot be used")]
    Data(#[from] DataError),
    /// A file of vectors, or of their items, cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Archetypes cannot be had.
    #[error(transparent)]
    Archetype(#[from] ArchetypeError),
    /// Item vectors cannot be made of archetypes.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// Vectors made elsewhere cannot be used.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Item vectors cannot be written.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// Association scores cannot be written.
    #[error(transparent)]
    Associations(#[from] AssociationsError),
}

impl StageError {
    /// Whether it was a request to stop, and the same command goes on.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Archetype(error) if error.is_interruption())
    }

    /// Whether there was no room for a file, which every other stage and run would meet too.
    pub fn is_full_disk(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|error| FailureKind::of_io(error) == FailureKind::DiskFull) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// An error and everything that it came from, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
