//! From settings to what decides the outcome: what is asked of which model, in one or two stages, and one
//! hash for all of it. Starts nothing.

use std::path::PathBuf;

use genair_data::Catalogue;
use genair_files::doing;
use genair_protocol::EngineTask;
use serde::Serialize;

use crate::assemble::RecordParts;
use crate::engine::{EMBEDDINGS_ENGINE, FAKE_ENGINE, OPENAI_ENGINE};
use crate::error::ArchetypeError;
use crate::gguf;
use crate::installation::Installation;
use crate::models;
use crate::prompt::{ChatTemplate, PromptError, PromptSpec, PromptTemplate};
use crate::record::{POOLING_VERSION, RecordSettings, ServerSettings};
use crate::settings::{ArchetypeSpec, EngineKind, StateSource};

/// What `genair-llama` has to call itself: its pinned engine, which records are kept under.
pub(crate) const LLAMA_ENGINE: &str = "llama-cpp-2 0.1.160";
/// What `genair-encoder` has to call itself.
pub(crate) const ENCODER_ENGINE: &str =
    concat!("genair-encoder ", env!("CARGO_PKG_VERSION"), ", 16 rows");

/// What decides the records of any item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Recipe {
    /// Answers, and with them vectors where the engine has hidden states.
    pub(crate) answers: RecordSettings,
    /// Vectors of answers that arrived as text.
    pub(crate) states: Option<RecordSettings>,
    /// The prompt, with every setting in full.
    prompt: PromptSpec,
}

impl Recipe {
    /// Checks the settings and names the models by their content.
    pub(crate) fn new(
        spec: &ArchetypeSpec,
        installation: &Installation,
    ) -> Result<Self, ArchetypeError> {
        let problems = spec.validate();
        if !problems.is_empty() {
            return Err(ArchetypeError::Settings { problems });
        }
        let identity = |model: &str| models::identity(model, installation);
        let local = |engine: &str, task| -> Result<RecordSettings, ArchetypeError> {
            let model = local_model(spec);
            Ok(settings(engine, identity(model)?, task))
        };
        // Its own task, and so keys of its own: no record without an answer is taken for one with an answer. Nor is
        // one with an answer reused, because its decodes have other sizes, and the bits may depend on those.
        let task = match spec.parts {
            RecordParts::Archetype => EngineTask::Generate(spec.generation.clone()),
            RecordParts::Context => EngineTask::Prompt,
            RecordParts::Text => EngineTask::Encode,
        };
        let answers = match (spec.engine, &spec.http) {
            (EngineKind::LlamaCpp, _) => local(LLAMA_ENGINE, task)?,
            (EngineKind::Encoder, _) => local(ENCODER_ENGINE, EngineTask::Encode)?,
            (EngineKind::Fake, _) if installation.fake_engine.is_none() => {
                return Err(ArchetypeError::FakeEngine);
            }
            (EngineKind::Fake, _) => settings(FAKE_ENGINE, "fake".to_owned(), task),
            (EngineKind::OpenAi, http) => {
                let template = PromptTemplate::new(&spec.prompt)?;
                let server = http.as_ref().map(|http| ServerSettings {
                    base_url: http.base_url.trim_end_matches('/').to_owned(),
                    chat: template.chat,
                    system: template.system,
                    extra: http.extra.clone(),
                    dimensions: http.dimensions,
                });
                let model = http.as_ref().map(|http| http.model.clone());
                let engine = match spec.parts {
                    RecordParts::Text => EMBEDDINGS_ENGINE,
                    RecordParts::Archetype | RecordParts::Context => OPENAI_ENGINE,
                };
                RecordSettings {
                    server,
                    ..settings(engine, model.unwrap_or_default(), task)
                }
            }
        };
        let states = match spec.states {
            None => None,
            Some(StateSource::Local) => Some(local(LLAMA_ENGINE, EngineTask::Read)?),
            Some(StateSource::Encoder) => Some(local(ENCODER_ENGINE, EngineTask::Encode)?),
        };
        Ok(Self {
            answers,
            states,
            prompt: spec.prompt.resolved()?,
        })
    }
}

/// The model on this machine that the spec's engine, or its source of states, runs.
pub(crate) fn local_model(spec: &ArchetypeSpec) -> &str {
    spec.local_models().first().copied().unwrap_or_default()
}

fn settings(engine: &str, model: String, task: EngineTask) -> RecordSettings {
    RecordSettings {
        pooling: POOLING_VERSION,
        engine: engine.to_owned(),
        model,
        task,
        server: None,
    }
}

/// The folders of the records that [`generate`](crate::generate) writes with these settings. Only one process writes
/// into a folder at a time.
///
/// # Errors
/// The settings are wrong, or a model cannot be identified.
pub fn record_folders(
    spec: &ArchetypeSpec,
    installation: &Installation,
) -> Result<Vec<PathBuf>, ArchetypeError> {
    let recipe = Recipe::new(spec, installation)?;
    let settings = [Some(&recipe.answers), recipe.states.as_ref()];
    let folder = |of: &RecordSettings| installation.cache.records(&of.sha256());
    Ok(settings.into_iter().flatten().map(folder).collect())
}

/// SHA-256, lower-case hex, of all that decides [`crate::generate`]'s outcome: the items with their
/// metadata, the prompt, the models and the sampling. Needs no model of the catalogue to be fetched.
///
/// # Errors
/// The settings are wrong, or a user's own model cannot be read.
pub fn recipe_sha256(
    catalogue: &Catalogue,
    spec: &ArchetypeSpec,
    installation: &Installation,
) -> Result<String, ArchetypeError> {
    let recipe = Recipe::new(spec, installation)?;
    // Plain data with text keys cannot fail to serialise.
    let text = serde_json::to_string(&(recipe, catalogue.sha256())).unwrap_or_default();
    Ok(genair_files::sha256(text))
}

/// Writes prompts as the model sees them.
#[derive(Debug)]
pub(crate) struct Prompts {
    template: PromptTemplate,
    /// Where a chat's prompt is rendered here and not by a server.
    chat: Option<ChatTemplate>,
}

impl Prompts {
    /// For the engine that answers.
    pub(crate) fn new(
        spec: &ArchetypeSpec,
        installation: &Installation,
    ) -> Result<Self, ArchetypeError> {
        Self::of(spec, installation, spec.engine == EngineKind::LlamaCpp)
    }

    /// For the model that reads what another one answered.
    pub(crate) fn states(
        spec: &ArchetypeSpec,
        installation: &Installation,
    ) -> Result<Self, ArchetypeError> {
        let is_local = spec.states == Some(StateSource::Local);
        Self::of(spec, installation, is_local)
    }

    /// `is_local`: a language model on this machine reads them.
    fn of(
        spec: &ArchetypeSpec,
        installation: &Installation,
        is_local: bool,
    ) -> Result<Self, ArchetypeError> {
        let template = PromptTemplate::new(&spec.prompt)?;
        let chat = (template.chat && is_local)
            .then(|| chat_template(local_model(spec), installation))
            .transpose()?;
        Ok(Self { template, chat })
    }

    /// The fields of items that are told, where a spec names them.
    pub(crate) fn fields(&self) -> Option<&[String]> {
        self.template.chosen.as_deref()
    }

    /// The prompt of an item; `None` where nothing is known of it.
    pub(crate) fn render(
        &self,
        metadata: &genair_data::Metadata,
    ) -> Result<Option<String>, PromptError> {
        let text = self.template.render(metadata)?;
        text.map(|text| self.wrap(text)).transpose()
    }

    /// A prompt in the model's chat template, if there is one.
    pub(crate) fn wrap(&self, text: String) -> Result<String, PromptError> {
        match &self.chat {
            Some(chat) => chat.render(self.template.system.as_deref(), &text),
            None => Ok(text),
        }
    }
}

/// The chat template of a language model on this machine.
fn chat_template(model: &str, installation: &Installation) -> Result<ChatTemplate, ArchetypeError> {
    let path = models::gguf(model, installation)?;
    let metadata = gguf::read(&path).map_err(doing(models::READ, &path));
    let metadata = metadata.map_err(models::ModelError::from)?;
    Ok(ChatTemplate::new(metadata, model)?)
}
