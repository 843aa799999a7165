//! What differs between two stored runs: in their specs, in what ran them, in what came out.

use std::collections::BTreeMap;

use genair_store::{MetricRecord, RankList, RunDetails, RunId, RunState};
use serde::Serialize;
use serde_json::Value;

/// Two runs beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The runs.
    pub runs: [RunLabels; 2],
    /// Values of their resolved specs that differ, by key.
    pub spec: Vec<Differing>,
    /// Data, program and machine, where they differ.
    pub provenance: Vec<Differing>,
    /// Epochs, seconds and memory, where they differ.
    pub course: Vec<Differing>,
    /// Every result that both or one of them has.
    pub results: Vec<ResultPair>,
    /// Users whose target one of them ranks higher. Empty where the runs have other data.
    pub ranks: Vec<RankPair>,
}

/// A run's labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunLabels {
    /// Its number.
    pub run_id: RunId,
    /// Where it stands.
    pub state: RunState,
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// The run's seed.
    pub seed: u64,
}

/// A value that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Differing {
    /// What it is, such as `train.optimizer.lr`.
    pub key: String,
    /// In the first run; null where it has none.
    pub a: Value,
    /// In the second.
    pub b: Value,
}

/// One result of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultPair {
    /// `valid` or `test`.
    pub split: String,
    /// The candidates ranked.
    pub protocol: String,
    /// The users averaged over.
    pub cohort: String,
    /// What was measured.
    pub metric: String,
    /// Cut-off.
    pub k: u32,
    /// In the first run.
    pub a: Option<f64>,
    /// In the second.
    pub b: Option<f64>,
    /// The second minus the first.
    pub difference: Option<f64>,
}

/// The ranks of both runs, target by target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RankPair {
    /// `valid` or `test`.
    pub split: String,
    /// The candidates ranked.
    pub protocol: String,
    /// Targets that the first run ranks higher.
    pub a_better: usize,
    /// Targets that the second run ranks higher.
    pub b_better: usize,
    /// Targets that both rank alike.
    pub equal: usize,
}

/// Columns of a run that say what it was made from and by.
const PROVENANCE: [&str; 18] = [
    "data_sha256",
    "sequences_sha256",
    "ids_sha256",
    "users",
    "items",
    "interactions",
    "cold_items",
    "head_item",
    "long_user",
    "plugin_sha256",
    "results_version",
    "code_revision",
    "code_dirty",
    "code_diff",
    "trainer_version",
    "libtorch",
    "device",
    "threads",
];

/// Columns of a run that say how it went.
const COURSE: [&str; 8] = [
    "parameters",
    "best_epoch",
    "epochs",
    "seconds",
    "train_seconds",
    "cpu_seconds",
    "peak_memory_bytes",
    "attempts",
];

impl Difference {
    /// Compares two runs with their ranks.
    pub fn new(a: (&RunDetails, &[RankList]), b: (&RunDetails, &[RankList])) -> Self {
        let both = [a.0, b.0];
        Self {
            runs: both.map(labels),
            spec: differing(both.map(spec)),
            provenance: differing(both.map(provenance)),
            course: differing(both.map(|own| columns(own, &COURSE))),
            results: results(both),
            ranks: match both.map(|own| own.run.sequences_sha256.as_deref()) {
                [Some(one), Some(other)] if one == other => ranks(a.1, b.1),
                _ => Vec::new(),
            },
        }
    }

    /// Whether both runs have the very same results.
    pub fn same_results(&self) -> bool {
        self.results.iter().all(|pair| pair.a == pair.b)
            && self
                .ranks
                .iter()
                .all(|pair| pair.a_better + pair.b_better == 0)
    }
}

fn labels(details: &RunDetails) -> RunLabels {
    let run = &details.run;
    RunLabels {
        run_id: run.run_id,
        state: run.state,
        dataset: run.dataset.clone(),
        backbone: run.backbone.clone(),
        representation: run.representation.clone(),
        seed: run.seed,
    }
}

fn spec(details: &RunDetails) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    // The database has only JSON there.
    let spec = serde_json::from_str(&details.run.spec).unwrap_or_default();
    flatten("", &spec, &mut leaves);
    leaves
}

fn flatten(at: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let key = if at.is_empty() {
                    key.clone()
                } else {
                    format!("{at}.{key}")
                };
                flatten(&key, value, leaves);
            }
        }
        leaf => drop(leaves.insert(at.to_owned(), leaf.clone())),
    }
}

fn columns(details: &RunDetails, names: &[&str]) -> BTreeMap<String, Value> {
    let row = serde_json::to_value(&details.run).unwrap_or_default();
    let value = |name: &&str| ((*name).to_owned(), row[*name].clone());
    names.iter().map(value).collect()
}

fn provenance(details: &RunDetails) -> BTreeMap<String, Value> {
    let mut facts = columns(details, &PROVENANCE);
    let machine = serde_json::to_value(&details.machine).unwrap_or_default();
    flatten("machine", &machine, &mut facts);
    for input in &details.inputs {
        facts.insert(
            format!("input.{}", input.kind),
            Value::from(input.sha256.as_str()),
        );
    }
    facts
}

fn differing([a, b]: [BTreeMap<String, Value>; 2]) -> Vec<Differing> {
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|key| Differing {
            key: key.clone(),
            a: a.get(key).cloned().unwrap_or_default(),
            b: b.get(key).cloned().unwrap_or_default(),
        })
        .filter(|pair| pair.a != pair.b)
        .collect()
}

fn results([a, b]: [&RunDetails; 2]) -> Vec<ResultPair> {
    let key = |row: &MetricRecord| (row.split, row.protocol, row.cohort, row.metric, row.k);
    let value = |own: &RunDetails, of: &MetricRecord| {
        let found = own.metrics.iter().find(|row| key(row) == key(of));
        found.map(|row| row.value)
    };
    let only_b = b.metrics.iter().filter(|row| value(a, row).is_none());
    let pair = |row: &MetricRecord| {
        let (of_a, of_b) = (value(a, row), value(b, row));
        ResultPair {
            split: row.split.to_string(),
            protocol: row.protocol.to_string(),
            cohort: row.cohort.to_string(),
            metric: row.metric.to_string(),
            k: row.k,
            a: of_a,
            b: of_b,
            difference: of_a.zip(of_b).map(|(a, b)| b - a),
        }
    };
    a.metrics.iter().chain(only_b).map(pair).collect()
}

fn ranks(a: &[RankList], b: &[RankList]) -> Vec<RankPair> {
    let pair = |own: &RankList| {
        let other = b
            .iter()
            .find(|other| other.split == own.split && other.protocol == own.protocol)?;
        let count = |wins: &dyn Fn(u32, u32) -> bool| {
            let pairs = own.ranks.iter().zip(&other.ranks);
            pairs.filter(|(a, b)| wins(**a, **b)).count()
        };
        Some(RankPair {
            split: own.split.clone(),
            protocol: own.protocol.clone(),
            a_better: count(&|a, b| a < b),
            b_better: count(&|a, b| a > b),
            equal: count(&|a, b| a == b),
        })
    };
    a.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_that_differ_are_named_by_their_path() {
        let leaves = |value: Value| {
            let mut leaves = BTreeMap::new();
            flatten("", &value, &mut leaves);
            leaves
        };
        let a = leaves(json!({ "train": { "lr": 0.1, "threads": 1 }, "seed": 1 }));
        let b = leaves(json!({ "train": { "lr": 0.2, "threads": 1 }, "k": [5] }));
        let found = differing([a, b]);
        let keys: Vec<&str> = found.iter().map(|pair| pair.key.as_str()).collect();
        assert_eq!(keys, ["k", "seed", "train.lr"]);
        assert_eq!((&found[0].a, &found[0].b), (&Value::Null, &json!([5])));
    }

    #[test]
    fn ranks_are_compared_user_by_user() {
        let list = |ranks: &[u32]| {
            vec![RankList {
                split: "test".to_owned(),
                protocol: "full".to_owned(),
                ranks: ranks.to_vec(),
                users: (1..=ranks.len() as u64).collect(),
            }]
        };
        let pairs = ranks(&list(&[0, 5, 2, 7]), &list(&[1, 3, 2, 9]));
        assert_eq!(
            (pairs[0].a_better, pairs[0].b_better, pairs[0].equal),
            (2, 1, 1)
        );
        assert_eq!(ranks(&list(&[0]), &[]), []);
    }
}
