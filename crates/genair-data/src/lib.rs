//! Raw interaction logs to id sequences and a leave-one-out split, once for every run. No tensors,
//! no batches, no models.
//!
//! Start with [`load`] and [`Dataset`].

mod catalogue;
mod dataset;
mod error;
mod export;
mod filter;
mod inspect;
mod interactions;
mod json_file;
mod load;
mod prepared;
mod read;
mod statistics;
mod synthetic;
mod vectors;

pub use catalogue::{Catalogue, CatalogueItem, catalogue};
pub use dataset::{Dataset, ItemId};
pub use error::{DataError, LineProblem};
pub use export::{ExportError, export};
pub use inspect::{InspectError, Inspection, inspect};
pub use interactions::{Interaction, Interactions, Metadata, OrderedBy, Removed};
pub use load::{Source, fingerprint, load};
pub use statistics::Statistics;
pub use vectors::{ItemVectors, PartVectors, VectorsError, VectorsProblem};
