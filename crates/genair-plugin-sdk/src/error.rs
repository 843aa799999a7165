//! Why a backbone could not do what it was asked.

/// What a backbone's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// Crosses the boundary as text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter is unknown, of the wrong type or out of range.
    #[error("parameter `{key}`: {reason}")]
    Parameter {
        /// The parameter's name, or where it stands.
        key: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The host refused or failed to create a parameter tensor.
    #[error("the host did not create the tensor `{name}`: {reason}")]
    Host {
        /// Name of the tensor.
        name: String,
        /// The host's words.
        reason: String,
    },
    /// The batch does not fit the model.
    #[error("the batch does not fit the model: {0}")]
    Batch(String),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// A description could not be written as JSON.
    #[error("description: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// A wrong parameter.
    pub fn parameter(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Parameter {
            key: key.into(),
            reason: reason.into(),
        }
    }
}
