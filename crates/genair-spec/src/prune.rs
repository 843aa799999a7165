//! `[prune]`: which runs are stopped early, as the spec says it. How they are judged is the runner's business.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

use genair_protocol::{Ranges, ValidationMetric};
use genair_toml::{KeyPath, read_section, suggestion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::SweepRun;
use super::check::Checker;

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

impl Pruning {
    /// Epochs that a backbone's runs have before they may be pruned.
    pub fn grace_of(&self, backbone: &str) -> usize {
        self.grace_of.get(backbone).copied().unwrap_or(self.grace)
    }
}

/// When a run is too bad to go on. "Best" is the best validation of a run so far: what it would end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934, algorithm 2). At each rung, which are
    /// `grace`, `grace * reduction`, `grace * reduction^2`, ... epochs, a run goes on if it is among the best
    /// `1 / reduction` of the runs that have reached the rung, itself included; rounded down, so the first ones
    /// never are. A run that was stopped goes on as soon as it is among them, before new ones begin. Where no
    /// run would finish, the best of the highest rung goes on.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Across {
    /// Their backbone.
    Backbone,
    /// Their representation.
    Representation,
    /// Their seed.
    Seed,
}

/// The key of `prune.grace` for backbones that are not named there.
const DEFAULT: &str = "default";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    None,
    Asha,
    Median,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Section {
    kind: Kind,
    metric: Option<ValidationMetric>,
    #[schemars(range(min = 2))]
    reduction: Option<usize>,
    #[schemars(range(min = 1))]
    min_runs: Option<usize>,
    #[schemars(with = "BTreeMap<String, NonZeroUsize>")]
    grace: BTreeMap<String, usize>,
    across: Vec<Across>,
}

impl Checker<'_> {
    /// Reads `[prune]`; none where nothing is to be pruned.
    pub(crate) fn prune(&mut self, backbones: &[String], runs: &[SweepRun]) -> Option<Pruning> {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<Section>);
        let at = KeyPath::new(["prune"]);
        let mut table = at.table(&self.tree);
        if let Some(epochs) = table.get_mut("grace").filter(|grace| !grace.is_table()) {
            *epochs = Value::Table([(DEFAULT.to_owned(), epochs.clone())].into_iter().collect());
        }
        let section: Section = read_section(&at, &table, &mut self.problems)?;
        self.judge(&at, RANGES.problems(&section));
        for backbone in section.grace.keys() {
            if backbone != DEFAULT && !backbones.contains(backbone) {
                let key = at.child("grace").child(backbone);
                let known: Vec<&str> = backbones.iter().map(String::as_str).collect();
                let message = format!("`{key}`: `sweep.backbone` does not name `{backbone}`");
                self.problems
                    .report(&key, message, suggestion(backbone, &known));
            }
        }
        for (key, set, kind, name) in [
            ("reduction", section.reduction, Kind::Asha, "asha"),
            ("min_runs", section.min_runs, Kind::Median, "median"),
        ] {
            if set.is_some() && section.kind != kind && section.kind != Kind::None {
                let message = format!("belongs to `prune.kind = \"{name}\"`; remove it");
                self.problems.about(&at.child(key), message, None);
            }
        }
        let rule = match section.kind {
            Kind::None => return None,
            Kind::Asha => Rule::Asha {
                reduction: section.reduction.unwrap_or(3),
            },
            Kind::Median => Rule::Median {
                min_runs: section.min_runs.unwrap_or(5),
            },
        };
        let mut grace_of = section.grace;
        let grace = grace_of.remove(DEFAULT).unwrap_or(5);
        let pruning = Pruning {
            rule,
            grace,
            grace_of,
            across: section.across,
        };
        self.check_against_runs(&at, section.metric, &pruning, runs);
        Some(pruning)
    }

    fn check_against_runs(
        &mut self,
        at: &KeyPath,
        metric: Option<ValidationMetric>,
        pruning: &Pruning,
        runs: &[SweepRun],
    ) {
        for run in runs.iter().filter(|run| run.plugin.is_some()) {
            let stop = &run.spec.0.train.stop;
            if let Some(metric) = metric.filter(|metric| *metric != stop.metric) {
                let own = stop.metric;
                let message = format!("is {metric}, but runs are validated by {own} every epoch");
                let hint = format!("leave it out, or set `train.stop.metric = \"{metric}\"`");
                self.problems
                    .about(&at.child("metric"), message, Some(hint));
            }
            let grace = pruning.grace_of(&run.labels.backbone);
            if grace >= stop.max_epochs {
                let message = format!(
                    "no run of {} is pruned: its grace of {grace} epochs is all of its {}",
                    run.labels.backbone, stop.max_epochs
                );
                let key = at.child("grace");
                self.problems.warn(&key, message, None);
            }
        }
    }
}
