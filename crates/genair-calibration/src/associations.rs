//! How strongly behaviour ties two items: a sparse symmetric table of co-occurrence counts, and the
//! score of a count. Owns the table's form; counting is in `counting.rs`, the file in `file.rs`.

use genair_data::{Dataset, ItemId};
use genair_protocol::AssociationSpec;
use rayon::ThreadPoolBuilder;

use crate::AssociationsProblem;
use crate::counting::count;

/// Co-occurrence counts `c_ij` of the items 1 to `I` (docs/method.md, section 6), and the association score
/// `s_ij = ln(1 + c_ij) / ln(1 + max c)`, in (0, 1] for an observed pair and 0 for any other.
///
/// Symmetric, and kept as its upper triangle in compressed sparse rows: the row of an item has its
/// partners of the same or a greater id in ascending order, itself among them if it was met twice in
/// one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Associations {
    /// Row `i` is `indptr[i]..indptr[i + 1]`; `[I + 2]`, row 0 (padding) is empty.
    pub(crate) indptr: Vec<usize>,
    /// Partners, row by row.
    pub(crate) indices: Vec<u32>,
    /// Their counts, at least 1.
    pub(crate) counts: Vec<u32>,
    /// Largest count before pairs were filtered; 0 where no pair was met.
    pub(crate) max_count: u32,
}

impl Associations {
    /// Counts the pairs of positions in each user's training items; the validation and test targets
    /// are not looked at. Uses the threads of the current rayon pool, or as many as the system gives; the result
    /// does not depend on how many there are. Counts stop at `u32::MAX`.
    ///
    /// Takes time in the order of the sum over sequences of the square of their length (distinct items,
    /// where `spec.window` is absent; length times window, where it is there), and memory in the order
    /// of interactions plus observed pairs.
    pub fn count(dataset: &Dataset, spec: &AssociationSpec) -> Self {
        in_a_pool(|| {
            let sequences = (0..dataset.num_users()).map(|user| dataset.train(user));
            count(sequences, dataset.num_items(), spec)
        })
    }

    /// Takes counts as they are; the largest of them scores 1. Each unordered pair comes once.
    ///
    /// # Errors
    /// [`AssociationsProblem::Pair`] for an item outside `1..=num_items`, a count of 0, and a pair that
    /// comes twice.
    pub fn from_counts(
        num_items: usize,
        pairs: impl IntoIterator<Item = (ItemId, ItemId, u32)>,
    ) -> Result<Self, AssociationsProblem> {
        let mut entries = Vec::new();
        for (a, b, count) in pairs {
            let wrong = |reason| AssociationsProblem::Pair {
                first: a.get(),
                second: b.get(),
                reason,
            };
            let known = |item: ItemId| (1..=num_items).contains(&item.row());
            if !known(a) || !known(b) {
                return Err(wrong("names an item that the catalogue lacks"));
            }
            if count == 0 {
                return Err(wrong("has a count of 0; leave it out"));
            }
            entries.push((a.min(b).get(), a.max(b).get(), count));
        }
        entries.sort_unstable();
        if let Some(twice) = entries
            .windows(2)
            .find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1))
        {
            return Err(AssociationsProblem::Pair {
                first: twice[0].0,
                second: twice[0].1,
                reason: "comes twice; add its counts up",
            });
        }
        let mut indptr = vec![0; num_items + 2];
        for &(item, ..) in &entries {
            indptr[item as usize + 1] += 1;
        }
        for row in 0..=num_items {
            indptr[row + 1] += indptr[row];
        }
        Ok(Self {
            indptr,
            indices: entries.iter().map(|entry| entry.1).collect(),
            counts: entries.iter().map(|entry| entry.2).collect(),
            max_count: entries.iter().map(|entry| entry.2).max().unwrap_or(0),
        })
    }

    /// Number of items, `I`.
    pub fn num_items(&self) -> usize {
        self.indptr.len() - 2
    }

    /// Largest count before `min_count` took pairs away: the one that scores 1. 0 where no pair was
    /// met.
    pub fn max_count(&self) -> u32 {
        self.max_count
    }

    /// Observed pairs, those of an item with itself included.
    pub fn num_pairs(&self) -> usize {
        self.indices.len()
    }

    /// An item's partners from its own id on, ascending, and how often it met each. Empty for padding.
    ///
    /// # Panics
    /// Where there is no such item.
    pub fn row(&self, item: ItemId) -> (&[u32], &[u32]) {
        let row = self.indptr[item.row()]..self.indptr[item.row() + 1];
        (&self.indices[row.clone()], &self.counts[row])
    }

    /// How often two items met, `c_ij`; 0 for a pair that is not observed.
    ///
    /// # Panics
    /// Where the catalogue lacks both.
    pub fn count_of(&self, a: ItemId, b: ItemId) -> u32 {
        let (partners, counts) = self.row(a.min(b));
        let place = partners.binary_search(&a.max(b).get());
        place.map_or(0, |place| counts[place])
    }

    /// Association of a pair with such a count, `s` in [0, 1].
    pub fn score(&self, count: u32) -> f64 {
        if count == 0 {
            return 0.0;
        }
        f64::from(count).ln_1p() / f64::from(self.max_count).ln_1p()
    }
}

/// Does `work` in the current pool, or else in one of its own: of this thread alone where the system refuses others.
fn in_a_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_some() {
        return work();
    }
    let alone = || ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    let pool = ThreadPoolBuilder::new().build();
    match pool.or_else(|_| alone().build()) {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(u32, u32, u32)]) -> Result<Associations, AssociationsProblem> {
        let pair = |&(a, b, count)| (ItemId::new(a), ItemId::new(b), count);
        Associations::from_counts(4, pairs.iter().map(pair))
    }

    #[test]
    fn a_pair_is_found_from_both_sides_and_an_absent_one_scores_nothing() {
        let table = table(&[(3, 1, 2), (2, 2, 5), (4, 3, 1)]).unwrap();
        let count = |a, b| table.count_of(ItemId::new(a), ItemId::new(b));
        assert_eq!(
            [count(1, 3), count(3, 1), count(2, 2), count(1, 2)],
            [2, 2, 5, 0]
        );
        assert_eq!(table.row(ItemId::new(3)), ([4].as_slice(), [1].as_slice()));
        assert!(table.row(ItemId::PADDING).0.is_empty());
        assert_eq!((table.num_items(), table.num_pairs()), (4, 3));
        assert_eq!([table.score(0), table.score(5)], [0.0, 1.0]);
    }

    #[test]
    fn pairs_that_cannot_be_entered_are_named() {
        for (pairs, expected) in [
            (&[(1, 5, 1)][..], "the pair (1, 5) names an item"),
            (&[(0, 2, 1)], "the pair (0, 2) names an item"),
            (&[(1, 2, 0)], "the pair (1, 2) has a count of 0"),
            (&[(1, 2, 1), (2, 1, 1)], "the pair (1, 2) comes twice"),
            (&[(2, 2, 1), (2, 2, 1)], "the pair (2, 2) comes twice"),
        ] {
            let message = table(pairs).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
