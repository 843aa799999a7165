//! `[archetype.http]`: a server that speaks the OpenAI protocol.

use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Add, ArchetypeSpec};
use crate::assemble::RecordParts;

/// A server that speaks the OpenAI protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// Address up to, not including, `/chat/completions`, `/completions` or `/embeddings`, such as
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
    /// Components of a vector that the server is asked for, at least 1; for kind `text`, and only there. Absent: as
    /// many as the model has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub dimensions: Option<usize>,
    /// Texts in a request, at least 1; for kind `text`, and only there. Absent: 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub batch: Option<usize>,
}

impl HttpSpec {
    /// Texts in a request where nothing else is said.
    pub(crate) const DEFAULT_BATCH: usize = 32;

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
const OWN_MEMBERS: [&str; 13] = [
    "model",
    "messages",
    "prompt",
    "input",
    "dimensions",
    "encoding_format",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "stop",
    "stream",
    "n",
];

impl ArchetypeSpec {
    pub(super) fn check_http(&self, http: &HttpSpec, add: Add<'_>) {
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
        if self.parts == RecordParts::Text {
            return; // Nothing is sampled.
        }
        for (key, value) in [("dimensions", http.dimensions), ("batch", http.batch)] {
            if let Some(value) = value {
                add(
                    &format!("http.{key}"),
                    &format!("is {value}; it is for representations of kind `text`; remove it"),
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
}
