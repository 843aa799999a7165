//! An affine map of the last dimension.

use tch::Tensor;

use crate::{Builder, Init, Result};

/// `y = x W^T + b`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Parameters `weight [outputs, inputs]` and `bias [outputs]`, started as PyTorch does.
    ///
    /// # Errors
    /// The host's refusals.
    pub fn build(builder: &Builder<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        Ok(Self {
            weight: builder.parameter("weight", &[outputs, inputs], Init::Weight)?,
            bias: builder.parameter("bias", &[outputs], Init::bias(inputs))?,
        })
    }

    /// `[.., inputs]` to `[.., outputs]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}
