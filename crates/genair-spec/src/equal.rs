//! Equal conditions: warns where the representations of a sweep are not trained or searched alike, as a comparison of
//! them then compares more than representations.

use std::collections::{BTreeMap, BTreeSet};

use genair_protocol::{Axes, RunSpec};
use genair_toml::KeyPath;
use toml::Value;

use super::axes::{Axis, AxisKind, value_label};
use super::check::Checker;
use super::{Draft, SweepRun};

/// A setting that comparisons presuppose to be alike, and its value in a run.
type Condition = (&'static str, fn(&RunSpec) -> String);

/// The loss and the budget of a run, by their keys under `[train]`.
const CONDITIONS: [Condition; 12] = [
    ("loss.kind", |run| json(&run.train.loss.kind)),
    ("loss.negatives", |run| run.train.loss.negatives.to_string()),
    ("loss.sampler", |run| json(&run.train.loss.sampler)),
    ("loss.negatives_for", |run| {
        json(&run.train.loss.negatives_for)
    }),
    ("loss.t", |run| run.train.loss.t.to_string()),
    ("loss.label_smoothing", |run| {
        run.train.loss.label_smoothing.to_string()
    }),
    ("score.kind", |run| json(&run.train.score.kind)),
    ("score.temperature", |run| {
        run.train.score.temperature.to_string()
    }),
    ("batch_size", |run| run.train.batch_size.to_string()),
    ("stop.max_epochs", |run| {
        run.train.stop.max_epochs.to_string()
    }),
    ("stop.patience", |run| run.train.stop.patience.to_string()),
    ("stop.eval_every", |run| {
        run.train.stop.eval_every.to_string()
    }),
];

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data has a JSON form")
}

fn listed(values: &BTreeSet<String>) -> String {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    values.join(", ")
}

/// Runs of one dataset, backbone and representation.
#[derive(Default)]
struct Conditions {
    /// Values by key; several where the key is an axis.
    values: BTreeMap<&'static str, BTreeSet<String>>,
    /// Combinations of the searched settings' values.
    points: BTreeSet<Axes>,
}

impl Checker<'_> {
    /// Warns where two representations of one dataset and backbone differ in loss, budget or search space. Each is
    /// compared with the first.
    pub(crate) fn warn_of_unequal(&mut self, axes: &[Axis], runs: &[SweepRun]) {
        let searched: Vec<&Axis> = axes.iter().filter(|axis| !axis.is_list()).collect();
        let mut cells: BTreeMap<(&str, &str), Vec<(&str, Conditions)>> = BTreeMap::new();
        for run in runs.iter().filter(|run| run.plugin.is_some()) {
            let (labels, Draft(spec)) = (&run.labels, &run.spec);
            let cell = cells
                .entry((&labels.dataset, &labels.backbone))
                .or_default();
            let name = labels.representation.as_str();
            if cell.last().is_none_or(|(last, _)| *last != name) {
                cell.push((name, Conditions::default()));
            }
            let Some((_, own)) = cell.last_mut() else {
                continue;
            };
            for (key, value) in CONDITIONS {
                own.values.entry(key).or_default().insert(value(spec));
            }
            let is_searched = |axis: &str| searched.iter().any(|own| own.label == axis);
            let point = labels.axes.iter().filter(|(axis, _)| is_searched(axis));
            own.points.insert(point.collect());
        }
        for representations in cells.values() {
            let [(first, own), others @ ..] = representations.as_slice() else {
                continue;
            };
            for (name, other) in others {
                self.compare_values((first, own), (name, other));
                self.compare_ranges(first, name, &searched);
                let [points, of_other] = [own, other].map(|of| of.points.len());
                if points != of_other {
                    let key = KeyPath::new(["search"]);
                    let message = format!(
                        "`{key}` has {points} points for representation `{first}`, but {of_other} for `{name}`"
                    );
                    self.warn_unequal(&key, message);
                }
            }
        }
    }

    fn compare_values(
        &mut self,
        (first, own): (&str, &Conditions),
        (name, other): (&str, &Conditions),
    ) {
        for (key, values) in &own.values {
            let of_other = &other.values[key];
            if values != of_other {
                let path = KeyPath::new(["train"].into_iter().chain(key.split('.')));
                let [values, of_other] = [values, of_other].map(listed);
                let message = format!(
                    "`{path}` is {values} for representation `{first}`, but {of_other} for `{name}`"
                );
                self.warn_unequal(&path, message);
            }
        }
    }

    /// Ranges and points below `[representation.NAME]`: all others hold for every representation.
    fn compare_ranges(&mut self, first: &str, name: &str, searched: &[&Axis]) {
        let of = |checker: &Self, name: &str| -> BTreeMap<String, (KeyPath, String)> {
            let own = searched
                .iter()
                .filter(|axis| axis.path.starts_with(&["representation", name]));
            own.map(|axis| {
                let values = match axis.kind {
                    AxisKind::Points => listed(&axis.values.iter().map(value_label).collect()),
                    _ => axis
                        .path
                        .get(&checker.tree)
                        .map_or_else(String::new, Value::to_string),
                };
                let setting = axis.path.keys()[2..].join(".");
                (setting, (axis.path.clone(), values))
            })
            .collect()
        };
        let (own, others) = (of(self, first), of(self, name));
        let settings: BTreeSet<&String> = own.keys().chain(others.keys()).collect();
        for setting in settings {
            let [one, other] = [&own, &others].map(|of| of.get(setting));
            if one.map(|(_, values)| values) == other.map(|(_, values)| values) {
                continue;
            }
            let Some((key, _)) = one.or(other) else {
                continue;
            };
            let told = |of: Option<&(KeyPath, String)>| match of {
                Some((_, values)) => format!("searched over {values}"),
                None => "not searched".to_owned(),
            };
            let message = format!(
                "`{setting}` is {} for representation `{first}`, but {} for `{name}`",
                told(one),
                told(other)
            );
            let key = key.clone();
            self.warn_unequal(&key, message);
        }
    }

    fn warn_unequal(&mut self, key: &KeyPath, message: String) {
        let hint = "a comparison of representations is fair if all have the same loss, budget and search space";
        self.problems.warn(key, message, Some(hint.to_owned()));
    }
}
