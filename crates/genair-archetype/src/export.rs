//! Archetypes as a file for people: `archetypes.jsonl`, one item a line in the catalogue's order. The same
//! records give the same bytes, in whatever order they were made.

use std::path::Path;

use genair_files::{FileError, doing};
use genair_protocol::{AnswerEnd, EngineTask};
use serde::{Deserialize, Serialize};

use crate::generate::Generated;
use crate::record::RecordSettings;

/// A line of `archetypes.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchetypeLine {
    /// The item's raw id.
    pub item: String,
    /// What the engine was sent; null where nothing is known of the item, and then so is the rest.
    pub prompt: Option<String>,
    /// The archetype; null where nothing was answered, and then so is the rest.
    pub answer: Option<String>,
    /// Tokens of the answer.
    pub tokens: Option<usize>,
    /// Why it ended.
    pub ended: Option<AnswerEnd>,
}

/// Writes `archetypes.jsonl`, whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn export_archetypes(generated: &Generated, path: &Path) -> Result<(), FileError> {
    let answers = |settings: &RecordSettings| matches!(settings.task, EngineTask::Generate(_));
    let has_answers = generated.settings.iter().any(answers);
    let mut text = String::new();
    for item in &generated.items {
        let record = item.record.as_deref().filter(|_| has_answers);
        let line = ArchetypeLine {
            item: item.item.clone(),
            prompt: item.prompt.clone(),
            answer: record.map(|record| record.text.clone()),
            tokens: record.map(|record| record.new_tokens),
            ended: record.map(|record| record.ended),
        };
        // A struct of texts and numbers cannot fail to serialise.
        text.push_str(&serde_json::to_string(&line).unwrap_or_default());
        text.push('\n');
    }
    genair_files::write(path, text).map_err(doing("write", path))
}
