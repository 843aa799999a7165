//! What a backbone plugin is written against.
//!
//! A backbone implements [`Backbone`]: it says what its parameters are, builds its layers from
//! parameters that the host owns, and turns a [`SequenceBatch`] of item vectors into states. It
//! never sees what an item is, a loss, a file or another plugin. [`export_backbone!`] makes the
//! crate a plugin; every call across the boundary is caught, so a panic fails one run and no more.
//!
//! Shape letters used throughout: `N` valid tokens of a batch (all sequences one after another),
//! `B` sequences, `L` tokens of the longest sequence of the batch, `D` hidden size, `S` state size,
//! `M` wanted tokens.

mod backbone;
mod batch;
mod builder;
mod error;
mod export;
mod groups;
pub mod layers;
mod mode;
mod schema;

pub use backbone::Backbone;
pub use batch::{SequenceBatch, gather_rows};
pub use builder::{Builder, Init};
pub use error::{Error, Result};
pub use genair_abi::{Capabilities, MaskedTraining, OutputItems, Padding, TrainsOn};
pub use groups::{LengthGroup, LengthGroups};
pub use mode::Mode;

/// What [`export_backbone!`] expands to; not for use by hand.
#[doc(hidden)]
pub mod private {
    pub use crate::export::{capabilities, create, describe, drop_model, encode, handshake};
    pub use genair_abi::{Handshake, VTable};
}
