//! Why a run ended without results.

use std::path::{Path, PathBuf};

use genair_calibration::AssociationsError;
use genair_data::{DataError, VectorsError};
use genair_eval::EvalError;
use genair_process::{NoThread, PROCESS_HINT, REFUSED};
use genair_protocol::{FailureKind, RunFailure, RunPhase, Split};

/// What went wrong, and while doing what.
#[derive(Debug, thiserror::Error)]
#[error("while {}: {kind}", phase.as_str())]
pub struct TrainError {
    /// Where the run was.
    pub phase: RunPhase,
    /// What went wrong.
    #[source]
    pub kind: RunErrorKind,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunErrorKind {
    /// A value of the spec cannot be used.
    #[error("`{key}` = {value}: {reason}")]
    Spec {
        /// Path of the value in the spec.
        key: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The data cannot be read or leaves nothing to train on.
    #[error(transparent)]
    Data(#[from] DataError),
    /// No user has two training interactions, so no position has a next item to learn.
    #[error("none of the {users} users has the two training interactions that one target needs")]
    NothingToTrainOn {
        /// Users in the dataset.
        users: usize,
    },
    /// The spec asks for a file that the request does not name.
    #[error("the spec needs a file of {what}, and the request names none")]
    MissingInput {
        /// What the file would hold.
        what: &'static str,
    },
    /// A file is not the one that the run's identity names.
    #[error(
        "{what} {path}: the file has changed since the sweep was planned (SHA-256 {found}, planned {expected})"
    )]
    ChangedInput {
        /// What the file holds.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// SHA-256 it should have.
        expected: String,
        /// SHA-256 it has.
        found: String,
    },
    /// Item vectors that cannot be read or do not serve the dataset.
    #[error("{}", with_causes(.0))]
    Vectors(#[from] VectorsError),
    /// Association scores that cannot be read or are not the dataset's.
    #[error("{}", with_causes(.0))]
    Associations(#[from] AssociationsError),
    /// The plugin's file was not accepted.
    #[error("plugin {path}: {reason}")]
    PluginRejected {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The plugin accepted the call and failed it.
    #[error("plugin `{plugin}` {how} in `{call}`: {message}")]
    PluginFailed {
        /// The backbone's name.
        plugin: String,
        /// The function that was called.
        call: &'static str,
        /// `panicked`, or `returned an error`.
        how: &'static str,
        /// The plugin's words.
        message: String,
    },
    /// The plugin returned states of the wrong shape or type.
    #[error("plugin `{plugin}` returned states of {found}, expected {expected}")]
    WrongStates {
        /// The backbone's name.
        plugin: String,
        /// Shape and type that came back.
        found: String,
        /// What was wanted.
        expected: String,
    },
    /// Something became NaN or infinite.
    #[error("{what} became {value} in epoch {epoch}, step {step}")]
    NotFinite {
        /// A loss, the gradient of a named tensor, or states.
        what: String,
        /// NaN or infinite.
        value: f64,
        /// From 1; 0 outside training.
        epoch: usize,
        /// From 1; 0 outside training.
        step: usize,
    },
    /// Scores that cannot be ranked.
    #[error("user {user}: {source}")]
    Scores {
        /// Dense user number, from 1.
        user: usize,
        /// What is wrong with the scores.
        #[source]
        source: EvalError,
    },
    /// Metrics that cannot be computed.
    #[error(transparent)]
    Metrics(#[from] EvalError),
    /// Lists are asked for a user that the data do not have.
    #[error("there is no user `{user}` in dataset `{dataset}`, whose filters left {users} users")]
    UnknownUser {
        /// The raw id as given.
        user: String,
        /// The dataset's name.
        dataset: String,
        /// Users that it has.
        users: usize,
    },
    /// Lists are asked for a user of whom a split leaves nothing to see.
    #[error("the {split} split leaves no item of user `{user}` that a model could see")]
    NoHistory {
        /// The raw id as given.
        user: String,
        /// The split.
        split: Split,
    },
    /// A history names an item that the data do not have.
    #[error("there is no item `{item}` in dataset `{dataset}`, whose filters left {items} items")]
    UnknownItem {
        /// The raw id as given.
        item: String,
        /// The dataset's name.
        dataset: String,
        /// Items that it has.
        items: usize,
    },
    /// A model that has parameters for each user is asked about a history that is no user's.
    #[error("the backbone has parameters for each user, and this history is no user's")]
    NobodysHistory,
    /// The device is not there.
    #[error("`train.device` = {device}: {reason}")]
    Device {
        /// As the spec says it.
        device: String,
        /// What was found instead.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// Another worker is at the run and does not end.
    #[error("another worker is at this run: it holds {path}")]
    Held {
        /// The locked file in the run's folder.
        path: PathBuf,
    },
    /// A checkpoint that cannot be written or understood.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused a thread.
    #[error("{}", with_causes(.0))]
    Thread(#[from] NoThread),
    /// libtorch refused an operation.
    #[error("libtorch: {}", without_backtrace(.0))]
    Torch(#[from] tch::TchError),
}

impl RunErrorKind {
    /// Adds where it happened.
    pub fn during(self, phase: RunPhase) -> TrainError {
        TrainError { phase, kind: self }
    }

    /// The stable code.
    pub fn failure_kind(&self) -> FailureKind {
        match self {
            Self::Spec { .. } => FailureKind::InvalidSpec,
            Self::Data(_)
            | Self::NothingToTrainOn { .. }
            | Self::MissingInput { .. }
            | Self::ChangedInput { .. }
            | Self::UnknownUser { .. }
            | Self::NoHistory { .. }
            | Self::UnknownItem { .. }
            | Self::NobodysHistory
            | Self::Vectors(_)
            | Self::Associations(_) => FailureKind::InvalidData,
            Self::PluginRejected { .. } => FailureKind::PluginRejected,
            Self::PluginFailed { .. } | Self::WrongStates { .. } => FailureKind::PluginFailed,
            Self::NotFinite { .. } | Self::Scores { .. } => FailureKind::NonFinite,
            Self::Device { .. } => FailureKind::Device,
            Self::Io { source, .. } => FailureKind::of_io(source),
            Self::Held { .. } | Self::Checkpoint { .. } => FailureKind::Io,
            Self::Torch(error) if error.to_string().contains("CUDA out of memory") => {
                FailureKind::Device
            }
            Self::Thread(_) => FailureKind::ProcessLimit,
            Self::Torch(error) if error.to_string().contains(REFUSED) => FailureKind::ProcessLimit,
            Self::Metrics(_) | Self::Torch(_) => FailureKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFinite { .. } => {
                "lower train.optimizer.lr, or look at the backbone's settings"
            }
            Self::PluginFailed { .. } | Self::WrongStates { .. } => {
                "this is the plugin's fault: tell its author, or leave the backbone out of the sweep"
            }
            _ if self.failure_kind() == FailureKind::ProcessLimit => PROCESS_HINT,
            Self::ChangedInput { .. } => "start the sweep again",
            Self::UnknownUser { .. } | Self::UnknownItem { .. } => {
                "write the id as in the data; `genair data stats SPEC` says what the filters left"
            }
            Self::NobodysHistory => "use `--user`",
            Self::NothingToTrainOn { .. } => "loosen k_core, or bring longer histories",
            Self::Io { source, .. } if FailureKind::of_io(source) == FailureKind::DiskFull => {
                "free some space and run the same command again"
            }
            Self::Held { .. } => {
                "end that process (genair-trainer); then run the same command again"
            }
            Self::Device { .. } => "use `auto` or `cpu`; `genair doctor` lists the devices",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<&TrainError> for RunFailure {
    fn from(error: &TrainError) -> Self {
        Self {
            kind: error.kind.failure_kind(),
            phase: error.phase,
            message: error.kind.to_string(),
            hint: error.kind.hint(),
        }
    }
}

/// An error and everything that it came from, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// libtorch's words without the forty lines of C++ frames that follow them.
fn without_backtrace(error: &tch::TchError) -> String {
    let text = error.to_string();
    let end = text.find("Exception raised from").unwrap_or(text.len());
    text[..end].trim_end().to_owned()
}

/// A failure of the system at a file.
pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> RunErrorKind {
    let path = path.to_owned();
    move |source| RunErrorKind::Io { path, source }
}

/// Adds the phase to an error on its way up.
pub(crate) trait During<T> {
    fn during(self, phase: RunPhase) -> Result<T, TrainError>;
}

impl<T, E: Into<RunErrorKind>> During<T> for Result<T, E> {
    fn during(self, phase: RunPhase) -> Result<T, TrainError> {
        self.map_err(|error| error.into().during(phase))
    }
}
