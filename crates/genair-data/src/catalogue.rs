//! The items a dataset knows by name, before any filter: what archetypes are written for, so that one
//! artefact serves every way to filter the log.

use std::borrow::Cow;
use std::path::Path;

use genair_files::Sha256;
use genair_protocol::DatasetSpec;
use serde::{Deserialize, Serialize};

use crate::interactions::{Interactions, Metadata};
use crate::load::Source;
use crate::{DataError, json_file};

/// Changes with the content of a file, so that an older one is refused.
const FORMAT: u32 = 1;

/// Every item of a source, filtered or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// Those of the items file in its order, then the others by first appearance in the log.
    pub items: Vec<CatalogueItem>,
}

/// An item with what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogueItem {
    /// Its id in the source, not empty.
    pub id: String,
    /// Its fields; empty where nothing is known.
    pub metadata: Metadata,
}

/// A catalogue in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    format: u32,
    /// Of the items below: [`Catalogue::sha256`].
    sha256: String,
    items: Cow<'a, [CatalogueItem]>,
}

impl Catalogue {
    pub(crate) fn of(interactions: &Interactions) -> Self {
        let item = |id: &String, metadata: &Metadata| CatalogueItem {
            id: id.clone(),
            metadata: metadata.clone(),
        };
        let known = &interactions.metadata;
        let unknown = interactions.items.iter();
        let unknown = unknown.filter(|id| !known.contains_key(*id));
        let items = known.iter().map(|(id, metadata)| item(id, metadata));
        Self {
            items: items
                .chain(unknown.map(|id| item(id, &Metadata::new())))
                .collect(),
        }
    }

    /// Writes the catalogue to a file, and the folders it is in; it appears whole or not at all.
    ///
    /// # Errors
    /// [`DataError::File`].
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let written = Written {
            format: FORMAT,
            sha256: self.sha256(),
            items: Cow::Borrowed(&self.items),
        };
        json_file::write(path, &written)
    }

    /// Reads what [`Catalogue::write`] wrote.
    ///
    /// # Errors
    /// [`DataError::File`]; [`DataError::NotPrepared`] where the file is not as it was written.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let written: Written<'_> = json_file::read(path)?;
        let catalogue = Self {
            items: written.items.into_owned(),
        };
        if written.format != FORMAT || written.sha256 != catalogue.sha256() {
            return Err(json_file::broken(path, "its parts do not fit"));
        }
        Ok(catalogue)
    }

    /// SHA-256, lower-case hex, of ids and metadata in order.
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::default();
        for item in &self.items {
            // Text keys cannot fail to serialise, and a map has its keys in one order.
            let line = serde_json::to_string(&(&item.id, &item.metadata)).unwrap_or_default();
            digest.update(line);
            digest.update("\n");
        }
        digest.finish()
    }
}

/// Reads or generates a source's items.
///
/// # Errors
/// The first [`DataError`] met, in the interactions too: an item may be known from them alone.
pub fn catalogue(spec: &DatasetSpec) -> Result<Catalogue, DataError> {
    Ok(Source::read(spec)?.catalogue())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_the_order_of_their_file_and_the_log_adds_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "interactions.tsv",
            "user_id\titem_id\ttimestamp\nu\tz\t1\nu\tb\t2\nu\ty\t3\n",
        );
        write(
            "items.jsonl",
            "{\"item_id\":\"c\",\"title\":\"C\"}\n{\"item_id\":\"b\"}\n",
        );
        let mut spec = DatasetSpec {
            path: Some(folder.path().to_owned()),
            unknown_items: Some(genair_protocol::UnknownItems::Keep),
            ..DatasetSpec::default()
        };
        let items = catalogue(&spec).unwrap().items;
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(
            ids,
            ["c", "b", "z", "y"],
            "unfiltered: each item has one interaction at most"
        );
        assert_eq!(items[0].metadata["title"], "C");

        let before = catalogue(&spec).unwrap().sha256();
        spec.max_len = 7;
        assert_eq!(catalogue(&spec).unwrap().sha256(), before);
        write("items.jsonl", "{\"item_id\":\"c\",\"title\":\"D\"}\n");
        assert_ne!(catalogue(&spec).unwrap().sha256(), before);
    }

    #[test]
    fn a_file_holds_the_same_catalogue_or_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.json");
        let made = catalogue(&DatasetSpec {
            kind: genair_protocol::DatasetKind::Synthetic,
            ..DatasetSpec::default()
        });
        let made = made.unwrap();
        made.write(&path).unwrap();
        assert_eq!(Catalogue::read(&path).unwrap(), made);
        let text = std::fs::read_to_string(&path).unwrap();
        let id = format!("\"id\":\"{}\"", made.items[0].id);
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            (&id, "\"id\":\"x\""),
            ("}", ""),
        ] {
            assert!(text.contains(from), "{from}");
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let refused = Catalogue::read(&path);
            assert!(
                matches!(refused, Err(DataError::NotPrepared { .. })),
                "{from}"
            );
        }
    }
}
