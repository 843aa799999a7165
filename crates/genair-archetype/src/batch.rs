//! Answers by a batch: the prompts as a file in the batch form of the OpenAI protocol, and the answers of such a file
//! into the cache, where they are what the server would have answered to single requests.
//!
//! A line is told by its `custom_id`, which is the record's key: an answer to another prompt, or under other
//! settings, is never taken for it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use genair_data::Catalogue;
use genair_files::regular_file::{self, MAX_ID_LIST};
use genair_files::{FileError, doing};
use genair_protocol::{EngineItem, EngineRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::assemble::RecordParts;
use crate::engine::{ApiKey, Batch};
use crate::engine_choice::api_key;
use crate::error::ArchetypeError;
use crate::generate::render;
use crate::installation::Installation;
use crate::progress::GenerationProgress;
use crate::recipe::Recipe;
use crate::record::RecordSettings;
use crate::record_log::{self, RecordLog, RecordLogError};
use crate::settings::{ArchetypeSpec, EngineKind};

/// Why prompts or answers of a batch cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The settings ask no server.
    #[error(
        "a batch is answered by a server; set `archetype.engine` to \"openai\", and `archetype.http.base_url` and \
         `archetype.http.model` to the server and the model that answer it"
    )]
    NoServer,
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line that is no answer.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// No line is about a prompt of the settings.
    #[error(
        "`{}` has no answer to a prompt of these settings: all of its {lines} lines have another `custom_id`; prompt, \
         model or generation changed after the export, so export the prompts again",
        path.display()
    )]
    Strange {
        /// The file.
        path: PathBuf,
        /// How many lines it has.
        lines: usize,
    },
    /// The prompts cannot be had.
    #[error(transparent)]
    Archetype(#[from] ArchetypeError),
    /// The records cannot be kept.
    #[error(transparent)]
    RecordLog(#[from] RecordLogError),
}

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExportedPrompts {
    /// Different prompts that are written.
    pub prompts: usize,
    /// Different prompts that are left out, because the cache has their answers.
    pub answered: usize,
    /// Items without metadata, which have no prompt.
    pub without_metadata: usize,
}

/// What an import took in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportedAnswers {
    /// Answers that are now in the cache.
    pub kept: usize,
    /// Answers that the cache had before, which stay as they were.
    pub known: usize,
    /// Lines that say that the request failed.
    pub failed: usize,
    /// What the first of them says.
    pub first_failure: Option<String>,
    /// Lines about other prompts, or other settings.
    pub strange: usize,
    /// Different prompts that have no answer yet.
    pub missing: usize,
}

/// The prompts of a catalogue, as the server of the settings is asked.
struct Asked {
    batch: Batch,
    settings: RecordSettings,
    /// Each prompt once, in the order of the catalogue.
    items: Vec<EngineItem>,
    without_metadata: usize,
    key: Option<ApiKey>,
}

impl Asked {
    fn new(
        catalogue: &Catalogue,
        spec: &ArchetypeSpec,
        installation: &Installation,
    ) -> Result<Self, BatchError> {
        let recipe = Recipe::new(spec, installation)?;
        let is_answered = spec.parts == RecordParts::Archetype;
        let server = recipe.answers.server.as_ref();
        let (Some(http), Some(server), EngineKind::OpenAi, true) =
            (&spec.http, server, spec.engine, is_answered)
        else {
            return Err(BatchError::NoServer);
        };
        let batch = Batch::new(http, server, &spec.generation);
        let sha256 = recipe.answers.sha256();
        let prompts = render(catalogue, spec, installation)?;
        let mut seen = HashSet::new();
        let items = prompts
            .iter()
            .flatten()
            .map(|prompt| recipe.answers.item(&sha256, prompt, None))
            .filter(|item| seen.insert(item.key.clone()));
        Ok(Self {
            batch,
            items: items.collect(),
            without_metadata: prompts.iter().filter(|prompt| prompt.is_none()).count(),
            // Where it is known, no answer may have it; without it, nothing is sent.
            key: api_key(http).ok().flatten(),
            settings: recipe.answers,
        })
    }

    fn folder(&self, installation: &Installation) -> PathBuf {
        installation.cache.records(&self.settings.sha256())
    }
}

/// Writes the prompts that the cache has no answer to, one request a line.
///
/// # Errors
/// [`BatchError`]; the file appears whole or not at all.
pub fn export_prompts(
    catalogue: &Catalogue,
    spec: &ArchetypeSpec,
    installation: &Installation,
    path: &Path,
) -> Result<ExportedPrompts, BatchError> {
    let asked = Asked::new(catalogue, spec, installation)?;
    let records = record_log::read(&asked.folder(installation))?;
    let mut text = String::new();
    let mut prompts = 0;
    let open = asked
        .items
        .iter()
        .filter(|item| !records.contains_key(&item.key));
    for item in open {
        let line = json!({
            "custom_id": item.key,
            "method": "POST",
            "url": asked.batch.url(),
            "body": asked.batch.body(item),
        });
        text += &line.to_string();
        text.push('\n');
        prompts += 1;
    }
    genair_files::write(path, text).map_err(doing("write", path))?;
    Ok(ExportedPrompts {
        prompts,
        answered: asked.items.len() - prompts,
        without_metadata: asked.without_metadata,
    })
}

/// A line of a batch's output; servers say more.
#[derive(Deserialize)]
struct Line {
    custom_id: String,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(default)]
    body: Value,
}

impl Line {
    /// Why the request failed, if it did.
    fn failure(&self) -> Option<String> {
        if let Some(error) = self.error.as_ref().filter(|error| !error.is_null()) {
            return Some(error.to_string());
        }
        match &self.response {
            None => Some("it has no response".to_owned()),
            Some(Response { status_code, body }) => {
                let status = status_code.filter(|&status| status != 200)?;
                Some(format!("status {status}: {body}"))
            }
        }
    }
}

/// Takes the answers of a batch's output into the cache. A line that says that its request failed is counted, and
/// its prompt stays without an answer.
///
/// # Errors
/// [`BatchError`]; nothing is kept before the whole file is read.
pub fn import_answers(
    catalogue: &Catalogue,
    spec: &ArchetypeSpec,
    installation: &Installation,
    path: &Path,
    progress: &mut dyn FnMut(GenerationProgress),
    interrupted: &dyn Fn() -> bool,
) -> Result<ImportedAnswers, BatchError> {
    let asked = Asked::new(catalogue, spec, installation)?;
    let items: HashMap<&str, &EngineItem> =
        asked.items.iter().map(|item| (&*item.key, item)).collect();
    let text = regular_file::read_to_string(path, MAX_ID_LIST).map_err(doing("read", path))?;
    let mut told = ImportedAnswers::default();
    let mut lines_of: HashMap<String, usize> = HashMap::new();
    let mut answers: Vec<EngineRecord> = Vec::new();
    for (line, text) in (1..)
        .zip(text.lines())
        .filter(|(_, text)| !text.trim().is_empty())
    {
        let refuse = |problem: String| BatchError::Line {
            path: path.to_owned(),
            line,
            problem,
        };
        let answer: Line = serde_json::from_str(text)
            .map_err(|error| refuse(format!("it is no line of a batch's output ({error})")))?;
        if let Some(first) = lines_of.insert(answer.custom_id.clone(), line) {
            let id = &answer.custom_id;
            return Err(refuse(format!(
                "`custom_id` {id} is on line {first} already; remove one of the two"
            )));
        }
        let Some(item) = items.get(&*answer.custom_id) else {
            told.strange += 1;
            continue;
        };
        if let Some(failure) = answer.failure() {
            told.failed += 1;
            let shown: String = failure.chars().take(300).collect();
            told.first_failure
                .get_or_insert_with(|| format!("line {line}: {shown}"));
            continue;
        }
        let body = answer
            .response
            .map(|response| response.body)
            .unwrap_or_default();
        let record = asked.batch.record(item, &body);
        let record = record.map_err(|reason| refuse(format!("it has no completion ({reason})")))?;
        if asked
            .key
            .as_ref()
            .is_some_and(|key| key.is_in(&record.text))
        {
            let problem = "the answer has the server's key in it, or a part of it; remove the line";
            return Err(refuse(problem.to_owned()));
        }
        answers.push(record);
    }
    if answers.is_empty() && told.strange == lines_of.len() {
        return Err(BatchError::Strange {
            path: path.to_owned(),
            lines: lines_of.len(),
        });
    }
    let folder = asked.folder(installation);
    let mut log = RecordLog::open(&folder, &asked.settings, progress, interrupted)?;
    for answer in answers {
        if log.records().contains_key(&answer.key) {
            told.known += 1;
        } else {
            log.append(answer)?;
            told.kept += 1;
        }
    }
    let records = log.close()?;
    let lacks = |item: &&EngineItem| !records.contains_key(&item.key);
    told.missing = asked.items.iter().filter(lacks).count();
    Ok(told)
}

#[cfg(test)]
mod tests;
