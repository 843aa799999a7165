//! Runs that train nothing: they combine the scores of finished runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{InputFile, RunSpec};

/// How a run makes scores of those of other runs, its members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CombinationSpec {
    /// What is done with their scores.
    pub rule: CombinationRule,
    /// Its members, in the order that the rule speaks of; empty until a plan identifies them.
    pub members: Vec<MemberSpec>,
}

/// A run that another one is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSpec {
    /// Hash of all that decides its numbers, lower-case hex.
    pub identity: String,
    /// The same without the seed.
    pub configuration: String,
}

/// What is done with scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CombinationRule {
    /// `(1 - w) n(s1) + w n(s2)`, with `s1` and `s2` the scores of two members and `n` a normalisation over each user's
    /// candidates.
    Ensemble {
        /// Candidates of `w`, in [0, 1]; validation chooses one.
        weights: Vec<f64>,
        /// `n`.
        normalise: Normalise,
    },
    /// `s + gamma max_h cos(x_i, x_h)`, with `s` the score of the one member for item `i`, `h` the items of the user's
    /// history and `x` the vectors of the run's own representation.
    Rerank {
        /// Candidates of `gamma`, at least 0; validation chooses one.
        gamma: Vec<f64>,
    },
}

impl CombinationRule {
    /// The candidates that validation chooses from.
    pub fn candidates(&self) -> &[f64] {
        match self {
            Self::Ensemble { weights, .. } => weights,
            Self::Rerank { gamma } => gamma,
        }
    }

    /// The name of what is chosen.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::Ensemble { .. } => "weight",
            Self::Rerank { .. } => "gamma",
        }
    }
}

/// How one user's scores are made comparable with those of another model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Mean 0 and standard deviation 1.
    #[default]
    ZScore,
    /// From 0 to 1.
    MinMax,
}

/// A member as a worker gets it: how its model is built, and its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRequest {
    /// What it is.
    pub run: RunSpec,
    /// The request's plugin file is that of the first member; this is its own.
    pub plugin: std::path::PathBuf,
    /// SHA-256 the plugin's file must have, lower-case hex.
    pub plugin_sha256: String,
    /// Its item vectors; absent where its representation needs none.
    #[serde(default)]
    pub vectors: Option<InputFile>,
    /// Its weights.
    pub checkpoint: InputFile,
}
