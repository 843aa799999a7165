//! The `[eval]` table of a spec: what is measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cohort, Metric, Protocol, SpecProblem};

/// What is measured of every run. Each split is measured in every cohort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvalSpec {
    /// Candidate sets the target is ranked in; at least one.
    pub protocols: Vec<Protocol>,
    /// Metrics computed of each rank; at least one.
    pub metrics: Vec<Metric>,
    /// Cut-offs of every metric, each at least 1; at least one.
    pub k: Vec<u32>,
    /// Seeds the sampled negatives. It is no run's own seed, so that all runs of a dataset are ranked among
    /// the same candidates.
    pub seed: u64,
}

impl Default for EvalSpec {
    fn default() -> Self {
        Self {
            protocols: Protocol::ALL.to_vec(),
            metrics: Metric::ALL.to_vec(),
            k: vec![5, 10, 20, 50],
            seed: 44,
        }
    }
}

impl EvalSpec {
    /// Checks what the types cannot (no list is empty or repeats itself, no cut-off is 0) and
    /// returns every problem at once; none means the spec is fine.
    pub fn validate(&self) -> Vec<SpecProblem> {
        let mut problems = Vec::new();
        check_list("protocols", &self.protocols, &mut problems);
        check_list("metrics", &self.metrics, &mut problems);
        check_list("k", &self.k, &mut problems);
        if self.k.contains(&0) {
            problems.push(SpecProblem {
                key: "k".to_owned(),
                message: "0 is no cut-off; the least is 1".to_owned(),
            });
        }
        problems
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
    /// Mean over the cohort's users, in [0, 1].
    pub value: f64,
    /// Users behind the value, at least 1.
    pub users: u64,
}

fn check_list<T: PartialEq + ToString>(
    key: &'static str,
    list: &[T],
    problems: &mut Vec<SpecProblem>,
) {
    if list.is_empty() {
        let message = "the list is empty; name at least one value or leave the key out".to_owned();
        problems.push(SpecProblem {
            key: key.to_owned(),
            message,
        });
    }
    for (at, value) in list.iter().enumerate() {
        if list[..at].contains(value) {
            let message = format!("`{}` is listed twice; list it once", value.to_string());
            problems.push(SpecProblem {
                key: key.to_owned(),
                message,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &[&str]) {
        let spec: EvalSpec = serde_json::from_str(json).unwrap();
        let found: Vec<String> = spec
            .validate()
            .iter()
            .map(|problem| format!("{}: {}", problem.key, problem.message))
            .collect();
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
                "metrics: `hr` is listed twice; list it once",
                "k: the list is empty; name at least one value or leave the key out",
            ],
        );
        check(r#"{"k": [10, 0]}"#, &["k: 0 is no cut-off; the least is 1"]);
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
