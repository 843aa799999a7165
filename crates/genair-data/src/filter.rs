//! The k-core filter, in both of the forms the literature uses. Drops rows; renumbers nothing.

use crate::interactions::{Interaction, Interactions};
use genair_protocol::{KCore, KCoreMode};

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
