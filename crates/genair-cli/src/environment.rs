//! Environment variables: they may say where things are, never what to do.

use std::path::PathBuf;

/// The path, or list of paths, in a variable that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this program that reads the environment"
)]
pub(crate) fn path(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}
