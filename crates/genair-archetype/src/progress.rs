//! What a generation tells while it goes on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::generate::GenerationCounts;

/// What a generation is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GenerationProgress {
    /// Another process generates under the same settings; this one waits, and then takes what it made.
    Waiting {
        /// The folder of the records.
        folder: PathBuf,
    },
    /// The last record was not whole, as a kill leaves it, and was cut off; its item is made again.
    Repaired {
        /// The file.
        path: PathBuf,
        /// Bytes cut off.
        bytes: u64,
    },
    /// A stage begins to ask its engine; there is none where everything is in the cache.
    Started {
        /// Which.
        stage: Stage,
        /// Records in the cache.
        done: usize,
        /// Records needed.
        total: usize,
    },
    /// The engine is ready.
    Ready {
        /// What it calls itself.
        engine: String,
    },
    /// A record is kept.
    Advanced {
        /// Which.
        stage: Stage,
        /// Records there are.
        done: usize,
        /// Records needed.
        total: usize,
    },
    /// Everything is there; this many items have no prompt, the same prompt as others, or an empty answer.
    Counted(GenerationCounts),
}

/// A part of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Prompts are answered.
    Answers,
    /// Prompts are read or encoded, and nothing is answered.
    Prompts,
    /// Answers that arrived as text are read for their hidden states.
    States,
}
