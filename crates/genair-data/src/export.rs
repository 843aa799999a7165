//! A dataset as files: the way out to other programs, and back in as `kind = "table"`.
//!
//! Writes what [`crate::load`] made of the source, after filters, in the raw ids of the source. Does
//! not write splits: they follow from the order.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use genair_files::{FileError, doing};
use serde::Serialize;

use crate::{Dataset, Metadata};

/// The key of an item's id in the items file, and its column in the interactions file.
const ITEM_ID: &str = "item_id";

/// Why a dataset cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A file is there already.
    #[error("`{}` is there already; remove it, or name another folder", path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A raw id that would end its field or line.
    #[error(
        "the id {id:?} holds a tab or a line break, which a table cannot; change it in the source"
    )]
    Id {
        /// The raw id.
        id: String,
    },
    /// Item metadata with a field of the id's name.
    #[error("item `{item}` has a field `{ITEM_ID}` beside its id; rename the field in the source")]
    Field {
        /// The item's raw id.
        item: String,
    },
}

/// Writes `interactions.tsv` (columns `user_id`, `item_id` and `order`, the position in the user's
/// sequence from 0) and `items.jsonl` (a line for every item) into a folder, which is created where
/// it is missing. Loading the folder without a filter gives the same sequences, hash for hash.
///
/// # Errors
/// [`ExportError`]. Each file appears whole or not at all, `interactions.tsv` last.
pub fn export(dataset: &Dataset, folder: &Path) -> Result<(), ExportError> {
    let files: [(PathBuf, Content); 2] = [
        (folder.join("items.jsonl"), write_items),
        (folder.join("interactions.tsv"), write_interactions),
    ];
    refuse_ids(dataset)?;
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(ExportError::Occupied { path: path.clone() });
    }
    for (path, content) in files {
        genair_files::write_with(&path, |file| content(dataset, file))
            .map_err(doing("write", &path))?;
    }
    Ok(())
}

/// Writes what one of the files holds.
type Content = fn(&Dataset, &mut dyn Write) -> io::Result<()>;

fn refuse_ids(dataset: &Dataset) -> Result<(), ExportError> {
    let users = (0..dataset.num_users()).map(|user| dataset.raw_user(user));
    let items = dataset.items().map(|item| dataset.raw_item(item));
    if let Some(id) = users
        .chain(items)
        .find(|id| id.contains(['\t', '\n', '\r']))
    {
        return Err(ExportError::Id { id: id.to_owned() });
    }
    match dataset
        .items()
        .find(|&item| dataset.metadata(item).contains_key(ITEM_ID))
    {
        Some(item) => Err(ExportError::Field {
            item: dataset.raw_item(item).to_owned(),
        }),
        None => Ok(()),
    }
}

fn write_interactions(dataset: &Dataset, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "user_id\t{ITEM_ID}\torder")?;
    for user in 0..dataset.num_users() {
        let raw_user = dataset.raw_user(user);
        for (order, &item) in dataset.sequence(user).iter().enumerate() {
            writeln!(out, "{raw_user}\t{}\t{order}", dataset.raw_item(item))?;
        }
    }
    Ok(())
}

fn write_items(dataset: &Dataset, out: &mut dyn Write) -> io::Result<()> {
    /// One line.
    #[derive(Serialize)]
    struct Item<'a> {
        item_id: &'a str,
        #[serde(flatten)]
        metadata: &'a Metadata,
    }
    for item in dataset.items() {
        let line = Item {
            item_id: dataset.raw_item(item),
            metadata: dataset.metadata(item),
        };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interaction, Interactions};
    use genair_protocol::{DatasetKind, DatasetSpec};

    fn synthetic() -> Dataset {
        let spec = DatasetSpec {
            kind: DatasetKind::Synthetic,
            users: Some(30),
            ..DatasetSpec::default()
        };
        crate::load(&spec).unwrap()
    }

    #[test]
    fn what_was_written_loads_as_the_same_dataset() {
        let (folder, written) = (tempfile::tempdir().unwrap(), synthetic());
        let path = folder.path().join("a/b");
        export(&written, &path).unwrap();
        let read = crate::load(&DatasetSpec {
            path: Some(path),
            ..DatasetSpec::default()
        })
        .unwrap();
        assert_eq!(read.sequences_sha256(), written.sequences_sha256());
        for item in written.items() {
            assert_eq!(read.raw_item(item), written.raw_item(item));
            assert_eq!(read.metadata(item), written.metadata(item));
        }
        for user in 0..written.num_users() {
            assert_eq!(read.raw_user(user), written.raw_user(user));
        }
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_left_over() {
        let (folder, dataset) = (tempfile::tempdir().unwrap(), synthetic());
        let occupied = folder.path().join("interactions.tsv");
        std::fs::write(&occupied, "mine").unwrap();
        let error = export(&dataset, folder.path()).unwrap_err();
        assert!(matches!(error, ExportError::Occupied { path } if path == occupied));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(occupied).unwrap(), "mine");
    }

    #[test]
    fn an_id_that_would_break_the_table_is_refused() {
        let mut interactions = Interactions::default();
        for (item, id) in ["p", "q\tr", "s"].iter().enumerate() {
            let user = interactions.users.insert_full("u".to_owned()).0 as u32;
            interactions.items.insert((*id).to_owned());
            interactions.rows.push(Interaction {
                user,
                item: item as u32,
                time: item as f64,
            });
        }
        let dataset = Dataset::new(interactions, &DatasetSpec::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = export(&dataset, folder.path()).unwrap_err();
        assert!(matches!(error, ExportError::Id { id } if id == "q\tr"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
