//! What a worker says while it works: one JSON object per line on its standard output.

use std::io;

use crate::names::named_enum;
use crate::{MetricRow, Protocol, Split};
use serde::{Deserialize, Serialize};

/// A run's progress, in this order: `started`, `ids`, `diagnostics` and `item_space` before training, `resumed`
/// or `started_over` where there was a checkpoint, then per epoch `epoch` (and its `metrics`), then the
/// final `metrics`, `ranks`, `diagnostics`, `item_space` and `artefact`s, then `finished`. `failed` may
/// come at any time and is the last. A run that is resumed says its earlier epochs again, as they were,
/// so that whoever listens needs to know of no earlier worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// Data, plugin and model are ready.
    Started {
        /// What the worker runs on.
        machine: MachineFacts,
        /// What the data turned out to be.
        data: Box<DataFacts>,
        /// Trainable scalars.
        parameters: u64,
    },
    /// The ids that the data have for users and items, in the order of their numbers.
    Ids {
        /// SHA-256 of all of them, lower-case hex.
        sha256: String,
        /// Of user 1 and so on.
        users: Vec<String>,
        /// Of item 1 and so on.
        items: Vec<String>,
    },
    /// Training goes on from a checkpoint; the epochs up to it follow.
    Resumed {
        /// The last epoch trained before, from 1.
        epoch: usize,
    },
    /// There was a checkpoint that cannot be used, and the run begins anew.
    StartedOver {
        /// What is wrong with it, naming the file.
        reason: String,
    },
    /// An epoch of training is over.
    Epoch {
        /// From 1.
        epoch: usize,
        /// The most there will be.
        max_epochs: usize,
        /// The recommendation loss alone, mean of the epoch's steps.
        loss: f64,
        /// The calibration term before its weight, mean of the epoch's steps; absent where nothing
        /// is calibrated.
        #[serde(default)]
        calibration: Option<f64>,
        /// Wall-clock seconds of training, without validation.
        train_seconds: f64,
        /// Value of the early-stopping metric, where this epoch was validated.
        valid: Option<f64>,
        /// Whether this epoch is the best so far.
        best: bool,
    },
    /// Metrics of one split and protocol.
    Metrics {
        /// From 1; `None` for the best epoch's weights, which are the run's result.
        epoch: Option<usize>,
        /// Which target was ranked.
        split: Split,
        /// Against which candidates.
        protocol: Protocol,
        /// One row per cohort, metric and cut-off.
        rows: Vec<MetricRow>,
    },
    /// The geometry of the item space; nothing is chosen by it.
    Diagnostics {
        /// 0 before training; `None` for the best epoch's weights, which are the run's result.
        epoch: Option<usize>,
        /// One row per measure.
        rows: Vec<Diagnostic>,
    },
    /// A picture of the item space; nothing is chosen by it.
    ItemSpace {
        /// 0 before training; `None` for the best epoch's weights, which are the run's result.
        epoch: Option<usize>,
        /// A sample of the items.
        items: Vec<ItemPlace>,
    },
    /// Ranks of users' targets by the best epoch's weights.
    Ranks {
        /// Which target was ranked.
        split: Split,
        /// Against which candidates.
        protocol: Protocol,
        /// From 0: for each user in id order a list of the targets' ranks, in the order of the targets in time; empty for
        /// a user without a target.
        ranks: Vec<Vec<u32>>,
    },
    /// A file was written.
    Artefact {
        /// What it holds.
        kind: ArtefactKind,
        /// Where it is.
        path: String,
        /// SHA-256 of the file, lower-case hex.
        sha256: String,
        /// Its size.
        bytes: u64,
    },
    /// The run is done.
    Finished(RunTotals),
    /// The run ended without results.
    Failed(RunFailure),
}

/// The count of a run's data that is there if a sampled ranking has fewer negatives than its name says for some users: how
/// many there are for the user with the fewest.
pub const FEWEST_NEGATIVES: &str = "fewest_negatives";

/// One measure of the item space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Such as `uniformity`.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// An item on the two principal axes of its space.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemPlace {
    /// Number in the filtered dataset, from 1.
    pub item: u64,
    /// Along the axis on which items vary most.
    pub x: f64,
    /// Along the second one.
    pub y: f64,
    /// Interactions of the item in the training part.
    pub interactions: u64,
}

/// What the worker ran on: the node's facts, wherever `genair` runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// Name of the machine.
    pub host: String,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Threads of libtorch.
    pub threads: usize,
    /// Version of the loaded libtorch.
    pub libtorch: String,
    /// Version of the trainer.
    pub trainer: String,
    /// Model of the processor; `unknown` where the system does not tell.
    pub cpu: String,
    /// Logical cores that the worker may use.
    pub cores: u64,
    /// Main memory, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Operating system, its release, and architecture.
    pub system: String,
}

/// What the data turned out to be, after filters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Users.
    pub users: u64,
    /// Items.
    pub items: u64,
    /// Interactions of all splits.
    pub interactions: u64,
    /// Items without an interaction in training, of a split that has such items.
    #[serde(default)]
    pub cold_items: u64,
    /// SHA-256 of the id sequences ("user item item ...", one user a line) and of the split, lower-case hex.
    pub sequences_sha256: String,
    /// Training interactions a head item has at least.
    pub head_item: u64,
    /// Length of the test input that a long user has at least.
    pub long_user: u64,
    /// What there was to begin with, and what each rule left out.
    #[serde(default)]
    pub counts: Vec<InputCount>,
}

/// A count of what a run was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputCount {
    /// `data` or `vectors`.
    pub input: String,
    /// What is counted: of data `rows_read`, the rules that left rows out, such as `k_core`, and [`FEWEST_NEGATIVES`]; of
    /// vectors `items`, `without_metadata`, `equal_prompts` and `empty_answers`.
    pub what: String,
    /// How many.
    pub count: u64,
}

named_enum! {
    "kind of file",
    /// What a file of a run holds.
    ArtefactKind {
        /// Best epoch's weights, safetensors.
        Checkpoint = "checkpoint",
    }
}

/// What a finished run took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunTotals {
    /// From 1; 0 where nothing is trained.
    pub best_epoch: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// Wall-clock seconds from the worker's start to its end.
    pub seconds: f64,
    /// Wall-clock seconds of training alone.
    pub train_seconds: f64,
    /// Processor seconds of the whole worker, where the system tells.
    pub cpu_seconds: Option<f64>,
    /// Peak resident memory of the worker, where the system tells.
    pub peak_memory_bytes: Option<u64>,
}

/// Why a run ended without results. Stored as a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFailure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What the run was doing.
    pub phase: RunPhase,
    /// What went wrong, naming the value.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

named_enum! {
    "kind of failure",
    /// Stable codes: queries and retries depend on them.
    FailureKind {
        /// The spec or the data cannot give a run; trying again changes nothing.
        InvalidSpec = "invalid-spec",
        /// The data cannot be read or leaves nothing to train on.
        InvalidData = "invalid-data",
        /// The plugin's file cannot be loaded or its handshake does not match.
        PluginRejected = "plugin-rejected",
        /// The plugin panicked, returned an error or a wrong shape.
        PluginFailed = "plugin-failed",
        /// A loss, gradient, state or score is not finite.
        NonFinite = "non-finite",
        /// CUDA was asked for and is not there, or ran out of memory.
        Device = "device",
        /// A file could not be read or written.
        Io = "io",
        /// There is no room for a file; with room, trying again goes on.
        DiskFull = "disk-full",
        /// The worker ended without saying why (killed, aborted, out of memory).
        WorkerDied = "worker-died",
        /// The system refused a process or a thread; with fewer jobs, or a higher limit, trying again goes on.
        ProcessLimit = "process-limit",
        /// The worker used more memory than `schedule.memory_limit` and was ended.
        MemoryLimit = "memory-limit",
        /// The worker took longer than `schedule.time_limit` and was ended.
        TimeLimit = "time-limit",
        /// Somebody ended the run's job in the batch system.
        Cancelled = "cancelled",
        /// Something that the run shares with others could not be made, such as item vectors.
        StageFailed = "stage-failed",
        /// A bug in this program.
        Internal = "internal",
    }
}

impl FailureKind {
    /// The kinds in which a run's surroundings failed and not the run.
    pub const CRASHES: [Self; 4] = [
        Self::Io,
        Self::DiskFull,
        Self::WorkerDied,
        Self::ProcessLimit,
    ];

    /// The kinds that a later sweep tries again without being asked to: crashes, and what failed before the
    /// run's worker was started.
    pub const RETRIED: [Self; 4] = [
        Self::Io,
        Self::DiskFull,
        Self::WorkerDied,
        Self::StageFailed,
    ];

    /// The kind of a file that could not be read or written: [`Self::DiskFull`] without room for it, by the
    /// disk, a quota or the process's limit (`ulimit -f`); otherwise [`Self::Io`].
    pub fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull,
            _ => Self::Io,
        }
    }

    /// Whether a run that failed of this may one day go on from its resume checkpoint, and not fail of the
    /// same again.
    pub fn may_go_on(self) -> bool {
        self.is_crash()
            || matches!(
                self,
                Self::MemoryLimit | Self::TimeLimit | Self::Cancelled | Self::StageFailed
            )
    }

    /// Whether trying again may well succeed; see [`Self::CRASHES`].
    pub fn is_crash(self) -> bool {
        Self::CRASHES.contains(&self)
    }
}

named_enum! {
    "phase",
    /// What a run was doing when it failed.
    RunPhase {
        /// Making what it shares with other runs, before a worker is started.
        Preparing = "preparing",
        /// Choosing a device, reading the request.
        Starting = "starting",
        /// Reading and splitting interactions.
        LoadingData = "loading-data",
        /// Opening the plugin.
        LoadingPlugin = "loading-plugin",
        /// Creating the model.
        Building = "building",
        /// In a training step.
        Training = "training",
        /// Ranking validation targets.
        Validating = "validating",
        /// Ranking test targets.
        Testing = "testing",
        /// Writing the checkpoint.
        Saving = "saving",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shortest decimal that a hasty parser takes for the number beside it.
    #[test]
    fn numbers_arrive_to_the_last_bit() {
        let said = RunEvent::Epoch {
            epoch: 1,
            max_epochs: 1,
            loss: 31.245_270_191_439_438,
            calibration: None,
            train_seconds: 0.0,
            valid: None,
            best: false,
        };
        let line = serde_json::to_string(&said).unwrap();
        assert!(line.contains("31.245270191439438"), "{line}");
        assert_eq!(serde_json::from_str::<RunEvent>(&line).unwrap(), said);
    }
}
