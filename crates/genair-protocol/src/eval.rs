//! The `[eval]` table of a spec: what is measured.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cohort, Metric, Protocol, Ranges, RankMetric, SpecProblem};

/// What is measured of every run. Each split is measured in every cohort. What lists are like beside being right (coverage
/// and the others of [`Metric`]) is measured of every run at the same cut-offs, by each protocol that ranks all items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvalSpec {
    /// Candidate sets the target is ranked in; at least one.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub protocols: Vec<Protocol>,
    /// Metrics computed of each rank; at least one.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub metrics: Vec<RankMetric>,
    /// Cut-offs of every metric, each at least 1; at least one.
    #[schemars(length(min = 1), inner(range(min = 1)), extend("uniqueItems" = true))]
    pub k: Vec<u32>,
    /// Seeds the sampled negatives. It is no run's own seed, so that all runs of a dataset are ranked among
    /// the same candidates.
    pub seed: u64,
}

impl Default for EvalSpec {
    fn default() -> Self {
        Self {
            protocols: vec![Protocol::Full, Protocol::Sampled100],
            metrics: vec![RankMetric::Hr, RankMetric::Ndcg, RankMetric::Mrr],
            k: vec![5, 10, 20, 50],
            seed: 44,
        }
    }
}

impl EvalSpec {
    /// Every mistake of the values, which are of the right types: an empty list, one that repeats itself, a cut-off
    /// of 0, a protocol that the split decides about.
    pub fn validate(&self) -> Vec<SpecProblem> {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<EvalSpec>);
        let mut problems = RANGES.problems(self);
        if self.protocols.contains(&Protocol::Cold) {
            let message = "names `cold`, by which every run is measured whose split has cold items; remove it";
            problems.push(SpecProblem::new("protocols", message));
        }
        problems
    }

    /// The protocols that runs are measured by: those of the spec and, where a split has cold items, `cold`.
    pub fn protocols(&self, has_cold_items: bool) -> Vec<Protocol> {
        let cold = has_cold_items.then_some(Protocol::Cold);
        self.protocols.iter().copied().chain(cold).collect()
    }
}

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    /// The users averaged over.
    pub cohort: Cohort,
    /// What was measured.
    pub metric: Metric,
    /// Cut-off, at least 1.
    pub k: u32,
    /// Mean over the cohort's users; of a user with several targets, see `genair_eval::value_of_ranks`, and of lists,
    /// [`Metric`].
    pub value: f64,
    /// Users behind the value, at least 1.
    pub users: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &[&str]) {
        let spec: EvalSpec = serde_json::from_str(json).unwrap();
        let mut found: Vec<String> = spec.validate().iter().map(ToString::to_string).collect();
        found.sort();
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn validation_finds_every_problem() {
        check("{}", &[]);
        check(
            r#"{"protocols": ["full"], "metrics": ["mrr"], "k": [1]}"#,
            &[],
        );
        check(
            r#"{"k": [], "metrics": ["hr", "mrr", "hr"]}"#,
            &[
                "`k` is empty; name at least one value or leave the key out",
                "`metrics` lists `hr` twice; list it once",
            ],
        );
        check(r#"{"k": [10, 0]}"#, &["`k.1` is 0; it must be at least 1"]);
        check(
            r#"{"protocols": ["full", "cold"]}"#,
            &[
                "`protocols` names `cold`, by which every run is measured whose split has cold items; remove it",
            ],
        );
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = serde_json::from_str::<EvalSpec>(r#"{"negatives": 5}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("unknown field `negatives`, expected one of")
        );
    }
}
