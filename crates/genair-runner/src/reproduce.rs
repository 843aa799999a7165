//! A finished run, run once more beside what is stored of it: which of its inputs are still the same, and
//! whether every number comes out again, bit for bit.
//!
//! Writes to no database; the second run's files go with it.

mod numbers;

use std::path::{Path, PathBuf};

use genair_calibration::{Associations, AssociationsError};
use genair_data::DataError;
use genair_files::Cache;
use genair_protocol::{
    InputFile, PluginReport, RESULTS_VERSION, RunEvent, RunFailure, RunSpec, WorkerRequest,
};
use genair_store::{InputKind, RankList, RunDetails, RunId, RunState, Store, StoreError};
use serde::Serialize;
use tempfile::TempDir;

use self::numbers::{Numbers, comparison};
use crate::code::{CODE_DIRTY, CODE_REVISION};
use crate::executor::local::run_worker;
use crate::executor::{Ending, Launch, Limits, Next, Told};
use crate::interrupt::Interrupt;
use crate::prepare::input_file;
use crate::stored::{plugin_of, stored_input, vectors_of};
use crate::trainer::Trainer;

/// How something a run was made from stands today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputState {
    /// As it was.
    Same,
    /// Another one; the results may come out differently.
    Changed,
    /// Not there; the run cannot be repeated.
    Missing,
}

/// Something a run was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Input {
    /// What it is, such as `data`.
    pub input: &'static str,
    /// How it stands.
    pub state: InputState,
    /// Its hash or version in the database.
    pub stored: String,
    /// Its hash or version now, or why there is none.
    pub now: String,
}

/// What came of comparing one kind of result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// What was compared, such as `ranks`.
    pub what: &'static str,
    /// Whether all of it is the same, to the last bit.
    pub equal: bool,
    /// Values stored.
    pub values: usize,
    /// Of these, values that came out otherwise, and values that are there on one side only.
    pub differing: usize,
    /// The first of them.
    pub first: Option<String>,
}

/// Why a run could not be repeated.
#[derive(Debug, thiserror::Error)]
pub enum ReproduceError {
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to compare with.
    #[error("run {run} is {state}; only a finished run has results to compare with")]
    NotFinished {
        /// The run.
        run: RunId,
        /// Where it stands.
        state: RunState,
    },
    /// The spec is of another version of this program.
    #[error(
        "this version of genair cannot read the stored spec of run {run}; build the one it names"
    )]
    Spec {
        /// The run.
        run: RunId,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It has no training to repeat.
    #[error(
        "run {run} combines other runs; repeat these with `genair results reproduce`, or delete run {run} and sweep again"
    )]
    Combined {
        /// The run.
        run: RunId,
    },
    /// Inputs are missing.
    #[error("run {run} cannot be repeated: {} missing", missing.join(", "))]
    Missing {
        /// The run.
        run: RunId,
        /// What is missing.
        missing: Vec<&'static str>,
    },
    /// No place for the second run.
    #[error("no temporary folder for the second run")]
    Scratch(#[source] std::io::Error),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Association scores cannot be counted.
    #[error(transparent)]
    Associations(#[from] AssociationsError),
    /// The second run failed.
    #[error("the second run failed while {}: {}", .0.phase.as_str(), .0.message)]
    Failed(RunFailure),
    /// Stopping was asked for.
    #[error("interrupted")]
    Interrupted,
}

/// A stored run, ready to be run again.
#[derive(Debug)]
pub struct Reproduction {
    stored: RunDetails,
    ranks: Vec<RankList>,
    spec: RunSpec,
    plugin: Option<PathBuf>,
    plugin_sha256: Option<String>,
    vectors: Option<InputFile>,
    associations: Option<InputFile>,
    inputs: Vec<Input>,
    /// Whether its data are elsewhere than they were.
    moved: bool,
    scratch: TempDir,
}

impl Reproduction {
    /// Reads a run and looks for what it was made from. `data` is where its dataset's folder is now, if
    /// not where it was; `cache` has item vectors that are not where they were.
    ///
    /// # Errors
    /// A run that is not there or not finished, or that this version cannot read.
    pub fn new(
        store: &mut Store,
        run: RunId,
        data: Option<&Path>,
        plugins: &[PluginReport],
        cache: &Cache,
    ) -> Result<Self, ReproduceError> {
        let stored = store.show_run(run)?;
        let state = stored.run.state;
        if state != RunState::Finished {
            return Err(ReproduceError::NotFinished { run, state });
        }
        let mut spec: RunSpec = serde_json::from_str(&stored.run.spec)
            .map_err(|source| ReproduceError::Spec { run, source })?;
        if spec.combination.is_some() {
            return Err(ReproduceError::Combined { run });
        }
        let mut moved = false;
        if let (Some(path), Some(folder)) = (&mut spec.dataset.path, data) {
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
            moved = *path != folder;
            *path = folder;
        }
        let mut own = Self {
            ranks: store.ranks(run)?,
            stored,
            spec,
            plugin: None,
            plugin_sha256: None,
            vectors: None,
            associations: None,
            inputs: Vec::new(),
            moved,
            scratch: TempDir::with_prefix("genair-").map_err(ReproduceError::Scratch)?,
        };
        own.look_at_code();
        own.look_at_data();
        own.look_at_plugin(plugins);
        own.look_at_vectors(cache);
        own.look_at_associations()?;
        Ok(own)
    }

    /// What the run was made from, and how that stands.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// What the run is.
    pub fn spec(&self) -> &RunSpec {
        &self.spec
    }

    /// Runs it again and compares. `on_event` gets what the second run says.
    ///
    /// # Errors
    /// Inputs that are missing, or a second run that fails or is interrupted.
    pub fn run(
        &self,
        trainer: &Trainer,
        interrupt: &Interrupt,
        on_event: &mut dyn FnMut(&RunEvent),
    ) -> Result<Vec<Comparison>, ReproduceError> {
        let missing = self
            .inputs
            .iter()
            .filter(|input| input.state == InputState::Missing);
        let missing: Vec<&str> = missing.map(|input| input.input).collect();
        if !missing.is_empty() {
            let run = self.stored.run.run_id;
            return Err(ReproduceError::Missing { run, missing });
        }
        let request = WorkerRequest {
            run: self.spec.clone(),
            plugin: self.plugin.clone(),
            plugin_sha256: self.plugin_sha256.clone(),
            data: None,
            vectors: self.vectors.clone(),
            associations: self.associations.clone(),
            members: Vec::new(),
            artefacts: self.scratch.path().join("run"),
            resume: None,
        };
        let mut events = Vec::new();
        let launch = Launch {
            run: self.stored.run.run_id,
            can_wait: false,
            trainer: trainer.path(),
            request: &request,
            note: None,
            limits: Limits {
                memory: None,
                time: None,
                measured: &|_| {},
            },
        };
        let ending = run_worker(&launch, &[], interrupt, |told| {
            if let Told::Event(event) = told {
                on_event(&event);
                events.push(*event);
            }
            Ok::<Next, ReproduceError>(Next::GoOn)
        })?;
        match (ending, events.last()) {
            (Ending::Reported, Some(RunEvent::Failed(failure))) => {
                Err(ReproduceError::Failed(failure.clone()))
            }
            (Ending::Reported | Ending::Stopped, _) => Ok(self.compare(&events)),
            (Ending::Failed(failure), _) => Err(ReproduceError::Failed(failure)),
            (Ending::Interrupted | Ending::Detached, _) => Err(ReproduceError::Interrupted),
        }
    }

    fn saw(&mut self, input: &'static str, stored: &str, now: Result<String, String>) {
        let (state, now) = match now {
            Ok(now) if now == stored => (InputState::Same, now),
            Ok(now) => (InputState::Changed, now),
            Err(why) => (InputState::Missing, why),
        };
        self.inputs.push(Input {
            input,
            state,
            stored: stored.to_owned(),
            now,
        });
    }

    fn look_at_code(&mut self) {
        let name = |revision: &str, dirty: bool| match dirty {
            true => format!("{revision} with changes"),
            false => revision.to_owned(),
        };
        let run = &self.stored.run;
        let revision = run.code_revision.as_deref().unwrap_or("unknown");
        let stored = name(revision, run.code_dirty == Some(true));
        self.saw("code", &stored, Ok(name(CODE_REVISION, CODE_DIRTY)));
        let version = self.stored.run.results_version.to_string();
        self.saw("results version", &version, Ok(RESULTS_VERSION.to_string()));
    }

    fn look_at_data(&mut self) {
        let now = genair_data::fingerprint(&self.spec.dataset).map_err(|error| error.to_string());
        let stored = self.stored.run.data_sha256.clone();
        self.saw("data", &stored, now);
    }

    fn look_at_plugin(&mut self, plugins: &[PluginReport]) {
        let Some(stored) = self.stored.run.plugin_sha256.clone() else {
            return;
        };
        let name = &self.spec.backbone.name;
        let found = plugin_of(name, &stored, plugins);
        let now = match found {
            Some(report) => {
                self.plugin = Some(report.path.clone());
                self.plugin_sha256 = Some(report.sha256.clone());
                Ok(report.sha256.clone())
            }
            None => Err(format!("no usable plugin `{name}`")),
        };
        self.saw("plugin", &stored, now);
    }

    fn look_at_vectors(&mut self, cache: &Cache) {
        let Some((path, stored)) = stored_input(&self.stored, InputKind::Vectors) else {
            return;
        };
        let found = vectors_of(&path, &self.spec, cache);
        self.vectors = self.saw_file("vectors", &stored, &path, found);
    }

    /// [`Self::saw`] of a file that a stage makes, which was at `path`.
    fn saw_file(
        &mut self,
        input: &'static str,
        stored: &str,
        path: &Path,
        found: Option<InputFile>,
    ) -> Option<InputFile> {
        let now = found.as_ref().map(|file| file.sha256.clone());
        let missing = || format!("no {}; a sweep of its spec makes it", path.display());
        self.saw(input, stored, now.ok_or_else(missing));
        found
    }

    fn look_at_associations(&mut self) -> Result<(), ReproduceError> {
        let Some((path, stored)) = stored_input(&self.stored, InputKind::Associations) else {
            return Ok(());
        };
        let calibration = self.spec.representation.calibration.as_ref();
        let mut found = input_file(&path).ok();
        if let (None, Some(calibration)) = (&found, calibration)
            && let Ok(dataset) = genair_data::load(&self.spec.dataset)
        {
            let path = self.scratch.path().join("associations.safetensors");
            let spec = &calibration.association;
            Associations::count(&dataset, spec).write(&path, &dataset, spec)?;
            found = input_file(&path).ok();
        }
        self.associations = self.saw_file("associations", &stored, &path, found);
        Ok(())
    }

    fn compare(&self, events: &[RunEvent]) -> Vec<Comparison> {
        let stored = Numbers::stored(&self.stored, &self.ranks);
        let again = Numbers::told(events);
        let kinds = [
            ("data and model", stored.facts, again.facts),
            ("epochs", stored.epochs, again.epochs),
            ("metrics", stored.metrics, again.metrics),
            ("ranks", stored.ranks, again.ranks),
            ("item space", stored.diagnostics, again.diagnostics),
            ("weights", stored.weights, again.weights),
        ];
        kinds
            .into_iter()
            .filter(|(_, stored, again)| !stored.is_empty() || !again.is_empty())
            // The file of the weights names the folder of the data.
            .filter(|(what, ..)| *what != "weights" || !self.moved)
            .map(|(what, stored, again)| comparison(what, &stored, &again))
            .collect()
    }
}
