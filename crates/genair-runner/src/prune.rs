//! Pruning: which runs are stopped before their end, judged by their validation while they train, and which of
//! these go on later.
//!
//! Owns the rules and who is compared with whom. A run is compared with runs of its own dataset only, and of its
//! own backbone, representation and seed unless the spec says otherwise: a comparison of backbones that stops the
//! slower learner is none, and a configuration must not lose to its own luck with another seed. Nothing waits for
//! anything: a run is judged by what is known at the moment. No run's numbers depend on it.

use std::collections::{BTreeMap, HashMap};

use genair_protocol::DatasetSpec;
use genair_store::{Continued, Owner, PruneDecision, RunId, RunState, Standing, Store, StoreError};

use genair_spec::{Across, Pruning, Rule};

use crate::plan::PlannedRun;
use seeds::SeededSearch;

mod seeds;

/// A run's standing at one epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Verdict {
    /// The value that is just good enough; none where there are too few to compare with.
    threshold: Option<f64>,
    pruned: bool,
}

/// When a run is validated.
#[derive(Clone, Copy, Debug)]
struct Cadence {
    /// Epochs before it may be pruned.
    grace: u64,
    /// Epochs between two validations.
    every: u64,
    /// Epochs at the most. The last one is not judged: it leaves nothing to save.
    max: u64,
}

/// How a rule judges.
trait Judge {
    /// Its name, as the database has it.
    fn name(self) -> &'static str;
    /// The validation after which a run is judged at `rung`, from 0; none where training ends before.
    fn epoch(self, cadence: Cadence, rung: u64) -> Option<u64>;
    /// The rung that a run is judged at after the validation of `epoch`; the highest of those that fall on it.
    fn rung(self, cadence: Cadence, epoch: u64) -> Option<u64>;
    /// Judges a run's best by others' at the same rung.
    fn judge(self, own: f64, others: &[f64]) -> Verdict;
}

impl Judge for Rule {
    fn name(self) -> &'static str {
        match self {
            Self::Asha { .. } => "asha",
            Self::Median { .. } => "median",
        }
    }

    fn epoch(self, cadence: Cadence, rung: u64) -> Option<u64> {
        let Cadence { grace, every, max } = cadence;
        let due = match self {
            Self::Asha { reduction } => {
                let factor = (reduction as u64).checked_pow(rung.try_into().ok()?)?;
                grace.checked_mul(factor)?
            }
            Self::Median { .. } => grace.checked_add(rung)?,
        };
        let due = due.checked_next_multiple_of(every)?;
        (due < max).then_some(due)
    }

    fn rung(self, cadence: Cadence, epoch: u64) -> Option<u64> {
        let beyond = epoch.checked_sub(cadence.grace)?;
        let rung = match self {
            Self::Asha { reduction } => {
                u64::from((epoch / cadence.grace).ilog((reduction as u64).max(2)))
            }
            Self::Median { .. } => beyond,
        };
        (self.epoch(cadence, rung) == Some(epoch)).then_some(rung)
    }

    fn judge(self, own: f64, others: &[f64]) -> Verdict {
        let mut values = others.to_vec();
        match self {
            Self::Asha { reduction } => {
                values.push(own);
                let threshold = least_of_the_best(values, reduction);
                Verdict {
                    threshold,
                    pruned: threshold.is_none_or(|threshold| own < threshold),
                }
            }
            Self::Median { min_runs } if others.len() >= min_runs.max(1) => {
                values.sort_by(f64::total_cmp);
                let middle = values.len() / 2;
                let median = match values.len() % 2 {
                    0 => (values[middle - 1] + values[middle]) / 2.0,
                    _ => values[middle],
                };
                Verdict {
                    threshold: Some(median),
                    pruned: own < median,
                }
            }
            Self::Median { .. } => Verdict {
                threshold: None,
                pruned: false,
            },
        }
    }
}

/// The least of the best `1 / reduction` of these; none where that is less than one.
fn least_of_the_best(mut values: Vec<f64>, reduction: usize) -> Option<f64> {
    values.sort_by(|a, b| b.total_cmp(a));
    let last = (values.len() / reduction).checked_sub(1)?;
    values.get(last).copied()
}

/// When a run is validated, and when it may be pruned.
fn cadence(pruning: &Pruning, run: &PlannedRun) -> Cadence {
    let stop = &run.spec.train.stop;
    Cadence {
        grace: pruning.grace_of(&run.labels.backbone).max(1) as u64,
        every: stop.eval_every.max(1) as u64,
        max: stop.max_epochs as u64,
    }
}

/// The epochs after which a run may be stopped to go on later, in rising order: its worker must leave
/// a checkpoint there.
pub(crate) fn pauses(pruning: &Pruning, run: &PlannedRun) -> Vec<usize> {
    if matches!(pruning.rule, Rule::Median { .. }) {
        return Vec::new();
    }
    let cadence = cadence(pruning, run);
    let epochs = (0..).map_while(|rung| pruning.rule.epoch(cadence, rung));
    let mut epochs: Vec<usize> = epochs.map(|epoch| epoch as usize).collect();
    epochs.dedup();
    epochs
}

/// What runs that are compared have in common.
fn group(pruning: &Pruning, run: &PlannedRun) -> String {
    // Histories of other lengths, and other cohorts, leave the validation targets as they are.
    let data = DatasetSpec {
        path: None,
        max_len: 0,
        cohorts: Default::default(),
        ..run.spec.dataset.clone()
    };
    let backbone = (!pruning.across.contains(&Across::Backbone)).then_some(&run.labels.backbone);
    let representation =
        (!pruning.across.contains(&Across::Representation)).then_some(&run.labels.representation);
    let seed = (!pruning.across.contains(&Across::Seed)).then_some(run.labels.seed);
    let dataset = &run.labels.dataset;
    let metric = run.spec.train.stop.metric;
    format!("{dataset} {data:?} {backbone:?} {representation:?} {seed:?} {metric}")
}
/// Judges the runs of one sweep.
pub(crate) struct Pruner {
    groups: Vec<Group>,
    /// The group of each run, and its place in it.
    places: HashMap<RunId, (usize, usize)>,
    /// The searches of several seeds, of each of which one configuration is to have all seeds.
    searches: Vec<SeededSearch>,
}

/// Runs that are compared.
struct Group {
    rule: Rule,
    members: Vec<Member>,
}

struct Member {
    number: RunId,
    /// Its place in the plan.
    at: usize,
    identity: String,
    cadence: Cadence,
}

/// A run that goes on after it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promoted {
    /// Its place in the plan.
    pub(crate) at: usize,
    /// Where it was stopped.
    pub(crate) rung: u64,
}

impl Pruner {
    /// Of the runs of a sweep, in the order of its plan.
    pub(crate) fn new<'r>(
        pruning: &Pruning,
        searched: &[String],
        runs: impl Iterator<Item = (RunId, &'r PlannedRun)>,
    ) -> Self {
        let runs: Vec<_> = runs.collect();
        let searches = SeededSearch::of(searched, &runs);
        let runs = runs.into_iter();
        let mut groups: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        for (at, (number, run)) in runs.enumerate() {
            groups.entry(group(pruning, run)).or_default().push(Member {
                number,
                at,
                identity: run.identity.clone(),
                cadence: cadence(pruning, run),
            });
        }
        let rule = pruning.rule;
        let groups: Vec<_> = groups
            .into_values()
            .map(|members| Group { rule, members })
            .collect();
        let mut places = HashMap::new();
        for (at, group) in groups.iter().enumerate() {
            let members = group.members.iter().enumerate();
            places.extend(members.map(|(place, member)| (member.number, (at, place))));
        }
        Self {
            groups,
            places,
            searches,
        }
    }

    /// Judges a run after the validation of `epoch`, and records the decision. Returns whether the run is to be
    /// stopped; `None` if the rule does not judge it at this epoch.
    pub(crate) fn judge(
        &self,
        store: &mut Store,
        owner: &Owner,
        number: RunId,
        epoch: usize,
    ) -> Result<Option<bool>, StoreError> {
        let Some(&(group, place)) = self.places.get(&number) else {
            return Ok(None);
        };
        let (group, epoch) = (&self.groups[group], epoch as u64);
        let rung = group.rule.rung(group.members[place].cadence, epoch);
        rung.map(|rung| group.judge(store, owner, number, rung, epoch))
            .transpose()
    }

    /// Promotes the runs of this run's group that are among the best of their rung by now.
    pub(crate) fn promote(
        &self,
        store: &mut Store,
        number: RunId,
    ) -> Result<Vec<Promoted>, StoreError> {
        match self.places.get(&number) {
            Some(&(group, _)) => self.groups[group].promote(store),
            None => Ok(Vec::new()),
        }
    }

    /// As [`Self::promote`], in all groups.
    pub(crate) fn promote_all(&self, store: &mut Store) -> Result<Vec<Promoted>, StoreError> {
        let promoted = self.groups.iter().map(|group| group.promote(store));
        Ok(promoted.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Promotes the best run of each group of which all runs were stopped; where there are none, the runs that the
    /// best configuration of each search lacks.
    pub(crate) fn rescue(&self, store: &mut Store) -> Result<Vec<Promoted>, StoreError> {
        let rescued = self.groups.iter().map(|group| group.rescue(store));
        let rescued = rescued.collect::<Result<Vec<_>, _>>()?.concat();
        if !rescued.is_empty() {
            return Ok(rescued);
        }
        let completed = self.searches.iter().map(|search| search.complete(store));
        Ok(completed.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

impl Group {
    fn judge(
        &self,
        store: &mut Store,
        owner: &Owner,
        number: RunId,
        rung: u64,
        epoch: u64,
    ) -> Result<bool, StoreError> {
        let before = store.prune_decisions(number)?;
        if before
            .iter()
            .any(|own| matches!(own.continued, Some(Continued::Asked | Continued::Best)))
        {
            return Ok(false);
        }
        let rule = self.rule.name();
        let judged = before.iter().find(|decision| {
            (&*decision.rule, decision.rung, decision.epoch) == (rule, rung, epoch)
        });
        if let Some(decision) = judged {
            // Its worker says again what it had said, or a process was killed before it could stop it.
            return Ok(decision.pruned && decision.continued.is_none());
        }
        let Some(&(_, value)) = store.best_by_epoch(&[number], epoch)?.first() else {
            return Ok(false);
        };
        let others: Vec<(RunId, f64)> = match self.rule {
            Rule::Asha { .. } => {
                let standings = self.standings(store, rung)?.into_iter();
                standings.map(|own| (own.run_id, own.value)).collect()
            }
            Rule::Median { .. } => {
                let group: Vec<_> = self.members.iter().map(|member| member.number).collect();
                store.best_by_epoch(&group, epoch)?
            }
        };
        let others: Vec<f64> = others
            .into_iter()
            .filter_map(|(run, value)| (run != number).then_some(value))
            .collect();
        let Verdict { threshold, pruned } = self.rule.judge(value, &others);
        let decision = PruneDecision {
            rule: rule.to_owned(),
            rung,
            epoch,
            value,
            threshold,
            compared: others.len() as u64,
            pruned,
            continued: None,
        };
        store.record_prune_decision(number, owner, &decision)?;
        Ok(pruned)
    }

    fn standings(&self, store: &mut Store, rung: u64) -> Result<Vec<Standing>, StoreError> {
        let due: Vec<_> = self
            .members
            .iter()
            .filter_map(|member| Some((member.number, self.rule.epoch(member.cadence, rung)?)))
            .collect();
        store.standings(self.rule.name(), rung, &due)
    }

    /// The rungs that runs wait at, the highest first.
    fn rungs(&self) -> impl Iterator<Item = u64> {
        let reached = |rung: &u64| {
            let mut cadences = self.members.iter().map(|member| member.cadence);
            cadences.any(|cadence| self.rule.epoch(cadence, *rung).is_some())
        };
        let rungs: Vec<u64> = match self.rule {
            Rule::Asha { .. } => (0..).take_while(reached).collect(),
            Rule::Median { .. } => Vec::new(),
        };
        rungs.into_iter().rev()
    }

    fn promote(&self, store: &mut Store) -> Result<Vec<Promoted>, StoreError> {
        let Rule::Asha { reduction } = self.rule else {
            return Ok(Vec::new());
        };
        let mut promoted = Vec::new();
        for rung in self.rungs() {
            let standings = self.standings(store, rung)?;
            let values = standings.iter().map(|own| own.value).collect();
            let Some(threshold) = least_of_the_best(values, reduction) else {
                continue;
            };
            for own in standings {
                if own.waits && own.value >= threshold {
                    promoted.extend(self.continue_run(store, own.run_id, rung)?);
                }
            }
        }
        Ok(promoted)
    }

    /// The best run of the highest rung, where all runs were stopped.
    fn rescue(&self, store: &mut Store) -> Result<Vec<Promoted>, StoreError> {
        let identities: Vec<_> = self
            .members
            .iter()
            .map(|member| member.identity.clone())
            .collect();
        let states = store.run_states(&identities)?;
        let stopped = [RunState::Pruned, RunState::Failed].map(Some);
        if !states.iter().all(|state| stopped.contains(state)) {
            return Ok(Vec::new());
        }
        for rung in self.rungs() {
            let mut waiting = self.standings(store, rung)?;
            waiting.retain(|own| own.waits);
            let best = waiting
                .into_iter()
                .max_by(|a, b| a.value.total_cmp(&b.value));
            if let Some(best) = best {
                return Ok(Vec::from_iter(self.continue_run(
                    store,
                    best.run_id,
                    rung,
                )?));
            }
        }
        Ok(Vec::new())
    }

    /// None where another process was faster.
    fn continue_run(
        &self,
        store: &mut Store,
        number: RunId,
        rung: u64,
    ) -> Result<Option<Promoted>, StoreError> {
        if !store.unprune(number, Continued::Promoted)? {
            return Ok(None);
        }
        let member = self.members.iter().find(|member| member.number == number);
        Ok(member.map(|member| Promoted {
            at: member.at,
            rung,
        }))
    }
}

#[cfg(test)]
mod tests;
