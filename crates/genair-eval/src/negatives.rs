//! The negatives of the sampled protocol. They belong to a user, a split and the evaluation's seed, and to
//! nothing else: not to the run's seed, the model, the epoch, the order of users or the machine.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

use genair_protocol::Split;

/// How many negatives the sampled protocol draws, catalogue permitting.
pub const SAMPLED_NEGATIVES: usize = 100;

/// Draws up to [`SAMPLED_NEGATIVES`] distinct items, uniformly from the items 1 to `n_items` that
/// are not in `known`, in ascending order. Where no more than that are left, all of them are taken,
/// so the length of the result says how many there were.
///
/// `known` is the user's whole sequence, both targets included, ascending and without duplicates.
/// `seed` is [`EvalSpec::seed`](genair_protocol::EvalSpec::seed), `user` the user's number in the dataset.
///
/// # Panics
/// If `known` is out of order or holds an item outside 1 to `n_items`.
pub fn sampled_negatives(
    n_items: u32,
    known: &[u32],
    seed: u64,
    user: u32,
    split: Split,
) -> Vec<u32> {
    assert!(
        known.is_sorted_by(|a, b| a < b),
        "known items of user {user} are not in ascending order"
    );
    assert!(
        known.first() != Some(&0) && known.last().is_none_or(|&last| last <= n_items),
        "known items of user {user} are not all within 1 to {n_items}"
    );
    let eligible = n_items - known.len() as u32;
    let chosen = choose_distinct(
        eligible,
        SAMPLED_NEGATIVES as u32,
        &mut generator(seed, user, split),
    );
    number_the_unknown(&chosen, known)
}

fn generator(seed: u64, user: u32, split: Split) -> Xoshiro256PlusPlus {
    let digest = Sha256::new()
        .chain_update(b"genair sampled-100")
        .chain_update(seed.to_le_bytes())
        .chain_update(user.to_le_bytes())
        .chain_update(split.as_str())
        .finalize();
    Xoshiro256PlusPlus::from_seed(digest.into())
}

/// A uniform subset of `0..population` with `count` members, or all of it, in ascending order.
///
/// Floyd's algorithm (Bentley and Floyd, CACM 30(9), 1987): one draw per member, so it ends on any
/// catalogue and costs the same on all of them.
fn choose_distinct(population: u32, count: u32, rng: &mut Xoshiro256PlusPlus) -> Vec<u32> {
    if population <= count {
        return (0..population).collect();
    }
    let mut chosen = Vec::with_capacity(count as usize);
    for newest in population - count..population {
        let candidate = rng.random_range(0..=newest);
        match chosen.binary_search(&candidate) {
            Err(place) => chosen.insert(place, candidate),
            Ok(_) => chosen.push(newest), // Above all others, so the order holds.
        }
    }
    chosen
}

/// Turns places among the unknown items, from 0, into items: the `n`th item not in `known`.
fn number_the_unknown(places: &[u32], known: &[u32]) -> Vec<u32> {
    let mut passed = 0;
    let item_at = |&place: &u32| {
        while known
            .get(passed)
            .is_some_and(|&item| item <= place + 1 + passed as u32)
        {
            passed += 1;
        }
        place + 1 + passed as u32
    };
    places.iter().map(item_at).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_catalogue_gives_what_is_left() {
        assert_eq!(
            sampled_negatives(5, &[1, 2, 3, 4, 5], 1, 1, Split::Test),
            Vec::<u32>::new()
        );
        assert_eq!(sampled_negatives(5, &[2, 5], 1, 1, Split::Test), [1, 3, 4]);
        assert_eq!(
            sampled_negatives(0, &[], 1, 1, Split::Test),
            Vec::<u32>::new()
        );
        assert_eq!(
            sampled_negatives(102, &[1, 102], 1, 1, Split::Valid),
            (2..=101).collect::<Vec<_>>()
        );
    }

    #[test]
    fn user_seed_and_split_each_change_the_draw() {
        let draws = [
            sampled_negatives(10_000, &[7], 44, 1, Split::Test),
            sampled_negatives(10_000, &[7], 45, 1, Split::Test),
            sampled_negatives(10_000, &[7], 44, 2, Split::Test),
            sampled_negatives(10_000, &[7], 44, 1, Split::Valid),
        ];
        let distinct: BTreeSet<_> = draws.iter().collect();
        assert_eq!(distinct.len(), draws.len());
    }

    #[test]
    fn draws_are_the_same_on_every_machine() {
        // From an implementation of its own (Python, with hashlib, of xoshiro256++ 1.0 by Blackman
        // and Vigna, Canon's bounded integers and Floyd's algorithm). The second has 127 eligible
        // items, so that most candidates collide.
        let sparse = sampled_negatives(1_000_000, &[3, 7], 44, 1, Split::Test);
        assert_eq!(
            (&sparse[..4], sparse[99]),
            (&[3571, 17_652, 20_057, 29_523][..], 995_486)
        );
        assert_eq!(sparse.iter().sum::<u32>(), 50_503_731);
        let dense = sampled_negatives(130, &[1, 64, 130], 44, 1, Split::Valid);
        assert_eq!((&dense[..6], dense[99]), (&[2, 4, 5, 6, 7, 8][..], 128));
        assert_eq!(dense.iter().sum::<u32>(), 6464);
    }

    #[test]
    fn every_item_is_drawn_equally_often() {
        // 300 eligible items, 100 drawn by each of 3,000 users: 1,000 per item, standard deviation
        // sqrt(3000 / 3 * 2 / 3) = 26. Six of them leave a false alarm less than one in a million.
        let mut counts = vec![0_u32; 311];
        let known: Vec<u32> = (101..=110).collect();
        for user in 1..=3_000 {
            for item in sampled_negatives(310, &known, 44, user, Split::Test) {
                counts[item as usize] += 1;
            }
        }
        for (item, &count) in counts.iter().enumerate() {
            let eligible = item > 0 && !(101..=110).contains(&item);
            let expected = if eligible { 845..=1_155 } else { 0..=0 };
            assert!(
                expected.contains(&count),
                "item {item} was drawn {count} times"
            );
        }
    }

    proptest! {
        #[test]
        fn negatives_are_distinct_unknown_items(
            n_items in 1_u32..2_000,
            known in prop::collection::btree_set(1_u32..2_000, 0..300),
            seed: u64,
            user: u32,
        ) {
            let known: Vec<u32> = known.into_iter().filter(|&item| item <= n_items).collect();
            let drawn = sampled_negatives(n_items, &known, seed, user, Split::Test);
            prop_assert_eq!(drawn.len(), SAMPLED_NEGATIVES.min(n_items as usize - known.len()));
            prop_assert!(drawn.is_sorted_by(|a, b| a < b));
            prop_assert!(drawn.iter().all(|item| (1..=n_items).contains(item)));
            prop_assert!(drawn.iter().all(|item| known.binary_search(item).is_err()));
            prop_assert_eq!(drawn, sampled_negatives(n_items, &known, seed, user, Split::Test));
        }
    }
}
