//! The plan of a sweep: its runs with their identities. Reads the data's fingerprints; trains nothing.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use genair_archetype::Installation;
use genair_data::{DataError, DatasetKind, DatasetSpec};
use genair_protocol::{RunSpec, VectorSource};
use serde::Serialize;

use crate::identity::{configuration, identity};
use crate::prune::Pruning;
use crate::spec::{Labels, PluginFile, Problem, Schedule, Sweep, SweepRun};
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
    /// Seconds of training between two resume checkpoints of a run.
    pub checkpoint_seconds: f64,
    /// Runs in the spec's order, each identity once.
    pub runs: Vec<PlannedRun>,
    /// What runs share and is made before them, in order of first need.
    pub stages: Vec<Stage>,
    /// How the runs use the machine.
    pub schedule: Schedule,
    /// Which runs are stopped early; none where all go to their end.
    pub pruning: Option<Pruning>,
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
    /// The stage of [`Plan::stages`] that prepares its data; none for generated data, which take no longer
    /// to make than to read.
    pub data: Option<usize>,
    /// The stage that makes its item vectors.
    pub vectors: Option<usize>,
    /// The stage that counts its association scores.
    pub associations: Option<usize>,
    /// Hash of all of the above, lower-case hex; see [`identity`].
    pub identity: String,
    /// The same without the seed; see [`configuration`].
    pub configuration: String,
    /// When it goes: 0 first. No part of its identity.
    pub priority: usize,
}

impl PlannedRun {
    /// The stages of [`Plan::stages`] that make what it reads.
    pub fn stages(&self) -> impl Iterator<Item = usize> + use<> {
        [self.data, self.vectors, self.associations]
            .into_iter()
            .flatten()
    }
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
            let data_sha256 = identified.data(&run.labels, &run.spec.dataset)?;
            let data = match run.spec.dataset.kind {
                DatasetKind::Synthetic => None,
                _ => {
                    let spec = stage::prepared_spec(&run.spec.dataset);
                    let recipe = stage::data_sha256(&identified.data(&run.labels, &spec)?);
                    Some(stages.enter(identified.stage(
                        &run.labels,
                        &spec,
                        StageKind::Data,
                        recipe,
                    )))
                }
            };
            let vectors = match &run.vectors {
                Some(stage) => {
                    let recipe_sha256 = identified.recipe(&run, stage)?;
                    if let Some(frozen) = &mut run.spec.representation.frozen {
                        frozen.source = VectorSource::File {
                            recipe_sha256: recipe_sha256.clone(),
                        };
                    }
                    let kind = StageKind::Vectors(stage.clone());
                    let (labels, data) = (&run.labels, &run.spec.dataset);
                    Some(stages.enter(identified.stage(labels, data, kind, recipe_sha256)))
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
                stages.enter(identified.stage(&run.labels, &run.spec.dataset, kind, recipe))
            });
            let plugin_sha256 = run.plugin.as_ref().map(|plugin| plugin.sha256.as_str());
            let identity = identity(&run.spec, &data_sha256, plugin_sha256);
            let configuration = configuration(&run.spec, &data_sha256, plugin_sha256);
            if known.insert(identity.clone()) {
                runs.push(PlannedRun {
                    labels: run.labels,
                    spec: run.spec,
                    plugin: run.plugin,
                    data_sha256,
                    data,
                    vectors,
                    associations,
                    identity,
                    configuration,
                    priority: run.priority,
                });
            }
        }
        Ok(Self {
            name: sweep.name,
            spec_path: sweep.spec_path,
            spec_text: sweep.spec_text,
            checkpoint_seconds: sweep.checkpoint_seconds,
            runs,
            stages: stages.into_vec(),
            schedule: sweep.schedule,
            pruning: sweep.pruning,
            warnings: sweep.warnings,
        })
    }

    /// Runs at once where the command line says nothing: the spec's `schedule.jobs`, or else cores over the
    /// threads of the widest run.
    pub fn default_jobs(&self) -> usize {
        if let Some(jobs) = self.schedule.jobs {
            return jobs;
        }
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
    fn data(&mut self, labels: &Labels, spec: &DatasetSpec) -> Result<String, PlanError> {
        let dataset = format!("{spec:?}");
        if let Some(fingerprint) = self.fingerprints.get(&dataset) {
            return Ok(fingerprint.clone());
        }
        let fingerprint = genair_data::fingerprint(spec).map_err(|source| PlanError::Data {
            dataset: labels.dataset.clone(),
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

    fn stage(
        &self,
        labels: &Labels,
        data: &DatasetSpec,
        kind: StageKind,
        recipe_sha256: String,
    ) -> Stage {
        Stage {
            path: stage::path_of(&self.installation.cache, &kind, &recipe_sha256),
            kind,
            dataset: labels.dataset.clone(),
            data: data.clone(),
            recipe_sha256,
        }
    }
}
