//! The negatives of the sampled protocols. They belong to a user, a split and the evaluation's seed, and to
//! nothing else: not to the run's seed, the model, the epoch, the order of users or the machine.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

use genair_protocol::Split;

/// Draws up to `count` distinct items, uniformly from the items 1 to `n_items` that are not in `known`, in ascending
/// order. Where no more than that are left, all of them are taken, so the length of the result says how many there
/// were.
///
/// `known` is the user's whole sequence, both targets included, ascending and without duplicates.
/// `seed` is [`EvalSpec::seed`](genair_protocol::EvalSpec::seed), `user` the user's number in the dataset.
///
/// # Panics
/// If `known` is out of order or holds an item outside 1 to `n_items`.
pub fn sampled_negatives(
    n_items: u32,
    known: &[u32],
    count: u32,
    seed: u64,
    user: u32,
    split: Split,
) -> Vec<u32> {
    check_known(known, n_items, user);
    let eligible = n_items - known.len() as u32;
    let label = format!("genair sampled-{count}");
    let chosen = choose_distinct(eligible, count, &mut generator(&label, seed, user, split));
    number_the_unknown(&chosen, known)
}

fn check_known(known: &[u32], n_items: u32, user: u32) {
    assert!(
        known.is_sorted_by(|a, b| a < b),
        "known items of user {user} are not in ascending order"
    );
    assert!(
        known.first() != Some(&0) && known.last().is_none_or(|&last| last <= n_items),
        "known items of user {user} are not all within 1 to {n_items}"
    );
}

/// How often each item was met in training, for draws in proportion to it.
#[derive(Clone, Debug)]
pub struct Popularity {
    /// Sums of the counts up to each item, `[I + 1]`; the first is 0.
    sums: Vec<u64>,
    /// Items that were met.
    met: usize,
}

impl Popularity {
    /// Takes counts by item, `[I + 1]`; that of padding, entry 0, is taken for 0.
    pub fn new(counts: &[u32]) -> Self {
        let mut sum = 0;
        let after = |&count: &u32| {
            sum += u64::from(count);
            sum
        };
        let own = counts.iter().skip(1);
        Self {
            sums: std::iter::once(0).chain(own.map(after)).collect(),
            met: counts.iter().skip(1).filter(|&&count| count > 0).count(),
        }
    }

    fn count(&self, item: u32) -> u64 {
        self.sums[item as usize] - self.sums[item as usize - 1]
    }

    fn items(&self) -> u32 {
        self.sums.len() as u32 - 1
    }

    fn total(&self) -> u64 {
        self.sums.last().copied().unwrap_or(0)
    }

    /// Draws up to `count` distinct items that are not in `known`, in ascending order: one after another, each in
    /// proportion to its count among those that are left. An item that was never met is never drawn; where no more than
    /// `count` others are left, all of them are taken. Arguments are as for [`sampled_negatives`].
    ///
    /// # Panics
    /// As [`sampled_negatives`].
    pub fn negatives(
        &self,
        known: &[u32],
        count: u32,
        seed: u64,
        user: u32,
        split: Split,
    ) -> Vec<u32> {
        check_known(known, self.items(), user);
        let is_known = |item: u32| known.binary_search(&item).is_ok();
        let known_and_met = known.iter().filter(|&&item| self.count(item) > 0).count();
        if self.met - known_and_met <= count as usize {
            let left = |item: &u32| self.count(*item) > 0 && !is_known(*item);
            return (1..=self.items()).filter(left).collect();
        }
        let label = format!("genair sampled-{count}-popularity");
        let rng = &mut generator(&label, seed, user, split);
        let mut chosen: Vec<u32> = Vec::with_capacity(count as usize);
        let mut refused = 0;
        while chosen.len() < count as usize {
            // Draws are refused that hit what is taken, which leaves the proportions of the others. Where most of all
            // interactions are with what is taken, the others are numbered instead.
            let item = match refused < REFUSALS {
                true => self.item_at(rng.random_range(0..self.total())),
                false => self.draw_left(
                    |item| is_known(item) || chosen.binary_search(&item).is_ok(),
                    rng,
                ),
            };
            match chosen.binary_search(&item) {
                Err(place) if !is_known(item) => chosen.insert(place, item),
                _ => refused += 1,
            }
        }
        chosen
    }

    /// The item of an interaction by its number, from 0.
    fn item_at(&self, interaction: u64) -> u32 {
        self.sums.partition_point(|&sum| sum <= interaction) as u32
    }

    /// Draws an item that is not taken, of which there is one that was met.
    fn draw_left(&self, is_taken: impl Fn(u32) -> bool, rng: &mut Xoshiro256PlusPlus) -> u32 {
        let left = || (1..=self.items()).filter(|&item| !is_taken(item));
        let total: u64 = left().map(|item| self.count(item)).sum();
        let mut place = rng.random_range(0..total);
        let is_it = |item: &u32| {
            let count = self.count(*item);
            let found = place < count;
            place = place.saturating_sub(count);
            found
        };
        // The place is below the sum of all counts.
        left().find(is_it).unwrap_or_default()
    }
}

/// Draws of a user that may be refused before draws are made of what is left.
const REFUSALS: u32 = 10_000;

fn generator(label: &str, seed: u64, user: u32, split: Split) -> Xoshiro256PlusPlus {
    let digest = Sha256::new()
        .chain_update(label)
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
            sampled_negatives(5, &[1, 2, 3, 4, 5], 100, 1, 1, Split::Test),
            Vec::<u32>::new()
        );
        assert_eq!(
            sampled_negatives(5, &[2, 5], 100, 1, 1, Split::Test),
            [1, 3, 4]
        );
        assert_eq!(
            sampled_negatives(0, &[], 100, 1, 1, Split::Test),
            Vec::<u32>::new()
        );
        assert_eq!(
            sampled_negatives(102, &[1, 102], 100, 1, 1, Split::Valid),
            (2..=101).collect::<Vec<_>>()
        );
    }

    #[test]
    fn user_seed_and_split_each_change_the_draw() {
        let draws = [
            sampled_negatives(10_000, &[7], 100, 44, 1, Split::Test),
            sampled_negatives(10_000, &[7], 100, 45, 1, Split::Test),
            sampled_negatives(10_000, &[7], 100, 44, 2, Split::Test),
            sampled_negatives(10_000, &[7], 100, 44, 1, Split::Valid),
        ];
        let distinct: BTreeSet<_> = draws.iter().collect();
        assert_eq!(distinct.len(), draws.len());
    }

    #[test]
    fn draws_are_the_same_on_every_machine() {
        // From an implementation of its own (tests/oracles/negatives/draw.py). The second has 127 eligible items, so
        // that most candidates collide.
        let sparse = sampled_negatives(1_000_000, &[3, 7], 100, 44, 1, Split::Test);
        assert_eq!(
            (&sparse[..4], sparse[99]),
            (&[3571, 17_652, 20_057, 29_523][..], 995_486)
        );
        assert_eq!(sparse.iter().sum::<u32>(), 50_503_731);
        let dense = sampled_negatives(130, &[1, 64, 130], 100, 44, 1, Split::Valid);
        assert_eq!((&dense[..6], dense[99]), (&[2, 4, 5, 6, 7, 8][..], 128));
        assert_eq!(dense.iter().sum::<u32>(), 6464);
        let fewer = sampled_negatives(1_000_000, &[3, 7], 99, 44, 1, Split::Test);
        assert_eq!((fewer.len(), fewer.iter().sum::<u32>()), (99, 45_666_549));
        let counts: Vec<u32> = (0..=400).map(|item| item * item % 97).collect();
        let popular = Popularity::new(&counts).negatives(&[5, 9], 100, 44, 1, Split::Test);
        assert_eq!(
            (&popular[..6], popular[99]),
            (&[6, 7, 8, 11, 13, 17][..], 396)
        );
        assert_eq!(popular.iter().sum::<u32>(), 18_540);
    }

    #[test]
    fn popular_items_are_drawn_more_often() {
        // 200 items of count 1 and 200 of count 3, one drawn by each of 8,000 users: 6,000 of the latter, standard
        // deviation sqrt(8000 * 3 / 16) = 39.
        let counts: Vec<u32> = (0..=400)
            .map(|item| if item > 200 { 3 } else { 1 })
            .collect();
        let popularity = Popularity::new(&counts);
        let drawn = (1..=8_000).map(|user| popularity.negatives(&[7], 1, 44, user, Split::Test)[0]);
        let popular = drawn.filter(|&item| item > 200).count();
        assert!((5_770..=6_250).contains(&popular), "{popular}");
    }

    #[test]
    fn few_items_beside_one_that_is_taken_are_all_reached() {
        // All but a millionth of the interactions are with a known item.
        let mut counts = vec![1_u32; 201];
        counts[1] = 1_000_000_000;
        let drawn = Popularity::new(&counts).negatives(&[1], 100, 44, 1, Split::Test);
        assert_eq!(drawn.len(), 100);
        assert!(!drawn.contains(&1) && drawn.is_sorted_by(|a, b| a < b));
        counts[2..].fill(0);
        counts[5] = 2;
        let drawn = Popularity::new(&counts).negatives(&[1], 100, 44, 1, Split::Test);
        assert_eq!(drawn, [5], "never an item that was not met");
    }

    #[test]
    fn every_item_is_drawn_equally_often() {
        // 300 eligible items, 100 drawn by each of 3,000 users: 1,000 per item, standard deviation
        // sqrt(3000 / 3 * 2 / 3) = 26. Six of them leave a false alarm less than one in a million.
        let mut counts = vec![0_u32; 311];
        let known: Vec<u32> = (101..=110).collect();
        for user in 1..=3_000 {
            for item in sampled_negatives(310, &known, 100, 44, user, Split::Test) {
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
        fn popular_negatives_are_distinct_unknown_items_that_were_met(
            counts in prop::collection::vec(0_u32..50, 1..400),
            known in prop::collection::btree_set(1_u32..400, 0..100),
            seed: u64,
        ) {
            let known: Vec<u32> = known.into_iter().filter(|&item| (item as usize) <= counts.len()).collect();
            let counts: Vec<u32> = std::iter::once(0).chain(counts).collect();
            let drawn = Popularity::new(&counts).negatives(&known, 30, seed, 1, Split::Valid);
            let left = (1..counts.len()).filter(|&item| counts[item] > 0 && !known.contains(&(item as u32)));
            prop_assert_eq!(drawn.len(), left.count().min(30));
            prop_assert!(drawn.is_sorted_by(|a, b| a < b));
            prop_assert!(drawn.iter().all(|&item| counts[item as usize] > 0 && !known.contains(&item)));
        }

        #[test]
        fn negatives_are_distinct_unknown_items(
            n_items in 1_u32..2_000,
            known in prop::collection::btree_set(1_u32..2_000, 0..300),
            seed: u64,
            user: u32,
        ) {
            let known: Vec<u32> = known.into_iter().filter(|&item| item <= n_items).collect();
            let drawn = sampled_negatives(n_items, &known, 100, seed, user, Split::Test);
            prop_assert_eq!(drawn.len(), 100.min(n_items as usize - known.len()));
            prop_assert!(drawn.is_sorted_by(|a, b| a < b));
            prop_assert!(drawn.iter().all(|item| (1..=n_items).contains(item)));
            prop_assert!(drawn.iter().all(|item| known.binary_search(item).is_err()));
            prop_assert_eq!(drawn, sampled_negatives(n_items, &known, 100, seed, user, Split::Test));
        }
    }
}
