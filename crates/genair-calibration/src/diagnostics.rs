//! What an item space looks like, for people to read: uniformity and alignment on the hypersphere (Wang
//! & Isola, ICML 2020, arXiv:2005.10242) and whether similar items are those that met in held-out
//! behaviour. Nothing here may enter training.

use std::collections::HashMap;

use genair_data::{Dataset, ItemId};
use genair_protocol::Split;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

use crate::Associations;

/// Items up to which all of their pairs are looked at.
const EXACT_ITEMS: usize = 2048;
/// Pairs that are looked at where there are more.
const SAMPLED_PAIRS: usize = 1 << 20;
/// Draws, for each random pair wanted, before a catalogue in which nearly all items met is given up.
const TRIES: usize = 20;

/// Item vectors, scaled to length 1.
#[derive(Clone, Debug)]
pub struct ItemSpace {
    width: usize,
    /// `[I + 1, d]`, row 0 (padding) as it came.
    unit: Vec<f32>,
}

/// How similarity of items goes with held-out behaviour; see [`ItemSpace::association_correlation`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AssociationCorrelation {
    /// Pearson's correlation, in [-1, 1].
    pub pearson: f64,
    /// Spearman's, ties at their mean rank, in [-1, 1].
    pub spearman: f64,
    /// Pairs that met in held-out behaviour.
    pub held_out_pairs: usize,
    /// Pairs that met nowhere; fewer than the others only where few such pairs exist.
    pub random_pairs: usize,
}

impl ItemSpace {
    /// Takes `vectors`, `[I + 1, width]` row by row; row 0, padding, is never looked at.
    ///
    /// # Panics
    /// If `width` is 0 or the values are not whole rows.
    pub fn new(vectors: &[f32], width: usize) -> Self {
        assert!(
            width > 0 && vectors.len().is_multiple_of(width),
            "{} values are no rows of {width}",
            vectors.len()
        );
        let mut unit = Vec::with_capacity(vectors.len());
        for row in vectors.chunks_exact(width) {
            let square: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
            let norm = square.sqrt().max(1e-12);
            unit.extend(row.iter().map(|&value| (f64::from(value) / norm) as f32));
        }
        Self { width, unit }
    }

    /// Uniformity, `ln(mean of exp(-2 ||x - y||^2))` over pairs of different items: 0 where all vectors
    /// are one, and the lower the more evenly they spread. All pairs of up to 2,048 items; of more,
    /// 2^20 pairs drawn by `seed`. Absent for fewer than two items.
    pub fn uniformity(&self, seed: u64) -> Option<f64> {
        let items = self.num_items();
        if items < 2 {
            return None;
        }
        let potential = |a, b| (-2.0 * self.distance(a, b)).exp();
        if items <= EXACT_ITEMS {
            let rows = 1..=items;
            let sum: f64 = rows
                .map(|a| (a + 1..=items).map(|b| potential(a, b)).sum::<f64>())
                .sum();
            return Some((sum / (items * (items - 1) / 2) as f64).ln());
        }
        let mut draws = generator(seed, "uniformity");
        let sum: f64 = (0..SAMPLED_PAIRS)
            .map(|_| {
                let (a, b) = two_items(items, &mut draws);
                potential(a, b)
            })
            .sum();
        Some((sum / SAMPLED_PAIRS as f64).ln())
    }

    /// Alignment, the mean of `||x - y||^2` over observed pairs of different items, weighted by their
    /// association `s`, in [0, 4]: the lower, the nearer are items that behaviour ties. All pairs of up
    /// to 2^20; of more, so many drawn by `seed`. Absent where no pair is observed.
    ///
    /// # Panics
    /// If the associations are of another number of items.
    pub fn alignment(&self, associations: &Associations, seed: u64) -> Option<f64> {
        assert_eq!(
            associations.num_items(),
            self.num_items(),
            "items of the associations"
        );
        let (mut sum, mut weights) = (0.0, 0.0);
        let mut add = |a: usize, b: u32, count: u32| {
            if a != b as usize {
                let weight = associations.score(count);
                sum += weight * self.distance(a, b as usize);
                weights += weight;
            }
        };
        let pairs = associations.num_pairs();
        if pairs <= SAMPLED_PAIRS {
            for a in 1..=self.num_items() {
                let (partners, counts) = associations.row(ItemId::new(a as u32));
                for (&b, &count) in partners.iter().zip(counts) {
                    add(a, b, count);
                }
            }
        } else {
            let mut draws = generator(seed, "alignment");
            for _ in 0..SAMPLED_PAIRS {
                let pair = draws.random_range(0..pairs);
                let a = associations.indptr.partition_point(|&start| start <= pair) - 1;
                add(a, associations.indices[pair], associations.counts[pair]);
            }
        }
        (weights > 0.0).then(|| sum / weights)
    }

    /// Correlation of cosine similarity with held-out association.
    ///
    /// A pair met in held-out behaviour if one of its items is a user's validation or test target and
    /// the other is in the history before it; with `c` such meetings, its held-out association is
    /// `ln(1 + c)`. (The scale of `s` is left out: no correlation depends on it.) As many pairs of
    /// different items are drawn that met neither there nor in training (`associations`); theirs is
    /// 0. Pairs that met in both stay in: what calibration tied in training is expected to hold later.
    /// Where users have more than 2^20 held-out meetings, users are drawn by `seed` until they have
    /// so many.
    ///
    /// Absent where no pair met, or where one of the two is the same for all pairs.
    ///
    /// # Panics
    /// If associations or dataset are of another number of items.
    pub fn association_correlation(
        &self,
        associations: &Associations,
        dataset: &Dataset,
        seed: u64,
    ) -> Option<AssociationCorrelation> {
        let items = self.num_items();
        assert_eq!(associations.num_items(), items, "items of the associations");
        assert_eq!(dataset.num_items(), items, "items of the dataset");
        let mut draws = generator(seed, "association correlation");
        let met = held_out(dataset, &mut draws);
        let mut similarity = Vec::with_capacity(2 * met.len());
        let mut association = Vec::with_capacity(2 * met.len());
        let mut pairs: Vec<_> = met.iter().map(|(&pair, &count)| (pair, count)).collect();
        pairs.sort_unstable();
        for &((a, b), count) in &pairs {
            similarity.push(self.cosine(a as usize, b as usize));
            association.push(f64::from(count).ln_1p());
        }
        if items >= 2 {
            for _ in 0..TRIES * met.len() {
                if similarity.len() == 2 * met.len() {
                    break;
                }
                let (a, b) = two_items(items, &mut draws);
                let pair = unordered(ItemId::new(a as u32), ItemId::new(b as u32));
                let in_training =
                    associations.count_of(ItemId::new(pair.0), ItemId::new(pair.1)) > 0;
                if !in_training && !met.contains_key(&pair) {
                    similarity.push(self.cosine(a, b));
                    association.push(0.0);
                }
            }
        }
        Some(AssociationCorrelation {
            pearson: pearson(&similarity, &association)?,
            spearman: pearson(&ranks(&similarity), &ranks(&association))?,
            held_out_pairs: met.len(),
            random_pairs: similarity.len() - met.len(),
        })
    }

    fn num_items(&self) -> usize {
        (self.unit.len() / self.width).saturating_sub(1)
    }

    fn row(&self, item: usize) -> &[f32] {
        &self.unit[item * self.width..(item + 1) * self.width]
    }

    fn distance(&self, a: usize, b: usize) -> f64 {
        let square = |(&a, &b): (&f32, &f32)| f64::from(a - b).powi(2);
        self.row(a).iter().zip(self.row(b)).map(square).sum()
    }

    fn cosine(&self, a: usize, b: usize) -> f64 {
        let product = |(&a, &b): (&f32, &f32)| f64::from(a) * f64::from(b);
        self.row(a).iter().zip(self.row(b)).map(product).sum()
    }
}

/// Pairs of different items that met through held-out targets, and how often.
fn held_out(dataset: &Dataset, draws: &mut Xoshiro256PlusPlus) -> HashMap<(u32, u32), u32> {
    let mut users: Vec<usize> = (0..dataset.num_users()).collect();
    users.shuffle(draws);
    let mut met = HashMap::new();
    let mut meetings = 0;
    for user in users {
        if meetings >= SAMPLED_PAIRS {
            break;
        }
        let cases = [Split::Valid, Split::Test].map(|split| dataset.case_of(user, split));
        for case in cases.into_iter().flatten() {
            for &target in case.targets {
                for &item in case.input.iter().filter(|&&item| item != target) {
                    *met.entry(unordered(item, target)).or_insert(0) += 1;
                    meetings += 1;
                }
            }
        }
    }
    met
}

fn unordered(a: ItemId, b: ItemId) -> (u32, u32) {
    (a.min(b).get(), a.max(b).get())
}

/// Two different items of at least two.
fn two_items(items: usize, draws: &mut Xoshiro256PlusPlus) -> (usize, usize) {
    let a = draws.random_range(1..=items);
    let b = draws.random_range(1..items);
    (a, b + usize::from(b >= a))
}

fn generator(seed: u64, purpose: &str) -> Xoshiro256PlusPlus {
    let digest = Sha256::new()
        .chain_update(b"genair diagnostics ")
        .chain_update(purpose)
        .chain_update(seed.to_le_bytes())
        .finalize();
    Xoshiro256PlusPlus::from_seed(digest.into())
}

/// Absent where one side is constant.
fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let (x_mean, y_mean) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - x_mean, y - y_mean);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    (xx > 0.0 && yy > 0.0).then(|| (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0))
}

/// Ranks from 0, ties at their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for ties in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = before as f64 + (ties.len() - 1) as f64 / 2.0;
        ties.iter().for_each(|&place| ranks[place] = mean);
        before += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use genair_data::load;
    use genair_protocol::AssociationSpec;
    use genair_protocol::{DatasetKind, DatasetSpec};

    use super::*;

    /// Four items on the axes of a plane; their lengths do not matter.
    fn cross() -> ItemSpace {
        ItemSpace::new(&[9.0, 9.0, 2.0, 0.0, -0.1, 0.0, 0.0, 3.0, 0.0, -7.0], 2)
    }

    #[test]
    fn uniformity_and_alignment_by_hand() {
        // Of the six pairs, two are opposite (squared distance 4) and four at a right angle (2).
        let expected = ((2.0 * (-8.0_f64).exp() + 4.0 * (-4.0_f64).exp()) / 6.0).ln();
        let found = cross().uniformity(1).unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} for {expected}");

        let pair = |a, b, count| (ItemId::new(a), ItemId::new(b), count);
        let table = [pair(1, 2, 3), pair(3, 1, 1), pair(4, 4, 3)];
        let table = Associations::from_counts(4, table).unwrap();
        // s of (1, 2) is 1, of (1, 3) ln 2 / ln 4; the item met twice is at no distance from itself.
        let expected = (1.0 * 4.0 + 0.5 * 2.0) / 1.5;
        let found = cross().alignment(&table, 1).unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
    }

    #[test]
    fn there_is_no_answer_where_there_is_no_pair() {
        let one = ItemSpace::new(&[0.0, 1.0], 1);
        assert_eq!(one.uniformity(1), None);
        let nothing = Associations::from_counts(4, []).unwrap();
        assert_eq!(cross().alignment(&nothing, 1), None);
    }

    #[test]
    fn a_sample_is_near_the_whole_and_the_seed_decides_it() {
        // A cloud around one point: what all pairs say, a part of the same cloud says too.
        let mut draws = generator(3, "test");
        let vectors: Vec<f32> = (0..(EXACT_ITEMS + 2) * 4)
            .map(|place| draws.random::<f32>() - 0.5 + f32::from(place % 4 == 0))
            .collect();
        let sampled = ItemSpace::new(&vectors, 4);
        let exact = ItemSpace::new(&vectors[..(EXACT_ITEMS + 1) * 4], 4);
        let (sampled_value, exact_value) =
            (sampled.uniformity(1).unwrap(), exact.uniformity(1).unwrap());
        assert!(
            (sampled_value - exact_value).abs() < 0.01,
            "{sampled_value} {exact_value}"
        );
        assert_eq!(sampled.uniformity(1), Some(sampled_value));
        assert_ne!(sampled.uniformity(2), Some(sampled_value));
    }

    #[test]
    fn correlations_are_those_of_scipy() {
        // scipy.stats: x = [1, 2, 2, 5, 3]; y = [0, .5, 1, 4, -2]; pearsonr(x, y)[0]; spearmanr(x, y)[0]
        let (x, y) = ([1.0, 2.0, 2.0, 5.0, 3.0], [0.0, 0.5, 1.0, 4.0, -2.0]);
        assert!((pearson(&x, &y).unwrap() - PEARSON).abs() < 1e-9);
        assert!((pearson(&ranks(&x), &ranks(&y)).unwrap() - SPEARMAN).abs() < 1e-9);
        assert_eq!(pearson(&x, &[1.0; 5]), None);
    }

    const PEARSON: f64 = 0.600_695_326_364_067_7;
    const SPEARMAN: f64 = 0.359_092_423_229_803_95;

    #[test]
    fn vectors_of_behaviour_agree_with_held_out_behaviour_and_noise_does_not() {
        let spec = DatasetSpec {
            kind: DatasetKind::Synthetic,
            users: Some(400),
            catalogue: Some(120),
            ..DatasetSpec::default()
        };
        let dataset = load(&spec).unwrap();
        let items = dataset.num_items();
        let table = Associations::count(&dataset, &AssociationSpec::default());
        // Each item by whom it met in training.
        let mut rows = vec![0.0; (items + 1) * (items + 1)];
        for a in dataset.items() {
            for b in dataset.items() {
                let count = if a == b { 1 } else { table.count_of(a, b) };
                rows[a.row() * (items + 1) + b.row()] = table.score(count) as f32;
            }
        }
        let of = |rows: &[f32], seed| {
            let space = ItemSpace::new(rows, items + 1);
            space
                .association_correlation(&table, &dataset, seed)
                .unwrap()
        };
        let informed = of(&rows, 1);
        assert_eq!(informed, of(&rows, 1));
        assert!(
            informed.held_out_pairs > 100 && informed.random_pairs > 100,
            "{informed:?}"
        );
        let mut draws = generator(5, "test");
        rows.fill_with(|| draws.random::<f32>() - 0.5);
        let noise = of(&rows, 1);
        assert!(
            informed.pearson > 0.5 && informed.spearman > 0.5,
            "{informed:?}"
        );
        assert!(
            noise.pearson.abs() < 0.1 && noise.spearman.abs() < 0.1,
            "{noise:?}"
        );
    }
}
