//! Lists of items by a finished run, made by a worker from the run's checkpoint. Writes to no database.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use genair_data::DataError;
use genair_files::Cache;
use genair_process::{Heard, Worker};
use genair_protocol::{
    InputFile, MemberRequest, PluginReport, Readers, RecommendEvent, RecommendRequest,
    RecommendedList, RunFailure, RunSpec, Split, WorkerRequest,
};
use genair_store::{InputKind, RunDetails, RunId, RunState, Store, StoreError};
use serde::Serialize;

use crate::interrupt::Interrupt;
use crate::source::prepared_file;
use crate::stored::{plugin_of, stored_input, vectors_of};
use crate::trainer::{Trainer, ending};

/// How long to wait for a line at a time.
const TICK: Duration = Duration::from_millis(200);
/// Longest line a worker may write: a list of some hundred thousand items.
const MAX_LINE: usize = 64 << 20;
/// How long a worker that has closed its output may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there are no lists.
#[derive(Debug, thiserror::Error)]
pub enum RecommendError {
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It has no weights.
    #[error("run {run} is {state}; only a finished run has weights to recommend with")]
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
    /// The data cannot be read.
    #[error("the data of run {run} cannot be read")]
    Data {
        /// The run.
        run: RunId,
        /// What is wrong with them.
        #[source]
        source: DataError,
    },
    /// The data are others.
    #[error(
        "the data of run {run} have changed since it was trained: {now} now, {stored} stored\nhint: name the folder of the original data with `--data`, or sweep again"
    )]
    ChangedData {
        /// The run.
        run: RunId,
        /// Their fingerprint in the database.
        stored: String,
        /// Their fingerprint now.
        now: String,
    },
    /// A file of the run is gone.
    #[error("run {run} has no {what} any more\nhint: {hint}")]
    Missing {
        /// The run.
        run: RunId,
        /// What is missing, with its place.
        what: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A run that it is made of is not in the database.
    #[error("run {run} combines a run that this database lacks, of identity {identity}")]
    NoMember {
        /// The run.
        run: RunId,
        /// The other run's identity.
        identity: String,
    },
    /// The worker says why.
    #[error("{}{}", .0.message, hint(.0))]
    Failed(RunFailure),
    /// The worker cannot be started or heard.
    #[error("cannot ask the worker {trainer}")]
    Worker {
        /// Its file.
        trainer: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The worker said something else, or nothing.
    #[error("the worker {0}")]
    Died(String),
    /// Stopping was asked for.
    #[error("interrupted")]
    Interrupted,
}

fn hint(failure: &RunFailure) -> String {
    let hint = failure.hint.as_ref();
    hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"))
}

/// Which lists to make.
#[derive(Clone, Debug)]
pub struct Lists {
    /// For whom.
    pub readers: Readers,
    /// Of which split the histories are.
    pub split: Split,
    /// Items of a list, at least 1.
    pub k: usize,
    /// Whether items of the history are candidates, too.
    pub with_history: bool,
}

/// How many lists were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ListsMade {
    /// All of them.
    pub lists: u64,
    /// Of these, lists with fewer items than asked for, as there were no more candidates.
    pub shorter: u64,
}

/// A finished run with all that its lists are made of.
#[derive(Debug)]
pub struct Recommender {
    work: WorkerRequest,
    checkpoint: Option<InputFile>,
    warnings: Vec<String>,
}

/// A run of a model with its files.
struct OpenRun {
    spec: RunSpec,
    plugin: Option<PluginReport>,
    vectors: Option<InputFile>,
    checkpoint: Option<InputFile>,
}

impl Recommender {
    /// Reads a run and looks for its files. `data` is where its dataset's folder is now, if not where it was.
    ///
    /// # Errors
    /// A run that is not there or not finished, or whose files are gone or changed.
    pub fn new(
        store: &mut Store,
        run: RunId,
        data: Option<&Path>,
        plugins: &[PluginReport],
        cache: &Cache,
    ) -> Result<Self, RecommendError> {
        let mut warnings = Vec::new();
        let details = store.show_run(run)?;
        let mut own = open(&details, plugins, cache, &mut warnings)?;
        if let (Some(path), Some(folder)) = (&mut own.spec.dataset.path, data) {
            *path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        }
        let of_data = |source| RecommendError::Data { run, source };
        let now = genair_data::fingerprint(&own.spec.dataset).map_err(of_data)?;
        let stored = details.run.data_sha256.clone();
        if now != stored {
            return Err(RecommendError::ChangedData { run, stored, now });
        }
        let data = prepared_file(&own.spec.dataset, cache).map_err(of_data)?;
        let combined = own.spec.combination.iter();
        let mut members = Vec::new();
        for member in combined.flat_map(|combination| &combination.members) {
            let number = store.run_of(&member.identity)?;
            let number = number.ok_or_else(|| RecommendError::NoMember {
                run,
                identity: member.identity.clone(),
            })?;
            let details = store.show_run(number)?;
            let member = open(&details, plugins, cache, &mut warnings)?;
            let (Some(plugin), Some(checkpoint)) = (member.plugin, member.checkpoint) else {
                return Err(no_weights(number, "weights of its own"));
            };
            members.push(MemberRequest {
                run: RunSpec {
                    dataset: own.spec.dataset.clone(),
                    ..member.spec
                },
                plugin: plugin.path,
                plugin_sha256: plugin.sha256,
                vectors: member.vectors,
                checkpoint,
            });
        }
        let (plugin, plugin_sha256) = own.plugin.map(|own| (own.path, own.sha256)).unzip();
        Ok(Self {
            work: WorkerRequest {
                run: own.spec,
                plugin,
                plugin_sha256,
                data,
                vectors: own.vectors,
                associations: None,
                members,
                artefacts: std::path::PathBuf::new(),
                resume: None,
            },
            checkpoint: own.checkpoint,
            warnings,
        })
    }

    /// What may make the lists other ones than the run's own.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The run's spec.
    pub fn spec(&self) -> &RunSpec {
        &self.work.run
    }

    /// Has a worker make the lists; `on_list` gets each.
    ///
    /// # Errors
    /// Why there are no lists, or no more of them.
    pub fn lists<E: From<RecommendError>>(
        &self,
        lists: &Lists,
        trainer: &Trainer,
        interrupt: &Interrupt,
        mut on_list: impl FnMut(RecommendedList) -> Result<(), E>,
    ) -> Result<ListsMade, E> {
        let request = RecommendRequest {
            work: self.work.clone(),
            checkpoint: self.checkpoint.clone(),
            readers: lists.readers.clone(),
            split: lists.split,
            k: lists.k,
            with_history: lists.with_history,
        };
        let failed = |source| RecommendError::Worker {
            trainer: trainer.path().display().to_string(),
            source,
        };
        let threads = self.work.run.train.threads.to_string();
        let mut command = genair_process::command(trainer.path());
        command
            .arg("recommend")
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            // Read when libgomp and MKL load, so they must be set before the process starts.
            .env("OMP_NUM_THREADS", &threads)
            .env("MKL_NUM_THREADS", &threads)
            .env("OMP_WAIT_POLICY", "passive");
        let mut worker = Worker::start(&mut command, MAX_LINE).map_err(failed)?;
        // Held open: a worker whose input closes ends.
        let mut stdin = worker.child.take_stdin();
        if let Some(stdin) = &mut stdin {
            let line = serde_json::to_string(&request).map_err(|error| failed(error.into()))?;
            // One that has ended says why.
            let _ = writeln!(stdin, "{line}");
        }
        loop {
            if interrupt.requested() {
                return Err(RecommendError::Interrupted.into());
            }
            let line = match worker.hear(TICK).map_err(failed)? {
                Heard::Line(line) => line,
                Heard::Nothing => continue,
                Heard::End => {
                    let status = worker.child.wait(PATIENCE);
                    let how = status.map_or_else(|| "was lost".to_owned(), ending);
                    return Err(RecommendError::Died(how).into());
                }
            };
            let event = serde_json::from_str(&line).map_err(|error| {
                RecommendError::Died(format!(
                    "says what cannot be read ({error}); build it with `just build`"
                ))
            })?;
            match event {
                RecommendEvent::List(list) => on_list(list)?,
                RecommendEvent::Done { lists, shorter } => {
                    // With its input open, so that it ends by itself and not for want of a reader.
                    worker.child.wait(PATIENCE);
                    drop(stdin);
                    return Ok(ListsMade { lists, shorter });
                }
                RecommendEvent::Failed(failure) => {
                    return Err(RecommendError::Failed(failure).into());
                }
            }
        }
    }
}

/// A finished run with its files; a plugin that was built anew is a warning.
fn open(
    stored: &RunDetails,
    plugins: &[PluginReport],
    cache: &Cache,
    warnings: &mut Vec<String>,
) -> Result<OpenRun, RecommendError> {
    let (run, state) = (stored.run.run_id, stored.run.state);
    if state != RunState::Finished {
        return Err(RecommendError::NotFinished { run, state });
    }
    let spec: RunSpec = serde_json::from_str(&stored.run.spec)
        .map_err(|source| RecommendError::Spec { run, source })?;
    let mut plugin = None;
    if let Some(sha256) = &stored.run.plugin_sha256
        && spec.combination.is_none()
    {
        let name = &spec.backbone.name;
        let found = plugin_of(name, sha256, plugins);
        let found = found.ok_or_else(|| RecommendError::Missing {
            run,
            what: format!("usable plugin `{name}`"),
            hint: "`genair plugin list` shows the plugins; `--plugin-dir` names a folder",
        })?;
        if found.sha256 != *sha256 {
            warnings.push(format!(
                "plugin `{name}` is another build than the one that trained run {run}; its scores may differ"
            ));
        }
        plugin = Some(found.clone());
    }
    let mut vectors = None;
    if let Some((path, sha256)) = stored_input(stored, InputKind::Vectors) {
        let found = vectors_of(&path, &spec, cache).filter(|file| file.sha256 == sha256);
        let missing = || RecommendError::Missing {
            run,
            what: format!("file of item vectors as it was, {}", path.display()),
            hint: "a sweep of its spec makes it",
        };
        vectors = Some(found.ok_or_else(missing)?);
    }
    let checkpoint = stored.artefacts.iter().find(|own| own.kind == "checkpoint");
    if plugin.is_some() {
        let path = checkpoint.map(|own| Path::new(&own.path));
        if !path.is_some_and(Path::exists) {
            let what = path.map_or_else(
                || "checkpoint".to_owned(),
                |path| format!("checkpoint, {}", path.display()),
            );
            return Err(no_weights(run, &what));
        }
    }
    Ok(OpenRun {
        spec,
        plugin,
        vectors,
        checkpoint: checkpoint.map(|own| InputFile {
            path: own.path.clone().into(),
            sha256: own.sha256.clone(),
        }),
    })
}

fn no_weights(run: RunId, what: &str) -> RecommendError {
    RecommendError::Missing {
        run,
        what: what.to_owned(),
        hint: "`genair results delete` the run and sweep again",
    }
}
