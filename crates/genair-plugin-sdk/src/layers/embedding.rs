//! A trainable table.

use tch::Tensor;

use crate::{Builder, Init, Result, gather_rows};

/// A trainable vector for each of so many things, such as users or positions.
#[derive(Debug)]
pub struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// Parameter `weight [rows, width]`.
    ///
    /// # Errors
    /// The host's refusals.
    pub fn build(builder: &Builder<'_>, rows: i64, width: i64) -> Result<Self> {
        Ok(Self {
            weight: builder.parameter("weight", &[rows, width], Init::Weight)?,
        })
    }

    /// Row numbers, int64 `[..]`, to vectors `[.., width]`.
    ///
    /// # Errors
    /// A number that is no row; what else libtorch refuses.
    pub fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        gather_rows(&self.weight, rows)
    }
}
