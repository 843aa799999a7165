//! Two affine maps with a non-linearity between them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::Linear;
use crate::{Builder, Mode, Result};

/// The non-linearity of feed-forward layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// The exact (erf) form.
    Gelu,
}

impl Activation {
    /// Applies it to each number.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Relu => x.f_relu()?,
            Self::Gelu => x.f_gelu("none")?,
        })
    }
}

/// `y = drop(W2 f(drop(W1 x + b1)) + b2)`, the position-wise layer of SASRec (Kang & McAuley 2018, equation 6) with
/// dropout after each map, as in its published code. The residual is the caller's.
#[derive(Debug)]
pub struct FeedForward {
    expand: Linear,
    contract: Linear,
    activation: Activation,
    dropout: f64,
}

impl FeedForward {
    /// Parameters `expand.*`, from `width` to `inner`, and `contract.*`, back to `width`. `dropout` is in `[0, 1)`.
    ///
    /// # Errors
    /// The host's refusals.
    pub fn build(
        builder: &Builder<'_>,
        width: i64,
        inner: i64,
        activation: Activation,
        dropout: f64,
    ) -> Result<Self> {
        Ok(Self {
            expand: Linear::build(&builder.scope("expand"), width, inner)?,
            contract: Linear::build(&builder.scope("contract"), inner, width)?,
            activation,
            dropout,
        })
    }

    /// `[.., width]` to the same shape.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let inner = mode.dropout(&self.expand.forward(x)?, self.dropout)?;
        let inner = self.activation.forward(&inner)?;
        mode.dropout(&self.contract.forward(&inner)?, self.dropout)
    }
}
