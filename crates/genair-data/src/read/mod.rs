//! From files to [`Interactions`]: which files, in which format, and nothing skipped in silence.
//!
//! Owns names and formats. Filters only what the spec asks to be judged row by row (rating, unknown
//! items); counts what that removes.

mod delimited;
mod file;
mod items;
mod recbole;
mod table;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::DataError;
use crate::interactions::{Interactions, Metadata};
use genair_protocol::{DatasetKind, DatasetSpec};

pub(crate) use file::hash as hash_file;

/// The files a spec means.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) interactions: PathBuf,
    pub(crate) items: Option<PathBuf>,
}

/// Reads the files of a `table` or `recbole` spec. Interactions come in file order.
///
/// # Errors
/// Any [`DataError`] but `NothingLeft`; reading ends at the first line that cannot be used.
pub(crate) fn read(spec: &DatasetSpec) -> Result<Interactions, DataError> {
    let files = locate(spec)?;
    match spec.kind {
        DatasetKind::Recbole => recbole::read(&files, spec),
        DatasetKind::Table | DatasetKind::Synthetic => table::read(&files, spec),
    }
}

/// Finds the files of a spec that reads files.
pub(crate) fn locate(spec: &DatasetSpec) -> Result<Files, DataError> {
    let folder = spec.path.as_deref().unwrap_or(Path::new("."));
    let interactions = match &spec.interactions {
        Some(name) => folder.join(name),
        None => default_interactions(spec.kind, folder)?,
    };
    let items = match &spec.items {
        Some(name) => Some(folder.join(name)),
        None => default_items(spec.kind, folder)?,
    };
    Ok(Files {
        interactions,
        items,
    })
}

fn default_interactions(kind: DatasetKind, folder: &Path) -> Result<PathBuf, DataError> {
    // Also tells of a missing folder, the likelier mistake, before any missing file.
    let names = file::list(folder)?;
    let (looked_for, found) = if kind == DatasetKind::Recbole {
        let found = file::only_with_suffix(folder, &names, "interactions", ".inter")?;
        ("*.inter, *.inter.gz", found)
    } else {
        let looked_for =
            "interactions.tsv, interactions.tsv.gz, interactions.csv, interactions.csv.gz";
        (looked_for, first_of(looked_for, &names, folder))
    };
    found.ok_or_else(|| DataError::NoInteractionsFile {
        folder: folder.to_owned(),
        looked_for,
    })
}

fn default_items(kind: DatasetKind, folder: &Path) -> Result<Option<PathBuf>, DataError> {
    let names = file::list(folder)?;
    if kind == DatasetKind::Recbole {
        return file::only_with_suffix(folder, &names, "items", ".item");
    }
    Ok(first_of("items.jsonl, items.jsonl.gz", &names, folder))
}

/// The first of the wanted files that is among a folder's `names`.
fn first_of(wanted: &str, names: &[String], folder: &Path) -> Option<PathBuf> {
    let mut wanted = wanted.split(", ");
    let first = wanted.find(|&wanted| names.iter().any(|name| name == wanted));
    first.map(|name| folder.join(name))
}

/// Item metadata by raw id, in file order.
#[derive(Debug, Default)]
struct ItemsFile {
    /// Name without folder, for messages.
    name: String,
    metadata: IndexMap<String, Metadata>,
}
