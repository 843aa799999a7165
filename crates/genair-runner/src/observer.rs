//! What a sweep tells about itself while it goes on. Drawing it is the caller's business.

use genair_protocol::{RunEvent, RunFailure};
use genair_store::{Failure, OwnerInfo, RunId};

use crate::plan::PlannedRun;
use crate::prepare::StageProgress;
use crate::stage::Stage;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// The sweep begins.
    Begin {
        /// Runs of the plan.
        total: usize,
        /// Of these, runs finished earlier.
        finished: usize,
        /// Of these, runs that failed earlier and are left alone.
        failed: usize,
        /// Of these, runs pruned earlier, which are left alone.
        pruned: usize,
        /// The others, which are to run.
        open: &'a [&'a PlannedRun],
        /// Workers at once.
        jobs: usize,
    },
    /// Something that runs share is about to be made, or taken from the cache.
    StageStarted {
        /// It.
        stage: &'a Stage,
    },
    /// It goes on.
    StageProgress {
        /// It.
        stage: &'a Stage,
        /// How far it is.
        progress: &'a StageProgress,
    },
    /// It is there.
    StageEnded {
        /// It.
        stage: &'a Stage,
    },
    /// A worker starts.
    RunStarted {
        /// Its number.
        id: RunId,
        /// The run.
        run: &'a PlannedRun,
    },
    /// A worker said something.
    RunEvent {
        /// Its number.
        id: RunId,
        /// The run.
        run: &'a PlannedRun,
        /// What it said.
        event: &'a RunEvent,
    },
    /// A run has crashed and is tried again, from its resume checkpoint if it has one.
    RunRetried {
        /// Its number.
        id: RunId,
        /// The run.
        run: &'a PlannedRun,
        /// How it crashed.
        failure: &'a RunFailure,
    },
    /// A run that was stopped has come to be among the best, and will go on.
    RunPromoted {
        /// The run.
        run: &'a PlannedRun,
    },
    /// A run has ended, for now if it was pruned.
    RunEnded {
        /// Its number.
        id: RunId,
        /// The run.
        run: &'a PlannedRun,
        /// How it ended.
        outcome: &'a Outcome,
    },
    /// Only runs in other processes' hands are left; this process waits for them.
    Waiting {
        /// Runs waited for.
        runs: usize,
        /// The process that holds the first of them.
        owner: &'a OwnerInfo,
    },
}

/// How a run stands after a sweep.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It has its results.
    Finished,
    /// It has none, for this reason.
    Failed(RunFailure),
    /// It had its results before, or another process has got them meanwhile.
    FinishedBefore,
    /// It had failed before, or in another process, and was not to be tried again.
    FailedBefore(Failure),
    /// It was stopped for being worse than others. It goes on if it comes to be among the best.
    Pruned {
        /// The last epoch trained.
        epoch: usize,
    },
    /// It had been pruned before, or by another process.
    PrunedBefore,
    /// Its job goes on without this process; whoever sweeps next follows it.
    Submitted,
    /// It was stopped or never begun, and is pending.
    Left,
}

/// Watches a sweep. Called from several threads.
pub trait Observer: Sync {
    /// Takes note.
    fn observe(&self, notice: Notice<'_>);
}

/// Watches without a word.
impl Observer for () {
    fn observe(&self, _: Notice<'_>) {}
}
