//! Tables of any form, with their items.

use super::delimited::Delimited;
use super::item_lists::ItemLists;
use super::layout::Layout;
use super::objects::Objects;
use super::rows::{Log, Rows};
use super::sequences::Sequences;
use super::{Files, items};
use crate::DataError;
use crate::interactions::Interactions;
use genair_protocol::{DatasetSpec, FormatKind};

pub(super) fn read(files: &Files, spec: &DatasetSpec) -> Result<Interactions, DataError> {
    let items = match files.items.as_slice() {
        [] => None,
        paths => Some(items::read(paths, spec)?),
    };
    let mut log = Log::new(spec, items)?;
    for path in &files.interactions {
        let layout = Layout::of(path, spec.format.as_ref(), "format")?;
        let mut rows: Box<dyn Rows> = match layout.kind {
            FormatKind::Delimited => {
                let mut table = Delimited::open(path, &layout, spec.columns.as_ref())?;
                table.find_roles(spec)?;
                Box::new(table)
            }
            FormatKind::Sequences => Box::new(Sequences::open(path, &layout)?),
            FormatKind::JsonLines | FormatKind::PythonLines | FormatKind::Parquet => {
                Box::new(Objects::open(path, &layout, spec)?)
            }
        };
        let format = spec.format.as_ref();
        if let Some(separator) = format.and_then(|format| format.item_separator.as_deref()) {
            rows = Box::new(ItemLists::new(rows, separator));
        }
        log.read(rows.as_mut())?;
    }
    Ok(log.finish())
}
