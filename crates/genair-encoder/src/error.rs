//! What can go wrong between a model's folder and a vector.

use std::path::PathBuf;

use genair_process::{NoThread, PROCESS_HINT};

/// Why there is no vector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The system refuses a thread.
    #[error(transparent)]
    Thread(#[from] NoThread),
    /// A file of the model's folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file of the model's folder is not what its name says.
    #[error("{path} is not as sentence-transformers writes it")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A model of another kind.
    #[error("{path}: `{key}` is {found}, but only {supported} is supported")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Its key.
        key: &'static str,
        /// The key's value.
        found: String,
        /// What it must be.
        supported: String,
    },
    /// The vocabulary lacks a token that every text needs.
    #[error("{path} has no token `{token}`")]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// The token.
        token: &'static str,
    },
    /// The weights are no safetensors file.
    #[error("cannot read weights from {path}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What tch says.
        #[source]
        source: tch::TchError,
    },
    /// A tensor is missing among the weights.
    #[error("{path} has no tensor `{name}`")]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the model's configuration says.
    #[error("{path}: tensor `{name}` has shape {found:?}, but config.json asks for {expected:?}")]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<i64>,
        /// The shape it must have.
        expected: Vec<i64>,
    },
    /// A task for a language model.
    #[error("a sentence encoder cannot {task}")]
    Task {
        /// The task, as a verb.
        task: &'static str,
    },
    /// A number of the request that must not be 0.
    #[error("`{key}` is 0; it must be at least 1")]
    Zero {
        /// The request's key.
        key: &'static str,
    },
    /// Standard input broke.
    #[error("cannot read items from standard input")]
    Input(#[source] std::io::Error),
    /// A line of standard input is no item.
    #[error("line {line} of standard input is no item")]
    Item {
        /// Counted from 1.
        line: usize,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// An item brought an answer, which encoding would lose.
    #[error("item `{key}` has an answer (`text`), but only its prompt would be encoded")]
    Answer {
        /// The item.
        key: String,
    },
    /// The computation failed.
    #[error("cannot encode item `{key}`")]
    Tensor {
        /// The item.
        key: String,
        /// What libtorch says.
        #[source]
        source: tch::TchError,
    },
    /// A vector of NaN or infinite components.
    #[error("the vector of item `{key}` is not finite")]
    NotFinite {
        /// The item.
        key: String,
    },
    /// A bug.
    #[error("a panic while item `{key}` was encoded: {message}")]
    Panic {
        /// The item.
        key: String,
        /// What the panic said.
        message: String,
    },
}

impl EncodeError {
    /// What to do about it, where that does not follow from the message.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } | Self::Json { .. } | Self::Unsupported { .. } => Some(
                "the model must be a folder of sentence-transformers: BERT, WordPiece, mean pooling, such as all-MiniLM-L6-v2",
            ),
            Self::Vocabulary { .. }
            | Self::Weights { .. }
            | Self::MissingTensor { .. }
            | Self::TensorShape { .. }
            | Self::NotFinite { .. } => Some(
                "the folder's files do not belong together or are damaged: fetch the model again",
            ),
            Self::Thread(_) => Some(PROCESS_HINT),
            Self::Task { .. } => Some("use a language model (GGUF) for it"),
            Self::Answer { .. } => Some("send the answer as the prompt of an item of its own"),
            Self::Panic { .. } => Some("this is a bug of genair-encoder; the log has the place"),
            Self::Zero { .. } | Self::Input(_) | Self::Item { .. } | Self::Tensor { .. } => None,
        }
    }
}
