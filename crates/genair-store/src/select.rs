//! Which configuration stands for others that differ from it in searched settings alone: the best on the validation
//! split. Choosing by the test split would report luck.
//!
//! Owns the rule. It reads nothing: it judges runs that [`Store::runs_of_sweep`](crate::Store::runs_of_sweep) read.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use genair_protocol::Axes;
use serde::{Deserialize, Serialize};

use crate::SweptRun;

/// Which axes tell results apart. The others are searched: validation chooses among their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// All but those that the sweep's `[search]` draws or lists points of.
    #[default]
    Auto,
    /// None.
    Valid,
    /// All: nothing is chosen.
    None,
}

impl Select {
    /// Every name, as specs and options have it.
    pub const NAMES: &[&str] = &["auto", "valid", "none"];

    /// The axes of a run that tell its results from others, where the sweep searches `searched`. What tells
    /// configurations of equal labels apart is among them always.
    pub fn kept(self, run: &SweptRun, searched: &[String]) -> Axes {
        let is_kept = |axis: &str| match self {
            Self::Auto => !searched.iter().any(|own| own == axis),
            Self::Valid => false,
            Self::None => true,
        };
        let kept = run.labels.axes.iter().filter(|(axis, _)| is_kept(axis));
        kept.collect::<Axes>().and(run.differences.as_ref())
    }
}

impl std::str::FromStr for Select {
    type Err = serde::de::value::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::deserialize(serde::de::value::StrDeserializer::new(name))
    }
}

/// What configurations have in common of which one stands for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Standpoint {
    /// The sweep's name; none where sweeps are not told apart.
    pub sweep: Option<String>,
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// Axes that are not searched.
    pub axes: Axes,
}

impl Standpoint {
    /// That of a run, where sweeps are told apart and `axes` are those that are not searched.
    pub fn of(run: &SweptRun, axes: Axes) -> Self {
        Self {
            sweep: Some(run.sweep.clone()),
            dataset: run.labels.dataset.clone(),
            backbone: run.labels.backbone.clone(),
            representation: run.labels.representation.clone(),
            axes,
        }
    }
}

/// The configuration that stands for all of its [`Standpoint`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// What it stands for.
    pub of: Standpoint,
    /// Hash of all that its runs share; several where neither labels nor differences tell them apart, so that they
    /// cannot be chosen among.
    #[serde(skip)]
    pub hashes: BTreeSet<String>,
    /// All of its axes, the searched ones among them.
    pub axes: Axes,
    /// The metric that chose it, such as `ndcg@10`.
    pub metric: Option<String>,
    /// Its validation split by that metric, mean over the seeds, in [0, 1].
    pub valid: Option<f64>,
    /// Seeds averaged over, in order.
    pub seeds: Vec<u64>,
    /// Seeds of the standpoint's runs, whatever became of them; more than `seeds` where no configuration has all.
    pub planned_seeds: usize,
    /// Configurations of the standpoint, whatever became of their runs.
    pub configurations: usize,
    /// Those of them that competed: with a result of each of `seeds`.
    pub competed: usize,
}

impl Choice {
    /// Configurations that it stands for and that are not shown.
    pub fn left_out(&self) -> usize {
        self.configurations - 1
    }

    /// Those left out that did not compete, as results of seeds are lacking.
    pub fn lacking(&self) -> usize {
        self.configurations - self.competed
    }
}

/// What validation chose among runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// One for each standpoint with a finished run, in order.
    pub choices: Vec<Choice>,
    /// Of each run, in the order in which they were given: whether its configuration was chosen.
    pub is_chosen: Vec<bool>,
}

/// Finished runs of one configuration: their validation by seed.
#[derive(Default)]
struct Candidate {
    hashes: BTreeSet<String>,
    finished: BTreeMap<u64, Option<f64>>,
    /// Hash of the sequences and the metric: values compare where these are alike.
    basis: BTreeSet<(Option<String>, Option<String>)>,
}

impl Candidate {
    fn mean(&self) -> Option<f64> {
        let values: Option<Vec<f64>> = self.finished.values().copied().collect();
        let values = values.filter(|values| !values.is_empty())?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }

    fn seeds(&self) -> BTreeSet<u64> {
        self.finished.keys().copied().collect()
    }
}

/// By all of their axes.
type Candidates = BTreeMap<Axes, Candidate>;

/// Chooses for each standpoint that has a finished run. Only configurations with results of all seeds compete; where
/// there are none, those with the seeds that most have of the largest sets. Of equal means the first by the names of
/// its values stands for all. Runs of other sequences, or stopped by another metric, are chosen from separately.
pub fn choose<'r>(runs: impl IntoIterator<Item = (&'r SweptRun, Standpoint)>) -> Selected {
    let mut groups: BTreeMap<Standpoint, (BTreeSet<u64>, Candidates)> = BTreeMap::new();
    let mut keys = Vec::new();
    for (run, standpoint) in runs {
        let (seeds, candidates) = groups.entry(standpoint.clone()).or_default();
        seeds.insert(run.labels.seed);
        let axes = run.labels.axes.clone();
        keys.push((standpoint, axes.clone()));
        let candidate = candidates.entry(axes).or_default();
        candidate.hashes.insert(run.configuration.clone());
        if run.state == crate::RunState::Finished {
            candidate.finished.insert(run.labels.seed, run.valid);
            let basis = (run.sequences_sha256.clone(), run.stop_metric.clone());
            candidate.basis.insert(basis);
        }
    }
    let mut choices = Vec::new();
    let mut chosen = BTreeSet::new();
    for (of, (planned, candidates)) in groups {
        let bases: BTreeSet<_> = candidates.values().map(|own| own.basis.clone()).collect();
        for basis in bases.into_iter().filter(|basis| !basis.is_empty()) {
            let alike = candidates.iter().filter(|(_, own)| own.basis == basis);
            let alike: Vec<_> = alike.collect();
            let seeds = competing_seeds(&planned, alike.iter().map(|(_, own)| own.seeds()));
            let competing = alike.iter().filter(|(_, own)| own.seeds() == seeds);
            let competed = competing.clone().count();
            let Some(&(axes, best)) = competing.max_by(better) else {
                continue;
            };
            chosen.insert((of.clone(), axes.clone()));
            let unfinished = candidates.values().filter(|own| own.basis.is_empty());
            let metric = basis.into_iter().find_map(|(_, metric)| metric);
            choices.push(Choice {
                of: of.clone(),
                hashes: best.hashes.clone(),
                axes: axes.clone(),
                metric,
                valid: best.mean(),
                seeds: seeds.into_iter().collect(),
                planned_seeds: planned.len(),
                configurations: alike.len() + unfinished.count(),
                competed,
            });
        }
    }
    Selected {
        choices,
        is_chosen: keys.iter().map(|key| chosen.contains(key)).collect(),
    }
}

/// The better one by its mean, and of equal ones the first by its name.
fn better((own, one): &&(&Axes, &Candidate), (name, other): &&(&Axes, &Candidate)) -> Ordering {
    let mean = |of: &Candidate| of.mean().unwrap_or(f64::NEG_INFINITY);
    let by_mean = mean(one).total_cmp(&mean(other));
    by_mean.then_with(|| name.cmp(own))
}

/// All seeds, if a configuration has them; else those of the largest set that most configurations have.
fn competing_seeds(
    planned: &BTreeSet<u64>,
    all: impl Iterator<Item = BTreeSet<u64>>,
) -> BTreeSet<u64> {
    let mut counts: BTreeMap<BTreeSet<u64>, usize> = BTreeMap::new();
    for seeds in all {
        *counts.entry(seeds).or_default() += 1;
    }
    if counts.contains_key(planned) {
        return planned.clone();
    }
    let most = counts
        .into_iter()
        .rev()
        .max_by_key(|(seeds, count)| (seeds.len(), *count));
    most.map(|(seeds, _)| seeds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
