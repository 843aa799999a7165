//! What every crate does with files: hash them, and write them whole or not at all.
//!
//! Knows no format and no layout.

mod atomic;
mod digest;
pub mod regular_file;
pub mod spec_text;

pub use atomic::{PARTIAL, Partial, write, write_with};
pub use digest::{Sha256, hex, sha256, sha256_of_file};
