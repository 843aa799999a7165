//! From files to [`Interactions`]: which files, in which format, and nothing skipped in silence.
//!
//! Owns names and formats. Filters only what the spec asks to be judged row by row (rating, unknown
//! items); counts what that removes.

pub(crate) mod archive;
mod delimited;
mod file;
mod item_lists;
mod items;
mod layout;
mod objects;
mod parquet;
pub(crate) mod python;
mod quotes;
mod recbole;
mod rows;
mod sequences;
mod table;
mod text;
mod times;
mod zstd;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::DataError;
use crate::interactions::{Interactions, Metadata};
use genair_protocol::{DatasetKind, DatasetSpec, FileNames, ItemsFiles};

pub(crate) use file::{hash as hash_file, list, open, read_error};
pub(crate) use layout::form_of;
pub(crate) use parquet::open as open_parquet;

/// The files a spec means.
#[derive(Debug)]
pub(crate) struct Files {
    /// At least one, in the order in which they make up the log.
    pub(crate) interactions: Vec<PathBuf>,
    pub(crate) items: Vec<PathBuf>,
    /// Says which ids of the items file are which of the interactions.
    pub(crate) id_map: Option<PathBuf>,
}

/// The file of an `id_map`, and the key in it.
fn id_map_of(spec: &DatasetSpec) -> Option<(PathBuf, Option<&str>)> {
    let name = spec.items_format.as_ref()?.id_map.as_deref()?;
    let (file, key) = match name.split_once('#') {
        Some((file, key)) => (file, Some(key)),
        None => (name, None),
    };
    Some((
        spec.path.as_deref().unwrap_or(Path::new(".")).join(file),
        key,
    ))
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

/// Finds the files of a spec that reads files. That files with a name of their own are there, reading them shows.
pub(crate) fn locate(spec: &DatasetSpec) -> Result<Files, DataError> {
    let folder = spec.path.as_deref().unwrap_or(Path::new("."));
    let named = |names: &FileNames| -> Result<Vec<PathBuf>, DataError> {
        let files = names
            .names()
            .iter()
            .map(|name| file::matching(folder, name));
        Ok(files.collect::<Result<Vec<_>, _>>()?.concat())
    };
    let interactions = match &spec.interactions {
        Some(names) => named(names)?,
        None => vec![default_interactions(spec.kind, folder)?],
    };
    let items = match &spec.items {
        Some(ItemsFiles::Named(names)) => named(names)?,
        Some(ItemsFiles::Off(_)) => Vec::new(),
        None => default_items(spec.kind, folder)?.into_iter().collect(),
    };
    Ok(Files {
        interactions,
        id_map: id_map_of(spec)
            .filter(|_| !items.is_empty())
            .map(|(path, _)| path),
        items,
    })
}

/// Endings of files whose form their name says.
const ENDINGS: [&str; 5] = ["tsv", "csv", "jsonl", "ndjson", "parquet"];

/// Whether a file is taken where a spec names none.
fn is_default(stem: &str, name: &str) -> bool {
    let ending = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('.'));
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

fn default_interactions(kind: DatasetKind, folder: &Path) -> Result<PathBuf, DataError> {
    // Also tells of a missing folder, the likelier mistake, before any missing file.
    let names = file::list(folder)?;
    let (looked_for, found) = match kind {
        DatasetKind::Recbole => {
            let found = file::only(folder, &names, "interactions", |name| {
                name.ends_with(".inter")
            })?;
            ("*.inter", found)
        }
        _ => {
            let found = file::only(folder, &names, "interactions", |name| {
                is_default("interactions", name)
            })?;
            (
                "interactions.tsv, .csv, .jsonl, .ndjson or .parquet, each also with .gz or .zst",
                found,
            )
        }
    };
    found.ok_or_else(|| DataError::NoInteractionsFile {
        folder: folder.to_owned(),
        looked_for,
    })
}

fn default_items(kind: DatasetKind, folder: &Path) -> Result<Option<PathBuf>, DataError> {
    let names = file::list(folder)?;
    match kind {
        DatasetKind::Recbole => file::only(folder, &names, "items", |name| name.ends_with(".item")),
        _ => file::only(folder, &names, "items", |name| is_default("items", name)),
    }
}

/// Item metadata by raw id, in file order.
#[derive(Debug, Default)]
struct ItemsFile {
    /// Names without folder, for messages.
    name: String,
    metadata: IndexMap<String, Metadata>,
    /// Lines that were left out, because their item has another.
    duplicates: u64,
    /// Lines that were left out, because they have no id.
    without_id: u64,
}
