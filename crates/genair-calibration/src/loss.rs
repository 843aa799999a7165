//! The calibration loss in closed form, with its gradient (docs/method.md, section 6).
//!
//! With `n` targets, `u` distinct items `i` of multiplicity `m_i`, `e^ = e / max(||e||, 1e-12)`,
//! `q = ||e^||^2`, `S = sum_i m_i e^_i`, `k_ij = m_i m_j (1 - w_ij)` for observed pairs `i != j` (0 for all
//! others), `r_i = sum_j k_ij` and `T_i = sum_j k_ij e^_j`:
//!
//! ```text
//! L          = -(2 n sum_i m_i q_i - 2 ||S||^2 - 2 sum_i r_i q_i + 2 sum_i <e^_i, T_i>) / (n (n - 1))
//! dL / de^_i = -4 (n m_i e^_i - m_i S - r_i e^_i + T_i) / (n (n - 1))
//! ```
//!
//! So both come from one sparse symmetric product, `T = K E^`. With the batch in the order of its ids, the
//! table's upper triangle gives that of `K`. It is taken row block by row block, pair by pair or, where
//! most are observed, as dense products; memory is linear in `u`.

use std::ops::Range;
use std::sync::Arc;

use genair_data::ItemId;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, s};

use crate::Associations;

#[cfg(test)]
mod tests;

/// Rows of `K` at a time.
const BLOCK: usize = 64;
/// Share of observed pairs from which a dense product is the faster one, measured at `d = 128`.
const DENSE: f64 = 0.25;
/// Norms below this one are taken for it.
const MIN_NORM: f64 = 1e-12;
/// Counts up to this one have their `1 - w` in a table.
const TABLED: u32 = 1 << 16;
/// Stands where an item is not in the batch.
const ABSENT: u32 = u32::MAX;

/// What calibration says of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// `L_cal`, in [-4, 0].
    pub loss: f64,
    /// `dL_cal / de`, through the normalisation, `[u, d]` row by row. A row is that of all of its item's
    /// occurrences together.
    pub gradient: Vec<f32>,
}

/// The loss for one table of associations and one `gamma`, to be used for many batches. Exact, on one
/// thread, in O(`u d` + observed pairs of the batch * `d` + entries in the rows of its items).
#[derive(Clone, Debug)]
pub struct CalibrationLoss {
    associations: Arc<Associations>,
    gamma: f64,
    /// `1 - w` by count, up to [`TABLED`].
    complements: Vec<f64>,
    /// Each item's rank among the ids of the batch at hand, [`ABSENT`] between two batches. `[I + 1]`.
    ranks: Vec<u32>,
    block: Block,
}

/// Distinct items of a batch as the formulas see them, in ascending order of their ids.
struct Batch {
    width: usize,
    /// Where each item is in the caller's order, `[u]`.
    places: Vec<usize>,
    /// `m`, `[u]`.
    multiplicities: Vec<f64>,
    /// `||e||`, `[u]`.
    norms: Vec<f64>,
    /// `e^`, `[u, d]`.
    unit: Vec<f32>,
    /// `S`, `[d]`.
    sum: Vec<f64>,
    /// `r`, `[u]`, once all pairs are in.
    weights: Vec<f64>,
    /// `T`, `[u, d]`, once all pairs are in.
    product: Vec<f32>,
}

/// Some consecutive rows of `K`, right of its diagonal.
#[derive(Clone, Debug, Default)]
struct Block {
    /// Row, column and value of the observed pairs.
    pairs: Vec<(u32, u32, f32)>,
    /// The same with all zeros, from the column of the first row on.
    dense: Vec<f32>,
}

impl CalibrationLoss {
    /// The loss with weights `w_ij = exp(-gamma s_ij)`; `gamma` is at least 0.
    pub fn new(associations: Arc<Associations>, gamma: f64) -> Self {
        let tabled = associations.max_count().min(TABLED);
        Self {
            complements: (0..=tabled)
                .map(|count| complement(&associations, gamma, count))
                .collect(),
            ranks: vec![ABSENT; associations.num_items() + 1],
            associations,
            gamma,
            block: Block::default(),
        }
    }

    /// The loss of a batch and its gradient. `embeddings` is `[u, d]` row by row, one row for each of
    /// the distinct items `ids`; `counts` says how often each is a target. `n`, their sum, below 2
    /// gives 0 and no gradient. The same input gives the same bits on the same machine.
    ///
    /// # Panics
    /// If lengths do not fit, or an id is 0, unknown or there twice.
    pub fn value_and_gradient(
        &mut self,
        embeddings: &[f32],
        ids: &[u32],
        counts: &[u32],
    ) -> Calibration {
        assert_eq!(ids.len(), counts.len(), "a count for each id");
        let width = embeddings.len().checked_div(ids.len()).unwrap_or(0);
        assert_eq!(embeddings.len(), ids.len() * width, "a row for each id");
        let mut gradient = vec![0.0; embeddings.len()];
        let n: f64 = counts.iter().map(|&count| f64::from(count)).sum();
        if n < 2.0 || width == 0 {
            return Calibration {
                loss: 0.0,
                gradient,
            };
        }
        let mut batch = Batch::new(embeddings, width, ids, counts);
        let items: Vec<ItemId> = batch
            .places
            .iter()
            .map(|&at| ItemId::new(ids[at]))
            .collect();
        for (rank, item) in items.iter().enumerate() {
            let slot = &mut self.ranks[item.row()];
            let id = item.get();
            assert!(
                id != 0 && *slot == ABSENT,
                "item {id} is padding or comes twice"
            );
            *slot = rank as u32;
        }
        for first in (0..items.len()).step_by(BLOCK) {
            let rows = first..items.len().min(first + BLOCK);
            self.find_pairs(&items, &batch.multiplicities, rows.clone());
            batch.add(&mut self.block, rows);
        }
        for item in items {
            self.ranks[item.row()] = ABSENT;
        }
        let pairs = n * (n - 1.0);
        let mut numerator = -2.0 * batch.sum.iter().map(|sum| sum * sum).sum::<f64>();
        for rank in 0..ids.len() {
            let place = batch.places[rank];
            let row = &mut gradient[place * width..(place + 1) * width];
            numerator += batch.finish(rank, n, -4.0 / pairs, row);
        }
        Calibration {
            loss: -numerator / pairs,
            gradient,
        }
    }

    /// Fills the block with the observed pairs of some of the batch's items and later ones.
    fn find_pairs(&mut self, items: &[ItemId], multiplicities: &[f64], rows: Range<usize>) {
        let pairs = &mut self.block.pairs;
        pairs.clear();
        for row in rows {
            let (partners, counts) = self.associations.row(items[row]);
            for (&partner, &count) in partners.iter().zip(counts) {
                let rank = self.ranks[partner as usize];
                // An item is at no distance from itself.
                if rank == ABSENT || rank as usize == row {
                    continue;
                }
                let complement = match self.complements.get(count as usize) {
                    Some(&complement) => complement,
                    None => complement(&self.associations, self.gamma, count),
                };
                let value = complement * multiplicities[row] * multiplicities[rank as usize];
                pairs.push((row as u32, rank, value as f32));
            }
        }
    }
}

/// `1 - w` of a pair that met so often.
fn complement(associations: &Associations, gamma: f64, count: u32) -> f64 {
    -(-gamma * associations.score(count)).exp_m1()
}

impl Batch {
    fn new(embeddings: &[f32], width: usize, ids: &[u32], counts: &[u32]) -> Self {
        let mut places: Vec<usize> = (0..ids.len()).collect();
        places.sort_unstable_by_key(|&place| ids[place]);
        let mut batch = Self {
            width,
            multiplicities: places.iter().map(|&at| f64::from(counts[at])).collect(),
            norms: Vec::with_capacity(ids.len()),
            unit: Vec::with_capacity(embeddings.len()),
            sum: vec![0.0; width],
            weights: vec![0.0; ids.len()],
            product: vec![0.0; embeddings.len()],
            places,
        };
        for (&place, &multiplicity) in batch.places.iter().zip(&batch.multiplicities) {
            let embedding = &embeddings[place * width..(place + 1) * width];
            let norm = dot(embedding, embedding).sqrt();
            let inverse = 1.0 / norm.max(MIN_NORM);
            for (&value, sum) in embedding.iter().zip(&mut batch.sum) {
                let value = (f64::from(value) * inverse) as f32;
                *sum += multiplicity * f64::from(value);
                batch.unit.push(value);
            }
            batch.norms.push(norm);
        }
        batch
    }

    /// Adds some rows of `K`, and the columns that mirror them, to `r` and `T`.
    fn add(&mut self, block: &mut Block, rows: Range<usize>) {
        let Block { pairs, dense } = block;
        let width = self.width;
        for &(row, column, value) in &*pairs {
            self.weights[row as usize] += f64::from(value);
            self.weights[column as usize] += f64::from(value);
        }
        let (num_rows, num_columns) = (rows.len(), self.places.len() - rows.start);
        if (pairs.len() as f64) < DENSE * (num_rows * num_columns) as f64 {
            for &(row, column, value) in &*pairs {
                for (to, from) in [(row, column), (column, row)] {
                    let (to, from) = (to as usize * width, from as usize * width);
                    let product = &mut self.product[to..to + width];
                    for (product, &unit) in product.iter_mut().zip(&self.unit[from..from + width]) {
                        *product += value * unit;
                    }
                }
            }
            return;
        }
        dense.clear();
        dense.resize(num_rows * num_columns, 0.0);
        for &(row, column, value) in &*pairs {
            let (row, column) = (row as usize - rows.start, column as usize - rows.start);
            dense[row * num_columns + column] = value;
        }
        let dense = matrix(dense, num_columns);
        let (mut product, unit) = (
            matrix_mut(&mut self.product[rows.start * width..], width),
            matrix(&self.unit[rows.start * width..], width),
        );
        let (own, ones) = (unit.slice(s![..num_rows, ..]), 1.0);
        general_mat_mul(
            ones,
            &dense,
            &unit,
            ones,
            &mut product.slice_mut(s![..num_rows, ..]),
        );
        general_mat_mul(ones, &dense.t(), &own, ones, &mut product);
    }

    /// Writes an item's row of the gradient, `scale = -4 / (n (n - 1))`, and gives its part of the
    /// numerator.
    fn finish(&self, rank: usize, n: f64, scale: f64, gradient: &mut [f32]) -> f64 {
        let row = rank * self.width..(rank + 1) * self.width;
        let (unit, product) = (&self.unit[row.clone()], &self.product[row]);
        let (multiplicity, norm) = (self.multiplicities[rank], self.norms[rank]);
        let own = n * multiplicity - self.weights[rank];
        let mut radial = 0.0;
        for (((gradient, &product), &sum), &unit) in
            gradient.iter_mut().zip(product).zip(&self.sum).zip(unit)
        {
            let pull = f64::from(product) - multiplicity * sum;
            radial += pull * f64::from(unit);
            *gradient = pull as f32;
        }
        // What points along a vector does not turn it, unless its norm is clamped.
        let along = if norm < MIN_NORM { own } else { -radial };
        let scale = scale / norm.max(MIN_NORM);
        for (gradient, &unit) in gradient.iter_mut().zip(unit) {
            *gradient = (scale * (f64::from(*gradient) + along * f64::from(unit))) as f32;
        }
        let length = norm / norm.max(MIN_NORM);
        2.0 * own * length * length + 2.0 * dot(unit, product)
    }
}

/// Whole rows as a matrix.
fn matrix(values: &[f32], width: usize) -> ArrayView2<'_, f32> {
    let shape = (values.len() / width, width);
    ArrayView2::from_shape(shape, values).expect("whole rows")
}

/// Whole rows as a matrix.
fn matrix_mut(values: &mut [f32], width: usize) -> ArrayViewMut2<'_, f32> {
    let shape = (values.len() / width, width);
    ArrayViewMut2::from_shape(shape, values).expect("whole rows")
}

/// Inner product, summed in double precision and a fixed order that vector registers can follow.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 8;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += f64::from(a) * f64::from(b);
        }
    }
    let rest = a_rest.iter().zip(b_rest);
    let rest: f64 = rest.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    lanes.iter().sum::<f64>() + rest
}
