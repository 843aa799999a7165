//! What a batch system is asked and what it answers. Another one, such as HyperQueue, has these few functions.

use std::collections::BTreeSet;
use std::path::Path;

/// What a batch system can do. Each call may take seconds.
pub(crate) trait BatchSystem: Sync {
    /// Asks for the jobs of an array; their number in the system.
    fn submit(&self, array: &Array<'_>) -> Result<String, SubmitError>;

    /// The jobs that the system knows of this database, also those that ended lately.
    ///
    /// # Errors
    /// Nothing is known.
    fn list(&self) -> Result<Vec<Listed>, String>;

    /// Ends jobs.
    fn cancel(&self, jobs: &[String]) -> Result<(), String>;

    /// The most jobs of an array.
    fn largest_array(&self) -> usize;

    /// What to type to end all jobs of this database.
    fn how_to_cancel(&self) -> String;
}

/// Jobs to submit together.
#[derive(Debug)]
pub(crate) struct Array<'a> {
    /// Told to the system, and told back by it.
    pub(crate) token: &'a str,
    /// A folder of its own, for the script and the output of each job.
    pub(crate) folder: &'a Path,
    /// The command of each job.
    pub(crate) commands: Vec<&'a [String]>,
    pub(crate) needs: Needs,
    /// Jobs of it that may run at once, where not all may.
    pub(crate) at_once: Option<usize>,
    /// Nodes to avoid.
    pub(crate) excluded: &'a BTreeSet<String>,
}

/// What a job needs; jobs that need the same can be submitted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) threads: usize,
    /// Bytes.
    pub(crate) memory: Option<u64>,
    /// Whether others go first.
    pub(crate) can_wait: bool,
}

/// Why a submission failed.
#[derive(Debug)]
pub(crate) enum SubmitError {
    /// The system will not have it, now or later.
    Refused(String),
    /// The user has as many jobs as are allowed.
    Full(String),
    /// It may or may not have been taken.
    Unknown(String),
}

/// A job, as the batch system knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) token: String,
    pub(crate) task: usize,
    pub(crate) job: String,
    pub(crate) state: JobState,
    pub(crate) node: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    /// It is not known, or not yet.
    Unknown,
    /// In the queue, for this reason.
    Waiting(String),
    /// On a node.
    Running,
    /// Over.
    Ended(End),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With exit code 0.
    Completed,
    /// By itself, with another exit code or a signal.
    Failed,
    /// Somebody ended it.
    Cancelled,
    OutOfMemory,
    /// Its own time was over, not that of its run.
    TimeLimit,
    /// Another job took its place.
    Preempted,
    NodeLost,
    /// The system knows it no more.
    Gone,
}

impl JobState {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "submitted",
            Self::Waiting(_) => "pending",
            Self::Running => "running",
            Self::Ended(_) => "ended",
        }
    }

    pub(super) fn reason(&self) -> Option<String> {
        match self {
            Self::Waiting(reason) => Some(reason.clone()),
            _ => None,
        }
    }
}
