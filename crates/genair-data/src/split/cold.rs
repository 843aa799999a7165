//! Which items are cold: unseen in training.

use genair_protocol::{ColdItemsRule, ColdItemsSpec, SplitKind, SplitSpec};

use super::Parts;
use crate::draws::Draws;
use crate::interactions::Interaction;

/// Groups of equal size, by popularity, of which each loses the same share of items.
const STRATA: usize = 10;

/// What an item is to a split. The order is that of the items' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// In training; of a split without cold items, every item.
    Warm,
    /// Cold from validation on (time), or in validation alone (drawn).
    ColdInValidation,
    /// Cold in the test.
    ColdInTest,
}

/// The group of each raw item. `users` are the rows of each user with their parts; an item that none of them has
/// is of no importance.
pub(crate) fn groups(
    users: &[(&[Interaction], Parts)],
    items: usize,
    spec: &SplitSpec,
) -> Vec<Group> {
    if !spec.has_cold_items() {
        return vec![Group::Warm; items];
    }
    let mut popularity = vec![0_u32; items];
    for (rows, parts) in users {
        for row in &rows[..parts.train] {
            popularity[row.item as usize] += 1;
        }
    }
    let of_count = |&count: &u32| match count {
        0 => Group::ColdInTest,
        _ => Group::Warm,
    };
    let mut groups: Vec<Group> = popularity.iter().map(of_count).collect();
    match (spec.kind, &spec.cold_items) {
        (SplitKind::LeaveOneOut, Some(cold)) => {
            let warm = (0..items).filter(|&item| groups[item] == Group::Warm);
            let order = match cold.by {
                ColdItemsRule::Random => by_popularity(warm.collect(), &popularity),
                ColdItemsRule::Newest => by_age(warm.collect(), users, items),
            };
            take_out(order, cold, &mut groups);
        }
        _ => {
            for (rows, parts) in users {
                for row in &rows[..parts.before_test] {
                    let group = &mut groups[row.item as usize];
                    *group = (*group).min(Group::ColdInValidation);
                }
            }
        }
    }
    groups
}

/// The most popular first; of equals the first in the source.
fn by_popularity(mut items: Vec<usize>, popularity: &[u32]) -> Vec<usize> {
    items.sort_by_key(|&item| std::cmp::Reverse(popularity[item]));
    items
}

/// The one with the latest first interaction first; of equals the last in the source.
fn by_age(mut items: Vec<usize>, users: &[(&[Interaction], Parts)], all: usize) -> Vec<usize> {
    let mut first = vec![f64::INFINITY; all];
    for row in users.iter().flat_map(|(rows, _)| rows.iter()) {
        let first = &mut first[row.item as usize];
        *first = first.min(row.time);
    }
    items.reverse();
    items.sort_by(|&a, &b| first[b].total_cmp(&first[a]));
    items
}

/// Marks the cold items among `order`, which has every item with training interactions.
fn take_out(order: Vec<usize>, cold: &ColdItemsSpec, groups: &mut [Group]) {
    let all = order.len();
    let share_of = |share: f64, count: usize| (share * count as f64).round() as usize;
    let (mut taken, mut validation) = (0, 0);
    let mut mark = |items: &[usize], seen: usize| {
        // At least one item of all.
        let least = usize::from(seen == all);
        let test = share_of(cold.share, seen).max(least).saturating_sub(taken);
        let valid = share_of(cold.validation, seen).saturating_sub(validation);
        let test = test.min(items.len());
        let valid = valid.min(items.len() - test);
        for &item in &items[..test] {
            groups[item] = Group::ColdInTest;
        }
        for &item in &items[test..test + valid] {
            groups[item] = Group::ColdInValidation;
        }
        (taken, validation) = (taken + test, validation + valid);
    };
    match cold.by {
        ColdItemsRule::Newest => mark(&order, all),
        ColdItemsRule::Random => {
            let mut draws = Draws::new(&format!("genair cold items {}", cold.seed.unwrap_or(1)));
            for stratum in 0..STRATA {
                let (first, end) = (stratum * all / STRATA, (stratum + 1) * all / STRATA);
                let mut items = order[first..end].to_vec();
                draws.shuffle(&mut items);
                mark(&items, end);
            }
        }
    }
}
