//! Environment variables: they may say where things are, never what to do.

use std::ffi::OsString;
use std::path::PathBuf;

/// GENAIR_DB: the results database.
pub(crate) fn database() -> Option<PathBuf> {
    variable("GENAIR_DB").map(PathBuf::from)
}

/// GENAIR_CACHE: models, archetypes, item vectors and association scores.
pub(crate) fn cache() -> Option<PathBuf> {
    variable("GENAIR_CACHE").map(PathBuf::from)
}

/// GENAIR_TRAINER: the worker binary.
pub(crate) fn trainer() -> Option<PathBuf> {
    variable("GENAIR_TRAINER").map(PathBuf::from)
}

/// GENAIR_PLUGIN_PATH: folders with plugins, separated by colons.
pub(crate) fn plugin_path() -> Option<OsString> {
    variable("GENAIR_PLUGIN_PATH")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this program that reads the environment"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
