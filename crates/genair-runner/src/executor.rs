//! Who takes the attempts at runs to their ends: the seam between what a sweep does and where it is done.
//!
//! Owns what an executor is given and what it says. Claims, rows, retries and pruning are the scheduler's; an executor
//! knows none of them.

pub(crate) mod batch;
pub(crate) mod local;
pub(crate) mod slurm;
pub(crate) mod trial;

use std::path::Path;
use std::time::Duration;

use genair_protocol::{InputFile, RunEvent, RunFailure, WorkerRequest};

use genair_store::RunId;

use crate::folder::RunNote;
use crate::interrupt::Interrupt;
use crate::prepare::StageProgress;
use crate::schedule::SweepError;
use crate::stage::{Stage, StageError};

/// What to start.
pub(crate) struct Launch<'a> {
    pub(crate) run: RunId,
    /// Whether others go first: a run that may be stopped at its first rung.
    pub(crate) can_wait: bool,
    pub(crate) trainer: &'a Path,
    pub(crate) request: &'a WorkerRequest,
    /// What executes it; none of a repetition that leaves nothing behind.
    pub(crate) note: Option<RunNote>,
    pub(crate) limits: Limits<'a>,
}

/// What a worker may take.
pub(crate) struct Limits<'a> {
    /// Bytes in memory.
    pub(crate) memory: Option<u64>,
    /// From its start to its end.
    pub(crate) time: Option<Duration>,
    /// Is told the most bytes it has had so far, again and again, where that can be measured.
    pub(crate) measured: &'a dyn Fn(u64),
}

/// What an executor says of a run.
#[derive(Debug)]
pub(crate) enum Told {
    /// A worker begins. What was told of an earlier attempt counts no more.
    Attempt {
        /// The attempt's name.
        name: String,
    },
    /// What the worker says.
    Event(Box<RunEvent>),
}

/// What becomes of a worker after something that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It goes on.
    GoOn,
    /// It is not worth its time.
    End,
}

/// How the attempts at a run ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// A worker said `finished` or `failed`, and that was handed on.
    Reported,
    /// It ended, or had to be ended, without a word.
    Failed(RunFailure),
    /// It was stopped on request.
    Interrupted,
    /// It goes on without this process, and whoever asks for it next follows it.
    Detached,
    /// The listener ended it.
    Stopped,
}

/// Listens to a run. An error of it ends the worker.
pub(crate) type Listen<'a> = &'a mut dyn FnMut(Told) -> Result<Next, SweepError>;

/// Executes runs and makes stages, several at once: each call is by a thread of its own.
pub(crate) trait Executor: Sync {
    /// Takes a run to its end, and says how it goes. Returns when the worker is gone, or will go by itself.
    fn execute(
        &self,
        launch: &Launch<'_>,
        interrupt: &Interrupt,
        listen: Listen<'_>,
    ) -> Result<Ending, SweepError>;

    /// Makes a stage's outcome unless the cache has it, and says where it is.
    fn make(
        &self,
        stage: &Stage,
        progress: &mut dyn FnMut(StageProgress),
        interrupted: &dyn Fn() -> bool,
    ) -> Result<InputFile, StageError>;
}
