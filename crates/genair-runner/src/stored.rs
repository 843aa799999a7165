//! What a stored run was made from, where that is today: for commands that open a run again.

use std::path::{Path, PathBuf};

use genair_files::Cache;
use genair_protocol::{InputFile, PluginReport, RunSpec, VectorSource};
use genair_store::{InputKind, RunDetails};

use crate::prepare::input_file;

/// The run's plugin: the very file, or else one of its name.
pub(crate) fn plugin_of<'p>(
    name: &str,
    stored_sha256: &str,
    plugins: &'p [PluginReport],
) -> Option<&'p PluginReport> {
    let usable = || {
        plugins
            .iter()
            .filter(|own| own.name == *name && own.error.is_none())
    };
    let same = usable().find(|own| own.sha256 == stored_sha256);
    same.or_else(|| usable().next())
}

/// Path and hash of an input in the database.
pub(crate) fn stored_input(stored: &RunDetails, kind: InputKind) -> Option<(PathBuf, String)> {
    let mut own = stored
        .inputs
        .iter()
        .filter(|input| input.kind == kind.as_str());
    own.next()
        .map(|input| (PathBuf::from(&input.path), input.sha256.clone()))
}

/// A file of item vectors: where it was, or else in the cache.
pub(crate) fn vectors_of(path: &Path, spec: &RunSpec, cache: &Cache) -> Option<InputFile> {
    let frozen = spec.representation.frozen.as_ref();
    let cached = match frozen.map(|frozen| &frozen.source) {
        Some(VectorSource::File { recipe_sha256 }) => Some(cache.vectors(recipe_sha256)),
        _ => None,
    };
    [Some(path.to_owned()), cached]
        .into_iter()
        .flatten()
        .find_map(|path| input_file(&path).ok())
}
