//! What every crate does with files: hash them, write them whole or not at all, and find them in the cache.
//!
//! Knows no format.

mod atomic;
mod cache;
mod digest;
mod file_error;
pub mod regular_file;
pub mod spec_text;

pub use atomic::{PARTIAL, Partial, folder_of, partials, write, write_with};
pub use cache::Cache;
pub use digest::{Sha256, hex, sha256, sha256_of_file};
pub use file_error::{FileError, doing};
