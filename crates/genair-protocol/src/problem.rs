//! One mistake in a table of a spec.

/// A mistake in a table of a spec that shows without opening a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecProblem {
    /// The key at fault, relative to its table, such as `k_core.user`.
    pub key: String,
    /// What is wrong, naming the value, and what to write instead.
    pub message: String,
}

impl std::fmt::Display for SpecProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.key, self.message)
    }
}
