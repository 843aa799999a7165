//! Raw interaction logs to id sequences and a leave-one-out split, once for every run. No tensors,
//! no batches, no models.
//!
//! Start with [`DatasetSpec`], [`load`] and [`Dataset`]; [`fetch`] is the only module that knows a
//! network.

mod catalogue;
mod dataset;
mod digest;
mod error;
mod export;
pub mod fetch;
mod filter;
mod interactions;
mod load;
mod prepared;
mod read;
pub mod regular_file;
mod spec;
pub mod spec_text;
mod statistics;
mod synthetic;
mod vectors;

pub use catalogue::{Catalogue, CatalogueItem, catalogue};
pub use dataset::{Dataset, ItemId};
pub use error::{DataError, LineProblem};
pub use export::{ExportError, export};
pub use interactions::{Interaction, Interactions, Metadata, OrderedBy, Removed};
pub use load::{fingerprint, load};
pub use spec::{
    Cohorts, Columns, DatasetKind, DatasetSpec, KCore, KCoreMode, SpecProblem, UnknownItems,
};
pub use statistics::Statistics;
pub use vectors::{ItemVectors, PartVectors, VectorsError, VectorsProblem};
