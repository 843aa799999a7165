//! What can go wrong while the worker works, and what to do about it.

use std::path::PathBuf;

use genair_llama::SettingError;
use genair_process::{NoThread, PROCESS_HINT};

/// Why the worker ends before its input does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error("cannot read {path}")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is no engine request")]
    NoRequest {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    Thread(#[from] NoThread),
    #[error("a thread was lost; the worker's log says why")]
    Lost,
    #[error("`{line}` on standard input is no item")]
    NoItem {
        line: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("cannot read standard input")]
    Input(#[source] std::io::Error),
    #[error("the request's `{key}` is {value}; it must be from 1 to {most}")]
    OutOfRange {
        key: &'static str,
        value: usize,
        most: usize,
    },
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(
        "the model declares {declared} as `{key}`; a vector of a text needs mean (1), cls (2) or last (3)"
    )]
    NoPooling { key: String, declared: String },
    #[error("llama.cpp gave no vector of a text")]
    NoVector {
        #[source]
        source: llama_cpp_2::EmbeddingsSeqError,
    },
    #[error("the vector of item `{key}` has a component that is not finite")]
    NotFinite { key: String },
    #[error("{path} cannot be loaded as a GGUF model")]
    Model {
        path: PathBuf,
        #[source]
        source: llama_cpp_2::LlamaModelLoadError,
    },
    #[error("the model's metadata has no `{key}`")]
    Metadata {
        key: String,
        #[source]
        source: llama_cpp_2::MetaValError,
    },
    #[error("llama.cpp could not start")]
    Backend(#[source] llama_cpp_2::LlamaCppError),
    #[error("no room for {parallel} sequences of {context} tokens")]
    Context {
        parallel: usize,
        context: usize,
        #[source]
        source: llama_cpp_2::LlamaContextLoadError,
    },
    #[error("item `{key}` has an empty prompt")]
    EmptyPrompt { key: String },
    #[error(
        "item `{key}` needs {needed} tokens ({prompt} of prompt, {answer} of answer), but {context} fit"
    )]
    TooLong {
        key: String,
        needed: usize,
        prompt: usize,
        answer: usize,
        context: usize,
    },
    #[error("the model gave no finite logit for item `{key}` after {tokens} tokens")]
    NoLogit { key: String, tokens: usize },
    #[error("llama.cpp could not compute {tokens} tokens")]
    Decode {
        tokens: usize,
        #[source]
        source: llama_cpp_2::DecodeError,
    },
    #[error("llama.cpp gave no hidden state for token {row} of a batch")]
    NoState {
        row: usize,
        #[source]
        source: llama_cpp_2::EmbeddingsError,
    },
    #[error("cannot write {path}")]
    Unwritable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} cannot be quantised: llama.cpp says {code}")]
    Quantise { path: PathBuf, code: u32 },
}

impl WorkerError {
    /// What to do about it, where it is not plain from the message.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Thread(_) => PROCESS_HINT,
            Self::NoRequest { .. } => "build genair and genair-llama from one source",
            Self::NoPooling { .. } => {
                "name an embedding model; a language model gives vectors for kind `archetype`"
            }
            Self::Model { .. } => {
                "the worker's log has llama.cpp's reason; a damaged file must be fetched again, and an \
                 architecture this llama.cpp does not know needs a newer one"
            }
            Self::Context { .. } => "lower the items at work at once",
            Self::EmptyPrompt { .. } => "correct the prompt template",
            Self::TooLong { .. } => {
                "shorten the prompt (fewer fields, or shorter ones), or lower max_new_tokens"
            }
            Self::NoLogit { .. } | Self::NotFinite { .. } => {
                "the model file is damaged or unfit; fetch or quantise it again"
            }
            _ => return None,
        })
    }
}

/// A message with its causes, as one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
