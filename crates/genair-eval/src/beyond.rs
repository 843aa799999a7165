//! What lists are like beside being right: coverage, Gini, novelty, tail share and intra-list similarity
//! (docs/method.md, section 7). Owns the sums over lists; makes no lists.

use genair_protocol::{Cohort, Metric, MetricRow};

use crate::Listed;

/// What is known of the items that lists have.
#[derive(Clone, Copy, Debug)]
pub struct ItemFacts<'a> {
    /// Training interactions by item, `[I + 1]`, entry 0 meaningless.
    pub popularity: &'a [u32],
    /// Users who have each item in training, `[I + 1]`, entry 0 meaningless.
    pub users_of: &'a [u32],
    /// All users, at least 1.
    pub users: u64,
    /// Items that a list may show, from 1 to `I`.
    pub candidates: usize,
    /// Training interactions that a head item has at least.
    pub head_item: u64,
    /// Vectors of length 1, `[I + 1, W]` row by row, and `W`; an item without one has zeros.
    pub vectors: Option<(&'a [f32], usize)>,
}

/// Sums over the lists of one group of users, for each cut-off.
#[derive(Clone, Debug)]
pub struct ListSums<'a> {
    facts: ItemFacts<'a>,
    cutoffs: Vec<Sums>,
    lists: u64,
    /// Reused by each list: the sum of its vectors.
    sum: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Sums {
    k: u32,
    /// How often each item is in a list, `[I + 1]`.
    exposure: Vec<u32>,
    novelty: f64,
    tail: f64,
    similarity: f64,
    /// Lists with two vectors at least.
    with_pairs: u64,
}

impl<'a> ListSums<'a> {
    /// Begins with no list; `cutoffs` are at least 1 each.
    pub fn new(facts: ItemFacts<'a>, cutoffs: &[u32]) -> Self {
        let sums = |&k: &u32| Sums {
            k,
            exposure: vec![0; facts.popularity.len()],
            novelty: 0.0,
            tail: 0.0,
            similarity: 0.0,
            with_pairs: 0,
        };
        Self {
            facts,
            cutoffs: cutoffs.iter().map(sums).collect(),
            lists: 0,
            sum: Vec::new(),
        }
    }

    /// Takes the list of a user, best first, at least as long as the largest cut-off unless there are no more candidates.
    /// An empty list counts for nothing.
    pub fn add(&mut self, list: &[Listed]) {
        if list.is_empty() {
            return;
        }
        self.lists += 1;
        let facts = self.facts;
        for sums in &mut self.cutoffs {
            let shown = &list[..list.len().min(sums.k as usize)];
            let (mut novelty, mut tail) = (0.0, 0_u32);
            for listed in shown {
                let popularity = facts.popularity[listed.item as usize];
                sums.exposure[listed.item as usize] += 1;
                novelty += self_information(facts.users_of[listed.item as usize], facts.users);
                tail += u32::from(u64::from(popularity) < facts.head_item);
            }
            let length = shown.len() as f64;
            sums.novelty += novelty / length;
            sums.tail += f64::from(tail) / length;
            let similarity = facts
                .vectors
                .and_then(|(rows, width)| similarity(shown, rows, width, &mut self.sum));
            if let Some(similarity) = similarity {
                sums.similarity += similarity;
                sums.with_pairs += 1;
            }
        }
    }

    /// One row for each metric and cut-off; intra-list similarity only where a list has two vectors. None without lists.
    pub fn rows(&self, cohort: Cohort) -> Vec<MetricRow> {
        let mut rows = Vec::new();
        if self.lists == 0 {
            return rows;
        }
        let lists = self.lists as f64;
        for sums in &self.cutoffs {
            let shown = sums.exposure.iter().skip(1);
            let covered = shown.filter(|&&exposure| exposure > 0).count();
            let mut add = |metric, value, users| {
                rows.push(MetricRow {
                    cohort,
                    metric,
                    k: sums.k,
                    value,
                    users,
                });
            };
            let candidates = self.facts.candidates;
            let coverage = covered as f64 / candidates as f64;
            add(Metric::Coverage, coverage, self.lists);
            add(
                Metric::Gini,
                gini(&sums.exposure[1..], candidates),
                self.lists,
            );
            add(Metric::Novelty, sums.novelty / lists, self.lists);
            add(Metric::TailShare, sums.tail / lists, self.lists);
            if sums.with_pairs > 0 {
                let mean = sums.similarity / sums.with_pairs as f64;
                add(Metric::IntraListSimilarity, mean, sums.with_pairs);
            }
        }
        rows
    }
}

/// Bits of surprise at an item: `-log2 p` with `p` the share of users who have it in training (Zhou et al., PNAS 107(10),
/// 2010); an item that nobody has counts as one that a single user has.
fn self_information(users_of: u32, users: u64) -> f64 {
    (users as f64 / f64::from(users_of.max(1))).log2()
}

/// The Gini coefficient of how often items are shown, from 0 (all alike) towards 1 (one item alone): `sum_r (2r - I - 1)
/// x_r / (I sum x)` with `x_1 <= ... <= x_I` of the `I` candidates; the other items are never shown. 0 where nothing is.
fn gini(exposure: &[u32], candidates: usize) -> f64 {
    let mut sorted = exposure.to_vec();
    sorted.sort_unstable();
    let sorted = &sorted[sorted.len().saturating_sub(candidates)..];
    let items = sorted.len() as f64;
    let total: f64 = sorted.iter().map(|&own| f64::from(own)).sum();
    let weighted = sorted.iter().enumerate().map(|(before, &own)| {
        let rank = before as f64 + 1.0;
        (2.0 * rank - items - 1.0) * f64::from(own)
    });
    match total {
        0.0 => 0.0,
        total => weighted.sum::<f64>() / (items * total),
    }
}

/// The mean cosine of all pairs of a list's items with vectors; `None` for fewer than two. Of vectors `u` of length 1, the
/// sum over pairs is `(|sum u|^2 - n) / 2`, which takes no pass over pairs.
fn similarity(shown: &[Listed], rows: &[f32], width: usize, sum: &mut Vec<f64>) -> Option<f64> {
    sum.clear();
    sum.resize(width, 0.0);
    let (mut squares, mut vectors) = (0.0, 0.0);
    for listed in shown {
        let at = listed.item as usize * width;
        let row = &rows[at..at + width];
        let mut square = 0.0;
        for (sum, &value) in sum.iter_mut().zip(row) {
            *sum += f64::from(value);
            square += f64::from(value).powi(2);
        }
        squares += square;
        vectors += f64::from(u8::from(square > 0.0));
    }
    let whole: f64 = sum.iter().map(|own| own.powi(2)).sum();
    (vectors >= 2.0).then(|| (whole - squares) / (vectors * (vectors - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[u32]) -> Vec<Listed> {
        let listed = |&item| Listed { item, score: 0.0 };
        items.iter().map(listed).collect()
    }

    fn value(rows: &[MetricRow], metric: Metric, k: u32) -> f64 {
        let row = rows.iter().find(|row| row.metric == metric && row.k == k);
        row.unwrap().value
    }

    /// numpy, with the formulas of docs/method.md over loops.
    #[test]
    fn lists_are_measured_by_their_formulas() {
        let popularity = [0, 8, 4, 2, 1, 0];
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let vectors = [
            0.0, 0.0, 1.0, 0.0, half, half, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0,
        ];
        let facts = ItemFacts {
            popularity: &popularity,
            users_of: &popularity,
            users: 8,
            candidates: 5,
            head_item: 4,
            vectors: Some((&vectors, 2)),
        };
        let mut sums = ListSums::new(facts, &[2, 3]);
        for own in [&[1, 2, 3][..], &[1, 4, 5], &[2, 1], &[]] {
            sums.add(&list(own));
        }
        let rows = sums.rows(Cohort::All);
        let near = |metric, k, expected: f64| {
            let found = value(&rows, metric, k);
            assert!((found - expected).abs() < 1e-7, "{metric}@{k}: {found}");
        };
        near(Metric::Coverage, 2, 0.6);
        near(Metric::Coverage, 3, 1.0);
        // Exposures 3, 2, 0, 1, 0 and 3, 2, 1, 1, 1.
        near(Metric::Gini, 2, (4.0 * 3.0 + 2.0 * 2.0 + 0.0) / (5.0 * 6.0));
        near(
            Metric::Gini,
            3,
            (-4.0 - 2.0 + 0.0 + 4.0 + 12.0) / (5.0 * 8.0),
        );
        near(Metric::Novelty, 2, (0.5 + 1.5 + 0.5) / 3.0);
        near(Metric::Novelty, 3, (1.0 + 2.0 + 0.5) / 3.0);
        near(Metric::TailShare, 2, (0.0 + 0.5 + 0.0) / 3.0);
        near(Metric::TailShare, 3, (1.0 / 3.0 + 2.0 / 3.0 + 0.0) / 3.0);
        let half = f64::from(half);
        near(Metric::IntraListSimilarity, 2, half);
        near(
            Metric::IntraListSimilarity,
            3,
            ((half + 0.0 + half) / 3.0 - 1.0 + half) / 3.0,
        );
        let row = rows
            .iter()
            .find(|row| row.metric == Metric::IntraListSimilarity);
        assert_eq!(row.unwrap().users, 2, "an item of one list has no vector");
        assert!(rows.iter().all(|row| row.users <= 3));
        assert!(ListSums::new(facts, &[2]).rows(Cohort::All).is_empty());
    }

    #[test]
    fn gini_is_that_of_its_definition() {
        let by_pairs = |own: &[u32]| {
            let pairs = own
                .iter()
                .flat_map(|a| own.iter().map(move |b| a.abs_diff(*b)));
            let sum: u32 = own.iter().sum();
            f64::from(pairs.sum::<u32>()) / (2.0 * own.len() as f64 * f64::from(sum))
        };
        for own in [&[1, 1, 1][..], &[0, 0, 9], &[5, 2, 7, 7, 0]] {
            assert!(
                (gini(own, own.len()) - by_pairs(own)).abs() < 1e-12,
                "{own:?}"
            );
        }
        assert_eq!(gini(&[0, 0], 2), 0.0);
        // An item that no list may show.
        assert_eq!(gini(&[0, 5, 2], 2), gini(&[5, 2], 2));
    }
}
