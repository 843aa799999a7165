//! A dataset in one file: read, filtered, ordered and numbered, so that the runs of a sweep need not each do
//! that again. What the file does not decide, [`DatasetSpec::max_len`] and the cohorts, is the reader's.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::interactions::{Metadata, Removed};
use crate::{DataError, Dataset, OrderedBy, json_file};
use genair_protocol::DatasetSpec;

/// Changes with the content, so that an older file is refused.
const FORMAT: u32 = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prepared {
    format: u32,
    pub(crate) rows_read: u64,
    pub(crate) ordered_by: OrderedBy,
    pub(crate) removed: Removed,
    pub(crate) raw_users: Vec<String>,
    pub(crate) raw_items: Vec<String>,
    pub(crate) metadata: Vec<Metadata>,
    /// Dense item ids, oldest first, one list a user.
    pub(crate) sequences: Vec<Vec<u32>>,
}

impl Dataset {
    /// Writes the dataset to a file, and the folders it is in; it appears whole or not at all.
    ///
    /// # Errors
    /// [`DataError::File`].
    pub fn write_prepared(&self, path: &Path) -> Result<(), DataError> {
        let statistics = self.statistics();
        let user = |user| self.sequence(user).iter().map(|item| item.get()).collect();
        let prepared = Prepared {
            format: FORMAT,
            rows_read: statistics.rows_read,
            ordered_by: statistics.ordered_by,
            removed: statistics.removed,
            raw_users: (0..self.num_users())
                .map(|user| self.raw_user(user).to_owned())
                .collect(),
            raw_items: self
                .items()
                .map(|item| self.raw_item(item).to_owned())
                .collect(),
            metadata: self
                .items()
                .map(|item| self.metadata(item).clone())
                .collect(),
            sequences: (0..self.num_users()).map(user).collect(),
        };
        json_file::write(path, &prepared)
    }

    /// Reads what [`Dataset::write_prepared`] wrote; the same as [`crate::load`] of the spec it was made by, but
    /// for the settings that are taken from `spec`.
    ///
    /// # Errors
    /// [`DataError::File`], [`DataError::NotPrepared`].
    pub fn read_prepared(path: &Path, spec: &DatasetSpec) -> Result<Self, DataError> {
        let prepared: Prepared = json_file::read(path)?;
        if prepared.format != FORMAT {
            let reason = format!("it has format {}", prepared.format);
            return Err(json_file::broken(path, reason));
        }
        let items = prepared.raw_items.len() as u64;
        let known = |item: &u32| (1..=items).contains(&u64::from(*item));
        let whole = prepared.metadata.len() == prepared.raw_items.len()
            && prepared.sequences.len() == prepared.raw_users.len()
            && prepared
                .sequences
                .iter()
                .all(|user| user.len() >= 3 && user.iter().all(known));
        if !whole || prepared.raw_users.is_empty() {
            return Err(json_file::broken(path, "its parts do not fit"));
        }
        Ok(Self::of_prepared(prepared, spec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genair_protocol::{Cohorts, DatasetKind};

    fn spec(max_len: usize, long_user: u32) -> DatasetSpec {
        DatasetSpec {
            kind: DatasetKind::Synthetic,
            max_len,
            cohorts: Cohorts {
                long_user: Some(long_user),
                ..Cohorts::default()
            },
            ..DatasetSpec::default()
        }
    }

    #[test]
    fn what_is_read_back_is_what_loading_yields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.json");
        crate::load(&spec(50, 7))
            .unwrap()
            .write_prepared(&path)
            .unwrap();
        let (read, loaded) = (
            Dataset::read_prepared(&path, &spec(20, 9)).unwrap(),
            crate::load(&spec(20, 9)).unwrap(),
        );
        assert_eq!(read.sequences_sha256(), loaded.sequences_sha256());
        assert_eq!(read.train_popularity(), loaded.train_popularity());
        assert_eq!(read.statistics(), loaded.statistics());
        assert_eq!(read.max_len(), 20);
        for item in loaded.items() {
            assert_eq!(read.raw_item(item), loaded.raw_item(item));
            assert_eq!(read.metadata(item), loaded.metadata(item));
        }
        for user in 0..loaded.num_users() {
            assert_eq!(read.raw_user(user), loaded.raw_user(user));
        }
    }

    #[test]
    fn another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        crate::load(&spec(50, 7))
            .unwrap()
            .write_prepared(&path)
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("\"format\":2", "\"format\":1"),
            ("\"sequences\":[[", "\"sequences\":[[0,"),
            ("\"sequences\":[[", "\"sequences\":[[1],["),
            ("}", ""),
        ] {
            assert!(text.contains(from), "{from}");
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let refused = Dataset::read_prepared(&path, &spec(50, 7));
            assert!(
                matches!(refused, Err(DataError::NotPrepared { .. })),
                "{from}"
            );
        }
    }
}
