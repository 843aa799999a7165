//! Sizes and shapes of a dataset, for people and for the record of a run.

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, ItemId, LeftOut};
use crate::interactions::{Metadata, OrderedBy, Removed};
use genair_protocol::{Cohorts, Split};

/// What `genair data stats` shows. Counts are taken after all filters, unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Rows of the source, before any filter.
    pub rows_read: u64,
    /// Rows of the source that do not count, by reason.
    pub removed: Removed,
    /// What orders each user's interactions.
    pub ordered_by: OrderedBy,
    /// Users.
    pub users: u64,
    /// Items.
    pub items: u64,
    /// Interactions, whatever part they are in.
    pub interactions: u64,
    /// Interactions of the train part.
    pub train_interactions: u64,
    /// Users with at least two training interactions, one to see and one to name.
    pub train_users: u64,
    /// What is held out for validation.
    pub valid: SplitStatistics,
    /// What is held out for the test.
    pub test: SplitStatistics,
    /// Interactions per user.
    pub mean_length: f64,
    /// Median interactions per user; of an even number of users, the mean of the middle two.
    pub median_length: f64,
    /// Fewest interactions of a user.
    pub min_length: u64,
    /// Most interactions of a user.
    pub max_length: u64,
    /// Interactions / (users * items).
    pub density: f64,
    /// Interactions of a user with an item met before.
    pub repeated_pairs: u64,
    /// Items whose metadata are absent, or empty in every field.
    pub items_without_metadata: u64,
    /// Items that are not in the train part, which no model can learn an id embedding of.
    pub items_not_in_train: u64,
    /// Those of them that training never sees: all of a split with cold items, otherwise none.
    pub cold_items: u64,
    /// Length of the test input from which a user is long: as set, or as resolved.
    pub long_user: u32,
    /// Long users.
    pub long_users: u64,
    /// Training interactions from which an item is head: as set, or as resolved.
    pub head_item: u32,
    /// Head items.
    pub head_items: u64,
}

/// What is held out in one split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitStatistics {
    /// The moment that it lies after, in the unit of the data's times, in a time split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundary: Option<f64>,
    /// Users with a target and an input.
    pub users: u64,
    /// Targets.
    pub targets: u64,
    /// Targets that are not in the train part.
    pub targets_not_in_train: u64,
    /// Candidates: items that may be recommended.
    pub candidates: u64,
    /// Users that are left out, by reason.
    #[serde(flatten)]
    pub left_out: LeftOut,
}

impl SplitStatistics {
    fn of(dataset: &Dataset, split: Split, boundary: Option<f64>) -> Self {
        let cases = dataset.cases_of(split);
        let popularity = dataset.train_popularity();
        let unseen = cases.all_targets().iter();
        let unseen = unseen.filter(|target| popularity[target.row()] == 0);
        Self {
            boundary,
            users: cases.len() as u64,
            targets: cases.all_targets().len() as u64,
            targets_not_in_train: unseen.count() as u64,
            candidates: (dataset.num_items() - dataset.outside(split).len()) as u64,
            left_out: cases.left_out,
        }
    }
}

/// What the sequences do not say of where they are from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    pub(crate) rows_read: u64,
    pub(crate) removed: Removed,
    pub(crate) ordered_by: OrderedBy,
    /// Of validation and of the test.
    pub(crate) boundaries: [Option<f64>; 2],
}

impl Statistics {
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            rows_read: self.rows_read,
            removed: self.removed,
            ordered_by: self.ordered_by,
            boundaries: [self.valid.boundary, self.test.boundary],
        }
    }
}

/// Measures a dataset that is complete but for its statistics.
pub(crate) fn of(dataset: &Dataset, cohorts: Cohorts, origin: Origin) -> Statistics {
    let Origin {
        rows_read,
        removed,
        ordered_by,
        boundaries,
    } = origin;
    let mut lengths: Vec<u32> = (0..dataset.num_users())
        .map(|user| dataset.sequence(user).len() as u32)
        .collect();
    lengths.sort_unstable();
    let inputs = (0..dataset.num_users()).filter_map(|user| dataset.input_length(user));
    let mut inputs: Vec<u32> = inputs.map(|length| length as u32).collect();
    inputs.sort_unstable();
    let unseen = dataset.train_popularity()[1..].iter();
    let unseen = unseen.filter(|&&count| count == 0).count();
    let mut popularity = dataset.train_popularity()[1..=dataset.num_warm_items()].to_vec();
    popularity.sort_unstable();
    let long_user = cohorts.long_user.unwrap_or_else(|| head_threshold(&inputs));
    let head_item = cohorts
        .head_item
        .unwrap_or_else(|| head_threshold(&popularity));
    let (users, items) = (dataset.num_users(), dataset.num_items());
    let interactions = dataset.num_interactions();
    let trained = || (0..users).map(|user| dataset.train(user).len());
    Statistics {
        rows_read,
        removed,
        ordered_by,
        users: users as u64,
        items: items as u64,
        interactions: interactions as u64,
        train_interactions: trained().sum::<usize>() as u64,
        train_users: trained().filter(|&length| length >= 2).count() as u64,
        valid: SplitStatistics::of(dataset, Split::Valid, boundaries[0]),
        test: SplitStatistics::of(dataset, Split::Test, boundaries[1]),
        mean_length: interactions as f64 / users as f64,
        median_length: f64::from(lengths[users / 2] + lengths[(users - 1) / 2]) / 2.0,
        min_length: u64::from(lengths[0]),
        max_length: u64::from(lengths[users - 1]),
        density: interactions as f64 / users as f64 / items as f64,
        repeated_pairs: repeated_pairs(dataset),
        items_without_metadata: dataset
            .items()
            .filter(|&item| is_blank(dataset.metadata(item)))
            .count() as u64,
        items_not_in_train: unseen as u64,
        cold_items: (items - dataset.num_warm_items()) as u64,
        long_user,
        long_users: at_least(&inputs, long_user) as u64,
        head_item,
        head_items: at_least(&popularity, head_item) as u64,
    }
}

/// The smallest threshold from 1 that at most 20 % of the sorted values reach.
fn head_threshold(sorted: &[u32]) -> u32 {
    let allowed = sorted.len() / 5;
    // The largest value that may not be reached lies just below the allowed ones.
    sorted[sorted.len() - 1 - allowed].saturating_add(1)
}

fn at_least(sorted: &[u32], threshold: u32) -> usize {
    sorted.len() - sorted.partition_point(|&value| value < threshold)
}

fn repeated_pairs(dataset: &Dataset) -> u64 {
    let mut last_user = vec![usize::MAX; dataset.num_items() + 1];
    let mut repeated = 0;
    for user in 0..dataset.num_users() {
        for item in dataset.sequence(user) {
            let last = std::mem::replace(&mut last_user[ItemId::row(*item)], user);
            repeated += u64::from(last == user);
        }
    }
    repeated
}

fn is_blank(metadata: &Metadata) -> bool {
    use serde_json::Value;
    metadata.values().all(|value| match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_threshold_is_the_smallest_that_leaves_a_fifth(mut values in prop::collection::vec(0_u32..30, 1..80)) {
            values.sort_unstable();
            let is_small_enough = |threshold| at_least(&values, threshold) * 5 <= values.len();
            let by_search = (1..).find(|&threshold| is_small_enough(threshold)).unwrap();
            prop_assert_eq!(head_threshold(&values), by_search);
        }
    }

    #[test]
    fn empty_fields_are_no_metadata() {
        let blank = |json: &str| is_blank(&serde_json::from_str(json).unwrap());
        assert!(blank("{}"));
        assert!(blank(r#"{"title": " ", "genres": [], "price": null}"#));
        assert!(!blank(r#"{"title": "", "price": 0}"#));
    }
}
