//! Item representations: the vectors a backbone gets for items, and the ones its states are scored
//! against.
//!
//! Shapes: `I` items (rows 1 to I; row 0, padding, is never read), `D` width, `U` distinct items of
//! a batch, `S` state size.

use genair_abi::{Capabilities, InitKind, OutputItems};
use tch::Tensor;

use crate::RunErrorKind;
use crate::parameters::{ParameterError, Parameters, Start};

const WEIGHT: Start = Start {
    kind: InitKind::Weight,
    value: 0.0,
};
/// BERT4Rec's mask token starts as N(0, 0.01) (METHOD.md, section 4).
const MASK: Start = Start {
    kind: InitKind::Normal,
    value: 0.01,
};

const TABLE: &str = "items.table";
const OUTPUT_TABLE: &str = "outputs.table";
const OUTPUT_BIAS: &str = "outputs.bias";

/// A trainable table of item vectors: the `id` representation.
pub(crate) struct ItemVectors {
    /// `[I + 1, D]`.
    table: Tensor,
    /// `[1, D]`, for backbones that mask.
    mask: Option<Tensor>,
    separate: Option<SeparateOutputs>,
}

/// An output table of its own: `[I + 1, S]` and a bias per item `[I + 1, 1]`.
struct SeparateOutputs {
    table: Tensor,
    bias: Tensor,
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
}

impl GatheredItems {
    /// The rows that stand for a table in this batch's graph, where `name` is a table's.
    pub(crate) fn rows_of(&self, name: &str) -> Option<&Tensor> {
        self.leaves
            .iter()
            .find(|(table, _)| *table == name)
            .map(|(_, rows)| rows)
    }
}

/// Rows of `x` by number: an embedding look-up, whose gradient is several times as fast as that of
/// an index.
pub(crate) fn gather(x: &Tensor, rows: &Tensor) -> Result<Tensor, tch::TchError> {
    Tensor::f_embedding(x, rows, -1, false, false)
}

impl ItemVectors {
    /// Parameters `items.table`, and `items.mask`, `outputs.table`, `outputs.bias` where the
    /// backbone needs them.
    ///
    /// # Errors
    /// [`RunErrorKind::Spec`] where the backbone's widths contradict each other.
    pub(crate) fn create(
        items: usize,
        capabilities: &Capabilities,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let (rows, width) = (items as i64 + 1, capabilities.hidden_size as i64);
        let states = capabilities.state_size as i64;
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
                Some(SeparateOutputs {
                    table: create(parameters, OUTPUT_TABLE, &[rows, states], WEIGHT)?,
                    bias: create(parameters, OUTPUT_BIAS, &[rows, 1], zero)?,
                })
            }
        };
        let table = create(parameters, TABLE, &[rows, width], WEIGHT)?;
        let mask = capabilities
            .predicts_at_mask
            .then(|| create(parameters, "items.mask", &[1, width], MASK))
            .transpose()?;
        Ok(Self {
            table,
            mask,
            separate,
        })
    }

    /// Items, `I`.
    pub(crate) fn len(&self) -> usize {
        self.table.size()[0] as usize - 1
    }

    /// Vectors of a batch's distinct items.
    ///
    /// Rows of tables are taken out of the graph and become leaves of their own, so that their
    /// gradients are as small as the batch.
    pub(crate) fn gather(&self, distinct_u: &Tensor) -> Result<GatheredItems, tch::TchError> {
        let leaf = |table: &Tensor| {
            table
                .f_detach()?
                .f_index_select(0, distinct_u)?
                .f_set_requires_grad(true)
        };
        let rows = leaf(&self.table)?;
        let inputs = match &self.mask {
            Some(mask) => Tensor::f_cat(&[&rows, mask], 0)?,
            None => rows.shallow_clone(),
        };
        let mut leaves = vec![(TABLE, rows)];
        let outputs = match &self.separate {
            Some(own) => {
                let (vectors, bias) = (leaf(&own.table)?, leaf(&own.bias)?);
                leaves.push((OUTPUT_TABLE, vectors.shallow_clone()));
                leaves.push((OUTPUT_BIAS, bias.shallow_clone()));
                Outputs {
                    vectors,
                    bias: Some(bias.f_squeeze_dim(1)?),
                }
            }
            None => Outputs {
                vectors: inputs.shallow_clone(),
                bias: None,
            },
        };
        Ok(GatheredItems {
            inputs,
            outputs,
            leaves,
        })
    }

    /// What states are scored against, for the whole catalogue: `I + 1` rows, row 0 meaningless.
    pub(crate) fn all_outputs(&self) -> Result<Outputs, tch::TchError> {
        Ok(match &self.separate {
            Some(own) => Outputs {
                vectors: own.table.shallow_clone(),
                bias: Some(own.bias.f_squeeze_dim(1)?),
            },
            None => Outputs {
                vectors: self.table.shallow_clone(),
                bias: None,
            },
        })
    }

    /// Input vectors for the whole catalogue, `[I + 1 (+ 1 with a mask), D]`: row `i` is item `i`,
    /// row `I + 1` the mask.
    pub(crate) fn all_inputs(&self) -> Result<Tensor, tch::TchError> {
        match &self.mask {
            Some(mask) => Tensor::f_cat(&[&self.table, mask], 0),
            None => Ok(self.table.shallow_clone()),
        }
    }
}

fn create(
    parameters: &mut Parameters,
    name: &str,
    shape: &[i64],
    start: Start,
) -> Result<Tensor, RunErrorKind> {
    parameters
        .create(name, shape, start)
        .map_err(|error| match error {
            ParameterError::Torch(error) => RunErrorKind::Torch(error),
            other => RunErrorKind::Spec {
                key: "backbone.hidden_size",
                value: format!("{shape:?}"),
                reason: format!("tensor `{name}`: {other}"),
            },
        })
}
