//! Repeats, and the k-core filter in both of the forms the literature uses. Drops rows; renumbers nothing.

use std::collections::HashSet;

use crate::interactions::{Interaction, Interactions};
use genair_protocol::{KCore, KCoreMode, Repeats};

/// Drops interactions with items that their user has met before, as the rule says, and counts them in
/// `interactions.removed`. What comes before what, the times say, and of equal ones the order of the rows.
pub(crate) fn repeats(interactions: &mut Interactions, rule: Repeats) {
    if rule == Repeats::Keep {
        return;
    }
    let rows = &interactions.rows;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| {
        let users = rows[a].user.cmp(&rows[b].user);
        users.then(rows[a].time.total_cmp(&rows[b].time))
    });
    if rule == Repeats::Last {
        order.reverse();
    }
    let mut is_kept = vec![true; rows.len()];
    let mut met = HashSet::new();
    let mut before: Option<Interaction> = None;
    for at in order {
        let row = rows[at];
        if before.is_none_or(|before| before.user != row.user) {
            met.clear();
        }
        is_kept[at] = match rule {
            Repeats::Keep => true,
            Repeats::First | Repeats::Last => met.insert(row.item),
            Repeats::Consecutive => {
                before.is_none_or(|before| (before.user, before.item) != (row.user, row.item))
            }
        };
        before = Some(row);
    }
    let all = rows.len();
    let mut is_kept = is_kept.into_iter();
    interactions.rows.retain(|_| is_kept.next().unwrap_or(true));
    interactions.removed.repeats += (all - interactions.rows.len()) as u64;
}

/// Drops interactions of users and items that have too few, and counts them in
/// `interactions.removed`. Order is kept.
pub(crate) fn k_core(interactions: &mut Interactions, core: &KCore) {
    let before = interactions.rows.len();
    loop {
        let rows = interactions.rows.len();
        drop_once(interactions, core);
        let is_fixed_point = interactions.rows.len() == rows;
        if core.mode == KCoreMode::SinglePass || is_fixed_point {
            break;
        }
    }
    interactions.removed.k_core += (before - interactions.rows.len()) as u64;
}

fn drop_once(interactions: &mut Interactions, core: &KCore) {
    let of_user = count(&interactions.rows, interactions.users.len(), |row| row.user);
    let of_item = count(&interactions.rows, interactions.items.len(), |row| row.item);
    interactions.rows.retain(|row| {
        of_user[row.user as usize] >= core.user && of_item[row.item as usize] >= core.item
    });
}

fn count(rows: &[Interaction], len: usize, id: impl Fn(&Interaction) -> u32) -> Vec<u32> {
    let mut counts = vec![0; len];
    for row in rows {
        counts[id(row) as usize] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interactions(pairs: &[(u32, u32)]) -> Interactions {
        let mut result = Interactions::default();
        for &(user, item) in pairs {
            let user = result.users.insert_full(format!("u{user}")).0 as u32;
            let item = result.items.insert_full(format!("i{item}")).0 as u32;
            result.rows.push(Interaction {
                user,
                item,
                time: 0.0,
            });
        }
        result
    }

    #[test]
    fn repeats_are_told_by_time_and_rows_keep_their_order() {
        // (user, item, time); user 0 walks 1 1 2 1, user 1 walks 1.
        let rows = [
            (0, 1, 3.0),
            (0, 1, 1.0),
            (1, 1, 0.0),
            (0, 2, 2.0),
            (0, 1, 1.0),
        ];
        for (rule, expected) in [
            (Repeats::Keep, vec![0, 1, 2, 3, 4]),
            (Repeats::First, vec![1, 2, 3]),
            (Repeats::Last, vec![0, 2, 3]),
            (Repeats::Consecutive, vec![0, 1, 2, 3]),
        ] {
            let mut log = interactions(&rows.map(|(user, item, _)| (user, item)));
            for (row, (.., time)) in log.rows.iter_mut().zip(rows) {
                row.time = time;
            }
            let all = log.rows.clone();
            repeats(&mut log, rule);
            let kept: Vec<Interaction> = expected.iter().map(|&at| all[at]).collect();
            assert_eq!(log.rows, kept, "{rule:?}");
            assert_eq!(log.removed.repeats, (5 - kept.len()) as u64);
        }
    }

    #[test]
    fn a_single_pass_leaves_what_only_a_second_would_drop() {
        // User 0 has two rows, but loses one with item 9; then it is below 2.
        let pairs = [(0, 1), (0, 9), (1, 1), (1, 2), (2, 1), (2, 2)];
        let core = |mode| KCore {
            mode,
            user: 2,
            item: 2,
        };
        let mut single = interactions(&pairs);
        k_core(&mut single, &core(KCoreMode::SinglePass));
        assert_eq!((single.rows.len(), single.removed.k_core), (5, 1));
        let mut iterative = interactions(&pairs);
        k_core(&mut iterative, &core(KCoreMode::Iterative));
        assert_eq!((iterative.rows.len(), iterative.removed.k_core), (4, 2));
    }

    proptest! {
        #[test]
        fn iterating_reaches_the_thresholds_and_keeps_order(
            pairs in prop::collection::vec((0_u32..8, 0_u32..8), 0..60), user in 1_u32..5, item in 1_u32..5,
        ) {
            let all = interactions(&pairs);
            let mut kept = all.clone();
            k_core(&mut kept, &KCore { mode: KCoreMode::Iterative, user, item });
            let of_user = count(&kept.rows, 8, |row| row.user);
            let of_item = count(&kept.rows, 8, |row| row.item);
            prop_assert!(of_user.iter().all(|&n| n == 0 || n >= user));
            prop_assert!(of_item.iter().all(|&n| n == 0 || n >= item));
            prop_assert_eq!(kept.rows.len() as u64 + kept.removed.k_core, all.rows.len() as u64);
            let mut rest = all.rows.iter();
            prop_assert!(kept.rows.iter().all(|row| rest.any(|other| other == row)), "rows out of order");
        }
    }
}
