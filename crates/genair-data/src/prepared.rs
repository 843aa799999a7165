//! A dataset in one file: read, filtered, ordered and numbered, so that the runs of a sweep need not each do
//! that again. What the file does not decide, [`DatasetSpec::max_len`] and the cohorts, is the reader's.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cases::{Case, Cases, LeftOut};
use crate::interactions::Metadata;
use crate::statistics::Origin;
use crate::{DataError, Dataset, ItemId, json_file};
use genair_protocol::{DatasetSpec, Split};

/// Changes with the content, so that an older file is refused.
const FORMAT: u32 = 4;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prepared {
    format: u32,
    pub(crate) origin: Origin,
    pub(crate) raw_users: Vec<String>,
    pub(crate) raw_items: Vec<String>,
    pub(crate) metadata: Vec<Metadata>,
    /// Dense item ids, oldest first, one list a user.
    pub(crate) sequences: Vec<Vec<u32>>,
    /// See [`Dataset::train_ages`].
    pub(crate) train_ages: Option<Vec<Vec<u32>>>,
    /// Absent for plain leave-one-out, which follows from the sequences.
    pub(crate) split: Option<PreparedSplit>,
}

/// What a split made of the sequences.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreparedSplit {
    pub(crate) warm_items: u32,
    /// Cold items that come first among the cold.
    pub(crate) cold_in_validation: u32,
    /// Lengths of training parts.
    pub(crate) train: Vec<u32>,
    /// Of validation and of the test.
    pub(crate) cases: [PreparedCases; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreparedCases {
    left_out: LeftOut,
    /// Of each user the length of what a model sees.
    histories: Vec<u32>,
    /// User, targets.
    cases: Vec<(u32, Vec<u32>)>,
}

impl PreparedCases {
    fn of(dataset: &Dataset, split: Split) -> Self {
        let case = |case: Case<'_>| {
            let targets = case.targets.iter().map(|item| item.get()).collect();
            (case.user as u32, targets)
        };
        let of_split = dataset.cases_of(split);
        Self {
            left_out: of_split.left_out,
            histories: of_split.histories.clone(),
            cases: dataset.cases(split).map(case).collect(),
        }
    }
}

impl From<PreparedCases> for Cases {
    fn from(prepared: PreparedCases) -> Self {
        let mut cases = Self::new();
        cases.left_out = prepared.left_out;
        cases.histories = prepared.histories;
        for (user, targets) in prepared.cases {
            cases.push(user as usize, targets.into_iter().map(ItemId::new));
        }
        cases
    }
}

impl Dataset {
    /// Writes the dataset to a file, and the folders it is in; it appears whole or not at all.
    ///
    /// # Errors
    /// [`DataError::File`].
    pub fn write_prepared(&self, path: &Path) -> Result<(), DataError> {
        let user = |user| self.sequence(user).iter().map(|item| item.get()).collect();
        let prepared = Prepared {
            format: FORMAT,
            origin: self.statistics().origin(),
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
            train_ages: self.train_ages().map(<[_]>::to_vec),
            split: self.prepared_split(),
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
        let ages = prepared.train_ages.as_ref();
        let whole = prepared.metadata.len() == prepared.raw_items.len()
            && ages.is_none_or(|ages| ages.len() == prepared.raw_items.len() + 1)
            && prepared.sequences.len() == prepared.raw_users.len()
            && prepared
                .sequences
                .iter()
                .all(|user| user.len() >= 2 && user.iter().all(known));
        let fits = match &prepared.split {
            Some(split) => split.fits(&prepared),
            None => prepared.sequences.iter().all(|user| user.len() >= 3),
        };
        if !whole || !fits || prepared.raw_users.is_empty() {
            return Err(json_file::broken(path, "its parts do not fit"));
        }
        Self::of_prepared(prepared, spec)
    }

    fn prepared_split(&self) -> Option<PreparedSplit> {
        (!self.is_plain()).then(|| PreparedSplit {
            warm_items: self.num_warm_items() as u32,
            cold_in_validation: self.cold_items(Split::Valid).len() as u32,
            train: (0..self.num_users())
                .map(|user| self.train(user).len() as u32)
                .collect(),
            cases: [Split::Valid, Split::Test].map(|split| PreparedCases::of(self, split)),
        })
    }
}

impl PreparedSplit {
    /// Whether it is one of these sequences.
    fn fits(&self, prepared: &Prepared) -> bool {
        let (items, sequences) = (prepared.raw_items.len(), &prepared.sequences);
        let groups = self.warm_items as usize + self.cold_in_validation as usize;
        let fit = |lengths: &[u32]| {
            let pairs = lengths.iter().zip(sequences);
            lengths.len() == sequences.len() && { pairs }
                .all(|(length, own)| *length as usize <= own.len())
        };
        let case = |(user, targets): &(u32, Vec<u32>)| {
            (*user as usize) < sequences.len()
                && !targets.is_empty()
                && targets
                    .iter()
                    .all(|item| (1..=items).contains(&(*item as usize)))
        };
        let of_split = |own: &PreparedCases| {
            own.cases.iter().all(case)
                && own.cases.is_sorted_by(|a, b| a.0 < b.0)
                && fit(&own.histories)
        };
        groups <= items && fit(&self.train) && self.cases.iter().all(of_split)
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
        assert_eq!(read.train_ages(), loaded.train_ages());
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
            ("\"format\":4", "\"format\":3"),
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
