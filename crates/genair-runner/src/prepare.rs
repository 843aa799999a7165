//! Making what a plan's runs share: prepared data, item vectors and association scores, into the cache.

use std::io;
use std::path::{Path, PathBuf};

use genair_archetype::{
    ArchetypeError, ArchetypeSpec, Generated, GenerationProgress, Installation, Readers,
    VectorsForm, VectorsRecipe, assemble, build_llama, export_archetypes, generate, import,
    in_report, in_trainer, models,
};
use genair_calibration::Associations;
use genair_data::{Catalogue, ItemVectors, Statistics};
use genair_files::doing;
use genair_protocol::InputFile;
use genair_spec::VectorsStage;
use serde::{Deserialize, Serialize};

use crate::source;
use crate::stage::{Stage, StageError, StageKind, import_of};

/// Archetypes of a catalogue with the item vectors that were made of them.
#[derive(Clone, Debug)]
pub struct Archetypes {
    /// The items.
    pub catalogue: Catalogue,
    /// What was written for each.
    pub generated: Generated,
    /// Their vectors.
    pub vectors: ItemVectors,
    /// The file of the vectors; `.archetypes.jsonl` beside it has the texts.
    pub file: InputFile,
}

/// How far a stage is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StageProgress {
    /// `genair-llama` is being built; this is where the build's output goes.
    Building(PathBuf),
    /// A model is being fetched.
    Fetching(genair_fetch::Progress),
    /// Archetypes are being written.
    Generating(GenerationProgress),
    /// A dataset was read, filtered and split.
    Read(Box<Statistics>),
}

/// Makes a stage's outcome unless the cache has it, and says where it is.
///
/// # Errors
/// [`StageError`]; what was generated until then is kept.
pub fn prepare(
    stage: &Stage,
    installation: &Installation,
    progress: &mut dyn FnMut(StageProgress),
    interrupted: &dyn Fn() -> bool,
) -> Result<InputFile, StageError> {
    if !stage.is_ready() {
        let catalogue = || source::catalogue(&stage.data, &installation.cache);
        match &stage.kind {
            StageKind::Vectors(
                VectorsStage::Archetype { settings, form } | VectorsStage::Text { settings, form },
            ) => {
                let made = archetypes(
                    catalogue()?,
                    settings,
                    form,
                    installation,
                    progress,
                    interrupted,
                )?;
                return Ok(made.file);
            }
            StageKind::Vectors(VectorsStage::Import {
                path,
                items,
                id_column,
                form,
            }) => {
                let (items, column) = (items.as_deref(), id_column.as_deref());
                let (files, ids, catalogue) = import_of(path, items, column, form, catalogue)?;
                let reduce = in_trainer(installation, interrupted);
                let readers = Readers {
                    to_csv: &in_report(installation, interrupted),
                    norm: None,
                };
                import(&files, &ids, form, catalogue.as_ref(), &reduce, &readers)?
                    .write(&stage.path)?;
            }
            StageKind::Data => {
                let statistics =
                    source::prepare(&stage.data, &stage.recipe_sha256, &installation.cache)?;
                progress(StageProgress::Read(Box::new(statistics)));
            }
            StageKind::Associations(spec) => {
                let dataset = source::dataset(&stage.data, &installation.cache)?;
                Associations::count(&dataset, spec).write(&stage.path, &dataset, spec)?;
            }
        }
    }
    Ok(input_file(&stage.path).map_err(doing("read", &stage.path))?)
}

/// A file that runs read, with its hash.
pub(crate) fn input_file(path: &Path) -> io::Result<InputFile> {
    Ok(InputFile {
        path: path.to_owned(),
        sha256: genair_files::sha256_of_file(path)?,
    })
}

/// Has archetypes written for every item of a catalogue, and item vectors made of them. What
/// the cache has is taken from it.
///
/// # Errors
/// [`StageError`]; what was generated until then is kept.
pub fn archetypes(
    catalogue: Catalogue,
    settings: &ArchetypeSpec,
    form: &VectorsForm,
    installation: &Installation,
    progress: &mut dyn FnMut(StageProgress),
    interrupted: &dyn Fn() -> bool,
) -> Result<Archetypes, StageError> {
    let mut building = |log: &Path| progress(StageProgress::Building(log.to_owned()));
    build_llama(settings, installation, &mut building, interrupted)?;
    for model in settings.local_models() {
        if models::is_missing(model, installation) {
            models::fetch(model, None, installation, &mut |news| {
                progress(StageProgress::Fetching(news));
            })
            .map_err(ArchetypeError::from)?;
        }
    }
    let mut tell = |news| progress(StageProgress::Generating(news));
    let generated = generate(&catalogue, settings, installation, &mut tell, interrupted)?;
    let recipe = VectorsRecipe::new(&catalogue, settings, form, installation)?;
    let path = recipe.path(&installation.cache);
    let vectors = match recipe.cached(&installation.cache) {
        Some(vectors) => vectors,
        None => assemble(
            &recipe,
            &catalogue,
            &settings.prompt,
            &generated,
            &in_trainer(installation, interrupted),
        )?,
    };
    // Makes the folder, too.
    let sha256 = vectors.write(&path)?;
    export_archetypes(&generated, &installation.cache.archetypes(&recipe.sha256()))?;
    Ok(Archetypes {
        catalogue,
        generated,
        vectors,
        file: InputFile { path, sha256 },
    })
}
