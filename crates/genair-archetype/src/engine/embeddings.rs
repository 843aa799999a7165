//! Vectors of texts by `/embeddings` of a server that speaks the OpenAI protocol: a hosted one, vLLM with
//! `--runner pooling`, llama-server with `--embeddings`, or Ollama.
//!
//! A request has several texts. Which vector belongs to which text is read from `index`, never from the order.

use genair_protocol::{AnswerEnd, EngineItem, EngineRecord};
use serde::Deserialize;
use serde_json::json;

use super::EngineError;
use super::api_key::ApiKey;
use super::server::{Answered, Protocol, ServerEngine};
use crate::record::{ServerSettings, encode_vector};
use crate::settings::HttpSpec;

/// Engine and version in records.
pub(crate) const EMBEDDINGS_ENGINE: &str = "openai-embeddings 1";

/// Asks for the vectors of texts, `http.batch` of them in a request.
pub(crate) fn embeddings(
    http: &HttpSpec,
    server: &ServerSettings,
    key: Option<ApiKey>,
) -> Result<ServerEngine<Embeddings>, EngineError> {
    let protocol = Embeddings {
        model: http.model.clone(),
        server: server.clone(),
    };
    let batch = http.batch.unwrap_or(HttpSpec::DEFAULT_BATCH);
    ServerEngine::of(http, "embeddings", batch, protocol, key)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Embeddings {
    model: String,
    server: ServerSettings,
}

impl Protocol for Embeddings {
    const ENGINE: &'static str = EMBEDDINGS_ENGINE;
    const ANSWER: &'static str = "list of embeddings";
    const HAS_VECTORS: bool = true;

    fn body(&self, items: &[EngineItem]) -> String {
        let texts: Vec<&str> = items.iter().map(|item| &*item.prompt).collect();
        let mut body = json!({ "model": self.model, "input": texts, "encoding_format": "float" });
        if let Some(dimensions) = self.server.dimensions {
            body["dimensions"] = json!(dimensions);
        }
        for (member, value) in &self.server.extra {
            body[member] = value.clone();
        }
        body.to_string()
    }

    fn records(&self, items: &[EngineItem], answer: &str) -> Result<Answered, String> {
        let answer: Answer = serde_json::from_str(answer).map_err(|error| error.to_string())?;
        if answer.data.len() != items.len() {
            let (found, texts) = (answer.data.len(), items.len());
            return Err(format!("it has {found} vectors for {texts} texts"));
        }
        let mut of_item: Vec<Option<Vec<f32>>> = vec![None; items.len()];
        for Embedding { index, embedding } in answer.data {
            let place = of_item.get_mut(index);
            let place = place.ok_or_else(|| format!("it has a vector of index {index}"))?;
            if place.replace(embedding).is_some() {
                return Err(format!("it has two vectors of index {index}"));
            }
        }
        // As many as texts, and no index twice: each has one.
        let vectors: Vec<Vec<f32>> = of_item.into_iter().flatten().collect();
        let width = vectors.first().map_or(0, Vec::len);
        self.check(&vectors, width)?;
        // It counts the tokens of all texts at once.
        let prompt_tokens = match (items, answer.usage) {
            ([_], Some(usage)) => usage.prompt_tokens,
            _ => 0,
        };
        let records = items
            .iter()
            .zip(vectors)
            .map(|(item, vector)| EngineRecord {
                key: item.key.clone(),
                text: String::new(),
                prompt_tokens,
                new_tokens: 0,
                ended: AnswerEnd::Given,
                context: encode_vector(&vector),
                archetype: None,
                tokens: None,
            });
        Ok(Answered {
            records: records.collect(),
            width,
        })
    }
}

impl Embeddings {
    /// Whether all vectors are of one width, which is the one asked for, and of finite numbers.
    fn check(&self, vectors: &[Vec<f32>], width: usize) -> Result<(), String> {
        if width == 0 {
            return Err("its vectors have no components".to_owned());
        }
        if let Some(asked) = self.server.dimensions
            && asked != width
        {
            return Err(format!(
                "its vectors have {width} components, and `http.dimensions` asks for {asked}; remove the key for a \
                 model of one width"
            ));
        }
        for (index, vector) in vectors.iter().enumerate() {
            if vector.len() != width {
                let found = vector.len();
                return Err(format!(
                    "its vector of index {index} has {found} components, and that of index 0 has {width}"
                ));
            }
            if let Some(at) = vector.iter().position(|value| !value.is_finite()) {
                let value = vector[at];
                return Err(format!(
                    "component {at} of its vector of index {index} is {value}"
                ));
            }
        }
        Ok(())
    }
}

/// What is read of an answer; servers say more.
#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedding>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Embedding {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: usize,
}

#[cfg(test)]
mod tests;
