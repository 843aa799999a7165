//! The items a dataset knows by name, before any filter: what archetypes are written for, so that one
//! artefact serves every way to filter the log.

use genair_files::Sha256;

use crate::DataError;
use crate::interactions::Metadata;
use crate::load::source;
use genair_protocol::DatasetSpec;

/// Every item of a source, filtered or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// Those of the items file in its order, then the others by first appearance in the log.
    pub items: Vec<CatalogueItem>,
}

/// An item with what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogueItem {
    /// Its id in the source, not empty.
    pub id: String,
    /// Its fields; empty where nothing is known.
    pub metadata: Metadata,
}

impl Catalogue {
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
    let interactions = source(spec)?;
    let mut known = interactions.metadata;
    for id in &interactions.items {
        if !known.contains_key(id) {
            known.insert(id.clone(), Metadata::new());
        }
    }
    let items = known
        .into_iter()
        .map(|(id, metadata)| CatalogueItem { id, metadata })
        .collect();
    Ok(Catalogue { items })
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
}
