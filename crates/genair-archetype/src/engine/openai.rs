//! Answers of a server that speaks the OpenAI protocol. It gives text, without hidden states: the records
//! have no vectors.

use genair_protocol::{AnswerEnd, EngineItem, EngineRecord, GenerationSpec};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::EngineError;
use super::api_key::ApiKey;
use super::server::{Answered, Protocol, ServerEngine};
use crate::record::ServerSettings;
use crate::settings::HttpSpec;

/// Engine and version in records.
pub(crate) const OPENAI_ENGINE: &str = "openai 1";

/// Asks for answers, one prompt in a request.
pub(crate) fn completions(
    http: &HttpSpec,
    server: &ServerSettings,
    generation: &GenerationSpec,
    key: Option<ApiKey>,
) -> Result<ServerEngine<Completions>, EngineError> {
    let protocol = Completions::new(http, server, generation);
    ServerEngine::of(http, protocol.path(), 1, protocol, key)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Completions {
    model: String,
    server: ServerSettings,
    generation: GenerationSpec,
}

impl Completions {
    fn new(http: &HttpSpec, server: &ServerSettings, generation: &GenerationSpec) -> Self {
        Self {
            model: http.model.clone(),
            server: server.clone(),
            generation: generation.clone(),
        }
    }

    /// Below the server's address.
    fn path(&self) -> &'static str {
        if self.server.chat {
            "chat/completions"
        } else {
            "completions"
        }
    }
}

/// The same requests as lines of a file that a server answers at its leisure.
pub(crate) struct Batch(Completions);

impl Batch {
    pub(crate) fn new(
        http: &HttpSpec,
        server: &ServerSettings,
        generation: &GenerationSpec,
    ) -> Self {
        Self(Completions::new(http, server, generation))
    }

    /// Where a request goes: the path of the server's address, and of what is asked.
    pub(crate) fn url(&self) -> String {
        let address = &self.0.server.base_url;
        let address = address
            .split_once("://")
            .map_or(&**address, |(_, rest)| rest);
        let base = address.split_once('/').map_or("", |(_, path)| path);
        let slash = if base.is_empty() { "" } else { "/" };
        format!("{slash}{base}/{}", self.0.path())
    }

    pub(crate) fn body(&self, item: &EngineItem) -> Value {
        // It is JSON.
        serde_json::from_str(&self.0.body(std::slice::from_ref(item))).unwrap_or_default()
    }

    /// An answer as a record without vectors.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn record(&self, item: &EngineItem, answer: &Value) -> Result<EngineRecord, String> {
        record(item, &answer.to_string())
    }
}

impl Protocol for Completions {
    const ENGINE: &'static str = OPENAI_ENGINE;
    const ANSWER: &'static str = "completion";
    const HAS_VECTORS: bool = false;

    fn body(&self, items: &[EngineItem]) -> String {
        // One at a time: see `completions`.
        let (key, prompt) = items
            .first()
            .map_or(("", ""), |item| (&*item.key, &*item.prompt));
        let spec = &self.generation;
        let mut body = json!({
            "model": self.model,
            "temperature": if spec.greedy { json!(0) } else { rounded(spec.temperature) },
            "top_p": if spec.greedy { json!(1) } else { rounded(spec.top_p) },
            "max_tokens": spec.max_new_tokens,
            "seed": seed(spec.seed, key),
        });
        if !spec.stop.is_empty() {
            body["stop"] = json!(spec.stop);
        }
        if self.server.chat {
            let system = self.server.system.as_ref();
            let system = system.map(|content| json!({"role": "system", "content": content}));
            let user = json!({"role": "user", "content": prompt});
            body["messages"] = system.into_iter().chain([user]).collect();
        } else {
            body["prompt"] = json!(prompt);
        }
        for (member, value) in &self.server.extra {
            body[member] = value.clone();
        }
        body.to_string()
    }

    fn records(&self, items: &[EngineItem], answer: &str) -> Result<Answered, String> {
        let records = items.iter().map(|item| record(item, answer));
        Ok(Answered {
            records: records.collect::<Result<_, _>>()?,
            width: 0,
        })
    }
}

/// What is read of an answer; servers say more.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    /// Of a chat.
    #[serde(default)]
    message: Option<Message>,
    /// Of raw text.
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: usize,
    #[serde(default)]
    completion_tokens: usize,
}

/// An answer as a record without vectors; tokens are 0 where the server does not count them.
fn record(item: &EngineItem, answer: &str) -> Result<EngineRecord, String> {
    let completion: Completion = serde_json::from_str(answer).map_err(|error| error.to_string())?;
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err("it has no choice".to_owned());
    };
    let text = match (choice.message, choice.text) {
        (Some(message), _) => message.content.unwrap_or_default(),
        (None, Some(text)) => text,
        (None, None) => return Err("its choice has neither message nor text".to_owned()),
    };
    let usage = completion.usage;
    Ok(EngineRecord {
        key: item.key.clone(),
        // As it came: a model that reads it after the prompt needs the space in between.
        text: if text.trim().is_empty() {
            String::new()
        } else {
            text
        },
        prompt_tokens: usage.as_ref().map_or(0, |usage| usage.prompt_tokens),
        new_tokens: usage.as_ref().map_or(0, |usage| usage.completion_tokens),
        // The protocol does not tell a stop string from the end of sequence.
        ended: match choice.finish_reason.as_deref() {
            Some("length") => AnswerEnd::Length,
            _ => AnswerEnd::EndOfSequence,
        },
        context: String::new(),
        archetype: None,
        tokens: None,
    })
}

/// The item's own seed: 31 bits, which every server takes.
fn seed(seed: u64, key: &str) -> u32 {
    let hash = Sha256::new_with_prefix(seed.to_le_bytes())
        .chain_update(key)
        .finalize();
    u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]) >> 1
}

/// 0.6 as 0.6, not as 0.6000000238418579.
fn rounded(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests;
