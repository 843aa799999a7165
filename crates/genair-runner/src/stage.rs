//! Stages that runs share: prepared data, item vectors and association scores, each made once before the
//! runs that need it and kept in the cache under the hash of its recipe.
//!
//! Owns what a stage is and what decides its outcome. How it is made is `prepare`'s business.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use genair_archetype::{
    ArchetypeError, ArchetypeSpec, AssembleError, EngineKind, ImportError, ImportFile,
    Installation, PcaError, RecordParts, RowIds, VectorsForm, VectorsRecipe, import_sha256,
    lacks_llama, models, record_folders,
};
use genair_calibration::AssociationsError;
use genair_data::{Catalogue, DataError, VectorsError};
use genair_files::{Cache, FileError};
use genair_protocol::{AssociationSpec, DatasetSpec, FailureKind};
use genair_spec::VectorsStage;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Something to be made before the runs that need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// The stages of the plan whose outcomes it reads.
    pub needs: Vec<usize>,
}

/// What a stage makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageKind {
    /// The dataset: read, filtered, split.
    Data,
    /// Item vectors.
    Vectors(#[serde(with = "VectorsDefinition")] VectorsStage),
    /// Association scores of the training sequences.
    Associations(AssociationSpec),
}

/// How a stage of item vectors crosses to the job that makes it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "VectorsStage", rename_all = "kebab-case")]
enum VectorsDefinition {
    Archetype {
        settings: Box<ArchetypeSpec>,
        form: VectorsForm,
    },
    Text {
        settings: Box<ArchetypeSpec>,
        form: VectorsForm,
    },
    Import {
        path: PathBuf,
        items: Option<PathBuf>,
        id_column: Option<String>,
        form: VectorsForm,
    },
}

/// The name of a stage's kind, as `plan` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    /// The dataset, read and filtered.
    Data,
    /// Item vectors from archetypes.
    Archetypes,
    /// Item vectors from prompts that nothing answers.
    Prompts,
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
            Self::Prompts => "prompts",
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

    /// What an engine is asked for; none where no engine makes it.
    pub(crate) fn engine(&self) -> Option<&ArchetypeSpec> {
        match &self.kind {
            StageKind::Vectors(vectors) => vectors.engine().map(|(settings, _)| settings),
            StageKind::Data | StageKind::Associations(_) => None,
        }
    }

    /// Whether a server makes all that takes long.
    pub(crate) fn asks_a_server(&self) -> bool {
        self.engine().is_some_and(|settings| {
            settings.engine == EngineKind::OpenAi && settings.states.is_none()
        })
    }

    /// Bytes of the models that it loads, where they are here already.
    pub(crate) fn model_bytes(&self, installation: &Installation) -> u64 {
        let models = self.engine().map(ArchetypeSpec::local_models);
        let models = models.into_iter().flatten();
        models.map(|model| models::bytes(model, installation)).sum()
    }

    /// The folders of records that it writes into; none where its outcome is there, or where its settings are wrong.
    pub(crate) fn record_folders(&self, installation: &Installation) -> Vec<PathBuf> {
        let engine = self.engine().filter(|_| !self.is_ready());
        let folders = engine.map(|settings| record_folders(settings, installation));
        folders.and_then(Result::ok).unwrap_or_default()
    }

    /// Whether `genair-llama` has yet to be built for it.
    pub fn lacks_llama(&self, installation: &Installation) -> bool {
        let engine = self.engine().filter(|_| !self.is_ready());
        engine.is_some_and(|settings| lacks_llama(settings, installation))
    }

    /// What kind of stage it is.
    pub fn name(&self) -> StageName {
        match &self.kind {
            StageKind::Vectors(VectorsStage::Text { .. }) => StageName::Texts,
            StageKind::Vectors(VectorsStage::Archetype { settings, .. }) => {
                match settings.record_parts() {
                    RecordParts::Context => StageName::Prompts,
                    RecordParts::Archetype | RecordParts::Text => StageName::Archetypes,
                }
            }
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

impl StageKind {
    /// Where the outcome of a recipe is kept.
    pub(crate) fn path(&self, recipe_sha256: &str, cache: &Cache) -> PathBuf {
        match self {
            Self::Data => cache.sequences(recipe_sha256),
            Self::Vectors(_) => cache.vectors(recipe_sha256),
            Self::Associations(_) => cache.associations(recipe_sha256),
        }
    }
}

/// SHA-256, lower-case hex, of what decides a file of item vectors. `catalogue` reads the dataset's, if need be.
pub(crate) fn vectors_sha256(
    stage: &VectorsStage,
    catalogue: impl FnOnce() -> Result<Catalogue, DataError>,
    installation: &Installation,
) -> Result<String, StageError> {
    match stage {
        VectorsStage::Archetype { settings, form } | VectorsStage::Text { settings, form } => {
            let recipe = VectorsRecipe::new(&catalogue()?, settings, form, installation)?;
            Ok(recipe.sha256())
        }
        VectorsStage::Import {
            path,
            items,
            id_column,
            form,
        } => {
            let (items, column) = (items.as_deref(), id_column.as_deref());
            let (files, ids, catalogue) = import_of(path, items, column, form, catalogue)?;
            Ok(import_sha256(&files, &ids, form, catalogue.as_ref())?)
        }
    }
}

/// What an import reads: its file, the ids of its rows, and the catalogue where items are grouped by it.
pub(crate) fn import_of(
    path: &Path,
    items: Option<&Path>,
    id_column: Option<&str>,
    form: &VectorsForm,
    catalogue: impl FnOnce() -> Result<Catalogue, DataError>,
) -> Result<([ImportFile; 1], RowIds, Option<Catalogue>), StageError> {
    let by_catalogue = items.is_none() && id_column.is_none();
    let catalogue = match by_catalogue || form.groups.is_some() {
        true => Some(catalogue()?),
        false => None,
    };
    let ids = match (items, id_column, &catalogue) {
        (_, Some(column), _) => RowIds::Own {
            column: Some(column.to_owned()),
        },
        (None, None, Some(catalogue)) => RowIds::catalogue(catalogue),
        (items, None, _) => RowIds::read(items.unwrap_or(path))?,
    };
    let file = ImportFile {
        path: path.to_owned(),
        part: None,
    };
    Ok(([file], ids, catalogue.filter(|_| form.groups.is_some())))
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
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
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
    /// Its job in a batch system has no outcome.
    #[error("{reason}")]
    Job {
        /// What the job said, or how it ended.
        reason: String,
        /// Whether there was no room for a file.
        full_disk: bool,
    },
    /// It was to stop, and its job may go on.
    #[error("stopped")]
    Interrupted,
}

impl StageError {
    /// Whether it was a request to stop, and the same command goes on.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Archetype(error) => error.is_interruption(),
            Self::Assemble(AssembleError::Pca { source, .. }) => {
                matches!(source, PcaError::Interrupted)
            }
            Self::Import(error) => matches!(error, ImportError::Interrupted),
            Self::Interrupted => true,
            _ => false,
        }
    }

    /// Whether there was no room for a file, which every other stage and run would meet too.
    pub fn is_full_disk(&self) -> bool {
        if let Self::Job {
            full_disk: true, ..
        } = self
        {
            return true;
        }
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
