//! Executes a plan: registers its runs, gives those without a result to worker processes, several
//! at once, and records what they say. Runs that other processes hold are waited for.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use genair_archetype::Installation;
use genair_protocol::{
    FailureKind, InputFile, RESULTS_VERSION, RunEvent, RunFailure, RunPhase, WorkerRequest,
};
use genair_store::{
    Claim, CodeRevision, FailedRuns, InputKind, NewRun, Owner, OwnerInfo, RunId, RunState, Store,
    StoreError, StoreErrorKind,
};

use crate::code::{CODE_DIRTY, CODE_REVISION};
use crate::identity::sha256_hex;
use crate::interrupt::Interrupt;
use crate::observer::{Notice, Observer, Outcome};
use crate::plan::{Plan, PlannedRun};
use crate::prepare::prepare;
use crate::spec::Labels;
use crate::stage::{StageError, StageName};
use crate::trainer::Trainer;
use crate::worker::{Ending, LOG_FILE, Launch, run_worker};
use crate::writer::{Writer, WriterGone};

/// How often a run in another process's hands is asked about.
const POLL: Duration = Duration::from_secs(1);

/// How to execute a plan.
pub struct Execution<'a> {
    /// The worker binary.
    pub trainer: &'a Trainer,
    /// Workers at once, at least 1.
    pub jobs: usize,
    /// Whether runs that failed earlier are tried again.
    pub failed: FailedRuns,
    /// Watches.
    pub observer: &'a dyn Observer,
    /// Asks to stop.
    pub interrupt: &'a Interrupt,
    /// Where the cache and the engines are.
    pub installation: &'a Installation,
}

/// How a sweep ended: each run of the plan with its number and outcome, in the plan's order.
#[derive(Clone, Debug)]
pub struct SweepReport {
    /// One entry per run.
    pub runs: Vec<(RunId, Labels, Outcome)>,
    /// Whether stopping was asked for.
    pub interrupted: bool,
}

impl SweepReport {
    /// Runs without results because they failed, now, earlier or elsewhere.
    pub fn failed(&self) -> impl Iterator<Item = &(RunId, Labels, Outcome)> {
        let failed =
            |outcome: &Outcome| matches!(outcome, Outcome::Failed(_) | Outcome::FailedBefore(_));
        self.runs
            .iter()
            .filter(move |(_, _, outcome)| failed(outcome))
    }

    /// Runs that have neither results nor a failure.
    pub fn left(&self) -> usize {
        self.runs
            .iter()
            .filter(|(_, _, outcome)| *outcome == Outcome::Left)
            .count()
    }
}

/// Why a sweep could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bug in the writer.
    #[error(transparent)]
    Writer(#[from] WriterGone),
    /// The threads could not be started.
    #[error("cannot start {jobs} threads; choose a smaller `-j`")]
    Threads {
        /// Threads asked for.
        jobs: usize,
        /// The system's reason.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// What runs share could not be made.
    #[error("the {} of `{dataset}` could not be made", stage.as_str())]
    Stage {
        /// What it is.
        stage: StageName,
        /// Name of the dataset in the spec.
        dataset: String,
        /// The reason.
        #[source]
        source: Box<StageError>,
    },
    /// A run's spec cannot be written as JSON.
    #[error("the spec of {labels} cannot be written as JSON; this is a bug")]
    Json {
        /// The run.
        labels: Labels,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
}

/// Where the artefacts of a database's runs are: a folder beside it, named after it.
pub fn artefacts_folder(database: &Path) -> PathBuf {
    let stem = database.file_stem().unwrap_or_default().to_string_lossy();
    database.with_file_name(format!("{stem}-artefacts"))
}

/// Executes a plan and returns the store with how each run ended.
///
/// # Errors
/// The database cannot be written. Failures of runs are outcomes, not errors.
pub fn sweep(
    plan: &Plan,
    mut store: Store,
    how: &Execution<'_>,
) -> Result<(Store, SweepReport), SweepError> {
    let spec_path = std::path::absolute(&plan.spec_path).unwrap_or_else(|_| plan.spec_path.clone());
    let id = store.begin_sweep(&plan.name, &spec_path.to_string_lossy(), &plan.spec_text)?;
    let new = plan
        .runs
        .iter()
        .map(new_run)
        .collect::<Result<Vec<_>, _>>()?;
    let numbers = store.register(id, &new)?;
    let identities: Vec<String> = plan.runs.iter().map(|run| run.identity.clone()).collect();
    let states = store.run_states(&identities)?;
    let count = |state| states.iter().filter(|own| **own == Some(state)).count();
    let jobs = how.jobs.max(1);
    let kept = if how.failed == FailedRuns::Keep {
        count(RunState::Failed)
    } else {
        0
    };
    let (total, finished) = (plan.runs.len(), count(RunState::Finished));
    how.observer.observe(Notice::Begin {
        total,
        finished,
        failed: kept,
        jobs,
    });

    let open = states
        .iter()
        .zip(&plan.runs)
        .filter(|(state, _)| match state {
            Some(RunState::Finished) => false,
            Some(RunState::Failed) => how.failed == FailedRuns::Retry,
            _ => true,
        });
    let inputs = prepare_inputs(plan, open.map(|(_, run)| run), how)?;

    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .thread_name(|at| format!("worker-{at}"))
        .build()
        .map_err(|source| SweepError::Threads { jobs, source })?;
    let artefacts = std::path::absolute(artefacts_folder(store.path()))
        .unwrap_or_else(|_| artefacts_folder(store.path()));
    let owner = Owner::this_process(CodeRevision {
        revision: CODE_REVISION.to_owned(),
        dirty: CODE_DIRTY,
        diff: None,
    });
    std::thread::scope(|scope| {
        let (writer, handle) = Writer::start(scope, store, owner.clone());
        let scheduler = Scheduler {
            how,
            artefacts,
            owner,
            writer,
            inputs,
            told: Mutex::default(),
        };
        let runs: Vec<_> = numbers.into_iter().zip(&plan.runs).collect();
        let before = |state: Option<RunState>| {
            (state == Some(RunState::Finished)).then_some(Outcome::FinishedBefore)
        };
        let outcomes =
            pool.install(|| scheduler.run_all(&runs, states.into_iter().map(before).collect()));
        drop(scheduler);
        let store = handle.join().map_err(|_| WriterGone)??;
        let runs = runs
            .into_iter()
            .zip(outcomes?)
            .map(|((number, run), outcome)| (number, run.labels.clone(), outcome));
        Ok((
            store,
            SweepReport {
                runs: runs.collect(),
                interrupted: how.interrupt.requested(),
            },
        ))
    })
}

/// Makes the outcomes of the stages that open runs need; none after a request to stop.
fn prepare_inputs<'r>(
    plan: &Plan,
    open: impl Iterator<Item = &'r PlannedRun>,
    how: &Execution<'_>,
) -> Result<Vec<Option<InputFile>>, SweepError> {
    let needed: HashSet<usize> = open
        .flat_map(|run| [run.vectors, run.associations])
        .flatten()
        .collect();
    let mut inputs = vec![None; plan.stages.len()];
    for (at, stage) in plan.stages.iter().enumerate() {
        if !needed.contains(&at) || how.interrupt.requested() {
            continue;
        }
        how.observer.observe(Notice::StageStarted { stage });
        let mut tell = |progress| {
            how.observer.observe(Notice::StageProgress {
                stage,
                progress: &progress,
            });
        };
        match prepare(stage, how.installation, &mut tell, how.interrupt) {
            Ok(file) => inputs[at] = Some(file),
            Err(error) if error.is_interruption() => break,
            Err(source) => {
                return Err(SweepError::Stage {
                    stage: stage.name(),
                    dataset: stage.dataset.clone(),
                    source: Box::new(source),
                });
            }
        }
        how.observer.observe(Notice::StageEnded { stage });
    }
    Ok(inputs)
}

fn new_run(run: &PlannedRun) -> Result<NewRun, SweepError> {
    let spec = serde_json::to_string(&run.spec).map_err(|source| SweepError::Json {
        labels: run.labels.clone(),
        source,
    })?;
    let Labels {
        dataset,
        backbone,
        representation,
        variant,
        seed,
    } = run.labels.clone();
    Ok(NewRun {
        identity: run.identity.clone(),
        spec_sha256: sha256_hex(&spec),
        spec,
        dataset,
        backbone,
        representation,
        variant,
        seed,
        data_sha256: run.data_sha256.clone(),
        plugin_sha256: run.plugin.as_ref().map(|plugin| plugin.sha256.clone()),
        results_version: RESULTS_VERSION,
    })
}

/// What the threads of one sweep share.
struct Scheduler<'a> {
    how: &'a Execution<'a>,
    artefacts: PathBuf,
    owner: Owner,
    writer: Writer,
    /// Outcomes of the plan's stages; none of those that no open run needs.
    inputs: Vec<Option<InputFile>>,
    /// Owners already reported as waited for.
    told: Mutex<HashSet<String>>,
}

/// What a look at one run came to.
enum Attempt {
    Done(Outcome),
    /// In another process's hands, this one if it is known.
    Held(Option<OwnerInfo>),
}

impl Scheduler<'_> {
    /// Executes all runs without an outcome, in order as threads get free; then waits for those held
    /// elsewhere.
    fn run_all(
        &self,
        runs: &[(RunId, &PlannedRun)],
        mut outcomes: Vec<Option<Outcome>>,
    ) -> Result<Vec<Outcome>, SweepError> {
        loop {
            let open: Vec<usize> = (0..runs.len())
                .filter(|&at| outcomes[at].is_none())
                .collect();
            let attempts = self.attempt_all(open.iter().map(|&at| runs[at]));
            let mut holder = None;
            for (at, attempt) in open.into_iter().zip(attempts) {
                match attempt? {
                    Attempt::Done(outcome) => outcomes[at] = Some(outcome),
                    Attempt::Held(owner) => holder = holder.or(owner),
                }
            }
            let waiting = outcomes.iter().filter(|outcome| outcome.is_none()).count();
            if waiting == 0 || self.how.interrupt.requested() {
                break;
            }
            if let Some(holder) = holder {
                self.tell_once(waiting, &holder);
            }
            self.how.interrupt.sleep(POLL);
        }
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or(Outcome::Left))
            .collect())
    }

    fn attempt_all<'r>(
        &self,
        runs: impl Iterator<Item = (RunId, &'r PlannedRun)>,
    ) -> Vec<Result<Attempt, SweepError>> {
        let runs: Vec<_> = runs.collect();
        let slots: Vec<Mutex<Option<Result<Attempt, SweepError>>>> =
            runs.iter().map(|_| Mutex::new(None)).collect();
        // First in, first out: a parallel iterator would start in the middle of the plan.
        rayon::scope_fifo(|scope| {
            for (&(number, run), slot) in runs.iter().zip(&slots) {
                scope.spawn_fifo(move |_| {
                    let attempt = self.attempt(number, run);
                    if attempt.is_err() {
                        // The database is gone: no use in starting more.
                        self.how.interrupt.request();
                    }
                    *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(attempt);
                });
            }
        });
        let taken = slots.into_iter().map(|slot| {
            slot.into_inner()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        });
        taken
            .map(|attempt| attempt.unwrap_or(Ok(Attempt::Done(Outcome::Left))))
            .collect()
    }

    fn attempt(&self, number: RunId, run: &PlannedRun) -> Result<Attempt, SweepError> {
        if self.how.interrupt.requested() {
            return Ok(Attempt::Done(Outcome::Left));
        }
        let (owner, failed) = (self.owner.clone(), self.how.failed);
        let outcome = match self
            .writer
            .call(move |store| store.claim(number, &owner, failed))??
        {
            Claim::HeldBy(owner) => return Ok(Attempt::Held(Some(owner))),
            Claim::Claimed => return self.execute(number, run),
            Claim::Finished => Outcome::FinishedBefore,
            Claim::Failed(failure) => Outcome::FailedBefore(failure),
            Claim::Pruned { .. } => return Ok(Attempt::Done(Outcome::Left)),
        };
        self.ended(number, run, &outcome, None);
        Ok(Attempt::Done(outcome))
    }

    /// Runs the worker of a run this process holds.
    fn execute(&self, number: RunId, run: &PlannedRun) -> Result<Attempt, SweepError> {
        let artefacts = self.artefacts.join(&run.identity[..16]);
        let log = artefacts.join(LOG_FILE);
        let request = WorkerRequest {
            run: run.spec.clone(),
            plugin: run.plugin.as_ref().map(|plugin| plugin.path.clone()),
            plugin_sha256: run.plugin.as_ref().map(|plugin| plugin.sha256.clone()),
            vectors: self.input(run.vectors),
            associations: self.input(run.associations),
            artefacts,
        };
        for (kind, input) in [
            (InputKind::Vectors, &request.vectors),
            (InputKind::Associations, &request.associations),
        ] {
            if let Some(input) = input.clone() {
                let owner = self.owner.clone();
                self.writer
                    .call(move |store| store.record_input(number, &owner, kind, &input))??;
            }
        }
        self.how
            .observer
            .observe(Notice::RunStarted { id: number, run });
        let mut outcome = Outcome::Left;
        let launch = Launch {
            trainer: self.how.trainer.path(),
            request: &request,
        };
        let ending = run_worker(&launch, self.how.interrupt, |event| {
            self.how.observer.observe(Notice::RunEvent {
                id: number,
                run,
                event: &event,
            });
            match &event {
                RunEvent::Finished(_) => outcome = Outcome::Finished,
                RunEvent::Failed(failure) => outcome = Outcome::Failed(failure.clone()),
                _ => {}
            }
            self.record(number, event)
        });
        match ending {
            Ok(Ending::Reported) => {}
            Ok(Ending::Failed(failure)) => outcome = self.fail(number, failure)?,
            Ok(Ending::Interrupted) => self.release(number)?,
            Err(SweepError::Store(error)) => match error.kind {
                // This process was silent for so long that another one took the run.
                StoreErrorKind::NotHeld { .. } => return Ok(Attempt::Held(None)),
                StoreErrorKind::NothingMeasured { .. } => {
                    outcome = self.fail(number, nothing_measured(&error))?
                }
                _ => return Err(error.into()),
            },
            Err(error) => return Err(error),
        }
        self.ended(number, run, &outcome, Some(&log));
        Ok(Attempt::Done(outcome))
    }

    fn input(&self, stage: Option<usize>) -> Option<InputFile> {
        self.inputs.get(stage?)?.clone()
    }

    fn record(&self, number: RunId, event: RunEvent) -> Result<(), SweepError> {
        let owner = self.owner.clone();
        Ok(self
            .writer
            .call(move |store| store.record(number, &owner, &event))??)
    }

    fn fail(&self, number: RunId, failure: RunFailure) -> Result<Outcome, SweepError> {
        self.record(number, RunEvent::Failed(failure.clone()))?;
        Ok(Outcome::Failed(failure))
    }

    fn release(&self, number: RunId) -> Result<(), SweepError> {
        let owner = self.owner.clone();
        Ok(self
            .writer
            .call(move |store| store.release(number, &owner))??)
    }

    fn ended(&self, number: RunId, run: &PlannedRun, outcome: &Outcome, log: Option<&Path>) {
        self.how.observer.observe(Notice::RunEnded {
            id: number,
            run,
            outcome,
            log,
        });
    }

    fn tell_once(&self, runs: usize, owner: &OwnerInfo) {
        let mut told = self
            .told
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if told.insert(owner.owner.clone()) {
            self.how.observer.observe(Notice::Waiting { runs, owner });
        }
    }
}

fn nothing_measured(error: &StoreError) -> RunFailure {
    RunFailure {
        kind: FailureKind::Internal,
        phase: RunPhase::Testing,
        message: error.kind.to_string(),
        hint: None,
    }
}
