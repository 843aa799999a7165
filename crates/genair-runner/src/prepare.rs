//! Making what a plan's runs share: prepared data, item vectors and association scores, into the cache.

use std::path::Path;

use genair_archetype::{
    ArchetypeError, ArchetypeSpec, Generated, GenerationProgress, ImportFile, Installation, RowIds,
    VectorsRecipe, assemble, export_archetypes, generate, import, models,
};
use genair_calibration::Associations;
use genair_data::{Catalogue, ItemVectors};
use genair_protocol::{AssociationSpec, DatasetSpec, InputFile};
use genair_spec::VectorsStage;

use crate::interrupt::Interrupt;
use crate::stage::{Stage, StageError, StageKind};

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
#[derive(Clone, Debug, PartialEq)]
pub enum StageProgress {
    /// A model is being fetched.
    Fetching(genair_fetch::Progress),
    /// Archetypes are being written.
    Generating(GenerationProgress),
}

/// Makes a stage's outcome unless the cache has it, and says where it is.
///
/// # Errors
/// [`StageError`]; what was generated until then is kept.
pub fn prepare(
    stage: &Stage,
    installation: &Installation,
    progress: &mut dyn FnMut(StageProgress),
    interrupt: &Interrupt,
) -> Result<InputFile, StageError> {
    if !stage.is_ready() {
        match &stage.kind {
            StageKind::Vectors(VectorsStage::Archetype {
                settings,
                components,
            }) => {
                let made = archetypes(
                    &stage.data,
                    settings,
                    *components,
                    installation,
                    progress,
                    &|| interrupt.requested(),
                )?;
                return Ok(made.file);
            }
            StageKind::Vectors(VectorsStage::Text {
                encoder,
                components,
            }) => {
                let made = archetypes(
                    &stage.data,
                    &encoder.engine_settings(),
                    *components,
                    installation,
                    progress,
                    &|| interrupt.requested(),
                )?;
                return Ok(made.file);
            }
            StageKind::Vectors(VectorsStage::Import { path, items }) => {
                let (files, ids) = import_of(path, items.as_deref(), &stage.data)?;
                import(&files, &ids, 0)?.write(&stage.path)?;
            }
            StageKind::Data => genair_data::load(&stage.data)?.write_prepared(&stage.path)?,
            StageKind::Associations(spec) => count(&stage.data, spec, stage)?,
        }
    }
    let bytes = std::fs::read(&stage.path).map_err(|source| StageError::Read {
        path: stage.path.clone(),
        source,
    })?;
    Ok(InputFile {
        path: stage.path.clone(),
        sha256: genair_files::sha256(bytes),
    })
}

/// What an import reads.
pub(crate) fn import_of(
    path: &Path,
    items: Option<&Path>,
    data: &DatasetSpec,
) -> Result<([ImportFile; 1], RowIds), StageError> {
    let ids = match items {
        Some(items) => RowIds::read(items)?,
        None => RowIds::catalogue(&genair_data::catalogue(data)?),
    };
    let file = ImportFile {
        path: path.to_owned(),
        part: None,
    };
    Ok(([file], ids))
}

fn count(data: &DatasetSpec, spec: &AssociationSpec, stage: &Stage) -> Result<(), StageError> {
    let dataset = genair_data::load(data)?;
    Associations::count(&dataset, spec).write(&stage.path, &dataset, spec)?;
    Ok(())
}

/// Has archetypes written for every item of a dataset's catalogue, and item vectors made of them. What
/// the cache has is taken from it.
///
/// # Errors
/// [`StageError`]; what was generated until then is kept.
pub fn archetypes(
    data: &DatasetSpec,
    settings: &ArchetypeSpec,
    components: usize,
    installation: &Installation,
    progress: &mut dyn FnMut(StageProgress),
    interrupted: &dyn Fn() -> bool,
) -> Result<Archetypes, StageError> {
    let catalogue = genair_data::catalogue(data)?;
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
    let recipe = VectorsRecipe::new(&catalogue, settings, components, installation)?;
    let path = recipe.path(&installation.cache);
    let vectors = match recipe.cached(&installation.cache) {
        Some(vectors) => vectors,
        None => assemble(&recipe, &settings.prompt, &generated)?,
    };
    // Makes the folder, too.
    let sha256 = vectors.write(&path)?;
    export_archetypes(&generated, &path.with_extension("archetypes.jsonl"))?;
    Ok(Archetypes {
        catalogue,
        generated,
        vectors,
        file: InputFile { path, sha256 },
    })
}
