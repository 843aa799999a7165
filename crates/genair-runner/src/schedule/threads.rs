//! The threads of one sweep: each takes the next job, makes it if it is a stage, claims it if it is a run, starts its
//! worker and records what it says, until none is left. Runs that other processes hold are waited for.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use genair_process::PROCESS_HINT;
use genair_protocol::{
    FailureKind, MemberRequest, ResumeSpec, RunEvent, RunFailure, RunPhase, WorkerRequest,
};
use genair_store::{
    Claim, FailedRuns, InputKind, Owner, OwnerInfo, RunId, Store, StoreError, StoreErrorKind,
    SweepId,
};

use super::inputs::Input;
use super::{CRASH_RETRIES, Execution, SweepError};
use crate::artefacts;
use crate::executor::{Ending, Executor, Launch, Limits, Next, Told};
use crate::folder::RunNote;
use crate::observer::{Notice, Outcome};
use crate::plan::{Plan, PlannedRun};
use crate::prune::{self, Promoted, Pruner};
use crate::queue::{Job, Queue};
use crate::shared_store::SharedStore;

/// How often a run in another process's hands is asked about.
const POLL: Duration = Duration::from_secs(1);

/// How often the last thread starts a run again whose worker the system refuses.
const REFUSALS: usize = 5;

/// What the threads of one sweep share.
pub(super) struct Scheduler<'a> {
    pub(super) how: &'a Execution<'a>,
    pub(super) plan: &'a Plan,
    pub(super) executor: &'a dyn Executor,
    pub(super) artefacts: PathBuf,
    pub(super) owner: &'a Owner,
    pub(super) sweep: SweepId,
    pub(super) store: &'a SharedStore,
    /// Outcomes of the plan's stages.
    pub(super) inputs: Mutex<Vec<Input>>,
    pub(super) queue: Queue<'a>,
    pub(super) pruner: Option<Pruner>,
    /// Whether a run has failed.
    pub(super) failed: AtomicBool,
    /// Threads that start workers: fewer once the system refuses one.
    pub(super) jobs: Mutex<usize>,
    /// Owners already reported as waited for.
    pub(super) told: Mutex<HashSet<String>>,
}

/// What a look at one run came to.
enum Attempt {
    Done(Outcome),
    /// In another process's hands, this one if it is known.
    Held(Option<OwnerInfo>),
    /// The system refused its worker a process or a thread. It is open again.
    Refused(RunFailure),
}

/// Takes a job that a thread is done with off the queue's list.
struct AtWork<'q, 'p>(&'q Queue<'p>, Job);

impl Drop for AtWork<'_, '_> {
    fn drop(&mut self) {
        self.0.done(self.1);
    }
}

impl Scheduler<'_> {
    /// Executes all runs without an outcome: each thread takes the next one as soon as it is free. Runs
    /// held elsewhere are asked about until they have an outcome.
    pub(super) fn run_all(
        &self,
        runs: &[(RunId, &PlannedRun)],
        outcomes: Vec<Option<Outcome>>,
    ) -> Result<Vec<Outcome>, SweepError> {
        let outcomes = Mutex::new(outcomes);
        let error = Mutex::new(None);
        // The database is gone, or no worker can be started: no use in starting more.
        let give_up = |first| {
            self.how.interrupt.request();
            lock(&error).get_or_insert(first);
        };
        let work = || {
            let mut refusals = 0;
            while let Some(job) = self.queue.next(|| self.stops()) {
                let at_work = AtWork(&self.queue, job);
                let at = match job {
                    Job::Stage(at) => {
                        self.make(at).unwrap_or_else(&give_up);
                        continue;
                    }
                    Job::Run(at) => at,
                };
                let (number, run) = runs[at];
                match self.attempt(at, number, run) {
                    Ok(Attempt::Held(holder)) => {
                        let waiting = self.queue.put_back(at, POLL);
                        if let Some((waiting, holder)) = waiting.zip(holder) {
                            self.tell_once(waiting, &holder);
                        }
                        // It waits again.
                        std::mem::forget(at_work);
                    }
                    Ok(Attempt::Refused(failure)) => {
                        self.queue.put_back(at, POLL);
                        std::mem::forget(at_work);
                        refusals += 1;
                        if self.leave(1, &failure.message) {
                            return;
                        }
                        if refusals > REFUSALS {
                            give_up(SweepError::Refused {
                                labels: Box::new(run.labels.clone()),
                                message: failure.message,
                            });
                        }
                    }
                    Ok(Attempt::Done(outcome)) => {
                        refusals = 0;
                        if matches!(outcome, Outcome::Failed(_)) {
                            self.failed.store(true, Ordering::SeqCst);
                        }
                        lock(&outcomes)[at] = Some(outcome);
                        self.promote(number).unwrap_or_else(&give_up);
                    }
                    Err(first) => give_up(first),
                }
            }
        };
        loop {
            std::thread::scope(|scope| {
                // This thread is one of them.
                let others = *lock(&self.jobs) - 1;
                for started in 0..others {
                    if let Err(error) = genair_process::spawn_scoped(scope, "starts runs", work) {
                        self.leave(others - started, &error.source.to_string());
                        break;
                    }
                }
                work();
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

    /// Takes threads off the sweep because the system refused something, unless that would leave none.
    fn leave(&self, threads: usize, message: &str) -> bool {
        let mut jobs = lock(&self.jobs);
        if *jobs <= threads {
            return false;
        }
        *jobs -= threads;
        tracing::warn!("{message}; going on with fewer jobs, {jobs} at once: {PROCESS_HINT}");
        true
    }

    /// Whether nothing is to be started any more.
    pub(super) fn stops(&self) -> bool {
        let failed = self.fails_fast() && self.failed.load(Ordering::SeqCst);
        failed || self.how.interrupt.requested()
    }

    pub(super) fn fails_fast(&self) -> bool {
        self.how.fail_fast || self.plan.sweep.schedule.fail_fast
    }

    /// Claims a run and executes it, more than once if it crashes.
    fn attempt(&self, at: usize, number: RunId, run: &PlannedRun) -> Result<Attempt, SweepError> {
        let mut retries = match self.how.failed {
            FailedRuns::Keep => 0,
            FailedRuns::RetryCrashed | FailedRuns::Retry => CRASH_RETRIES,
        };
        let outcome = loop {
            if self.how.interrupt.requested() {
                return Ok(Attempt::Done(Outcome::Left));
            }
            if self.how.detach && !run.members.is_empty() {
                // Its members are on their way.
                return Ok(Attempt::Done(Outcome::Left));
            }
            let claim = self
                .store
                .with(|store| store.claim(number, self.owner, self.how.failed));
            match claim? {
                Claim::HeldBy(owner) => return Ok(Attempt::Held(Some(owner))),
                Claim::Finished => break Outcome::FinishedBefore,
                Claim::Failed(failure) => break Outcome::FailedBefore(failure),
                Claim::Pruned { .. } => break Outcome::PrunedBefore,
                Claim::Claimed => {}
            }
            if let Some(failure) = self.not_prepared(run) {
                break self.fail(number, failure)?;
            }
            let members = match self.members(run)? {
                Ok(members) => members,
                Err(failure) => break self.fail(number, failure)?,
            };
            let folder = artefacts::of_run(&self.artefacts, run);
            let outcome = match self.execute(at, number, members, folder)? {
                Attempt::Done(outcome) => outcome,
                other => return Ok(other),
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
        });
        Ok(Attempt::Done(outcome))
    }

    /// Runs the worker of a run this process holds.
    fn execute(
        &self,
        at: usize,
        number: RunId,
        members: Vec<MemberRequest>,
        artefacts: PathBuf,
    ) -> Result<Attempt, SweepError> {
        let run = &self.plan.sweep.runs[at];
        let pauses = self.plan.sweep.pruning.as_ref();
        let request = WorkerRequest {
            run: run.spec.clone(),
            plugin: run.plugin.as_ref().map(|plugin| plugin.path.clone()),
            plugin_sha256: run.plugin.as_ref().map(|plugin| plugin.sha256.clone()),
            data: self.input(run.data),
            vectors: self.input(run.vectors),
            associations: self.input(run.associations),
            members,
            artefacts,
            resume: Some(ResumeSpec {
                identity: run.identity.clone(),
                every_seconds: self.plan.sweep.checkpoint_seconds,
                at_epochs: pauses
                    .map(|rule| prune::pauses(rule, run))
                    .unwrap_or_default(),
            }),
        };
        for (kind, input) in [
            (InputKind::Vectors, &request.vectors),
            (InputKind::Associations, &request.associations),
        ] {
            if let Some(input) = input {
                self.store
                    .with(|store| store.record_input(number, self.owner, kind, input))?;
            }
        }
        self.how
            .observer
            .observe(Notice::RunStarted { id: number, run });
        let mut outcome = Outcome::Left;
        let mut refused = None;
        let launch = Launch {
            run: number,
            can_wait: self.queue.goes_on(at).is_none() && self.pruner.is_some(),
            trainer: self.how.trainer.path(),
            request: &request,
            note: Some(RunNote {
                identity: run.identity.clone(),
                code: self.owner.code().clone(),
            }),
            limits: Limits {
                memory: self.plan.sweep.schedule.memory_limit,
                time: self.plan.sweep.schedule.time_limit,
                measured: &|bytes| self.queue.uses(at, bytes),
            },
        };
        let mut listen = |told| {
            let event = match told {
                Told::Attempt { name } => {
                    self.store
                        .with(|store| store.begin_attempt(number, self.owner, &name))?;
                    return Ok(Next::GoOn);
                }
                Told::Event(event) => *event,
            };
            self.how.observer.observe(Notice::RunEvent {
                id: number,
                run,
                event: &event,
            });
            match &event {
                // No failure of the run: it is not recorded as one.
                RunEvent::Failed(failure) if failure.kind == FailureKind::ProcessLimit => {
                    refused = Some(failure.clone());
                    return Ok(Next::End);
                }
                RunEvent::Finished(_) => outcome = Outcome::Finished,
                RunEvent::Failed(failure) => outcome = Outcome::Failed(failure.clone()),
                _ => {}
            }
            self.record(number, &event)?;
            match validated(&event) {
                Some(epoch) if self.prunes(number, epoch)? => {
                    outcome = Outcome::Pruned { epoch };
                    Ok(Next::End)
                }
                _ => Ok(Next::GoOn),
            }
        };
        let ending = self
            .executor
            .execute(&launch, self.how.interrupt, &mut listen);
        match ending {
            Ok(Ending::Reported) => {}
            Ok(Ending::Stopped) => {
                if let Outcome::Pruned { epoch } = outcome {
                    self.store
                        .with(|store| store.prune(number, self.owner, epoch))?;
                }
            }
            Ok(Ending::Failed(failure)) if failure.kind == FailureKind::ProcessLimit => {
                refused = Some(failure);
            }
            Ok(Ending::Failed(failure)) => outcome = self.fail(number, failure)?,
            Ok(Ending::Interrupted) => self.release(number)?,
            Ok(Ending::Detached) => {
                outcome = Outcome::Submitted;
                self.release(number)?;
            }
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
        if let Some(failure) = refused {
            self.release(number)?;
            return Ok(Attempt::Refused(failure));
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

    /// Judges a run by its validations so far, and says whether it is not worth going on with.
    fn prunes(&self, number: RunId, epoch: usize) -> Result<bool, SweepError> {
        let Some(pruner) = &self.pruner else {
            return Ok(false);
        };
        let judge = |store: &mut Store| pruner.judge(store, self.owner, number, epoch);
        let Some(pruned) = self.store.with(judge)? else {
            return Ok(false);
        };
        // There is one more to be compared with.
        self.promote(number)?;
        Ok(pruned)
    }

    /// Queues the runs that this run's result promotes.
    fn promote(&self, number: RunId) -> Result<(), SweepError> {
        if let Some(pruner) = &self.pruner {
            self.queue_promoted(&self.store.with(|store| pruner.promote(store, number))?);
        }
        Ok(())
    }

    /// Queues a run that goes on where none would finish. Returns whether there is one.
    fn rescue(&self) -> Result<bool, SweepError> {
        match &self.pruner {
            Some(pruner) if !self.stops() => {
                let promoted = self.store.with(|store| pruner.rescue(store))?;
                self.queue_promoted(&promoted);
                Ok(!promoted.is_empty())
            }
            _ => Ok(false),
        }
    }

    fn queue_promoted(&self, promoted: &[Promoted]) {
        for Promoted { at, rung } in promoted {
            let run = &self.plan.sweep.runs[*at];
            self.how.observer.observe(Notice::RunPromoted { run });
            self.queue.promote(*at, *rung);
        }
    }

    fn record(&self, number: RunId, event: &RunEvent) -> Result<(), StoreError> {
        self.store
            .with(|store| store.record(number, self.owner, event))
    }

    fn fail(&self, number: RunId, failure: RunFailure) -> Result<Outcome, StoreError> {
        self.record(number, &RunEvent::Failed(failure.clone()))?;
        Ok(Outcome::Failed(failure))
    }

    fn release(&self, number: RunId) -> Result<(), StoreError> {
        self.store.with(|store| store.release(number, self.owner))
    }

    fn tell_once(&self, runs: usize, owner: &OwnerInfo) {
        if lock(&self.told).insert(owner.owner.clone()) {
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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
