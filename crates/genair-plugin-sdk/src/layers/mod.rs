//! Layers that two or more backbones share.

mod linear;
mod norm;
mod transformer;

pub use linear::Linear;
pub use norm::LayerNorm;
pub use transformer::{Activation, TransformerConfig, TransformerEncoder};
