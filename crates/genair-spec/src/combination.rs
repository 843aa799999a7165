//! `[ensemble.NAME]` and `[rerank.NAME]`: runs that combine the scores of finished runs.

use std::collections::{BTreeSet, HashMap};

use genair_protocol::{
    CombinationRule, CombinationSpec, Labels, Normalise, RepresentationKind, RepresentationSpec,
};
use genair_toml::{KeyPath, read_section, suggestion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Checker, is_builtin};
use super::{Draft, SweepRun};

/// `[ensemble.NAME]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ensemble {
    /// Two representations; the weight is the second's.
    #[schemars(length(equal = 2))]
    of: Vec<String>,
    /// Candidates of the weight, from 0 to 1; validation chooses one.
    #[serde(default = "tenths")]
    weights: Vec<f64>,
    /// What makes the scores of two models comparable.
    #[serde(default)]
    normalise: Normalise,
}

/// `[rerank.NAME]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rerank {
    /// The representation whose runs are re-ranked.
    of: String,
    /// The representation whose vectors say how near items are.
    vectors: String,
    /// Candidates of gamma, from 0; validation chooses one.
    gamma: Vec<f64>,
}

fn tenths() -> Vec<f64> {
    (0..=10_u8).map(|tenth| f64::from(tenth) / 10.0).collect()
}

/// One section, read.
struct Combined {
    name: String,
    /// The representations of its members.
    of: Vec<String>,
    /// That of its item vectors.
    vectors: Option<String>,
    rule: CombinationRule,
}

impl Checker<'_> {
    /// Adds the runs that combine others: one wherever there is a member of each of its representations, alike in
    /// dataset, backbone, axes and seed.
    pub(crate) fn add_combinations(
        &mut self,
        runs: &mut Vec<SweepRun>,
        representations: &[String],
    ) {
        let combined = self.combinations(representations);
        let by_labels: HashMap<Labels, usize> = runs
            .iter()
            .enumerate()
            .map(|(at, run)| (run.labels.clone(), at))
            .collect();
        let trained = runs.len();
        for own in combined {
            let before = runs.len();
            for at in 0..trained {
                let labels = &runs[at].labels;
                if labels.representation != own.of[0] || is_builtin(&labels.backbone) {
                    continue;
                }
                let of = |name: &String| {
                    let representation = name.clone();
                    let labels = Labels {
                        representation,
                        ..labels.clone()
                    };
                    by_labels.get(&labels).copied()
                };
                let Some(members) = own.of.iter().map(of).collect::<Option<Vec<usize>>>() else {
                    continue;
                };
                let vectors = own.vectors.as_ref().and_then(of);
                if own.vectors.is_some() && vectors.is_none() {
                    continue;
                }
                let run = own.run(runs, members, vectors);
                runs.push(run);
            }
            if runs.len() == before && trained > 0 && self.problems.is_empty() {
                let key = own.key();
                let named: Vec<&str> = own.named().into_iter().map(String::as_str).collect();
                let message = format!(
                    "`{key}` combines no run: no runs of {} have the same axes",
                    named.join(" and ")
                );
                let hint = "an axis below one [representation.NAME] tells its runs from those of the others";
                self.problems.report(&key, message, Some(hint.to_owned()));
            }
        }
    }

    /// Reads the sections.
    fn combinations(&mut self, representations: &[String]) -> Vec<Combined> {
        let mut all = Vec::new();
        for name in self.tables("ensemble") {
            let key = KeyPath::new(["ensemble", &name]);
            let table = key.table(&self.tree);
            let Some(section) = read_section::<Ensemble>(&key, &table, &mut self.problems) else {
                continue;
            };
            self.check_candidates(&key.child("weights"), &section.weights, 1.0);
            match section.of.as_slice() {
                [first, second] if first == second => {
                    let message = format!("names `{first}` twice; name two");
                    self.problems.about(&key.child("of"), message, None);
                }
                [_, _] => {}
                named => {
                    let message = format!("names {} representations; name two", named.len());
                    self.problems.about(&key.child("of"), message, None);
                    continue;
                }
            }
            let rule = CombinationRule::Ensemble {
                weights: section.weights,
                normalise: section.normalise,
            };
            all.push(Combined {
                name,
                of: section.of,
                vectors: None,
                rule,
            });
        }
        for name in self.tables("rerank") {
            let key = KeyPath::new(["rerank", &name]);
            let table = key.table(&self.tree);
            let Some(section) = read_section::<Rerank>(&key, &table, &mut self.problems) else {
                continue;
            };
            self.check_candidates(&key.child("gamma"), &section.gamma, f64::MAX);
            let at = KeyPath::new(["representation", &section.vectors, "kind"]);
            let kind = at.get(&self.tree).and_then(|kind| kind.as_str());
            if matches!(kind, None | Some("id")) && representations.contains(&section.vectors) {
                let message = format!(
                    "names `{}`, which has no vectors before training",
                    section.vectors
                );
                let hint = "name a representation of kind archetype, text, vectors or random";
                let hint = Some(hint.to_owned());
                self.problems.about(&key.child("vectors"), message, hint);
            }
            all.push(Combined {
                name,
                of: vec![section.of],
                vectors: Some(section.vectors),
                rule: CombinationRule::Rerank {
                    gamma: section.gamma,
                },
            });
        }
        let mut taken: BTreeSet<&String> = representations.iter().collect();
        for own in &all {
            let key = own.key();
            if !taken.insert(&own.name) {
                let message = format!("`{key}`: a representation is called `{}`, too", own.name);
                let hint = "results are listed under the name; give it another";
                self.problems.report(&key, message, Some(hint.to_owned()));
            }
            for name in own.named() {
                if !representations.contains(name) {
                    let message =
                        format!("`{key}` names `{name}`, which `sweep.representation` does not");
                    let hint = suggestion(name, representations);
                    self.problems.report(&key, message, hint);
                }
            }
            if KeyPath::new(["prune", "kind"])
                .get(&self.tree)
                .is_some_and(|kind| kind.as_str() != Some("none"))
            {
                let message = format!("`{key}` combines finished runs, but `[prune]` stops runs");
                let hint = "remove [prune], or combine in a sweep of the chosen configuration";
                self.problems.report(&key, message, Some(hint.to_owned()));
            }
        }
        all
    }

    fn check_candidates(&mut self, key: &KeyPath, values: &[f64], most: f64) {
        if values.is_empty() {
            let message = "is empty; list at least one candidate";
            self.problems.about(key, message, None);
        }
        for (at, value) in values.iter().enumerate() {
            if !(0.0..=most).contains(value) {
                let range = match most {
                    1.0 => "from 0 to 1",
                    _ => "a number from 0",
                };
                let message = format!("has {value}; a candidate must be {range}");
                self.problems.about(key, message, None);
            }
            if values[..at].contains(value) {
                let message = format!("lists {value} twice; list it once");
                self.problems.about(key, message, None);
            }
        }
    }
}

impl Combined {
    fn key(&self) -> KeyPath {
        let section = match self.rule {
            CombinationRule::Ensemble { .. } => "ensemble",
            CombinationRule::Rerank { .. } => "rerank",
        };
        KeyPath::new([section, &self.name])
    }

    /// Every representation that it names.
    fn named(&self) -> Vec<&String> {
        self.of.iter().chain(&self.vectors).collect()
    }

    /// The run made of `members`, with the vectors of the run at `vectors`.
    fn run(&self, runs: &[SweepRun], members: Vec<usize>, vectors: Option<usize>) -> SweepRun {
        let first = &runs[members[0]];
        let of_vectors = vectors.map(|at| &runs[at]);
        let mut spec = first.spec.0.clone();
        spec.representation = match of_vectors {
            // How the vectors are adapted and calibrated is the models' business.
            Some(run) => RepresentationSpec {
                calibration: None,
                ..run.spec.0.representation.clone()
            },
            None => RepresentationSpec {
                name: String::new(),
                kind: RepresentationKind::None,
                frozen: None,
                imputed: None,
                calibration: None,
            },
        };
        spec.representation.name.clone_from(&self.name);
        spec.combination = Some(CombinationSpec {
            rule: self.rule.clone(),
            members: Vec::new(),
        });
        SweepRun {
            labels: Labels {
                representation: self.name.clone(),
                ..first.labels.clone()
            },
            spec: Draft(spec),
            plugin: first.plugin.clone(),
            vectors: of_vectors.and_then(|run| run.vectors.clone()),
            priority: first.priority,
            members,
        }
    }
}
