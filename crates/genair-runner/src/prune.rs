//! Pruning: which runs are stopped before their end, judged by their validation while they train.
//!
//! Owns the rules and who is compared with whom. A run is compared with runs of its own dataset only, and of its
//! own backbone, representation and seed unless the spec says otherwise: a comparison of backbones that stops the
//! slower learner is none, and a configuration must not lose to its own luck with another seed. Nothing waits for
//! anything: a run is judged by what is known at the moment. No run's numbers depend on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use genair_data::DatasetSpec;
use genair_store::{Owner, PruneDecision, RunId, Store, StoreError};
use serde::Deserialize;

use crate::plan::PlannedRun;

/// How runs are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruning {
    /// By what.
    pub rule: Rule,
    /// Epochs that every run has before it may be pruned, at least 1.
    pub grace: usize,
    /// The same for backbones that need another one.
    pub grace_of: BTreeMap<String, usize>,
    /// What runs that are compared may differ in, besides their variant.
    pub across: Vec<Across>,
}

/// When a run is too bad to go on. "Best" is the best validation of a run so far: what it would end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934), in its stopping form: at each rung,
    /// which are `grace`, `grace * reduction`, `grace * reduction^2`, ... epochs, a run goes on if it is among
    /// the best `1 / reduction` of the runs that have reached the rung, itself included, and at least the best.
    Asha {
        /// At least 2.
        reduction: usize,
    },
    /// After each validation a run goes on unless its best is below the median of the others' at that epoch
    /// (Golovin et al. 2017), of which there must be some.
    Median {
        /// Others at the least, at least 1.
        min_runs: usize,
    },
}

/// Something that runs which are compared may differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Across {
    /// Their backbone.
    Backbone,
    /// Their representation.
    Representation,
    /// Their seed.
    Seed,
}

/// A run's standing at one epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Verdict {
    /// The value that is just good enough; none where there is nothing to compare with.
    threshold: Option<f64>,
    pruned: bool,
}

impl Pruning {
    /// Epochs that a backbone's runs have before they may be pruned.
    pub fn grace_of(&self, backbone: &str) -> usize {
        self.grace_of.get(backbone).copied().unwrap_or(self.grace)
    }

    /// The rung that a run has reached by `epoch`, from 0; none within the grace. Each is judged once.
    fn rung(&self, backbone: &str, epoch: usize) -> Option<usize> {
        let grace = self.grace_of(backbone);
        if epoch < grace {
            return None;
        }
        Some(match self.rule {
            Rule::Asha { reduction } => (epoch / grace).ilog(reduction.max(2)) as usize,
            Rule::Median { .. } => epoch - grace,
        })
    }

    /// Judges a run's best by others' at the same epoch.
    fn judge(&self, own: f64, others: &[f64]) -> Verdict {
        match self.rule {
            Rule::Asha { reduction } => {
                let mut all = [others, &[own]].concat();
                all.sort_by(|a, b| b.total_cmp(a));
                let threshold = all[(all.len() / reduction).max(1) - 1];
                Verdict {
                    threshold: (!others.is_empty()).then_some(threshold),
                    pruned: own < threshold,
                }
            }
            Rule::Median { min_runs } if others.len() >= min_runs.max(1) => {
                let mut others = others.to_vec();
                others.sort_by(f64::total_cmp);
                let middle = others.len() / 2;
                let median = match others.len() % 2 {
                    0 => (others[middle - 1] + others[middle]) / 2.0,
                    _ => others[middle],
                };
                Verdict {
                    threshold: Some(median),
                    pruned: own < median,
                }
            }
            Rule::Median { .. } => Verdict {
                threshold: None,
                pruned: false,
            },
        }
    }

    fn name(&self) -> &'static str {
        match self.rule {
            Rule::Asha { .. } => "asha",
            Rule::Median { .. } => "median",
        }
    }

    /// What runs that are compared have in common.
    fn group(&self, run: &PlannedRun) -> String {
        // Histories of other lengths, and other cohorts, leave the validation targets as they are.
        let data = DatasetSpec {
            path: None,
            max_len: 0,
            cohorts: Default::default(),
            ..run.spec.dataset.clone()
        };
        let backbone = (!self.across.contains(&Across::Backbone)).then_some(&run.labels.backbone);
        let representation =
            (!self.across.contains(&Across::Representation)).then_some(&run.labels.representation);
        let seed = (!self.across.contains(&Across::Seed)).then_some(run.labels.seed);
        let dataset = &run.labels.dataset;
        let metric = run.spec.train.stop.metric;
        format!("{dataset} {data:?} {backbone:?} {representation:?} {seed:?} {metric}")
    }
}

/// Judges the runs of one sweep.
pub(crate) struct Pruner {
    rule: Arc<Pruning>,
    /// The runs that each run is compared with, itself among them.
    groups: HashMap<RunId, Arc<Vec<RunId>>>,
}

/// A question to the thread that has the database.
pub(crate) type Judgement =
    Box<dyn FnOnce(&mut Store) -> Result<Option<PruneDecision>, StoreError> + Send>;

impl Pruner {
    pub(crate) fn new<'r>(
        rule: &Pruning,
        runs: impl Iterator<Item = (RunId, &'r PlannedRun)>,
    ) -> Self {
        let mut members: HashMap<String, Vec<RunId>> = HashMap::new();
        for (number, run) in runs {
            members.entry(rule.group(run)).or_default().push(number);
        }
        let mut groups = HashMap::new();
        for group in members.into_values().map(Arc::new) {
            groups.extend(group.iter().map(|number| (*number, Arc::clone(&group))));
        }
        Self {
            rule: Arc::new(rule.clone()),
            groups,
        }
    }

    /// What judges a run after the validation of `epoch`; none if this is no epoch to judge it at. What it
    /// decides is recorded.
    pub(crate) fn judgement(
        &self,
        number: RunId,
        backbone: &str,
        epoch: usize,
        owner: Owner,
    ) -> Option<Judgement> {
        let rung = self.rule.rung(backbone, epoch)?;
        let group = Arc::clone(self.groups.get(&number)?);
        let rule = Arc::clone(&self.rule);
        Some(Box::new(move |store| {
            let before = store.prune_decisions(number)?;
            // A run is judged once at each rung, also if it is stopped and resumed. One that was pruned and
            // is at work again has been told to go on to its end.
            if before
                .iter()
                .any(|decision| decision.pruned || decision.rung >= rung as u64)
            {
                return Ok(None);
            }
            let standings = store.best_by_epoch(&group, epoch as u64)?;
            let Some(&(_, value)) = standings.iter().find(|(run, _)| *run == number) else {
                return Ok(None);
            };
            let others = standings.iter().filter(|(run, _)| *run != number);
            let others: Vec<f64> = others.map(|(_, value)| *value).collect();
            let Verdict { threshold, pruned } = rule.judge(value, &others);
            let decision = PruneDecision {
                rule: rule.name().to_owned(),
                rung: rung as u64,
                epoch: epoch as u64,
                value,
                threshold,
                compared: others.len() as u64,
                pruned,
            };
            store.record_prune_decision(number, &owner, &decision)?;
            Ok(Some(decision))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pruning(rule: Rule) -> Pruning {
        Pruning {
            rule,
            grace: 3,
            grace_of: BTreeMap::from([("bert4rec".to_owned(), 20)]),
            across: Vec::new(),
        }
    }

    #[test]
    fn rungs_are_powers_of_the_reduction_after_the_grace() {
        let asha = pruning(Rule::Asha { reduction: 3 });
        let rungs = |backbone, epochs: [usize; 6]| epochs.map(|epoch| asha.rung(backbone, epoch));
        assert_eq!(
            rungs("sasrec", [2, 3, 8, 9, 26, 27]),
            [None, Some(0), Some(0), Some(1), Some(1), Some(2)]
        );
        assert_eq!(
            rungs("bert4rec", [19, 20, 59, 60, 179, 180]),
            [None, Some(0), Some(0), Some(1), Some(1), Some(2)],
            "BERT4Rec converges late"
        );
    }

    #[test]
    fn asha_keeps_the_best_share_of_those_that_came_so_far() {
        let asha = pruning(Rule::Asha { reduction: 3 });
        let verdict = |own, others: &[f64]| asha.judge(own, others);
        let go_on = |threshold| Verdict {
            threshold,
            pruned: false,
        };
        assert_eq!(
            verdict(0.1, &[]),
            go_on(None),
            "the first has nobody to wait for"
        );
        assert_eq!(verdict(0.2, &[0.1]), go_on(Some(0.2)));
        assert!(verdict(0.1, &[0.2]).pruned);
        assert_eq!(verdict(0.2, &[0.2]), go_on(Some(0.2)), "a tie is no reason");
        // Two of six go on.
        assert!(!verdict(0.5, &[0.1, 0.2, 0.3, 0.4, 0.6]).pruned);
        assert!(verdict(0.4, &[0.1, 0.2, 0.3, 0.5, 0.6]).pruned);
    }

    #[test]
    fn the_median_rule_wants_enough_runs_to_compare_with() {
        let median = pruning(Rule::Median { min_runs: 3 });
        assert!(!median.judge(0.0, &[0.1, 0.2]).pruned);
        let three = median.judge(0.15, &[0.3, 0.1, 0.2]);
        assert_eq!((three.threshold, three.pruned), (Some(0.2), true));
        let four = median.judge(0.3, &[0.4, 0.1, 0.2, 0.3]);
        assert_eq!((four.threshold, four.pruned), (Some(0.25), false));
    }
}
