//! The plan of a sweep: its runs with their identities. Reads the data's fingerprints; trains nothing.

use std::collections::{HashMap, HashSet};

use genair_archetype::Installation;
use genair_data::DataError;
use genair_protocol::{
    DatasetKind, DatasetSpec, FailureKind, Labels, MemberSpec, RunFailure, RunPhase, RunSpec,
};
use serde::Serialize;

use crate::identity::{configuration, identity};
use crate::source;
use crate::stage::{self, Stage, StageError, StageKind, Stages, with_causes};
use genair_spec::{ExecutorKind, PluginFile, Sweep, SweepRun, VectorsStage};

/// Jobs of a batch system at once, where nobody says how many.
const JOBS_OF_A_CLUSTER: usize = 100;

/// Stands for the fingerprint of data that cannot be read.
const UNREADABLE: &str = "unreadable";

/// What a sweep will run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The sweep, its runs in the spec's order, each identity once.
    pub sweep: Sweep<PlannedRun>,
    /// What runs share and is made before them, in order of first need.
    pub stages: Vec<Stage>,
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
    /// The runs whose scores it combines; none for a run that trains.
    pub members: Vec<Member>,
    /// Why it cannot run: its data or the recipe of its item vectors cannot be determined. Its identity is
    /// then a stand-in that no run with results has.
    pub refused: Option<RunFailure>,
}

/// A run that another one is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its place among the plan's runs.
    pub run: usize,
    /// The stage that makes its item vectors.
    pub vectors: Option<usize>,
}

impl PlannedRun {
    /// The stages of [`Plan::stages`] that make what it reads.
    pub fn stages(&self) -> impl Iterator<Item = usize> + '_ {
        let members = self.members.iter().map(|member| member.vectors);
        let own = [self.data, self.vectors, self.associations].into_iter();
        own.chain(members).flatten()
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
    /// Identifies every run of a sweep; runs that come to the same are kept once, with a warning where their datasets have
    /// two names.
    ///
    /// # Errors
    /// Data or models that cannot be read, the first of them.
    pub fn new(sweep: Sweep, installation: &Installation) -> Result<Self, PlanError> {
        let (plan, errors) = Self::make(sweep, installation);
        errors.into_iter().next().map_or(Ok(plan), Err)
    }

    /// The same, where a run whose data or models cannot be read is refused alone
    /// ([`PlannedRun::refused`]), and the others can be executed.
    pub fn with_refusals(sweep: Sweep, installation: &Installation) -> Self {
        Self::make(sweep, installation).0
    }

    fn make(mut sweep: Sweep, installation: &Installation) -> (Self, Vec<PlanError>) {
        let mut identified = Identified {
            installation,
            fingerprints: HashMap::new(),
            recipes: HashMap::new(),
            errors: Vec::new(),
            told: HashSet::new(),
        };
        let mut calibrations = sweep.runs.iter().filter_map(|run| run.spec.association());
        let calibrates = calibrations.next().cloned();
        let mut known: HashMap<String, usize> = HashMap::new();
        // Places in the plan of the sweep's runs, which come before those that are made of them.
        let mut places: Vec<usize> = Vec::new();
        let mut stages = Stages::default();
        let mut runs: Vec<PlannedRun> = Vec::new();
        for run in std::mem::take(&mut sweep.runs) {
            let members = run.members.iter().map(|&at| {
                let run = places[at];
                let vectors = runs[run].vectors;
                Member { run, vectors }
            });
            let members: Vec<Member> = members.collect();
            let mut refused = members.iter().find_map(|of| runs[of.run].refused.clone());
            let data_sha256 = identified
                .data(&run.labels, run.spec.dataset())
                .unwrap_or_else(|failure| {
                    refused = Some(failure);
                    UNREADABLE.to_owned()
                });
            let mut data = None;
            let mut prepared = None;
            if run.spec.dataset().kind != DatasetKind::Synthetic {
                let spec = source::prepared_spec(run.spec.dataset());
                if let Ok(fingerprint) = identified.data(&run.labels, &spec) {
                    let recipe = source::recipe_sha256(&fingerprint);
                    prepared = Some(recipe.clone());
                    let stage = identified.stage(&run.labels, &spec, StageKind::Data, recipe, None);
                    data = Some(stages.enter(stage));
                }
            }
            let mut recipe_sha256 = None;
            let mut vectors = None;
            if let Some(stage) = run.vectors.as_ref().filter(|_| refused.is_none()) {
                match identified.recipe(&run, stage, prepared.as_deref()) {
                    Ok((recipe, stage)) => {
                        let kind = StageKind::Vectors(stage);
                        let (labels, spec) = (&run.labels, run.spec.dataset());
                        let stage = identified.stage(labels, spec, kind, recipe.clone(), data);
                        vectors = Some(stages.enter(stage));
                        recipe_sha256 = Some(recipe);
                    }
                    // Without a recipe, what is asked for tells the run from others.
                    Err(failure) => {
                        recipe_sha256 = Some(question(&run, stage));
                        refused = Some(failure);
                    }
                }
            }
            let own = run.spec.association().cloned();
            // Runs without the term are measured by the same scores, so that a sweep that calibrates
            // can compare their item spaces.
            let trains = run.plugin.is_some() && members.is_empty();
            let shared = || calibrates.clone().filter(|_| trains);
            let wanted = own.or_else(shared).filter(|_| refused.is_none());
            let associations = wanted.map(|association| {
                let recipe = stage::associations_sha256(&data_sha256, &association);
                let kind = StageKind::Associations(association);
                let (labels, spec) = (&run.labels, run.spec.dataset());
                stages.enter(identified.stage(labels, spec, kind, recipe, data))
            });
            let plugin_sha256 = run.plugin.as_ref().map(|plugin| plugin.sha256.as_str());
            let mut spec = run.spec.complete(recipe_sha256);
            if let Some(combination) = &mut spec.combination {
                let members = members.iter().map(|of| MemberSpec {
                    identity: runs[of.run].identity.clone(),
                    configuration: runs[of.run].configuration.clone(),
                });
                combination.members = members.collect();
            }
            let identity = identity(&spec, &data_sha256, plugin_sha256);
            let configuration = configuration(&spec, &data_sha256, plugin_sha256);
            let place = *known.entry(identity.clone()).or_insert(runs.len());
            places.push(place);
            if let Some(same) = runs.get(place) {
                identified.same_data(&run.labels, &same.labels);
            } else {
                runs.push(PlannedRun {
                    labels: run.labels,
                    spec,
                    plugin: run.plugin,
                    data_sha256,
                    data,
                    vectors,
                    associations,
                    identity,
                    configuration,
                    priority: run.priority,
                    members,
                    refused,
                });
            }
        }
        let plan = Self {
            sweep: sweep.with_runs(runs),
            stages: stages.into_vec(),
        };
        (plan, identified.errors)
    }

    /// Runs at once where the command line says nothing: the spec's `schedule.jobs`, or else, on this machine, cores
    /// over the threads of the widest run.
    pub fn default_jobs(&self, executor: ExecutorKind) -> usize {
        if let Some(jobs) = self.sweep.schedule.jobs {
            return jobs;
        }
        if executor != ExecutorKind::Local {
            return JOBS_OF_A_CLUSTER;
        }
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        (cores / self.widest_run()).max(1)
    }

    /// Threads of the run that has most, at least 1.
    pub(crate) fn widest_run(&self) -> usize {
        let threads = self.sweep.runs.iter().map(|run| run.spec.train.threads);
        threads.max().unwrap_or(1).max(1)
    }
}

/// What was hashed for one plan: each dataset and recipe once, however many runs have it.
struct Identified<'i> {
    installation: &'i Installation,
    fingerprints: HashMap<String, Result<String, RunFailure>>,
    recipes: HashMap<String, Result<(String, VectorsStage), RunFailure>>,
    /// Why some of them are failures, each once.
    errors: Vec<PlanError>,
    /// Names of datasets that are the same.
    told: HashSet<(String, String)>,
}

impl Identified<'_> {
    fn data(&mut self, labels: &Labels, spec: &DatasetSpec) -> Result<String, RunFailure> {
        let dataset = format!("{spec:?}");
        if let Some(known) = self.fingerprints.get(&dataset) {
            return known.clone();
        }
        let fingerprint = genair_data::fingerprint(spec).map_err(|source| {
            self.refusal(PlanError::Data {
                dataset: labels.dataset.clone(),
                source,
            })
        });
        self.fingerprints.insert(dataset, fingerprint.clone());
        fingerprint
    }

    /// The recipe of a run's item vectors, and the stage with the items that it fits to. `prepared` is the recipe of the
    /// run's data, where they are read from files.
    fn recipe(
        &mut self,
        run: &SweepRun,
        vectors: &VectorsStage,
        prepared: Option<&str>,
    ) -> Result<(String, VectorsStage), RunFailure> {
        let question = question(run, vectors);
        if let Some(known) = self.recipes.get(&question) {
            return known.clone();
        }
        let (data, cache) = (run.spec.dataset(), &self.installation.cache);
        let catalogue = || match prepared {
            Some(recipe) => source::catalogue_of(data, recipe, cache),
            None => source::catalogue(data, cache),
        };
        let mut stage = vectors.clone();
        let recipe = source::fitted(vectors.form(), data, cache).map_err(StageError::from);
        let recipe = recipe.and_then(|form| {
            *stage.form_mut() = form;
            stage::vectors_sha256(&stage, catalogue, self.installation)
        });
        let recipe = recipe.map(|recipe| (recipe, stage)).map_err(|source| {
            self.refusal(PlanError::Stage {
                representation: run.labels.representation.clone(),
                source: Box::new(source),
            })
        });
        self.recipes.insert(question, recipe.clone());
        recipe
    }

    /// Says that two datasets of a spec are the same, so that one of them has no runs; once.
    fn same_data(&mut self, labels: &Labels, known: &Labels) {
        let pair = (labels.dataset.clone(), known.dataset.clone());
        if labels.dataset != known.dataset && self.told.insert(pair) {
            tracing::warn!(
                "dataset `{}` has the data and settings of dataset `{}`, so the spec has its runs twice; they go by the \
                 second name alone",
                labels.dataset,
                known.dataset,
            );
        }
    }

    fn refusal(&mut self, error: PlanError) -> RunFailure {
        let failure = not_prepared(&error);
        self.errors.push(error);
        failure
    }

    fn stage(
        &self,
        labels: &Labels,
        data: &DatasetSpec,
        kind: StageKind,
        recipe_sha256: String,
        needs: Option<usize>,
    ) -> Stage {
        Stage {
            path: kind.path(&recipe_sha256, &self.installation.cache),
            needs: needs.into_iter().collect(),
            kind,
            dataset: labels.dataset.clone(),
            data: data.clone(),
            recipe_sha256,
        }
    }
}

/// What is asked of a run's item vectors: SHA-256, lower-case hex, of the settings as they are, without the
/// content of files.
fn question(run: &SweepRun, vectors: &VectorsStage) -> String {
    genair_files::sha256(format!("{:?} {vectors:?}", run.spec.dataset()))
}

/// The failure of a run that something it needs cannot be made for.
pub(crate) fn not_prepared(error: &dyn std::error::Error) -> RunFailure {
    RunFailure {
        kind: FailureKind::StageFailed,
        phase: RunPhase::Preparing,
        message: with_causes(error),
        hint: Some("once this is mended, the same command tries the run again".to_owned()),
    }
}
