//! How a sweep ended, and why it could not go on.

use genair_process::{NoThread, PROCESS_HINT};
use genair_protocol::{Labels, RunPhase};
use genair_store::{RunId, StoreError};

use crate::observer::Outcome;
use crate::stage::{StageError, StageName};

/// How a sweep ended: each run of the plan with its number and outcome, in the plan's order.
#[derive(Clone, Debug)]
pub struct SweepReport {
    /// One entry per run.
    pub runs: Vec<(RunId, Labels, Outcome)>,
    /// Whether stopping was asked for.
    pub interrupted: bool,
    /// Whether a failure kept other runs from being started.
    pub failed_fast: bool,
    /// What ends the jobs that go on; none where runs are no jobs.
    pub how_to_cancel: Option<String>,
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

    /// Runs whose jobs go on without this process.
    pub fn submitted(&self) -> usize {
        let submitted = |own: &&(RunId, Labels, Outcome)| own.2 == Outcome::Submitted;
        self.runs.iter().filter(submitted).count()
    }

    /// Runs that have neither results nor a failure, nor a job.
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
    /// The system refuses the sweep a thread that it cannot do without.
    #[error("{PROCESS_HINT}")]
    Thread(#[from] NoThread),
    /// The system refuses workers, one at a time even.
    #[error(
        "{labels} does not start: {message}; {PROCESS_HINT}. What is done is kept, and the same command goes on"
    )]
    Refused {
        /// The run that was tried last.
        labels: Box<Labels>,
        /// What was refused.
        message: String,
    },
    /// What runs share could not be made: for want of room, which ends the sweep; as any other run's failure, the
    /// reason of it.
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
    /// There is no room for a run's files.
    #[error("the disk is full: {labels} stopped while {}: {message}; free some space and run the same command again", phase.as_str())]
    DiskFull {
        /// The run.
        labels: Box<Labels>,
        /// What it was doing.
        phase: RunPhase,
        /// What could not be written.
        message: String,
    },
    /// The batch system refuses jobs.
    #[error(
        "the batch system refuses jobs: {reason}; see `[schedule.slurm]`, and `genair doctor --executor slurm`"
    )]
    Batch {
        /// In its words.
        reason: String,
    },
    /// A run's spec cannot be written as JSON.
    #[error("the spec of {labels} cannot be written as JSON; this is a bug")]
    Json {
        /// The run.
        labels: Box<Labels>,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
}
