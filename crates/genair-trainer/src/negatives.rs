//! Training negatives: items a user has not met in training.

use rand::{Rng, RngExt};

/// Draws training negatives of one user.
pub(crate) struct NegativeSampler<'a> {
    /// The user's training items, ascending, without duplicates.
    seen: &'a [u32],
    /// Items are 1 to this.
    items: u32,
}

impl<'a> NegativeSampler<'a> {
    pub(crate) fn new(seen: &'a [u32], items: u32) -> Self {
        Self { seen, items }
    }

    /// One item, uniform over those outside the user's training sequence; uniform over all items
    /// but `target` for a user who has met every item, and the target itself where it is the only
    /// item there is.
    pub(crate) fn draw(&self, target: u32, rng: &mut impl Rng) -> u32 {
        let unseen = self.items - self.seen.len() as u32;
        if unseen == 0 {
            if self.items == 1 {
                return target;
            }
            let drawn = rng.random_range(1..self.items);
            return if drawn < target { drawn } else { drawn + 1 };
        }
        if unseen >= self.items / 2 {
            loop {
                let drawn = rng.random_range(1..=self.items);
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
            let sampler = NegativeSampler::new(&seen, items);
            for (index, &item) in unseen.iter().enumerate() {
                prop_assert_eq!(sampler.nth_unseen(index as u32 + 1), item);
            }
        }

        #[test]
        fn a_negative_is_never_a_training_item_unless_all_are(
            items in 1u32..40, picks in prop::collection::btree_set(1u32..40, 0..40), seed: u64
        ) {
            let seen: Vec<u32> = picks.into_iter().filter(|&item| item <= items).collect();
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let drawn = NegativeSampler::new(&seen, items).draw(1, &mut rng);
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
            let sampler = NegativeSampler::new(&seen, 20);
            let mut counts = [0u32; 21];
            let draws = 40_000;
            for _ in 0..draws {
                counts[sampler.draw(2, &mut rng) as usize] += 1;
            }
            let expected = f64::from(draws) / (20 - seen.len()) as f64;
            for item in (1..=20).filter(|item| !seen.contains(item)) {
                let share = f64::from(counts[item as usize]) / expected;
                assert!((share - 1.0).abs() < 0.1, "item {item}: {share}");
            }
        }
    }
}
