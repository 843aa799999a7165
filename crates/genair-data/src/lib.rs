//! Raw interaction logs to id sequences and a split of them, once for every run. No tensors,
//! no batches, no models.
//!
//! Start with [`load`] and [`Dataset`].

mod cases;
mod catalogue;
mod dataset;
mod draws;
mod error;
mod export;
mod filter;
mod inspect;
mod interactions;
mod json_file;
mod load;
mod prepared;
mod read;
mod sequences;
mod split;
mod statistics;
mod synthetic;
mod vectors;

pub use catalogue::{Catalogue, CatalogueItem, catalogue};
pub use dataset::{Case, Dataset, ItemId, LeftOut};
pub use error::{DataError, LineProblem};
pub use export::{ExportError, export};
pub use inspect::{InspectError, Inspection, inspect};
pub use interactions::{Interaction, Interactions, Metadata, OrderedBy, Removed};
pub use load::{Source, fingerprint, load};
pub use statistics::{SplitStatistics, Statistics};
pub use vectors::{ItemVectors, PartVectors, VectorsError, VectorsProblem};
