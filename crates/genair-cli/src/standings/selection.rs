//! Configurations that validation chose, and what is said of those that it left out.

use std::collections::HashMap;

use genair_protocol::text::count;
use genair_store::Choice;
use itertools::Itertools;
use serde::Serialize;

use super::Standing;

/// How validation chose a configuration among those that differ from it in searched settings alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SelectedBy {
    /// The metric that chose, such as `ndcg@10`.
    pub(super) metric: Option<String>,
    /// The validation split by that metric, mean over the seeds.
    pub(super) valid: Option<f64>,
    /// Seeds that were planned; more than those averaged over where no configuration has all.
    pub(super) planned_seeds: usize,
    /// Configurations it was chosen from, whatever became of their runs, itself included.
    pub(super) configurations: usize,
    pub(super) left_out: usize,
    /// Those left out that lack the result of a seed, and did not compete.
    pub(super) lacking_seeds: usize,
}

/// Keeps the configurations that validation chose.
pub(crate) fn keep_chosen(standings: &mut Vec<Standing>, choices: &[Choice]) {
    let keys = |own: &Choice| {
        let sweep = own.of.sweep.clone().unwrap_or_default();
        let hashes = own.hashes.iter();
        let keys = hashes.map(|hash| (sweep.clone(), own.axes.clone(), hash.clone()));
        keys.collect::<Vec<_>>()
    };
    let choices = choices
        .iter()
        .flat_map(|own| keys(own).into_iter().map(move |key| (key, own)));
    let choices: HashMap<_, &Choice> = choices.collect();
    standings.retain_mut(|own| {
        let key = (
            own.sweep.clone(),
            own.axes.clone(),
            own.configuration.clone(),
        );
        let Some(choice) = choices.get(&key) else {
            return false;
        };
        own.paired.clone_from(&choice.of.axes);
        own.selected = (choice.configurations > 1).then(|| SelectedBy {
            metric: choice.metric.clone(),
            valid: choice.valid,
            planned_seeds: choice.planned_seeds,
            configurations: choice.configurations,
            left_out: choice.left_out(),
            lacking_seeds: choice.lacking(),
        });
        true
    });
}

/// What validation chose and how many configurations it left out; empty where each stands for itself.
pub(super) fn chosen(standings: &[Standing]) -> String {
    let selected = standings.iter().filter_map(|own| own.selected.as_ref());
    let selected: Vec<&SelectedBy> = selected.collect();
    if selected.is_empty() {
        return String::new();
    }
    let metrics = selected.iter().filter_map(|own| own.metric.as_deref());
    let metrics = metrics.unique().join(", ");
    let left_out: usize = selected.iter().map(|own| own.left_out).sum();
    let lacking: usize = selected.iter().map(|own| own.lacking_seeds).sum();
    let lacking = match lacking {
        0 => String::new(),
        lacking => format!(" ({lacking} of them without a result of each seed)"),
    };
    let mut text = format!(
        "\nChosen on the validation split ({metrics}, mean over seeds): {} left out{lacking}; `genair results leaderboard --select none` shows those with results.",
        count(left_out, "configuration")
    );
    for own in standings {
        let planned = own.selected.as_ref().map(|own| own.planned_seeds as u64);
        if let Some(planned) = planned.filter(|planned| *planned > own.seeds) {
            text += &format!(
                "\nNo configuration of {} {} on {} has a result of each of its {planned} seeds.",
                own.backbone, own.representation, own.dataset
            );
        }
    }
    text
}
