//! Layers that two or more backbones share.

mod embedding;
mod feed_forward;
mod linear;
mod norm;
mod transformer;

pub use embedding::Embedding;
pub use feed_forward::{Activation, FeedForward};
pub use linear::Linear;
pub use norm::LayerNorm;
pub use transformer::{TransformerConfig, TransformerEncoder};
