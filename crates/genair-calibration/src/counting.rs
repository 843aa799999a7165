//! Counting co-occurrence, row by row (Gustavson, ACM TOMS 4(3), 1978): with A the users x items
//! table, a row of A'A is a sum over the users who have the item. Rows need nothing of each other, so
//! they run in parallel, shard by shard, and no pair is ever stored twice or sorted with the others.

use std::sync::{Mutex, PoisonError};

use genair_data::ItemId;
use genair_protocol::AssociationSpec;
use rayon::prelude::*;

use crate::Associations;

/// Rows that one thread counts at a time: few, for rows are uneven.
const BLOCK: usize = 32;
/// Blocks that are held until they are appended to the table, in order.
const SHARD: usize = 64;

/// See [`Associations::count`].
pub(crate) fn count<'a>(
    sequences: impl Iterator<Item = &'a [ItemId]>,
    num_items: usize,
    spec: &AssociationSpec,
) -> Associations {
    let entries = Entries::new(sequences, spec.window);
    let occurrences = Occurrences::of(&entries, num_items);
    let mut table = Associations {
        indptr: vec![0, 0],
        indices: Vec::new(),
        counts: Vec::new(),
        max_count: 0,
    };
    // Rows in progress are as long as the catalogue: threads use them again.
    let spare = Mutex::new(Vec::new());
    let rows = || spare.lock().unwrap_or_else(PoisonError::into_inner);
    let first_items: Vec<usize> = (1..=num_items).step_by(BLOCK).collect();
    for shard in first_items.chunks(SHARD) {
        let count = |&first: &usize| {
            let mut row = rows().pop().unwrap_or_else(|| Row::new(num_items));
            let mut block = Block::default();
            for item in first..(first + BLOCK).min(num_items + 1) {
                row.count(item, &entries, &occurrences);
                block.take(&mut row, spec.min_count);
            }
            rows().push(row);
            block
        };
        let blocks: Vec<Block> = shard.par_iter().map(count).collect();
        for block in blocks {
            let start = table.indices.len();
            table
                .indptr
                .extend(block.ends.iter().map(|end| start + end));
            table.indices.extend_from_slice(&block.indices);
            table.counts.extend_from_slice(&block.counts);
            table.max_count = table.max_count.max(block.max_count);
        }
    }
    table
}

/// The sequences, as what a row is summed over.
///
/// Without a window the order within a sequence does not matter: it is kept as its distinct items with
/// their multiplicities, so that a long history of few items costs little.
struct Entries {
    /// Sequence `s` is `offsets[s]..offsets[s + 1]`.
    offsets: Vec<usize>,
    items: Vec<u32>,
    multiplicities: Vec<u32>,
    /// How many entries away a partner may be; none: each sequence is a sorted bag.
    window: Option<usize>,
}

impl Entries {
    fn new<'a>(sequences: impl Iterator<Item = &'a [ItemId]>, window: Option<usize>) -> Self {
        let mut entries = Self {
            offsets: vec![0],
            items: Vec::new(),
            multiplicities: Vec::new(),
            window,
        };
        let mut sorted = Vec::new();
        for sequence in sequences {
            let positions = sequence.iter().map(|item| item.get());
            if window.is_some() {
                entries.items.extend(positions);
                entries.multiplicities.resize(entries.items.len(), 1);
            } else {
                sorted.clear();
                sorted.extend(positions);
                sorted.sort_unstable();
                for run in sorted.chunk_by(|a, b| a == b) {
                    entries.items.push(run[0]);
                    entries.multiplicities.push(run.len() as u32);
                }
            }
            entries.offsets.push(entries.items.len());
        }
        entries
    }
}

/// Where each item is.
struct Occurrences {
    /// Item `i` has `indptr[i]..indptr[i + 1]`.
    indptr: Vec<usize>,
    /// Sequence, and place in it.
    places: Vec<(u32, u32)>,
}

impl Occurrences {
    fn of(entries: &Entries, num_items: usize) -> Self {
        let mut indptr = vec![0; num_items + 2];
        for &item in &entries.items {
            indptr[item as usize + 1] += 1;
        }
        for item in 0..=num_items {
            indptr[item + 1] += indptr[item];
        }
        let mut next = indptr.clone();
        let mut places = vec![(0, 0); entries.items.len()];
        for (sequence, bounds) in entries.offsets.windows(2).enumerate() {
            for (place, &item) in entries.items[bounds[0]..bounds[1]].iter().enumerate() {
                let slot = &mut next[item as usize];
                places[*slot] = (sequence as u32, place as u32);
                *slot += 1;
            }
        }
        Self { indptr, places }
    }
}

/// One row while it is counted: dense, so that adding to it is one store.
struct Row {
    /// By item.
    counts: Vec<u64>,
    /// Items with a count.
    touched: Vec<u32>,
}

impl Row {
    fn new(num_items: usize) -> Self {
        Self {
            counts: vec![0; num_items + 1],
            touched: Vec::new(),
        }
    }

    fn count(&mut self, item: usize, entries: &Entries, occurrences: &Occurrences) {
        let places = &occurrences.places[occurrences.indptr[item]..occurrences.indptr[item + 1]];
        let mut total = 0;
        for &(sequence, place) in places {
            let (start, end) = (
                entries.offsets[sequence as usize],
                entries.offsets[sequence as usize + 1],
            );
            let at = start + place as usize;
            let reached = match entries.window {
                // Sorted: partners of a lesser id come before.
                None => at..end,
                Some(window) => {
                    at.saturating_sub(window).max(start)
                        ..at.saturating_add(window).saturating_add(1).min(end)
                }
            };
            let multiplicity = u64::from(entries.multiplicities[at]);
            total += multiplicity;
            let multiplicities = &entries.multiplicities[reached.clone()];
            for (&partner, &times) in entries.items[reached].iter().zip(multiplicities) {
                if (partner as usize) < item {
                    continue;
                }
                let count = &mut self.counts[partner as usize];
                if *count == 0 {
                    self.touched.push(partner);
                }
                // Unchecked: 2^64 pairs are more than anyone can wait for.
                *count = count.wrapping_add(multiplicity.wrapping_mul(u64::from(times)));
            }
        }
        // Each occurrence met itself once, and each pair of occurrences was seen from both.
        self.counts[item] = (self.counts[item] - total) / 2;
        self.touched.sort_unstable();
    }
}

/// Rows of consecutive items.
#[derive(Default)]
struct Block {
    indices: Vec<u32>,
    counts: Vec<u32>,
    /// Where each row ends.
    ends: Vec<usize>,
    /// Before the filter.
    max_count: u32,
}

impl Block {
    /// Appends a row and leaves it blank.
    fn take(&mut self, row: &mut Row, min_count: u32) {
        for partner in row.touched.drain(..) {
            let count = std::mem::take(&mut row.counts[partner as usize]);
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.max_count = self.max_count.max(count);
            if count >= min_count.max(1) {
                self.indices.push(partner);
                self.counts.push(count);
            }
        }
        self.ends.push(self.indices.len());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    fn items(ids: &[u32]) -> Vec<ItemId> {
        ids.iter().copied().map(ItemId::new).collect()
    }

    fn table(sequences: &[Vec<u32>], num_items: usize, spec: &AssociationSpec) -> Associations {
        let sequences: Vec<Vec<ItemId>> = sequences.iter().map(|ids| items(ids)).collect();
        count(sequences.iter().map(Vec::as_slice), num_items, spec)
    }

    /// Made by the published code (tests/fixtures/README.md, "Others").
    #[derive(Deserialize)]
    struct Oracle {
        max_count: u32,
        pairs: Vec<(u32, u32, u32, f64)>,
    }

    #[test]
    fn counts_and_scores_are_those_of_the_published_code() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/");
        let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
        let oracle: Oracle = serde_json::from_str(&read("tiny_cooc.json")).unwrap();
        let sequences: Vec<Vec<u32>> = read("tiny_inter_seq.txt")
            .lines()
            .map(|line| {
                let numbers = line.split(' ').map(|number| number.parse().unwrap());
                let mut items: Vec<u32> = numbers.skip(1).collect();
                items.truncate(items.len() - 2);
                items
            })
            .collect();
        let table = table(&sequences, 9, &AssociationSpec::default());
        assert_eq!(table.max_count(), oracle.max_count);
        for &(a, b, count, score) in &oracle.pairs {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(
                    table.count_of(ItemId::new(a), ItemId::new(b)),
                    count,
                    "({a}, {b})"
                );
            }
            assert!((table.score(count) - score).abs() < 1e-6, "({a}, {b})");
        }
        assert_eq!(table.num_pairs(), oracle.pairs.len());
    }

    #[test]
    fn the_filter_takes_pairs_and_leaves_the_largest_count() {
        let spec = AssociationSpec {
            min_count: 4,
            ..AssociationSpec::default()
        };
        let table = table(&[vec![1, 2, 1, 2], vec![3, 1]], 3, &spec);
        let count = |a, b| table.count_of(ItemId::new(a), ItemId::new(b));
        assert_eq!((count(1, 2), count(1, 1), count(1, 3)), (4, 0, 0));
        let spec = AssociationSpec {
            min_count: 5,
            ..spec
        };
        let none = super::tests::table(&[vec![1, 2, 1, 2]], 3, &spec);
        assert_eq!((none.num_pairs(), none.max_count()), (0, 4));
    }

    #[test]
    fn nothing_to_count_is_an_empty_table() {
        let table = table(&[vec![], vec![2]], 3, &AssociationSpec::default());
        assert_eq!(
            (table.num_items(), table.num_pairs(), table.max_count()),
            (3, 0, 0)
        );
    }

    proptest! {
        #[test]
        fn every_pair_of_positions_counts_once_on_any_number_of_threads(
            sequences in prop::collection::vec(prop::collection::vec(1_u32..9, 0..14), 0..8),
            window in prop::option::of(1_usize..6),
            min_count in 1_u32..4,
        ) {
            let mut expected = BTreeMap::new();
            for sequence in &sequences {
                for a in 0..sequence.len() {
                    for b in a + 1..sequence.len() {
                        if window.is_none_or(|window| b - a <= window) {
                            let pair = (sequence[a].min(sequence[b]), sequence[a].max(sequence[b]));
                            *expected.entry(pair).or_insert(0) += 1;
                        }
                    }
                }
            }
            let spec = AssociationSpec { window, min_count };
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| table(&sequences, 9, &spec))
            };
            let found = on(1);
            prop_assert_eq!(found.max_count(), expected.values().copied().max().unwrap_or(0));
            let kept = expected.into_iter().filter(|&(_, count)| count >= min_count);
            let mut kept = Associations::from_counts(9, kept.map(|((a, b), count)| {
                (ItemId::new(a), ItemId::new(b), count)
            })).unwrap();
            kept.max_count = found.max_count;
            prop_assert_eq!(&found, &kept);
            prop_assert_eq!(&found, &on(3));
        }
    }
}
