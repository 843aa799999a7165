//! `[archetype]`: which engine runs which model how, and what of that decides a record's content.

use std::fmt::Display;
use std::path::Path;
use std::sync::LazyLock;

use genair_protocol::{GenerationSpec, Ranges, SpecProblem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::assemble::RecordParts;
use crate::models;
use crate::prompt::PromptSpec;

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

/// How a sentence encoder reads items, for kind `text`: what of [`ArchetypeSpec`] means anything for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextSpec {
    /// A name of [`crate::models::CATALOGUE`], or the path of an encoder's folder. Absent: the encoder of the
    /// catalogue.
    pub model: Option<String>,
    /// What the encoder reads of an item.
    pub prompt: PromptSpec,
    /// As [`ArchetypeSpec::parallel`].
    pub parallel: usize,
    /// As [`ArchetypeSpec::threads`].
    pub threads: Option<usize>,
}

impl Default for TextSpec {
    fn default() -> Self {
        let ArchetypeSpec {
            parallel, threads, ..
        } = ArchetypeSpec::default();
        Self {
            model: None,
            prompt: PromptSpec::preset("attributes"),
            parallel,
            threads,
        }
    }
}

impl TextSpec {
    /// What the engine `encoder` is asked for.
    pub fn into_engine_settings(self) -> ArchetypeSpec {
        ArchetypeSpec {
            engine: EngineKind::Encoder,
            model: self.model,
            prompt: self.prompt,
            parallel: self.parallel,
            threads: self.threads,
            parts: RecordParts::Text,
            ..ArchetypeSpec::default()
        }
    }
}

/// What answers the prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// A GGUF model on this machine, by the worker `genair-llama`.
    LlamaCpp,
    /// A server that speaks the OpenAI protocol: text without hidden states.
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

/// A server that speaks the OpenAI protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// Address up to, not including, `/chat/completions` or `/completions`, such as
    /// `http://localhost:8080/v1`.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// Name of the environment variable that holds the key; absent: none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Requests at once, at least 1.
    #[serde(default = "HttpSpec::default_concurrency")]
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// Attempts after the first one, with a pause that doubles.
    #[serde(default = "HttpSpec::default_retries")]
    pub retries: u32,
    /// Requests a minute at the most, at least 1; absent: as fast as answers come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<u32>,
    /// Seconds for one request, at least 1.
    #[serde(default = "HttpSpec::default_timeout")]
    #[schemars(range(min = 1))]
    pub timeout: u64,
    /// Members added to every request, for what the protocol does not know, such as
    /// `repeat_penalty = 1.2` for llama.cpp's server.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl HttpSpec {
    fn default_concurrency() -> usize {
        4
    }

    fn default_retries() -> u32 {
        5
    }

    fn default_timeout() -> u64 {
        120
    }
}

/// Members of a request that have a key of their own in a spec.
const OWN_MEMBERS: [&str; 10] = [
    "model",
    "messages",
    "prompt",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "stop",
    "stream",
    "n",
];

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
        let has_chat = matches!(self.engine, EngineKind::LlamaCpp | EngineKind::OpenAi);
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
        if is_openai && self.model.is_some() {
            add(
                "model",
                "is not for the engine `openai`; name the server's model with `http.model`, and the one that \
                 gives hidden states with `states_model`",
            );
        }
        if is_openai && self.states.is_none() {
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

    fn check_http(&self, http: &HttpSpec, add: Add<'_>) {
        if !(http.base_url.starts_with("http://") || http.base_url.starts_with("https://")) {
            add(
                "http.base_url",
                &format!("is `{}`; it begins with http:// or https://", http.base_url),
            );
        }
        if http.base_url.contains('@') {
            add(
                "http.base_url",
                "has a user or password in it, which would be stored; use `http.api_key_env`",
            );
        }
        for member in http.extra.keys() {
            if OWN_MEMBERS.contains(&member.as_str()) {
                add(
                    &format!("http.extra.{member}"),
                    "is set by the other keys of this table and of `generation`; remove it",
                );
            }
        }
        // What the protocol cannot say must not be dropped in silence.
        let mut unsaid = |key: &str, value: &dyn Display, own: &str| {
            add(
                &format!("generation.{key}"),
                &format!(
                    "is {value}, which the OpenAI protocol does not know; set it to 1, and if your server has such a \
                     setting add it under its own name, as in `http.extra = {{ {own} }}`"
                ),
            );
        };
        let generation = &self.generation;
        if generation.repetition_penalty != 1.0 {
            let value = &generation.repetition_penalty;
            unsaid("repetition_penalty", value, "repeat_penalty = 1.2");
        }
        if generation.min_new_tokens > 1 {
            let value = &generation.min_new_tokens;
            unsaid("min_new_tokens", value, "min_tokens = 8");
        }
    }

    /// The models that have to be on this machine, as written in the spec or by default.
    pub fn local_models(&self) -> Vec<&str> {
        let own = |default| self.model.as_deref().unwrap_or(default);
        let states = |default| self.states_model.as_deref().unwrap_or(default);
        match (self.engine, self.states) {
            (EngineKind::LlamaCpp, _) => vec![own(models::DEFAULT_LLM)],
            (EngineKind::Encoder, _) => vec![own(models::DEFAULT_ENCODER)],
            (EngineKind::OpenAi, Some(StateSource::Encoder)) => {
                vec![states(models::DEFAULT_ENCODER)]
            }
            (EngineKind::OpenAi, _) => vec![states(models::DEFAULT_LLM)],
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        let spec: ArchetypeSpec = toml::from_str(text).unwrap();
        let problems = spec.validate().into_iter();
        let mut keys: Vec<String> = problems.map(|problem| problem.key.join(".")).collect();
        keys.sort();
        keys
    }

    const SERVER: &str = "[http]\nbase_url = \"http://localhost:1/v1\"\nmodel = \"m\"\n";

    #[test]
    fn the_defaults_and_each_engine_as_it_should_be_written_are_accepted() {
        for text in [
            "",
            "prompt = \"paper-question\"",
            "model = \"models/own.gguf\"\nprompt = { chat = true, system = \"Be brief.\" }",
            "engine = \"encoder\"\nprompt = \"attributes\"",
            "engine = \"fake\"",
            &format!(
                "engine = \"openai\"\nstates = \"local\"\ngeneration.repetition_penalty = 1.0\n{SERVER}"
            ),
        ] {
            assert_eq!(keys(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn every_mistake_is_named_by_its_key() {
        for (text, expected) in [
            ("model = \"gpt-5\"", vec!["model"]),
            ("prompt = \"papr\"", vec!["prompt.preset"]),
            ("prompt = { max_chars = 0 }", vec!["prompt.max_chars"]),
            ("prompt = { fields = [] }", vec!["prompt.fields"]),
            ("prompt = { system = \"x\" }", vec!["prompt.system"]),
            ("prompt = { ending = \"{{ itm }}\" }", vec!["prompt.ending"]),
            (
                "prompt = { template = \"{% for\" }",
                vec!["prompt.template"],
            ),
            ("parallel = 0\nthreads = 0", vec!["parallel", "threads"]),
            ("generation = { top_p = 1.5 }", vec!["generation.top_p"]),
            (
                "generation = { min_new_tokens = 9, max_new_tokens = 8 }",
                vec!["generation.min_new_tokens"],
            ),
            ("generation = { stop = [\"\"] }", vec!["generation.stop.0"]),
            (SERVER, vec!["http"]),
            ("states = \"local\"", vec!["states"]),
            ("states_model = \"smollm2-135m\"", vec!["states_model"]),
            ("engine = \"openai\"", vec!["http", "states"]),
            (
                "engine = \"encoder\"\nprompt = { chat = true }",
                vec!["prompt.chat"],
            ),
            (
                &format!("engine = \"openai\"\nstates = \"local\"\n{SERVER}"),
                vec!["generation.repetition_penalty"],
            ),
            (
                "engine = \"openai\"\nstates = \"local\"\ngeneration.repetition_penalty = 1.0\n[http]\nbase_url = \
                 \"ftp://u:p@x\"\nmodel = \"m\"\ntimeout = 0\nextra = { seed = 1 }",
                vec![
                    "http.base_url",
                    "http.base_url",
                    "http.extra.seed",
                    "http.timeout",
                ],
            ),
        ] {
            assert_eq!(keys(text), expected, "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        for text in [
            "engin = \"fake\"",
            "prompt = { endin = \"x\" }",
            "[http]\nbase_url = \"x\"\nmodel = \"m\"\nkey = \"x\"",
        ] {
            let error = toml::from_str::<ArchetypeSpec>(text).unwrap_err();
            assert!(error.to_string().contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn a_spec_survives_its_own_text() {
        let spec: ArchetypeSpec = toml::from_str(
            "engine = \"encoder\"\nprompt = { preset = \"attributes\", fields = [\"title\"] }",
        )
        .unwrap();
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<ArchetypeSpec>(&text).unwrap(), spec);
    }

    #[test]
    fn prompts_are_read_by_the_model_that_gives_hidden_states() {
        let of_prompts = |text: &str| {
            let spec: ArchetypeSpec = toml::from_str(text).unwrap();
            assert_eq!(spec.validate(), []);
            let spec = spec.of_prompts();
            assert_eq!(spec.validate(), []);
            assert_eq!(spec.record_parts(), RecordParts::Context);
            spec
        };
        let own = of_prompts("model = \"own.gguf\"");
        assert_eq!(own.engine, EngineKind::LlamaCpp);
        let server = |states: &str| {
            of_prompts(&format!(
                "engine = \"openai\"\n{states}\nprompt = {{ chat = true, system = \"Be brief.\" }}\n\
                 generation.repetition_penalty = 1.0\n{SERVER}"
            ))
        };
        let local = server("states = \"local\"\nstates_model = \"own.gguf\"");
        assert_eq!(local.model.as_deref(), Some("own.gguf"));
        assert_eq!((local.engine, local.prompt.chat), (EngineKind::LlamaCpp, Some(true)));
        assert_eq!((local.http, local.states), (None, None));
        let encoder = server("states = \"encoder\"");
        assert_eq!((encoder.engine, encoder.model), (EngineKind::Encoder, None));
    }

    #[test]
    fn paths_are_relative_to_the_spec_and_names_stay() {
        let mut spec = ArchetypeSpec {
            model: Some("models/own.gguf".to_owned()),
            states_model: Some("minilm-l6-v2".to_owned()),
            ..ArchetypeSpec::default()
        };
        spec.resolve_paths(Path::new("/lab"));
        assert_eq!(spec.model.as_deref(), Some("/lab/models/own.gguf"));
        assert_eq!(spec.states_model.as_deref(), Some("minilm-l6-v2"));
    }
}
