//! A stage as a job: its request in a file, what it tells in another, and what came of it in a third.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use genair_archetype::{FakeEngineSettings, GenerationProgress, Installation, RecordParts};
use genair_files::{Cache, FileError, doing};
use genair_protocol::InputFile;
use genair_spec::VectorsStage;
use genair_store::Work;
use serde::{Deserialize, Serialize};

use super::{BatchPool, End, JobState, read_if_there};
use crate::events::{EventFile, EventsError};
use crate::prepare::{StageProgress, input_file, prepare};
use crate::stage::{Stage, StageError, StageKind, with_causes};
use crate::trainer::last_lines;

/// Time between two looks at what came of it.
const LOOK: Duration = Duration::from_millis(500);

/// How often its job may be lost.
const LOSSES: usize = 3;

/// How often a job tells what it counts.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What a stage's job is asked for.
#[derive(Serialize, Deserialize)]
struct StageRequest {
    stage: Stage,
    /// What its records are for; no key of its settings.
    parts: Option<RecordParts>,
    cache: PathBuf,
    trainer: PathBuf,
    /// The fake engine, if it may run.
    fake_engine: Option<FakeEngine>,
}

#[derive(Serialize, Deserialize)]
struct FakeEngine {
    waits_for: Option<PathBuf>,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StageOutcome {
    Made,
    Failed { message: String, full_disk: bool },
}

/// Why the job of a stage could not even say what came of it.
#[derive(Debug, thiserror::Error)]
pub enum StageJobError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The request is none.
    #[error("{} is no request of a stage", path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// Where reading stopped.
        #[source]
        source: serde_json::Error,
    },
}

/// Makes the stage that a request asks for, and writes what came of it beside the request. Returns whether it was made.
///
/// # Errors
/// The request cannot be read, or what came of it not be written.
pub fn make_stage(request: &Path) -> Result<bool, StageJobError> {
    let text = std::fs::read(request).map_err(doing("read", request))?;
    let asked: StageRequest =
        serde_json::from_slice(&text).map_err(|source| StageJobError::Request {
            path: request.to_owned(),
            source,
        })?;
    let mut stage = asked.stage;
    if let StageKind::Vectors(
        VectorsStage::Archetype { settings, .. } | VectorsStage::Text { settings, .. },
    ) = &mut stage.kind
        && let Some(parts) = asked.parts
    {
        settings.parts = parts;
    }
    let installation = Installation {
        trainer: asked.trainer,
        fake_engine: asked.fake_engine.map(|fake| FakeEngineSettings {
            waits_for: fake.waits_for,
        }),
        build_llama: None,
        ..Installation::new(asked.cache)
    };
    let mut teller = Teller::begin(&progress_of(request))?;
    let outcome = match prepare(
        &stage,
        &installation,
        &mut |progress| teller.tell(&progress),
        &|| false,
    ) {
        Ok(_) => StageOutcome::Made,
        Err(error) => StageOutcome::Failed {
            message: with_causes(&error),
            full_disk: error.is_full_disk(),
        },
    };
    let path = outcome_of(request);
    write_json(&path, &outcome).map_err(doing("write", &path))?;
    Ok(matches!(outcome, StageOutcome::Made))
}

fn outcome_of(request: &Path) -> PathBuf {
    request.with_extension("outcome.json")
}

fn progress_of(request: &Path) -> PathBuf {
    request.with_extension("progress.jsonl")
}

/// Writes how far a stage is, as lines of JSON, for whoever waits for its job.
struct Teller {
    path: PathBuf,
    file: File,
    told: Option<Instant>,
}

impl Teller {
    fn begin(path: &Path) -> Result<Self, FileError> {
        let mut open = OpenOptions::new();
        // A job that was requeued adds to what the first one told.
        let file = open.create(true).append(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(doing("write", path))?,
            told: None,
        })
    }

    fn tell(&mut self, progress: &StageProgress) {
        if is_one_of_many(progress) {
            if self.told.is_some_and(|told| told.elapsed() < TOLD_EVERY) {
                return;
            }
            self.told = Some(Instant::now());
        }
        let line = serde_json::to_string(progress).map_err(io::Error::from);
        let written = line.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            let path = self.path.display();
            tracing::warn!("cannot write {path}, so this is not told: {progress:?}: {error}");
        }
    }
}

/// Whether the next one says all that this one does.
fn is_one_of_many(progress: &StageProgress) -> bool {
    match progress {
        StageProgress::Generating(GenerationProgress::Advanced { done, total, .. }) => done < total,
        StageProgress::Fetching(genair_fetch::Progress::Downloaded { bytes, total }) => {
            bytes < total
        }
        _ => false,
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    genair_files::write(path, serde_json::to_vec_pretty(value)?)
}

impl BatchPool<'_> {
    /// Has a job make a stage, and waits for it.
    pub(super) fn make_as_job(
        &self,
        stage: &Stage,
        progress: &mut dyn FnMut(StageProgress),
        interrupted: &dyn Fn() -> bool,
    ) -> Result<InputFile, StageError> {
        let work = Work::Stage(stage.recipe_sha256.clone());
        let recipe = stage.recipe_sha256.get(..16).unwrap_or_default();
        let request = self.folder.join("stages").join(format!("{recipe}.json"));
        let outcome = outcome_of(&request);
        let job_error = |reason: String| StageError::Job {
            reason,
            full_disk: false,
        };
        let lost = |error: crate::schedule::SweepError| job_error(error.to_string());
        let mut told = EventFile::<StageProgress>::new(&progress_of(&request));
        let (mut losses, mut over_since) = (0, None::<Instant>);
        if self.status(&work).map_err(lost)?.is_none() {
            self.ask_for_stage(stage, &work, &request)?;
        }
        loop {
            let made = read_if_there(&outcome).map_err(doing("read", &outcome))?;
            // After that: it tells all before it is made.
            match told.read() {
                Ok(news) => news.into_iter().for_each(&mut *progress),
                Err(error @ EventsError::NoEvent { .. }) => {
                    tracing::warn!(
                        "not all is told of how {} was made: {error}",
                        stage.name().as_str()
                    );
                }
                // It has told nothing yet.
                Err(EventsError::Read { .. }) => {}
            }
            if let Some(text) = made {
                self.forget(&work).map_err(lost)?;
                return match serde_json::from_str(&text) {
                    Ok(StageOutcome::Made) => {
                        Ok(input_file(&stage.path).map_err(doing("read", &stage.path))?)
                    }
                    Ok(StageOutcome::Failed { message, full_disk }) => Err(StageError::Job {
                        reason: message,
                        full_disk,
                    }),
                    Err(error) => Err(job_error(format!(
                        "{} says nothing: {error}",
                        outcome.display()
                    ))),
                };
            }
            if interrupted() {
                return Err(StageError::Interrupted);
            }
            let status = self.status(&work).map_err(lost)?;
            let ended = status.as_ref().and_then(|status| match status.state {
                JobState::Ended(end) => Some(end),
                _ => None,
            });
            match (status, ended) {
                (None, _) => self.ask_for_stage(stage, &work, &request)?,
                (Some(status), Some(end)) => {
                    let since = *over_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.settings.poll * 2 {
                        self.forget(&work).map_err(lost)?;
                        losses += 1;
                        over_since = None;
                        let again = matches!(end, End::NodeLost | End::Gone | End::Preempted);
                        if !again || losses > LOSSES {
                            let said = status.output.and_then(|path| std::fs::read(path).ok());
                            let said = said.unwrap_or_default();
                            let said = last_lines(&String::from_utf8_lossy(&said), 10);
                            return Err(job_error(format!(
                                "its job ended ({end:?}) without a result; it last said:\n{said}"
                            )));
                        }
                        self.ask_for_stage(stage, &work, &request)?;
                    }
                }
                _ => over_since = None,
            }
            std::thread::sleep(LOOK);
        }
    }

    fn ask_for_stage(&self, stage: &Stage, work: &Work, request: &Path) -> Result<(), StageError> {
        for earlier in [outcome_of(request), progress_of(request)] {
            match std::fs::remove_file(&earlier) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(doing("remove", &earlier)(error).into());
                }
                _ => {}
            }
        }
        let asked = StageRequest {
            stage: stage.clone(),
            parts: stage.engine().map(|settings| settings.parts),
            cache: Cache::root(&self.installation.cache).to_owned(),
            trainer: self.installation.trainer.clone(),
            fake_engine: self
                .installation
                .fake_engine
                .clone()
                .map(|fake| FakeEngine {
                    waits_for: fake.waits_for,
                }),
        };
        write_json(request, &asked).map_err(doing("write", request))?;
        let program = std::env::current_exe().map_err(doing("find", Path::new("genair")))?;
        let words = [program.as_os_str(), "stage".as_ref(), request.as_os_str()];
        let command = words.map(|word| word.to_string_lossy().into_owned());
        let threads = stage.engine().and_then(|settings| settings.threads);
        self.request(work, command.to_vec(), threads.unwrap_or(1), false);
        Ok(())
    }
}
