//! Training negatives: items a user has not met in training.

use genair_protocol::NegativeSampler;
use rand::{Rng, RngExt};

/// How often a drawn item may turn out to be known before the draw becomes uniform.
const MAX_REJECTIONS: usize = 100;

/// With which probability each item is drawn, before a user's own items are excluded.
pub(crate) enum ItemDistribution {
    /// Items 1 to this, all alike.
    Uniform(u32),
    /// In proportion to training popularity: sums of the popularities up to each item, from row 0.
    Popularity(Vec<u64>),
}

impl ItemDistribution {
    pub(crate) fn new(sampler: NegativeSampler, popularity: &[u32]) -> Self {
        match sampler {
            NegativeSampler::Uniform => Self::Uniform(popularity.len() as u32 - 1),
            NegativeSampler::Popularity => {
                let mut sum = 0;
                let sums = popularity.iter().map(|&count| {
                    sum += u64::from(count);
                    sum
                });
                Self::Popularity(sums.collect())
            }
        }
    }

    /// One item.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> u32 {
        match self {
            Self::Uniform(items) => rng.random_range(1..=*items),
            Self::Popularity(sums) => {
                let total = sums.last().copied().unwrap_or(0);
                let drawn = rng.random_range(0..total);
                sums.partition_point(|&sum| sum <= drawn) as u32
            }
        }
    }

    /// Natural logarithm of an item's probability, where items differ.
    pub(crate) fn log_probability(&self, item: usize) -> Option<f32> {
        let Self::Popularity(sums) = self else {
            return None;
        };
        let count = sums[item] - sums[item - 1];
        // An item that is never drawn is as rare as one could see: its target score must be finite.
        Some((count.max(1) as f64 / sums.last().copied().unwrap_or(1) as f64).ln() as f32)
    }
}

/// Draws training negatives of one user, as [`NegativeSampler`] says.
pub(crate) struct NegativeDraws<'a> {
    /// The user's training items, ascending, without duplicates.
    seen: &'a [u32],
    /// Items are 1 to this.
    items: u32,
    distribution: &'a ItemDistribution,
}

impl<'a> NegativeDraws<'a> {
    pub(crate) fn new(seen: &'a [u32], items: u32, distribution: &'a ItemDistribution) -> Self {
        Self {
            seen,
            items,
            distribution,
        }
    }

    /// One item from the distribution, outside the user's training sequence; uniform over all items
    /// but `target` for a user who has met every item, and the target itself where it is the only
    /// item there is. Ends on any catalogue.
    pub(crate) fn draw(&self, target: u32, rng: &mut impl Rng) -> u32 {
        let unseen = self.items - self.seen.len() as u32;
        if unseen == 0 {
            if self.items == 1 {
                return target;
            }
            let drawn = rng.random_range(1..self.items);
            return if drawn < target { drawn } else { drawn + 1 };
        }
        let uniform = matches!(self.distribution, ItemDistribution::Uniform(_));
        if !uniform || unseen >= self.items / 2 {
            for _ in 0..MAX_REJECTIONS {
                let drawn = self.distribution.draw(rng);
                if self.seen.binary_search(&drawn).is_err() {
                    return drawn;
                }
            }
        }
        self.nth_unseen(rng.random_range(1..=unseen))
    }

    /// The `n`-th item, from 1, that the user has not met.
    fn nth_unseen(&self, n: u32) -> u32 {
        // `seen[i] - i - 1` unseen items come before `seen[i]`.
        let (mut low, mut high) = (0, self.seen.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.seen[middle] - middle as u32 > n {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        n + low as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    proptest! {
        #[test]
        fn the_nth_unseen_item_is_that_of_a_list(items in 1u32..60, picks in prop::collection::btree_set(1u32..60, 0..50)) {
            let seen: Vec<u32> = picks.into_iter().filter(|&item| item <= items).collect();
            let unseen: Vec<u32> = (1..=items).filter(|item| !seen.contains(item)).collect();
            let uniform = ItemDistribution::Uniform(items);
            let draws = NegativeDraws::new(&seen, items, &uniform);
            for (index, &item) in unseen.iter().enumerate() {
                prop_assert_eq!(draws.nth_unseen(index as u32 + 1), item);
            }
        }

        #[test]
        fn a_negative_is_never_a_training_item_unless_all_are(
            items in 1u32..40, picks in prop::collection::btree_set(1u32..40, 0..40), seed: u64, by_popularity: bool
        ) {
            let seen: Vec<u32> = picks.into_iter().filter(|&item| item <= items).collect();
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let popularity: Vec<u32> = (0..=items).map(|item| item % 7).collect();
            let kind = if by_popularity { NegativeSampler::Popularity } else { NegativeSampler::Uniform };
            prop_assume!(items > 6 || !by_popularity);
            let distribution = ItemDistribution::new(kind, &popularity);
            let drawn = NegativeDraws::new(&seen, items, &distribution).draw(1, &mut rng);
            prop_assert!((1..=items).contains(&drawn));
            if seen.len() < items as usize {
                prop_assert!(!seen.contains(&drawn));
            } else if items > 1 {
                prop_assert_ne!(drawn, 1);
            }
        }
    }

    #[test]
    fn draws_are_uniform_whether_few_or_many_items_are_seen() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        for seen in [vec![2, 5], (1..=16).collect::<Vec<u32>>()] {
            let uniform = ItemDistribution::Uniform(20);
            let draws = NegativeDraws::new(&seen, 20, &uniform);
            let mut counts = [0u32; 21];
            const DRAWS: u32 = 40_000;
            for _ in 0..DRAWS {
                counts[draws.draw(2, &mut rng) as usize] += 1;
            }
            let expected = f64::from(DRAWS) / (20 - seen.len()) as f64;
            for item in (1..=20).filter(|item| !seen.contains(item)) {
                let share = f64::from(counts[item as usize]) / expected;
                assert!((share - 1.0).abs() < 0.1, "item {item}: {share}");
            }
        }
    }

    #[test]
    fn popular_items_are_drawn_in_proportion() {
        let distribution = ItemDistribution::new(NegativeSampler::Popularity, &[0, 6, 0, 1, 3]);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        let mut counts = [0u32; 5];
        for _ in 0..20_000 {
            counts[distribution.draw(&mut rng) as usize] += 1;
        }
        for (count, expected) in counts.iter().zip([0.0, 0.6, 0.0, 0.1, 0.3]) {
            assert!(
                (f64::from(*count) / 20_000.0 - expected).abs() < 0.02,
                "{counts:?}"
            );
        }
        let probability = distribution.log_probability(4).unwrap();
        assert!((probability - 0.3f32.ln()).abs() < 1e-6);
        assert_eq!(ItemDistribution::Uniform(4).log_probability(1), None);
    }
}
