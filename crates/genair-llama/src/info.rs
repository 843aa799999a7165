//! What a GGUF file says of itself.

use std::path::Path;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use serde_json::{Value, json};

use crate::engine::load;
use crate::error::WorkerError;

/// Reads a model's metadata, without its weights.
pub(crate) fn describe(backend: &LlamaBackend, path: &Path) -> Result<Value, WorkerError> {
    let model = load(
        backend,
        path,
        &LlamaModelParams::default().with_vocab_only(true),
    )?;
    let architecture = text(&model, "general.architecture")?;
    let number = |key: &str| -> Result<Value, WorkerError> {
        let value = text(&model, &format!("{architecture}.{key}"))?;
        Ok(value.parse::<u64>().map_or(Value::Null, Value::from))
    };
    let vocab = model.vocab();
    let token = |token: LlamaToken| {
        (token.0 >= 0)
            .then(|| String::from_utf8_lossy(&vocab.token_to_piece(token, true, None)).into_owned())
    };
    Ok(json!({
        "name": text(&model, "general.name").ok(),
        "architecture": architecture,
        "width": number("embedding_length")?,
        "layers": number("block_count")?,
        "context": number("context_length")?,
        "vocabulary": vocab.n_tokens(),
        "bos": token(vocab.bos()),
        "eos": token(vocab.eos()),
        "adds_bos": vocab.should_add_bos(),
        "chat_template": model
            .chat_template(None)
            .ok()
            .and_then(|template| template.to_string().ok()),
    }))
}

pub(crate) fn text(model: &LlamaModel, key: &str) -> Result<String, WorkerError> {
    model
        .meta_val_str(key)
        .map_err(|source| WorkerError::Metadata {
            key: key.to_owned(),
            source,
        })
}
