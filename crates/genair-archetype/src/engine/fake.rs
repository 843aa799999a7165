//! Made-up records for tests: everything follows from the item's key and texts by hashing.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use genair_protocol::{AnswerEnd, EngineEvent, EngineItem, EngineRecord, EngineTask};
use sha2::{Digest, Sha256};

use super::{Engine, EngineError};
use crate::record::encode_vector;

/// Engine and version in records.
pub(crate) const FAKE_ENGINE: &str = "fake 1";

/// How often a file that is waited for is looked for.
const TICK: Duration = Duration::from_millis(10);

/// Width of made-up vectors.
const WIDTH: usize = 16;

const WORDS: [&str; 16] = [
    "enjoy", "quiet", "stories", "about", "friends", "and", "long", "walks", "with", "music",
    "colour", "history", "puzzles", "games", "nature", "cooking",
];

/// See the module.
#[derive(Debug)]
pub(crate) struct FakeEngine {
    pub(crate) task: EngineTask,
    /// Items at once: decides only in which order records come.
    pub(crate) parallel: usize,
    /// A file without which it writes nothing.
    pub(crate) waits_for: Option<PathBuf>,
}

impl Engine for FakeEngine {
    fn run(
        &mut self,
        items: Vec<EngineItem>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        let ready = EngineEvent::Ready {
            engine: FAKE_ENGINE.to_owned(),
            width: WIDTH,
            context: 4096,
        };
        if on_event(ready).is_break() {
            return Ok(());
        }
        while let Some(file) = self.waits_for.as_ref().filter(|file| !file.exists()) {
            if interrupted() {
                return Err(EngineError::Interrupted);
            }
            tracing::trace!(file = %file.display(), "the fake engine waits");
            std::thread::sleep(TICK);
        }
        // The last of those at work is done first, so that nobody relies on an order.
        let completed = items
            .chunks(self.parallel)
            .flat_map(|batch| batch.iter().rev());
        for item in completed {
            if interrupted() {
                return Err(EngineError::Interrupted);
            }
            if on_event(EngineEvent::Record(self.record(item))).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl FakeEngine {
    fn record(&self, item: &EngineItem) -> EngineRecord {
        let hash = hash("answer", &item.key);
        let (text, ended) = match &self.task {
            EngineTask::Generate(_) => (
                answer(&hash),
                if hash[1].is_multiple_of(2) {
                    AnswerEnd::EndOfSequence
                } else {
                    AnswerEnd::Length
                },
            ),
            EngineTask::Read => (item.text.clone().unwrap_or_default(), AnswerEnd::Given),
            EngineTask::Prompt | EngineTask::Encode | EngineTask::Tokenize => {
                (String::new(), AnswerEnd::Given)
            }
        };
        let tokens = |text: &str| text.split_whitespace().count();
        EngineRecord {
            key: item.key.clone(),
            prompt_tokens: tokens(&item.prompt).max(1),
            new_tokens: tokens(&text),
            ended,
            context: encode_vector(&vector("context", &item.prompt)),
            archetype: (!text.is_empty()).then(|| encode_vector(&vector("archetype", &text))),
            tokens: (self.task == EngineTask::Tokenize).then(|| {
                item.prompt
                    .split_inclusive(' ')
                    .map(str::to_owned)
                    .collect()
            }),
            text,
        }
    }
}

/// Some words; nothing for one item in sixteen.
fn answer(hash: &[u8; 32]) -> String {
    if hash[0].is_multiple_of(16) {
        return String::new();
    }
    let count = 3 + usize::from(hash[2] % 8);
    let words: Vec<&str> = hash[3..3 + count]
        .iter()
        .map(|byte| WORDS[usize::from(byte % 16)])
        .collect();
    words.join(" ")
}

/// Components in [-1, 1).
fn vector(purpose: &str, text: &str) -> Vec<f32> {
    let hash = hash(purpose, text);
    hash.as_chunks::<2>()
        .0
        .iter()
        .map(|&bytes| f32::from(i16::from_le_bytes(bytes)) / 32768.0)
        .collect()
}

fn hash(purpose: &str, text: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(purpose)
        .chain_update("\0")
        .chain_update(text)
        .finalize()
        .into()
}
