//! Executes a plan: registers its runs, gives those without a result to worker processes, several
//! at once, and records what they say. Runs that other processes hold are waited for.

mod inputs;
mod outcome;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use genair_archetype::Installation;
use genair_protocol::{
    FailureKind, InputFile, RESULTS_VERSION, ResumeSpec, RunEvent, RunFailure, RunPhase,
    WorkerRequest,
};
use genair_store::{
    Claim, Continued, FailedRuns, InputKind, NewRun, Owner, OwnerInfo, RunId, RunState, Store,
    StoreError, StoreErrorKind,
};

use self::inputs::prepare_inputs;
pub use self::outcome::{SweepError, SweepReport};
use crate::artefacts;
use crate::code::code_revision;
use crate::identity::sha256_hex;
use crate::interrupt::Interrupt;
use crate::observer::{Notice, Observer, Outcome};
use crate::plan::{Plan, PlannedRun};
use crate::prune::{Promoted, Pruner, Question};
use crate::queue::Queue;
use crate::recorder::Recorder;
use crate::spec::Labels;
use crate::trainer::Trainer;
use crate::worker::{Ending, LOG_FILE, Launch, Limits, Next, run_worker};
use crate::writer::{Writer, WriterGone};

/// How often a run in another process's hands is asked about.
const POLL: Duration = Duration::from_secs(1);

/// How often a run that crashes is tried again before it counts as failed.
pub const CRASH_RETRIES: usize = 2;

/// How to execute a plan.
pub struct Execution<'a> {
    /// The worker binary.
    pub trainer: &'a Trainer,
    /// Workers at once, at least 1.
    pub jobs: usize,
    /// Which failed runs are tried again: of those that failed earlier, and, up to [`CRASH_RETRIES`]
    /// times each, of those that crash now.
    pub failed: FailedRuns,
    /// Whether runs that were pruned go on to their end.
    pub continue_pruned: bool,
    /// Whether nothing is started any more once a run has failed, also where the spec does not say so.
    pub fail_fast: bool,
    /// Watches.
    pub observer: &'a dyn Observer,
    /// Asks to stop.
    pub interrupt: &'a Interrupt,
    /// Where the cache and the engines are.
    pub installation: &'a Installation,
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
    // Also of other sweeps: nobody may ever come back to those.
    let released = store.release_stale()?;
    if released > 0 {
        tracing::info!(
            runs = released,
            "released what processes held that are gone"
        );
    }
    store.reopen(&numbers, how.failed)?;
    if how.continue_pruned {
        for &number in &numbers {
            store.unprune(number, Continued::Asked)?;
        }
    }
    let runs: Vec<_> = numbers.into_iter().zip(&plan.runs).collect();
    let pruner = plan.pruning.as_ref();
    let pruner = pruner.map(|rule| Pruner::new(rule, runs.iter().copied()));
    if let Some(pruner) = &pruner {
        // What a process that was killed did not come to, or what runs of another sweep have changed.
        pruner.promote_all(&mut store)?;
        pruner.rescue()(&mut store)?;
    }
    let identities: Vec<String> = plan.runs.iter().map(|run| run.identity.clone()).collect();
    let states = store.run_states(&identities)?;
    let count = |state| states.iter().filter(|own| **own == Some(state)).count();
    let jobs = how.jobs.max(1);
    how.observer.observe(Notice::Begin {
        total: plan.runs.len(),
        finished: count(RunState::Finished),
        failed: count(RunState::Failed),
        pruned: count(RunState::Pruned),
        jobs,
    });

    let ended = [RunState::Finished, RunState::Failed].map(Some);
    let waits = |state: &Option<RunState>| *state == Some(RunState::Pruned);
    let any_open = states
        .iter()
        .any(|state| !ended.contains(state) && !waits(state));
    // What is pruned may come to go on, once anything is at work.
    let open = std::iter::zip(&states, &plan.runs)
        .filter(|(state, _)| any_open && !ended.contains(state))
        .map(|(_, run)| run);
    let inputs = prepare_inputs(plan, open, how)?;

    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .thread_name(|at| format!("worker-{at}"))
        .build()
        .map_err(|source| SweepError::Threads { jobs, source })?;
    let artefacts = artefacts::folder(store.path());
    let artefacts = std::path::absolute(&artefacts).unwrap_or(artefacts);
    for (state, run) in states.iter().zip(&plan.runs) {
        if *state == Some(RunState::Finished) {
            // Its last runner may have been killed before it did this.
            artefacts::tidy(&artefacts::of_run(&artefacts, run));
        }
    }
    let owner = Owner::this_process(code_revision());
    let known: Vec<Option<Outcome>> = states.into_iter().map(known).collect();
    let open = std::iter::zip(&runs, &known).enumerate();
    let open = open.filter_map(|(at, ((_, run), known))| known.is_none().then_some((at, *run)));
    let schedule = &plan.schedule;
    let measured = store.peak_memory()?;
    let queue = Queue::new(open, schedule.memory, schedule.memory_limit, measured);
    std::thread::scope(|scope| {
        let (writer, handle) = Writer::start(scope, store, owner.clone());
        let scheduler = Scheduler {
            how,
            plan,
            artefacts,
            owner,
            writer,
            inputs,
            queue,
            pruner,
            failed: AtomicBool::new(false),
            told: Mutex::default(),
        };
        let outcomes = scheduler.run_all(&pool, &runs, known);
        let failed_fast = scheduler.fails_fast() && scheduler.failed.load(Ordering::SeqCst);
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
                failed_fast,
            },
        ))
    })
}

/// The outcome of a run that needs no attempt.
fn known(state: Option<RunState>) -> Option<Outcome> {
    match state? {
        RunState::Finished => Some(Outcome::FinishedBefore),
        RunState::Pruned => Some(Outcome::PrunedBefore),
        _ => None,
    }
}

fn new_run(run: &PlannedRun) -> Result<NewRun, SweepError> {
    let spec = serde_json::to_string(&run.spec).map_err(|source| SweepError::Json {
        labels: Box::new(run.labels.clone()),
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
    plan: &'a Plan,
    artefacts: PathBuf,
    owner: Owner,
    writer: Writer,
    /// Outcomes of the plan's stages; none of those that no open run needs.
    inputs: Vec<Option<InputFile>>,
    queue: Queue,
    pruner: Option<Pruner>,
    /// Whether a run has failed.
    failed: AtomicBool,
    /// Owners already reported as waited for.
    told: Mutex<HashSet<String>>,
}

/// What a look at one run came to.
enum Attempt {
    Done(Outcome),
    /// In another process's hands, this one if it is known.
    Held(Option<OwnerInfo>),
}

/// Takes a run that a thread is done with off the queue's list.
struct AtWork<'q>(&'q Queue, usize);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.done(self.1);
    }
}

impl Scheduler<'_> {
    /// Executes all runs without an outcome: each thread takes the next one as soon as it is free. Runs
    /// held elsewhere are asked about until they have an outcome.
    fn run_all(
        &self,
        pool: &rayon::ThreadPool,
        runs: &[(RunId, &PlannedRun)],
        outcomes: Vec<Option<Outcome>>,
    ) -> Result<Vec<Outcome>, SweepError> {
        let outcomes = Mutex::new(outcomes);
        let error = Mutex::new(None);
        // The database is gone: no use in starting more.
        let give_up = |first| {
            self.how.interrupt.request();
            lock(&error).get_or_insert(first);
        };
        loop {
            pool.broadcast(|_| {
                while let Some(at) = self.queue.next(|| self.stops()) {
                    let at_work = AtWork(&self.queue, at);
                    let (number, run) = runs[at];
                    match self.attempt(at, number, run) {
                        Ok(Attempt::Held(holder)) => {
                            let waiting = self.queue.put_back(at, &run.labels, POLL);
                            if let Some((waiting, holder)) = waiting.zip(holder) {
                                self.tell_once(waiting, &holder);
                            }
                            // It waits again.
                            std::mem::forget(at_work);
                        }
                        Ok(Attempt::Done(outcome)) => {
                            if matches!(outcome, Outcome::Failed(_)) {
                                self.failed.store(true, Ordering::SeqCst);
                            }
                            lock(&outcomes)[at] = Some(outcome);
                            self.promote(number).unwrap_or_else(&give_up);
                        }
                        Err(first) => give_up(first),
                    }
                }
            });
            match self.rescue() {
                Ok(true) => {}
                Ok(false) => break,
                Err(first) => give_up(first),
            }
        }
        match error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => {
                let outcomes = outcomes
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner);
                let left = |outcome: Option<Outcome>| outcome.unwrap_or(Outcome::Left);
                Ok(outcomes.into_iter().map(left).collect())
            }
        }
    }

    /// Whether nothing is to be started any more.
    fn stops(&self) -> bool {
        let failed = self.fails_fast() && self.failed.load(Ordering::SeqCst);
        failed || self.how.interrupt.requested()
    }

    fn fails_fast(&self) -> bool {
        self.how.fail_fast || self.plan.schedule.fail_fast
    }

    /// Claims a run and executes it, more than once if it crashes.
    fn attempt(&self, at: usize, number: RunId, run: &PlannedRun) -> Result<Attempt, SweepError> {
        let mut retries = match self.how.failed {
            FailedRuns::Keep => 0,
            FailedRuns::RetryCrashed | FailedRuns::Retry => CRASH_RETRIES,
        };
        let mut log = None;
        let outcome = loop {
            if self.how.interrupt.requested() {
                return Ok(Attempt::Done(Outcome::Left));
            }
            let (owner, failed) = (self.owner.clone(), self.how.failed);
            match self
                .writer
                .call(move |store| store.claim(number, &owner, failed))??
            {
                Claim::HeldBy(owner) => return Ok(Attempt::Held(Some(owner))),
                Claim::Finished => break Outcome::FinishedBefore,
                Claim::Failed(failure) => break Outcome::FailedBefore(failure),
                Claim::Pruned { .. } => break Outcome::PrunedBefore,
                Claim::Claimed => {}
            }
            let folder = artefacts::of_run(&self.artefacts, run);
            log = Some(folder.join(LOG_FILE));
            let outcome = match self.execute(at, number, run, folder)? {
                Attempt::Done(outcome) => outcome,
                held => return Ok(held),
            };
            match &outcome {
                Outcome::Failed(failure) if failure.kind == FailureKind::DiskFull => {
                    return Err(SweepError::DiskFull {
                        labels: Box::new(run.labels.clone()),
                        phase: failure.phase,
                        message: failure.message.clone(),
                    });
                }
                Outcome::Failed(failure) if failure.kind.is_crash() && retries > 0 => {
                    retries -= 1;
                    let id = number;
                    self.how
                        .observer
                        .observe(Notice::RunRetried { id, run, failure });
                }
                _ => break outcome,
            }
        };
        self.how.observer.observe(Notice::RunEnded {
            id: number,
            run,
            outcome: &outcome,
            log: log.as_deref(),
        });
        Ok(Attempt::Done(outcome))
    }

    /// Runs the worker of a run this process holds.
    fn execute(
        &self,
        at: usize,
        number: RunId,
        run: &PlannedRun,
        artefacts: PathBuf,
    ) -> Result<Attempt, SweepError> {
        let pauses = self.plan.pruning.as_ref();
        let request = WorkerRequest {
            run: run.spec.clone(),
            plugin: run.plugin.as_ref().map(|plugin| plugin.path.clone()),
            plugin_sha256: run.plugin.as_ref().map(|plugin| plugin.sha256.clone()),
            data: self.input(run.data),
            vectors: self.input(run.vectors),
            associations: self.input(run.associations),
            artefacts,
            resume: Some(ResumeSpec {
                identity: run.identity.clone(),
                every_seconds: self.plan.checkpoint_seconds,
                at_epochs: pauses.map(|rule| rule.pauses(run)).unwrap_or_default(),
            }),
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
        let mut recorder = Recorder::new(&self.writer, &self.owner, number);
        let mut outcome = Outcome::Left;
        let launch = Launch {
            trainer: self.how.trainer.path(),
            request: &request,
            limits: Limits {
                memory: self.plan.schedule.memory_limit,
                time: self.plan.schedule.time_limit,
                measured: &|bytes| self.queue.uses(at, &run.labels, bytes),
            },
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
            let validated = validated(&event);
            recorder.record(event)?;
            match validated {
                Some(epoch) if self.prunes(number, epoch)? => {
                    outcome = Outcome::Pruned { epoch };
                    Ok(Next::End)
                }
                _ => Ok(Next::GoOn),
            }
        });
        let ending = ending.and_then(|ending| recorder.settle().map(|()| ending));
        match ending {
            Ok(Ending::Reported) => {}
            Ok(Ending::Stopped) => {
                if let Outcome::Pruned { epoch } = outcome {
                    self.prune(number, epoch)?;
                }
            }
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
        match &outcome {
            Outcome::Finished => artefacts::tidy(&request.artefacts),
            Outcome::Failed(failure) if !failure.kind.may_go_on() => {
                artefacts::tidy(&request.artefacts);
            }
            _ => {}
        }
        Ok(Attempt::Done(outcome))
    }

    fn input(&self, stage: Option<usize>) -> Option<InputFile> {
        self.inputs.get(stage?)?.clone()
    }

    /// Judges a run by its validations so far, and says whether it is not worth going on with.
    fn prunes(&self, number: RunId, epoch: usize) -> Result<bool, SweepError> {
        let pruner = self.pruner.as_ref();
        let judgement =
            pruner.and_then(|pruner| pruner.judgement(number, epoch, self.owner.clone()));
        let Some(judgement) = judgement else {
            return Ok(false);
        };
        let pruned = self.writer.call(judgement)??;
        // There is one more to be compared with.
        self.promote(number)?;
        Ok(pruned)
    }

    /// Queues what has come to be worth going on with by what a run has come to.
    fn promote(&self, number: RunId) -> Result<(), SweepError> {
        let pruner = self.pruner.as_ref();
        match pruner.and_then(|pruner| pruner.promotion(number)) {
            Some(promotion) => self.queue_promoted(promotion).map(drop),
            None => Ok(()),
        }
    }

    /// Queues what goes on where nothing would finish; says whether there is such a run.
    fn rescue(&self) -> Result<bool, SweepError> {
        match &self.pruner {
            Some(pruner) if !self.stops() => self.queue_promoted(pruner.rescue()),
            _ => Ok(false),
        }
    }

    fn queue_promoted(&self, question: Question<Vec<Promoted>>) -> Result<bool, SweepError> {
        let promoted = self.writer.call(question)??;
        for Promoted { at, rung } in &promoted {
            let run = &self.plan.runs[*at];
            self.how.observer.observe(Notice::RunPromoted { run });
            self.queue.promote(*at, &run.labels, *rung);
        }
        Ok(!promoted.is_empty())
    }

    fn prune(&self, number: RunId, epoch: usize) -> Result<(), SweepError> {
        let owner = self.owner.clone();
        Ok(self
            .writer
            .call(move |store| store.prune(number, &owner, epoch))??)
    }

    fn fail(&self, number: RunId, failure: RunFailure) -> Result<Outcome, SweepError> {
        Recorder::new(&self.writer, &self.owner, number)
            .record(RunEvent::Failed(failure.clone()))?;
        Ok(Outcome::Failed(failure))
    }

    fn release(&self, number: RunId) -> Result<(), SweepError> {
        let owner = self.owner.clone();
        Ok(self
            .writer
            .call(move |store| store.release(number, &owner))??)
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

/// The epoch after whose validation a run may be pruned: not the last one, which leaves nothing to save.
fn validated(event: &RunEvent) -> Option<usize> {
    match event {
        RunEvent::Epoch {
            epoch,
            max_epochs,
            valid: Some(_),
            ..
        } if epoch < max_epochs => Some(*epoch),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nothing_measured(error: &StoreError) -> RunFailure {
    RunFailure {
        kind: FailureKind::Internal,
        phase: RunPhase::Testing,
        message: error.kind.to_string(),
        hint: None,
    }
}
