//! `[archetype]`: which engine runs which model how, and what of that decides a record's content.

mod http;

use std::path::Path;
use std::sync::LazyLock;

use genair_protocol::{GenerationSpec, Ranges, SpecProblem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::assemble::RecordParts;
use crate::models;
use crate::prompt::PromptSpec;
pub use http::HttpSpec;

/// How archetypes are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ArchetypeSpec {
    /// What answers the prompts.
    pub engine: EngineKind,
    /// A name of [`crate::models::CATALOGUE`], or the path of a model: a `.gguf` file for `llama-cpp`, a
    /// folder for `encoder`. Absent: the engine's model of the catalogue. Not for `openai`, whose server
    /// knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the model is told.
    pub prompt: PromptSpec,
    /// How answers are sampled; an encoder answers nothing.
    pub generation: GenerationSpec,
    /// Items at work at once in a worker, at least 1. Does not change a bit of the outcome.
    #[schemars(range(min = 1))]
    pub parallel: usize,
    /// Threads of a worker, at least 1; absent: one per core. Does not change a bit of the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub threads: Option<usize>,
    /// The server; for `openai`, and only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSpec>,
    /// Where hidden states come from if the engine has none; for `openai`, and only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<StateSource>,
    /// The model that [`ArchetypeSpec::states`] needs, as [`ArchetypeSpec::model`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states_model: Option<String>,
    /// What the records are for. No key of a spec: kind and part of the representation decide it.
    #[serde(skip)]
    pub parts: RecordParts,
}

impl Default for ArchetypeSpec {
    fn default() -> Self {
        Self {
            engine: EngineKind::LlamaCpp,
            model: None,
            prompt: PromptSpec::default(),
            generation: GenerationSpec::default(),
            parallel: 16,
            threads: None,
            http: None,
            states: None,
            states_model: None,
            parts: RecordParts::Archetype,
        }
    }
}

/// How items become vectors of their texts, for kind `text`: what of [`ArchetypeSpec`] means anything for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextSpec {
    /// What encodes the texts.
    pub engine: EngineKind,
    /// For `encoder`, a name of [`crate::models::CATALOGUE`] or the path of an encoder's folder; absent: the encoder
    /// of the catalogue. For `llama-cpp`, the path of an embedding model, a `.gguf` file. Not for `openai`.
    pub model: Option<String>,
    /// What the encoder reads of an item.
    pub prompt: PromptSpec,
    /// As [`ArchetypeSpec::parallel`].
    pub parallel: usize,
    /// As [`ArchetypeSpec::threads`].
    pub threads: Option<usize>,
    /// The server; for `openai`, and only there.
    pub http: Option<HttpSpec>,
}

impl Default for TextSpec {
    fn default() -> Self {
        let ArchetypeSpec {
            parallel, threads, ..
        } = ArchetypeSpec::default();
        Self {
            engine: EngineKind::Encoder,
            model: None,
            prompt: PromptSpec::preset("attributes"),
            parallel,
            threads,
            http: None,
        }
    }
}

impl TextSpec {
    /// What its engine is asked for.
    pub fn into_engine_settings(self) -> ArchetypeSpec {
        ArchetypeSpec {
            engine: self.engine,
            model: self.model,
            prompt: self.prompt,
            parallel: self.parallel,
            threads: self.threads,
            http: self.http,
            parts: RecordParts::Text,
            ..ArchetypeSpec::default()
        }
    }
}

/// What answers the prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// A GGUF model on this machine, by the worker `genair-llama`: a language model, or for kind `text` an embedding
    /// model.
    LlamaCpp,
    /// A server that speaks the OpenAI protocol: text without hidden states, or for kind `text` embeddings.
    #[serde(rename = "openai")]
    OpenAi,
    /// A sentence encoder by the worker `genair-encoder`: vectors of the prompts, no answers.
    Encoder,
    /// Made-up answers for tests; the environment has to allow it.
    Fake,
}

/// Where the hidden states of answers come from that arrived as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StateSource {
    /// A GGUF model on this machine reads prompt and answer (teacher forcing).
    Local,
    /// A sentence encoder reads prompt and answer, each by itself.
    Encoder,
}

/// Takes a mistake: the key, and what is wrong.
type Add<'a> = &'a mut dyn FnMut(&str, &str);

impl ArchetypeSpec {
    /// Every mistake that shows without opening a file; empty for settings that may be used.
    pub fn validate(&self) -> Vec<SpecProblem> {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<ArchetypeSpec>);
        let mut problems = RANGES.problems(self);
        problems.extend(self.prompt.template_problems());
        let mut add = |key: &str, message: &str| problems.push(SpecProblem::new(key, message));
        let GenerationSpec {
            min_new_tokens,
            max_new_tokens,
            ..
        } = self.generation;
        if min_new_tokens > max_new_tokens {
            add(
                "generation.min_new_tokens",
                &format!("is {min_new_tokens}, more than `max_new_tokens`, {max_new_tokens}"),
            );
        }
        self.check_model(&mut add);
        match (&self.http, self.engine) {
            (Some(http), EngineKind::OpenAi) => self.check_http(http, &mut add),
            (None, EngineKind::OpenAi) => add(
                "http",
                "is missing; the engine `openai` needs `http.base_url` and `http.model`",
            ),
            (Some(_), _) => add("http", "is for the engine `openai`; remove it"),
            (None, _) => {}
        }
        let has_chat = matches!(self.engine, EngineKind::LlamaCpp | EngineKind::OpenAi)
            && self.parts != RecordParts::Text;
        if self.prompt.chat == Some(true) && !has_chat {
            add(
                "prompt.chat",
                "is set, but the engine has no chat template; remove it",
            );
        }
        problems
    }

    fn check_model(&self, add: Add<'_>) {
        let is_openai = self.engine == EngineKind::OpenAi;
        let is_text = self.parts == RecordParts::Text;
        if is_openai && is_text && self.model.is_some() {
            add(
                "model",
                "is not for the engine `openai`; name the server's model with `http.model`",
            );
        } else if is_openai && self.model.is_some() {
            add(
                "model",
                "is not for the engine `openai`; name the server's model with `http.model`, and the one that \
                 gives hidden states with `states_model`",
            );
        }
        if is_openai && !is_text && self.states.is_none() {
            add(
                "states",
                "is missing; a server gives no hidden states: write \"local\" (a GGUF model reads prompt and \
                 answer) or \"encoder\" (a sentence encoder does)",
            );
        }
        if !is_openai && self.states.is_some() {
            add("states", "is for the engine `openai`; remove it");
        }
        if self.states.is_none() && self.states_model.is_some() {
            add("states_model", "is only for `states`; remove it");
        }
        if self.engine == EngineKind::LlamaCpp && is_text && !is_gguf(self.model.as_deref()) {
            add(
                "model",
                "is no .gguf file; name that of an embedding model, such as \"models/embedding.gguf\"",
            );
            return;
        }
        for (key, model) in [("model", &self.model), ("states_model", &self.states_model)] {
            let known = || models::CATALOGUE.map(|model| model.name).join(", ");
            if let Some(name) = model
                && models::is_name(name)
                && models::in_catalogue(name).is_none()
            {
                add(
                    key,
                    &format!(
                        "is `{name}`; write the path of a model (a .gguf file, or a folder with a `/`), or one \
                         of {}",
                        known()
                    ),
                );
            }
        }
    }

    /// The models that have to be on this machine, as written in the spec or by default.
    pub fn local_models(&self) -> Vec<&str> {
        let own = |default| self.model.as_deref().unwrap_or(default);
        let states = |default| self.states_model.as_deref().unwrap_or(default);
        match (self.engine, self.states) {
            (EngineKind::LlamaCpp, _) => vec![own(models::DEFAULT_LLM)],
            (EngineKind::Encoder, _) => vec![own(models::DEFAULT_ENCODER)],
            (EngineKind::OpenAi, None) => Vec::new(),
            (EngineKind::OpenAi, Some(StateSource::Encoder)) => {
                vec![states(models::DEFAULT_ENCODER)]
            }
            (EngineKind::OpenAi, Some(StateSource::Local)) => vec![states(models::DEFAULT_LLM)],
            (EngineKind::Fake, _) => Vec::new(),
        }
    }

    /// What is taken from the records; an encoder has one vector of the prompt, and no answer.
    pub fn record_parts(&self) -> RecordParts {
        match (self.engine, self.parts) {
            (EngineKind::Encoder, RecordParts::Archetype) => RecordParts::Text,
            (_, parts) => parts,
        }
    }

    /// The same settings for prompts that nothing answers: the model whose hidden states are taken reads them, and
    /// a server is not asked. Meant for settings that [`ArchetypeSpec::validate`] accepts.
    pub fn of_prompts(mut self) -> Self {
        self.parts = RecordParts::Context;
        let Some(states) = self.states.take() else {
            return self;
        };
        self.http = None;
        self.model = self.states_model.take();
        self.engine = match states {
            StateSource::Local => EngineKind::LlamaCpp,
            StateSource::Encoder => {
                // It reads what the user says in a chat, without a template.
                (self.prompt.chat, self.prompt.system) = (None, None);
                EngineKind::Encoder
            }
        };
        self
    }

    /// Takes relative model paths as relative to `folder`, the spec's own.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let models = [&mut self.model, &mut self.states_model];
        for model in models.into_iter().flatten() {
            if !models::is_name(model) {
                *model = folder.join(&*model).to_string_lossy().into_owned();
            }
        }
    }
}

fn is_gguf(model: Option<&str>) -> bool {
    model.is_some_and(|model| model.ends_with(".gguf"))
}

#[cfg(test)]
mod tests;
