//! Executes a plan: registers its runs, and has threads (`threads`) make the stages that those without a result
//! share (`inputs`) and give the runs to worker processes.

mod inputs;
mod outcome;
mod threads;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use genair_archetype::Installation;
use genair_protocol::RESULTS_VERSION;
use genair_store::{Continued, FailedRuns, NewRun, Owner, Registered, RunId, RunState, Store};

use self::inputs::Input;
pub use self::outcome::{SweepError, SweepReport};
use self::threads::Scheduler;
use crate::artefacts;
use crate::code::code_revision;
use crate::executor::Executor;
use crate::executor::batch::{BatchPool, BatchSettings, BatchSystem};
use crate::executor::local::LocalPool;
use crate::executor::slurm::Slurm;
use crate::folder;
use crate::interrupt::Interrupt;
use crate::observer::{Notice, Observer, Outcome};
use crate::plan::{Plan, PlannedRun};
use crate::prune::Pruner;
use crate::queue::{Queue, Room};
use crate::shared_store::SharedStore;
use crate::trainer::Trainer;
use genair_spec::{ExecutorKind, Sweep};

/// Time between two lists of a batch system's jobs, where a spec says nothing.
const POLL: Duration = Duration::from_secs(30);

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
    /// Where runs are executed.
    pub executor: ExecutorKind,
    /// Whether jobs of a batch system are submitted and then left alone.
    pub detach: bool,
    /// How long one may still ask for the end of a batch system's jobs, once this process was asked to stop.
    pub second_thoughts: Duration,
    /// Asks to stop.
    pub interrupt: &'a Interrupt,
    /// Where the cache and the engines are.
    pub installation: &'a Installation,
}

/// Executes a plan and returns the store with how each run ended.
///
/// # Errors
/// The database cannot be written, or its file was deleted, replaced or damaged meanwhile: what it held is then
/// saved beside it, if that can be done. Failures of runs are outcomes, not errors.
pub fn sweep(
    plan: &Plan,
    mut store: Store,
    how: &Execution<'_>,
) -> Result<(Store, SweepReport), SweepError> {
    let Sweep {
        name,
        spec_path,
        spec_text,
        searched,
        ..
    } = &plan.sweep;
    let spec_path = std::path::absolute(spec_path).unwrap_or_else(|_| spec_path.clone());
    let id = store.begin_sweep(name, &spec_path.to_string_lossy(), spec_text)?;
    store.note_search(id, searched)?;
    let new = plan
        .sweep
        .runs
        .iter()
        .map(new_run)
        .collect::<Result<Vec<_>, _>>()?;
    let Registered {
        runs: numbers,
        left_out,
        renamed,
    } = store.register(id, &new)?;
    if renamed > 0 {
        let runs = if renamed == 1 { "run" } else { "runs" };
        tracing::warn!(
            "the dataset of {renamed} {runs} in the database has the name of this spec now"
        );
    }
    if left_out > 0 {
        tracing::warn!(
            "{left_out} {} of an earlier spec of sweep `{}` {} left out of it now; `genair results list --superseded` shows them",
            if left_out == 1 { "run" } else { "runs" },
            name,
            if left_out == 1 { "is" } else { "are" },
        );
    }
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
    let runs: Vec<_> = numbers.into_iter().zip(&plan.sweep.runs).collect();
    let pruner = plan.sweep.pruning.as_ref();
    let pruner = pruner.map(|rule| Pruner::new(rule, searched, runs.iter().copied()));
    if let Some(pruner) = &pruner {
        // What a process that was killed did not come to, or what runs of another sweep have changed.
        pruner.promote_all(&mut store)?;
        pruner.rescue(&mut store)?;
    }
    let identities: Vec<String> = plan
        .sweep
        .runs
        .iter()
        .map(|run| run.identity.clone())
        .collect();
    let states = store.run_states(&identities)?;
    let count = |state| states.iter().filter(|own| **own == Some(state)).count();
    let jobs = how.jobs.max(1);
    let ended = [RunState::Finished, RunState::Failed, RunState::Pruned].map(Some);
    let to_run = std::iter::zip(&states, &plan.sweep.runs);
    let to_run = to_run.filter(|(state, _)| !ended.contains(state));
    let to_run: Vec<&PlannedRun> = to_run.map(|(_, run)| run).collect();
    how.observer.observe(Notice::Begin {
        total: plan.sweep.runs.len(),
        finished: count(RunState::Finished),
        failed: count(RunState::Failed),
        pruned: count(RunState::Pruned),
        open: &to_run,
        jobs,
    });

    let artefacts = artefacts::folder(store.path());
    let artefacts = std::path::absolute(&artefacts).unwrap_or(artefacts);
    for (state, run) in states.iter().zip(&plan.sweep.runs) {
        if *state == Some(RunState::Finished) {
            // Its last runner may have been killed before it did this.
            artefacts::tidy(&artefacts::of_run(&artefacts, run));
        }
    }
    let owner = Owner::this_process(code_revision());
    let mut known = Vec::with_capacity(runs.len());
    for ((number, _), state) in runs.iter().zip(states) {
        known.push(ended_before(&mut store, *number, state)?);
    }
    let open = known.iter().enumerate();
    let open = open.filter_map(|(at, known)| known.is_none().then_some(at));
    let room = Room {
        jobs,
        // Jobs of a batch system have a memory of their own.
        memory: match how.executor {
            ExecutorKind::Local => plan.sweep.schedule.memory,
            ExecutorKind::Slurm => Some(u64::MAX),
        },
        memory_limit: plan.sweep.schedule.memory_limit,
    };
    let queue = Queue::new(plan, open, room, store.peak_memory()?, how.installation);
    folder::note_sweep(&artefacts, &plan.sweep, &new);
    let settings = &plan.sweep.schedule;
    let slurm = match how.executor {
        ExecutorKind::Local => None,
        ExecutorKind::Slurm => {
            let slurm = Slurm::new(&settings.slurm, store.path());
            Some(slurm.map_err(|reason| SweepError::Batch { reason })?)
        }
    };
    let store = SharedStore::new(store);
    let local = LocalPool {
        launcher: &settings.launcher,
        installation: how.installation,
    };
    let batch = match &slurm {
        None => None,
        Some(slurm) => {
            let settings = BatchSettings {
                poll: settings.slurm.poll.unwrap_or(POLL),
                memory: settings.memory_limit,
                detach: how.detach,
                jobs,
                second_thoughts: how.second_thoughts,
            };
            let pool = BatchPool::new(slurm, &store, how.installation, settings, &artefacts);
            Some(pool?)
        }
    };
    let executor: &dyn Executor = match &batch {
        None => &local,
        Some(batch) => batch,
    };
    let scheduler = Scheduler {
        how,
        plan,
        executor,
        artefacts,
        owner: &owner,
        sweep: id,
        store: &store,
        inputs: Mutex::new(vec![Input::NotMade; plan.stages.len()]),
        queue,
        pruner,
        failed: AtomicBool::new(false),
        jobs: Mutex::new(jobs),
        told: Mutex::default(),
    };
    let outcomes = store.while_beating(&owner, how.interrupt, || {
        let work = || scheduler.run_all(&runs, known);
        match &batch {
            None => work(),
            Some(batch) => batch.while_serving(how.interrupt, work),
        }
    });
    let failed_fast = scheduler.fails_fast() && scheduler.failed.load(Ordering::SeqCst);
    drop(scheduler);
    drop(batch);
    let mut store = store.into_inner();
    let outcomes = confirmed(&mut store, outcomes, &runs);
    let outcomes = outcomes.map_err(|error| match error {
        SweepError::Store(error) => store.rescued(error).into(),
        error => error,
    })?;
    let mut ended = Vec::with_capacity(runs.len());
    let states = store.run_states(&identities)?;
    for (((number, run), outcome), state) in runs.into_iter().zip(outcomes).zip(states) {
        let outcome = match (outcome, state) {
            // Another process may have taken it to its end meanwhile.
            (Outcome::Left, state) => {
                ended_before(&mut store, number, state)?.unwrap_or(Outcome::Left)
            }
            (outcome, _) => outcome,
        };
        ended.push((number, run.labels.clone(), outcome));
    }
    let numbers: Vec<RunId> = ended.iter().map(|(number, ..)| *number).collect();
    let left_out = store.left_out(id, &numbers)?;
    if left_out > 0 {
        tracing::warn!(
            "{left_out} of these {} runs are not of sweep `{}` any more, since another spec of that name was swept meanwhile; `genair results list --superseded` shows them",
            numbers.len(),
            name,
        );
    }
    Ok((
        store,
        SweepReport {
            runs: ended,
            interrupted: how.interrupt.requested(),
            failed_fast,
            how_to_cancel: slurm.map(|slurm| slurm.how_to_cancel()),
        },
    ))
}

/// The outcomes, once the database's file has been found to have the results that were written to it.
fn confirmed(
    store: &mut Store,
    outcomes: Result<Vec<Outcome>, SweepError>,
    runs: &[(RunId, &PlannedRun)],
) -> Result<Vec<Outcome>, SweepError> {
    // First, since everything else may follow from it.
    store.still_there()?;
    let outcomes = outcomes?;
    let finished = std::iter::zip(runs, &outcomes)
        .filter(|(_, outcome)| **outcome == Outcome::Finished)
        .map(|((number, _), _)| *number);
    let finished: Vec<RunId> = finished.collect();
    if !finished.is_empty() {
        store.read_back(&finished)?;
    }
    Ok(outcomes)
}

/// The outcome of a run that needs no attempt, if it is one.
fn ended_before(
    store: &mut Store,
    run: RunId,
    state: Option<RunState>,
) -> Result<Option<Outcome>, SweepError> {
    Ok(match state {
        Some(RunState::Finished) => Some(Outcome::FinishedBefore),
        Some(RunState::Pruned) => Some(Outcome::PrunedBefore),
        Some(RunState::Failed) => store.show_run(run)?.failure.map(Outcome::FailedBefore),
        Some(RunState::Pending | RunState::Running) | None => None,
    })
}

fn new_run(run: &PlannedRun) -> Result<NewRun, SweepError> {
    let spec = serde_json::to_string(&run.spec).map_err(|source| SweepError::Json {
        labels: Box::new(run.labels.clone()),
        source,
    })?;
    Ok(NewRun {
        identity: run.identity.clone(),
        configuration: run.configuration.clone(),
        spec_sha256: genair_files::sha256(&spec),
        spec,
        labels: run.labels.clone(),
        data_sha256: run.data_sha256.clone(),
        plugin_sha256: run.plugin.as_ref().map(|plugin| plugin.sha256.clone()),
        results_version: RESULTS_VERSION,
    })
}
