//! TOML that people write: documents with the place of each value, layers of them, and sections that are read as
//! Rust types without stopping at the first mistake.
//!
//! Knows no key of any format: those are its users', genair-spec's and genair-report's.

mod document;
mod key_path;
mod problem;
mod problems;
mod section;
mod sources;

pub use document::{Document, Spot};
pub use genair_protocol::{nearest, nearest_few, suggestion};
pub use key_path::KeyPath;
pub use problem::{Place, Problem, SpecError};
pub use problems::Problems;
pub use section::read_section;
pub use sources::{Hint, Origin, Sources};
