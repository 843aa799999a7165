//! What `genair-trainer pca` answers.

use serde::{Deserialize, Serialize};

/// Answer of `genair-trainer pca`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PcaReply {
    /// The rows on the components are in the output file.
    Reduced(PcaSummary),
    /// The rows do not differ, so they have no direction of greatest variance.
    NoVariance,
    /// The solver did not converge.
    NotConverged,
}

/// How a matrix was reduced to principal components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcaSummary {
    /// Components asked for.
    pub asked: usize,
    /// Components there are: those asked for, or the rank.
    pub components: usize,
    /// Rank of the centred rows, at least 1.
    pub rank: usize,
    /// Variance along each component, divisor rows - 1, falling.
    pub explained_variance: Vec<f64>,
    /// Share of the total variance along each component, in (0, 1].
    pub explained_variance_ratio: Vec<f64>,
}
