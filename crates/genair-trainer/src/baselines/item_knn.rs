//! Item kNN: see [`ItemKnnSpec`].

use std::cmp::Ordering;

use genair_calibration::Associations;
use genair_data::Dataset;
use genair_protocol::{AssociationSpec, ItemKnnSpec};

use super::seen;
use crate::RunErrorKind;
use crate::evaluation::{Input, Scorer};

pub(super) struct ItemKnn {
    /// Of each item, `[I + 1]`: the nearest ones with their similarities.
    nearest: Vec<Vec<(u32, f32)>>,
    max_len: usize,
}

impl ItemKnn {
    /// Counts co-occurrence in training sequences and keeps the nearest of each item.
    pub(super) fn new(dataset: &Dataset, settings: ItemKnnSpec) -> Self {
        let counted = AssociationSpec {
            window: None,
            min_count: 1,
        };
        let counts = Associations::count(dataset, &counted);
        let popularity = dataset.train_popularity();
        // With m_u how often user u met an item: the sum of m_u^2, from pairs m_u (m_u - 1) / 2 and the sum of m_u.
        let squares =
            |item| 2.0 * f64::from(counts.count_of(item, item)) + f64::from(popularity[item.row()]);
        let squares: Vec<f64> = std::iter::once(0.0)
            .chain(dataset.items().map(squares))
            .collect();
        let mut nearest = vec![Vec::new(); dataset.num_items() + 1];
        for item in dataset.items() {
            let (partners, times) = counts.row(item);
            for (&partner, &times) in partners.iter().zip(times) {
                let (own, other) = (item.row(), partner as usize);
                if own == other {
                    continue;
                }
                let cosine = f64::from(times) / (squares[own] * squares[other]).sqrt();
                nearest[own].push((partner, cosine as f32));
                nearest[other].push((own as u32, cosine as f32));
            }
        }
        for own in &mut nearest {
            let order = |a: &(u32, f32), b: &(u32, f32)| -> Ordering {
                b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
            };
            own.sort_unstable_by(order);
            own.truncate(settings.neighbours as usize);
            own.shrink_to_fit();
        }
        Self {
            nearest,
            max_len: dataset.max_len(),
        }
    }
}

impl Scorer for ItemKnn {
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind> {
        let columns = self.nearest.len();
        scores.clear();
        scores.resize(inputs.len() * columns, 0.0);
        for (input, own) in inputs.iter().zip(scores.chunks_exact_mut(columns)) {
            for item in seen(input.items, self.max_len) {
                for &(near, similarity) in &self.nearest[item.row()] {
                    own[near as usize] += similarity;
                }
            }
        }
        Ok(())
    }
}
