//! Plain tables: `interactions.tsv` or `.csv` with `items.jsonl`, each plain or gzipped.

use super::delimited::{self, Delimited, Roles};
use super::{Files, items};
use crate::DataError;
use crate::interactions::Interactions;
use genair_protocol::DatasetSpec;

pub(super) fn read(files: &Files, spec: &DatasetSpec) -> Result<Interactions, DataError> {
    let path = &files.interactions;
    let name = path.to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let delimiter = match name.rsplit_once('.') {
        Some((_, "tsv")) => b'\t',
        Some((_, "csv")) => b',',
        _ => return Err(DataError::UnknownFormat { path: path.clone() }),
    };
    let table = Delimited::open(path, delimiter)?;
    let roles = Roles::find(&table, spec)?;
    let key = spec.columns.clone().unwrap_or_default().item;
    let items = files
        .items
        .as_deref()
        .map(|path| items::read(path, &key))
        .transpose()?;
    delimited::interactions(table, &roles, items, spec)
}
