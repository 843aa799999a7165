//! Every way in which archetypes can fail to be had.

use std::io;
use std::path::PathBuf;

use genair_protocol::SpecProblem;

use crate::engine::EngineError;
use crate::models::ModelError;
use crate::prompt::PromptError;
use crate::record::VectorError;
use crate::record_log::RecordLogError;

/// Why there are no archetypes. What was done before is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchetypeError {
    /// The settings are wrong before anything is opened.
    #[error("wrong archetype settings: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings {
        /// All of their problems.
        problems: Vec<SpecProblem>,
    },
    /// The fake engine where real archetypes are due.
    #[error(
        "the engine `fake` makes archetypes up and is for tests; name another engine, or set GENAIR_ALLOW_FAKE_ENGINE=1 if made-up ones are what you want"
    )]
    FakeEngine,
    /// There is no key for the server.
    #[error(
        "the environment variable `{variable}` (`http.api_key_env`) is not set, or not text; set it to the server's key, or remove `http.api_key_env` for a server without keys"
    )]
    NoKey {
        /// The variable.
        variable: String,
    },
    /// A field of the prompt that no item has.
    #[error("no item has the field `{field}` that `prompt.fields` names (they have {}){}", fields.join(", "), nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    NoField {
        /// The field.
        field: String,
        /// The fields there are.
        fields: Vec<String>,
        /// The one that may be meant.
        nearest: Option<String>,
    },
    /// A prompt cannot be rendered for an item.
    #[error("item `{item}`")]
    ItemPrompt {
        /// The item's raw id.
        item: String,
        /// Why.
        source: PromptError,
    },
    /// A prompt cannot be rendered for any item.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The model cannot be had.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// `genair-llama` is not there and cannot be built.
    #[error("`{}`, which builds genair-llama, {ending}; mend the cause and rerun the command. Its output is in {}, and ends:\n{said}", command.display(), log.display())]
    Build {
        /// The command.
        command: PathBuf,
        /// How it ended.
        ending: String,
        /// Its output.
        log: PathBuf,
        /// The end of that.
        said: String,
    },
    /// The engine did not finish.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine did not do some items.
    #[error("{}", of_items(items))]
    Items {
        /// Their raw ids, at least one.
        items: Vec<String>,
        /// Why.
        source: Box<EngineError>,
    },
    /// The records cannot be read or kept.
    #[error(transparent)]
    RecordLog(#[from] RecordLogError),
    /// The engine gave a record that nobody asked for, or gave it twice.
    #[error("the engine gave a record `{key}` that it was not asked for; report this")]
    Unasked {
        /// The record's key.
        key: String,
    },
    /// The engine ended without a word about some items.
    #[error(
        "the engine gave no record of {missing} items, the first of them `{key}`; run the command again"
    )]
    Missing {
        /// How many.
        missing: usize,
        /// Key of the first.
        key: String,
    },
    /// The model behind a name has changed.
    #[error(
        "the engine's vectors have {width} components, and those of the {records} records in {} have {stored}; it has \
         another model by the same name now: name the right one, or delete the folder to have all records made again",
        folder.display()
    )]
    OtherWidth {
        /// Components of the vectors that the engine gives.
        width: usize,
        /// Components of those that are stored.
        stored: usize,
        /// How many records are stored.
        records: usize,
        /// Their folder.
        folder: PathBuf,
    },
    /// A record's vector cannot be used.
    #[error(
        "the {part} vector of record `{key}` cannot be used; the engine, its server or its model is at fault"
    )]
    Vector {
        /// The record's key.
        key: String,
        /// `context` or `archetype`.
        part: &'static str,
        /// What is wrong.
        source: VectorError,
    },
    /// A folder for a short-lived worker cannot be made.
    #[error("cannot make a temporary folder")]
    Temporary {
        /// What the operating system says.
        source: io::Error,
    },
}

/// Items that an error shows.
const MOST_SHOWN: usize = 3;

/// Items by their ids, the first few of many.
fn of_items(items: &[String]) -> String {
    let shown = items.iter().take(MOST_SHOWN);
    let shown: Vec<String> = shown.map(|item| format!("`{item}`")).collect();
    let items = match items {
        [_] => format!("item {}", shown[0]),
        few if few.len() <= MOST_SHOWN => format!("items {}", shown.join(", ")),
        many => {
            let more = many.len() - MOST_SHOWN;
            format!("items {} and {more} more", shown.join(", "))
        }
    };
    format!("{items} could not be done; the records of the others are kept")
}

impl ArchetypeError {
    /// Whether it was asked to stop, and nothing is wrong.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Engine(EngineError::Interrupted) | Self::RecordLog(RecordLogError::Interrupted)
        )
    }
}
