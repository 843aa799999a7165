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

/// A trainable table of item vectors: the `id` representation.
pub(crate) struct ItemVectors {
    /// `[I + 1, D]`.
    table: Tensor,
    /// `[1, D]`, for backbones that mask.
    mask: Option<Tensor>,
    separate: Option<SeparateOutputs>,
}

/// An output table of its own: `[I + 1, S]` and a bias per item `[I + 1]`.
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
                    table: create(parameters, "outputs.table", &[rows, states], WEIGHT)?,
                    bias: create(parameters, "outputs.bias", &[rows], zero)?,
                })
            }
        };
        let table = create(parameters, "items.table", &[rows, width], WEIGHT)?;
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

    /// Vectors of the given distinct items, `[U, D]`, followed by the mask token's where there is
    /// one, so that row `U` is the mask.
    pub(crate) fn inputs(&self, distinct_u: &Tensor) -> Result<Tensor, tch::TchError> {
        let vectors = self.table.f_index_select(0, distinct_u)?;
        match &self.mask {
            Some(mask) => Tensor::f_cat(&[&vectors, mask], 0),
            None => Ok(vectors),
        }
    }

    /// What states are scored against, one row for each of the distinct items; `inputs` is
    /// [`Self::inputs`] of the same items.
    pub(crate) fn outputs(
        &self,
        distinct_u: &Tensor,
        inputs: &Tensor,
    ) -> Result<Outputs, tch::TchError> {
        Ok(match &self.separate {
            Some(own) => Outputs {
                vectors: own.table.f_index_select(0, distinct_u)?,
                bias: Some(own.bias.f_index_select(0, distinct_u)?),
            },
            None => Outputs {
                vectors: inputs.shallow_clone(),
                bias: None,
            },
        })
    }

    /// What states are scored against, for the whole catalogue: `I + 1` rows, row 0 meaningless.
    pub(crate) fn all_outputs(&self) -> Outputs {
        match &self.separate {
            Some(own) => Outputs {
                vectors: own.table.shallow_clone(),
                bias: Some(own.bias.shallow_clone()),
            },
            None => Outputs {
                vectors: self.table.shallow_clone(),
                bias: None,
            },
        }
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
