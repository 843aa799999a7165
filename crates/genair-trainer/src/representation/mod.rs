//! Item representations: the vectors a backbone gets for items, and the ones its states are scored
//! against.
//!
//! An item's vector is a row of a learned table (`id`), or made by an adapter from a vector that
//! exists before training, or both. A backbone that keeps an output table of its own (Caser's
//! original form) is scored against that, whatever the representation: only its inputs change.
//!
//! Vectors are made once for each distinct item of a batch. A softmax over all items is the one loss
//! whose batch is the catalogue: its memory and time grow with the adapter's hidden layer times `I`.
//!
//! Shapes: `I` items (row 0, padding, is read only where a backbone takes padding as an input), `D`
//! width of item vectors (twice the backbone's where there are two views), `W` width of vectors before the adapter, `U` distinct items of a batch,
//! `S` state size.

mod adapter;
mod frozen;
mod imputed;
mod source;
#[cfg(test)]
mod tests;

use genair_abi::{Capabilities, InitKind, OutputItems};
use genair_data::Dataset;
use genair_protocol::Fusion;
use tch::Tensor;

use crate::RunErrorKind;
use crate::parameters::{ParameterError, Parameters, Start};
pub(crate) use frozen::FrozenVectors;
pub(crate) use imputed::Imputation;
use source::{Rows, Source, Table};

/// How a weight starts: as the spec says.
pub(crate) const WEIGHT: Start = Start {
    kind: InitKind::Weight,
    value: 0.0,
};
/// BERT4Rec's mask token starts as N(0, 0.01) (docs/method.md, section 4).
const MASK: Start = Start {
    kind: InitKind::Normal,
    value: 0.01,
};

/// Vectors of items, of the mask token, and what states are scored against.
pub(crate) struct ItemVectors {
    source: Source,
    /// `[1, D]`, for backbones that mask; the adapter has no part in it.
    mask: Option<Tensor>,
    separate: Option<SeparateOutputs>,
    /// What stands for the rows of cold items.
    imputation: Option<Imputation>,
    counts: ItemCounts,
    views: i64,
}

/// Items, and those of them that training may see, which come first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemCounts {
    /// `I`.
    pub(crate) all: usize,
    pub(crate) warm: usize,
}

impl ItemCounts {
    pub(crate) fn of(dataset: &Dataset) -> Self {
        Self {
            all: dataset.num_items(),
            warm: dataset.num_warm_items(),
        }
    }

    /// Rows of a table that train, with padding's; `None` where all do.
    fn trained_rows(self) -> Option<i64> {
        (self.warm < self.all).then_some(self.warm as i64 + 1)
    }
}

/// Tables with a row for each item.
const TABLES: [&str; 5] = [
    source::TABLE,
    source::VECTORS,
    source::DELTA,
    OUTPUTS,
    OUTPUT_BIAS,
];
const OUTPUTS: &str = "outputs.table";
const OUTPUT_BIAS: &str = "outputs.bias";

/// An output table of its own: `[I + 1, S]` and a bias per item `[I + 1, 1]`.
struct SeparateOutputs {
    table: Table,
    bias: Table,
}

/// What states are scored against: `score = <state, vector> + bias`.
pub(crate) struct Outputs {
    /// `[rows, S]`.
    pub(crate) vectors: Tensor,
    /// `[rows]`.
    pub(crate) bias: Option<Tensor>,
}

/// The vectors of a batch's distinct items.
pub(crate) struct GatheredItems {
    /// `[U, D]`, followed by the mask token's where there is one, so that row `U` is the mask.
    pub(crate) inputs: Tensor,
    /// One row for each distinct item.
    pub(crate) outputs: Outputs,
    /// Rows taken from tables, by the table's name.
    leaves: Vec<(&'static str, Tensor)>,
    /// Place of padding among the distinct items where its input is not to be trained, else -1.
    untrained: i64,
}

/// The vectors of the whole catalogue, as they are at this moment.
pub(crate) struct Catalogue {
    /// `[I + 1 (+ 1 with a mask), D]`: row `i` is item `i`, row `I + 1` the mask.
    pub(crate) inputs: Tensor,
    /// `I + 1` rows, row 0 meaningless.
    pub(crate) outputs: Outputs,
}

impl GatheredItems {
    /// The rows that stand for a table in this batch's graph, where `name` is a table's.
    pub(crate) fn rows_of(&self, name: &str) -> Option<&Tensor> {
        self.leaves
            .iter()
            .find(|(table, _)| *table == name)
            .map(|(_, rows)| rows)
    }

    /// Input vectors of a batch's tokens, `[N, D]`, by their places among the distinct items.
    ///
    /// Padding, where it is an input, gets no gradient if it has a row in a learned table; if all it
    /// has is the adapter's answer to zero, the adapter learns from it, as in the published code.
    pub(crate) fn tokens(&self, tokens_n: &Tensor) -> Result<Tensor, tch::TchError> {
        Tensor::f_embedding(&self.inputs, tokens_n, self.untrained, false, false)
    }
}

/// Rows of `x` by number: an embedding look-up, whose gradient is several times as fast as that of
/// an index.
pub(crate) fn gather(x: &Tensor, rows: &Tensor) -> Result<Tensor, tch::TchError> {
    Tensor::f_embedding(x, rows, -1, false, false)
}

impl ItemVectors {
    /// Parameters `items.table`, `adapter.*` and `items.vectors` as the representation has them
    /// (`frozen` is absent for `id`), and `items.mask`, `outputs.table`, `outputs.bias` where the
    /// backbone needs them. Rows of items that training never sees stay as they start.
    ///
    /// # Errors
    /// [`RunErrorKind::Spec`] where the backbone's widths contradict each other.
    pub(crate) fn create(
        counts: ItemCounts,
        frozen: Option<FrozenVectors>,
        capabilities: &Capabilities,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let (rows, width) = (counts.all as i64 + 1, capabilities.hidden_size as i64);
        let states = capabilities.state_size as i64;
        let is_dual = |frozen: &FrozenVectors| frozen.spec.fusion.kind == Fusion::Dual;
        let views = if frozen.as_ref().is_some_and(is_dual) {
            2
        } else {
            1
        };
        let separate = match capabilities.output {
            OutputItems::Shared if width != states => {
                return Err(RunErrorKind::Spec {
                    key: "backbone",
                    value: format!("states of width {states}"),
                    reason: format!("they are scored against item vectors of width {width}"),
                });
            }
            OutputItems::Shared => None,
            OutputItems::Separate => {
                let zero = Start {
                    kind: InitKind::Constant,
                    value: 0.0,
                };
                let table = Table::create(OUTPUTS, &[rows, views * states], WEIGHT, parameters)?;
                let bias = Table::create(OUTPUT_BIAS, &[rows, 1], zero, parameters)?;
                Some(SeparateOutputs { table, bias })
            }
        };
        let source = match frozen {
            None => Source::table(rows, width, parameters)?,
            Some(frozen) => Source::frozen(&frozen, width, parameters)?,
        };
        if let Some(rows) = counts.trained_rows() {
            for table in TABLES {
                parameters.train_rows(table, rows);
            }
        }
        let mask = capabilities
            .predicts_at_mask
            .then(|| create(parameters, "items.mask", &[1, views * width], MASK))
            .transpose()?;
        Ok(Self {
            source,
            mask,
            separate,
            imputation: None,
            counts,
            views,
        })
    }

    /// Views of an item that a backbone encodes one after the other: item vectors and states have so many parts.
    pub(crate) fn views(&self) -> i64 {
        self.views
    }

    /// Replaces the rows of cold items wherever the whole catalogue is asked for.
    pub(crate) fn impute(&mut self, imputation: Option<Imputation>) {
        self.imputation = imputation;
    }

    /// Items, `I`.
    pub(crate) fn len(&self) -> usize {
        self.counts.all
    }

    /// Items, and those that training may see.
    pub(crate) fn counts(&self) -> ItemCounts {
        self.counts
    }

    /// Vectors of a batch's distinct items (0 is padding), each computed once.
    ///
    /// Rows of tables are taken out of the graph and become leaves of their own, so that their
    /// gradients are as small as the batch. `seed` decides what dropout of the adapter drops; none: nothing.
    pub(crate) fn gather(
        &self,
        distinct: &[i64],
        seed: Option<u64>,
    ) -> Result<GatheredItems, tch::TchError> {
        let rows = Rows::of(distinct, self.source.device())?;
        let mut leaves = Vec::new();
        let mut leaf = |table: &Table| {
            let taken = rows.take(&table.rows)?;
            if !table.trained {
                return Ok(taken);
            }
            let taken = taken.f_set_requires_grad(true)?;
            leaves.push((table.name, taken.shallow_clone()));
            Ok(taken)
        };
        let vectors = self.source.vectors(&mut leaf, seed)?;
        let inputs = self.with_mask(&vectors)?;
        let padding = distinct.iter().position(|&item| item == 0);
        let untrained = padding.filter(|_| self.source.has_learned_rows());
        let outputs = match &self.separate {
            Some(own) => Outputs {
                vectors: leaf(&own.table)?,
                bias: Some(leaf(&own.bias)?.f_squeeze_dim(1)?),
            },
            None => Outputs {
                vectors: inputs.shallow_clone(),
                bias: None,
            },
        };
        Ok(GatheredItems {
            inputs,
            outputs,
            leaves,
            untrained: untrained.map_or(-1, |place| place as i64),
        })
    }

    /// Vectors of the whole catalogue, without gradients.
    pub(crate) fn catalogue(&self) -> Result<Catalogue, tch::TchError> {
        let _guard = tch::no_grad_guard();
        let imputed = |table: &Tensor| match &self.imputation {
            Some(imputation) => imputation.applied(table),
            None => Ok(table.shallow_clone()),
        };
        let vectors = imputed(&self.source.all()?)?;
        let outputs = match &self.separate {
            Some(own) => Outputs {
                vectors: imputed(&own.table.rows)?,
                bias: Some(imputed(&own.bias.rows)?.f_squeeze_dim(1)?),
            },
            None => Outputs {
                vectors: vectors.shallow_clone(),
                bias: None,
            },
        };
        Ok(Catalogue {
            inputs: self.with_mask(&vectors)?,
            outputs,
        })
    }

    /// Item vectors, and after them the mask token's where there is one.
    fn with_mask(&self, vectors: &Tensor) -> Result<Tensor, tch::TchError> {
        match &self.mask {
            Some(mask) => Tensor::f_cat(&[vectors, mask], 0),
            None => Ok(vectors.shallow_clone()),
        }
    }
}

fn create(
    parameters: &mut Parameters,
    name: &str,
    shape: &[i64],
    start: Start,
) -> Result<Tensor, RunErrorKind> {
    let created = parameters.create(name, shape, start);
    created.map_err(|error| refused(name, shape, error))
}

/// A tensor that cannot be, in the words of the spec.
fn refused(name: &str, shape: &[i64], error: ParameterError) -> RunErrorKind {
    match error {
        ParameterError::Torch(error) => RunErrorKind::Torch(error),
        other => RunErrorKind::Spec {
            key: "backbone.hidden_size",
            value: format!("{shape:?}"),
            reason: format!("tensor `{name}`: {other}"),
        },
    }
}
