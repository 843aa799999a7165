//! Searches of several seeds. Each seed is pruned by itself, so that the best configuration may lack seeds at the end.
//! A mean over fewer seeds than others have cannot be compared, so its stopped runs go on.

use std::collections::{BTreeMap, HashMap};

use genair_protocol::Axes;
use genair_store::{Continued, RunId, RunState, Store, StoreError};

use super::Promoted;
use crate::plan::PlannedRun;

/// Configurations that validation chooses from.
pub(super) struct SeededSearch {
    /// The runs of each configuration, one for each seed.
    configurations: Vec<Vec<Seed>>,
}

struct Seed {
    number: RunId,
    /// Its place in the plan.
    at: usize,
    identity: String,
}

impl SeededSearch {
    /// The searches of a plan, where `searched` are the axes that a search chooses values of; none where each
    /// configuration has one seed.
    pub(super) fn of(searched: &[String], runs: &[(RunId, &PlannedRun)]) -> Vec<Self> {
        let mut searches: BTreeMap<_, BTreeMap<(Axes, &str), Vec<Seed>>> = BTreeMap::new();
        for (at, (number, run)) in runs.iter().enumerate() {
            let labels = &run.labels;
            let kept = labels.axes.iter();
            let kept = kept.filter(|(axis, _)| !searched.iter().any(|own| own == axis));
            let kept: Axes = kept.collect();
            let names = (&labels.dataset, &labels.backbone, &labels.representation);
            let configurations = searches.entry((names, kept)).or_default();
            let key = (labels.axes.clone(), run.configuration.as_str());
            configurations.entry(key).or_default().push(Seed {
                number: *number,
                at,
                identity: run.identity.clone(),
            });
        }
        let searches = searches.into_values().map(|configurations| Self {
            configurations: configurations.into_values().collect(),
        });
        let several = |search: &Self| {
            search.configurations.len() > 1 && search.configurations.iter().any(|own| own.len() > 1)
        };
        searches.filter(several).collect()
    }

    /// Lets the stopped runs go on of the configuration with the most finished seeds, of those the one of the best
    /// mean; none before all runs have ended. A configuration with a failed run cannot have all seeds.
    pub(super) fn complete(&self, store: &mut Store) -> Result<Vec<Promoted>, StoreError> {
        let numbers: Vec<RunId> = self.seeds().map(|seed| seed.number).collect();
        let identities: Vec<String> = self.seeds().map(|seed| seed.identity.clone()).collect();
        let states = store.run_states(&identities)?;
        let ended = [RunState::Finished, RunState::Pruned, RunState::Failed].map(Some);
        if !states.iter().all(|state| ended.contains(state)) {
            return Ok(Vec::new());
        }
        let states: HashMap<RunId, Option<RunState>> =
            numbers.iter().copied().zip(states).collect();
        let failed = |seed: &Seed| states[&seed.number] == Some(RunState::Failed);
        let can_end = |own: &&Vec<Seed>| !own.iter().any(failed);
        let values: HashMap<RunId, f64> = store.best_of_finished(&numbers)?.into_iter().collect();
        let standing = |own: &[Seed]| {
            let values: Vec<f64> = own
                .iter()
                .filter_map(|seed| values.get(&seed.number).copied())
                .collect();
            (
                values.len(),
                values.iter().sum::<f64>() / values.len() as f64,
            )
        };
        let candidates = self.configurations.iter().filter(can_end);
        // Of equal ones the first by its axes, as `max_by` takes the last.
        let best = candidates.rev().max_by(|one, other| {
            let (one, other) = (standing(one), standing(other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
        });
        let best = best.filter(|best| standing(best).0 > 0);
        let mut promoted = Vec::new();
        for seed in best.into_iter().flatten() {
            if store.unprune(seed.number, Continued::Best)? {
                // Before all others: nothing else is left to do.
                promoted.push(Promoted {
                    at: seed.at,
                    rung: u64::MAX,
                });
            }
        }
        Ok(promoted)
    }

    fn seeds(&self) -> impl Iterator<Item = &Seed> {
        self.configurations.iter().flatten()
    }
}
