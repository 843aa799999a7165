//! The engine worker that runs a sentence encoder: texts in, one unit vector each.
//!
//! The library behind the binary `genair-encoder`. It reads a model's folder as sentence-transformers
//! writes it (a BERT encoder, mean pooling, normalisation, such as all-MiniLM-L6-v2) and says records
//! of [`genair_protocol::EngineEvent`]. It generates nothing, fetches nothing and writes no file.

mod bert;
mod encoder;
mod error;
mod folder;
mod info;
mod pool;
mod weights;
mod wordpiece;
mod worker;

pub use error::EncodeError;
pub use info::{Info, info};
pub use worker::serve;

/// Engine and version, part of a record's provenance; with the number that decides how short texts are rounded.
pub const ENGINE: &str = concat!("genair-encoder ", env!("CARGO_PKG_VERSION"), ", 16 rows");
