//! The plan of a sweep: its runs with their identities. Reads the data's fingerprints; trains nothing.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use genair_archetype::Installation;
use genair_data::DataError;
use genair_protocol::{RunSpec, VectorSource};
use serde::Serialize;

use crate::identity::identity;
use crate::spec::{Labels, PluginFile, Problem, Sweep, SweepRun};
use crate::stage::{self, Stage, StageError, StageKind, Stages, VectorsStage};

/// What a sweep will run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the sweep.
    pub name: String,
    /// The spec file as the user named it.
    pub spec_path: PathBuf,
    /// The spec file's text.
    pub spec_text: String,
    /// Runs in the spec's order, each identity once.
    pub runs: Vec<PlannedRun>,
    /// What runs share and is made before them, in order of first need.
    pub stages: Vec<Stage>,
    /// Oddities of the spec that do no harm.
    pub warnings: Vec<Problem>,
}

/// A run with everything that is known before it runs.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedRun {
    /// What tells it from the sweep's other runs.
    pub labels: Labels,
    /// Every value that decides its numbers.
    pub spec: RunSpec,
    /// The backbone's plugin; none for a built-in backbone.
    pub plugin: Option<PluginFile>,
    /// Fingerprint of its data, lower-case hex.
    pub data_sha256: String,
    /// The stage of [`Plan::stages`] that makes its item vectors.
    pub vectors: Option<usize>,
    /// The stage that counts its association scores.
    pub associations: Option<usize>,
    /// Hash of all of the above, lower-case hex; see [`identity`].
    pub identity: String,
}

/// Why a plan could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The data cannot be read.
    #[error("dataset `{dataset}` cannot be used")]
    Data {
        /// Name of the dataset in the spec.
        dataset: String,
        /// What is wrong with it.
        #[source]
        source: DataError,
    },
    /// What makes item vectors cannot be identified.
    #[error("representation `{representation}` cannot be used")]
    Stage {
        /// Name of the representation in the spec.
        representation: String,
        /// What is wrong with it.
        #[source]
        source: Box<StageError>,
    },
}

impl Plan {
    /// Identifies every run of a sweep; runs that come to the same are kept once.
    ///
    /// # Errors
    /// Data or models that cannot be read.
    pub fn new(sweep: Sweep, installation: &Installation) -> Result<Self, PlanError> {
        let mut identified = Identified {
            installation,
            fingerprints: HashMap::new(),
            recipes: HashMap::new(),
        };
        let mut calibrations = sweep.runs.iter().filter_map(|run| {
            let calibration = run.spec.representation.calibration.as_ref();
            calibration.map(|calibration| calibration.association.clone())
        });
        let calibrates = calibrations.next();
        let mut known = HashSet::new();
        let mut stages = Stages::default();
        let mut runs = Vec::new();
        for mut run in sweep.runs {
            let data_sha256 = identified.data(&run)?;
            let vectors = match &run.vectors {
                Some(stage) => {
                    let recipe_sha256 = identified.recipe(&run, stage)?;
                    if let Some(frozen) = &mut run.spec.representation.frozen {
                        frozen.source = VectorSource::File {
                            recipe_sha256: recipe_sha256.clone(),
                        };
                    }
                    let kind = StageKind::Vectors(stage.clone());
                    Some(stages.enter(identified.stage(&run, kind, recipe_sha256)))
                }
                None => None,
            };
            let own = run.spec.representation.calibration.as_ref();
            let own = own.map(|own| own.association.clone());
            // Runs without the term are measured by the same scores, so that a sweep that calibrates
            // can compare their item spaces.
            let shared = || calibrates.clone().filter(|_| run.plugin.is_some());
            let associations = own.or_else(shared).map(|association| {
                let recipe = stage::associations_sha256(&data_sha256, &association);
                let kind = StageKind::Associations(association);
                stages.enter(identified.stage(&run, kind, recipe))
            });
            let plugin_sha256 = run.plugin.as_ref().map(|plugin| plugin.sha256.as_str());
            let identity = identity(&run.spec, &data_sha256, plugin_sha256);
            if known.insert(identity.clone()) {
                runs.push(PlannedRun {
                    labels: run.labels,
                    spec: run.spec,
                    plugin: run.plugin,
                    data_sha256,
                    vectors,
                    associations,
                    identity,
                });
            }
        }
        Ok(Self {
            name: sweep.name,
            spec_path: sweep.spec_path,
            spec_text: sweep.spec_text,
            runs,
            stages: stages.into_vec(),
            warnings: sweep.warnings,
        })
    }

    /// Runs that fit on this machine at once: cores over the threads of the widest run.
    pub fn default_jobs(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads = self
            .runs
            .iter()
            .map(|run| run.spec.train.threads)
            .max()
            .unwrap_or(1);
        (cores / threads).max(1)
    }
}

/// What was hashed for one plan: each dataset and recipe once, however many runs have it.
struct Identified<'i> {
    installation: &'i Installation,
    fingerprints: HashMap<String, String>,
    recipes: HashMap<String, String>,
}

impl Identified<'_> {
    fn data(&mut self, run: &SweepRun) -> Result<String, PlanError> {
        let dataset = format!("{:?}", run.spec.dataset);
        if let Some(fingerprint) = self.fingerprints.get(&dataset) {
            return Ok(fingerprint.clone());
        }
        let fingerprint =
            genair_data::fingerprint(&run.spec.dataset).map_err(|source| PlanError::Data {
                dataset: run.labels.dataset.clone(),
                source,
            })?;
        self.fingerprints.insert(dataset, fingerprint.clone());
        Ok(fingerprint)
    }

    fn recipe(&mut self, run: &SweepRun, vectors: &VectorsStage) -> Result<String, PlanError> {
        let question = format!("{:?} {vectors:?}", run.spec.dataset);
        if let Some(recipe) = self.recipes.get(&question) {
            return Ok(recipe.clone());
        }
        let recipe = stage::vectors_sha256(vectors, &run.spec.dataset, self.installation).map_err(
            |source| PlanError::Stage {
                representation: run.labels.representation.clone(),
                source: Box::new(source),
            },
        )?;
        self.recipes.insert(question, recipe.clone());
        Ok(recipe)
    }

    fn stage(&self, run: &SweepRun, kind: StageKind, recipe_sha256: String) -> Stage {
        Stage {
            path: stage::path_of(&self.installation.cache, &kind, &recipe_sha256),
            kind,
            dataset: run.labels.dataset.clone(),
            data: run.spec.dataset.clone(),
            recipe_sha256,
        }
    }
}
