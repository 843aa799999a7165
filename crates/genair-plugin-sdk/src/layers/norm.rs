//! Layer normalisation.

use tch::Tensor;

use crate::{Builder, Init, Result};

/// Layer normalisation over the last dimension (Ba et al. 2016), with gain and bias.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Parameters `weight [width]`, from 1, and `bias [width]`, from 0.
    ///
    /// # Errors
    /// The host's refusals.
    pub fn build(builder: &Builder<'_>, width: i64, epsilon: f64) -> Result<Self> {
        Ok(Self {
            weight: builder.parameter("weight", &[width], Init::Constant(1.0))?,
            bias: builder.parameter("bias", &[width], Init::Constant(0.0))?,
            epsilon,
        })
    }

    /// `[.., width]` to the same shape.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.weight.size();
        Ok(x.f_layer_norm(
            &width,
            Some(&self.weight),
            Some(&self.bias),
            self.epsilon,
            false,
        )?)
    }
}
