//! Content kNN: see [`ContentKnnSpec`](genair_protocol::ContentKnnSpec).

use genair_data::{Dataset, ItemId};
use genair_protocol::Pooling;
use tch::{Kind, Tensor};

use super::seen;
use crate::RunErrorKind;
use crate::evaluation::{Input, Scorer};
use crate::score::unit;

pub(super) struct ContentKnn {
    /// Of length 1, `[I + 1, W]`; zeros for an item without a vector.
    unit: Tensor,
    pooling: Pooling,
    max_len: usize,
}

impl ContentKnn {
    /// Of vectors before training, `[I + 1, W]`, row 0 (padding) zero.
    pub(super) fn new(
        dataset: &Dataset,
        rows: &Tensor,
        pooling: Pooling,
    ) -> Result<Self, RunErrorKind> {
        Ok(Self {
            unit: unit(rows)?,
            pooling,
            max_len: dataset.max_len(),
        })
    }

    /// Vectors of a history's items, `[items, W]`.
    fn of(&self, history: &[ItemId]) -> Result<Tensor, tch::TchError> {
        let rows: Vec<i64> = history.iter().map(|&item| i64::from(item)).collect();
        self.unit.f_index_select(0, &Tensor::f_from_slice(&rows)?)
    }

    /// Similarities of all items to each history, `[histories, I + 1]`; zeros for a history without vectors.
    fn similarities(&self, histories: &[&[ItemId]]) -> Result<Tensor, tch::TchError> {
        let transposed = self.unit.f_tr()?;
        let rows = histories.iter().map(|&history| {
            // Padding has zeros.
            let history = if history.is_empty() {
                &[ItemId::PADDING]
            } else {
                history
            };
            match self.pooling {
                Pooling::Last => self.of(&history[history.len() - 1..]),
                Pooling::Mean => {
                    self.of(history)?
                        .f_mean_dim([0_i64].as_slice(), true, Kind::Float)
                }
                Pooling::Max => {
                    let all = self.of(history)?.f_matmul(&transposed)?;
                    all.f_amax([0_i64].as_slice(), true)
                }
            }
        });
        let rows = Tensor::f_cat(&rows.collect::<Result<Vec<_>, _>>()?, 0)?;
        match self.pooling {
            Pooling::Max => Ok(rows),
            Pooling::Last | Pooling::Mean => unit(&rows)?.f_matmul(&transposed),
        }
    }
}

impl Scorer for ContentKnn {
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind> {
        let histories = inputs.iter().map(|input| seen(input.items, self.max_len));
        let all = self.similarities(&histories.collect::<Vec<_>>())?;
        scores.clear();
        scores.resize(all.numel(), 0.0);
        let len = scores.len();
        all.f_contiguous()?.f_copy_data(scores, len)?;
        Ok(())
    }
}
