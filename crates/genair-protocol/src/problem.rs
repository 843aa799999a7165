//! One mistake in a table of a spec.

/// A mistake in a table of a spec that shows without opening a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecProblem {
    /// The keys from the table to the value at fault.
    pub key: Vec<String>,
    /// What is wrong, as goes on after the key, and what to write instead: `is 0; it must be at least 1`.
    pub message: String,
}

impl SpecProblem {
    /// Of a dotted key, such as `k_core.user`.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: key.split('.').map(str::to_owned).collect(),
            message: message.into(),
        }
    }
}

impl std::fmt::Display for SpecProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.key.join("."), self.message)
    }
}
