//! Dense ids, one sequence per user, and the leave-one-out split over them.
//!
//! Owns [`ItemId`] and what may be known in training: everything that is counted here comes from
//! the train part alone. Knows nothing of files, and makes no batches.

use std::fmt::Write as _;

use genair_files::Sha256;

use crate::DataError;
use crate::interactions::{Interaction, Interactions, Metadata};
use crate::prepared::Prepared;
use crate::statistics::{self, Statistics};
use genair_protocol::DatasetSpec;

/// Interactions a user needs: one to train on, one to validate, one to test.
const MIN_SEQUENCE: usize = 3;

/// An item's dense id: 1 to the number of items; 0 is padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ItemId(u32);

impl ItemId {
    /// Stands where a sequence has no item.
    pub const PADDING: Self = Self(0);

    /// The item of a dense id.
    pub fn new(id: u32) -> Self {
        Self(id)
    }

    /// The dense id.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Row of this item in a table with a padding row, such as [`Dataset::train_popularity`].
    pub fn row(self) -> usize {
        self.0 as usize
    }
}

impl From<ItemId> for i64 {
    fn from(item: ItemId) -> Self {
        Self::from(item.0)
    }
}

/// Users with their item sequences, oldest item first, and the split of each: the last item is the
/// test target, the one before it the validation target, the rest is for training.
///
/// Users are numbered from 0, by their first interaction that survived all filters. Items are
/// numbered from 1, by first appearance when walking the users' sequences in that order.
#[derive(Clone, Debug)]
pub struct Dataset {
    raw_users: Vec<String>,
    raw_items: Vec<String>,
    metadata: Vec<Metadata>,
    /// User `u` has `sequences[offsets[u]..offsets[u + 1]]`.
    offsets: Vec<usize>,
    sequences: Vec<ItemId>,
    train_popularity: Vec<u32>,
    max_len: usize,
    statistics: Statistics,
}

impl Dataset {
    /// Orders, drops users with fewer than 3 interactions, and numbers what is left.
    ///
    /// # Errors
    /// [`DataError::NothingLeft`] if no user has 3 interactions.
    pub fn new(mut interactions: Interactions, spec: &DatasetSpec) -> Result<Self, DataError> {
        let rows_read = interactions.rows.len() as u64 + interactions.removed.total();
        sort(&mut interactions.rows, interactions.users.len());
        let mut dataset = Self {
            raw_users: Vec::new(),
            raw_items: Vec::new(),
            metadata: Vec::new(),
            offsets: vec![0],
            sequences: Vec::new(),
            train_popularity: vec![0],
            max_len: spec.max_len,
            statistics: Statistics::default(),
        };
        let mut dense = vec![ItemId::PADDING; interactions.items.len()];
        for rows in interactions.rows.chunk_by(|a, b| a.user == b.user) {
            if rows.len() < MIN_SEQUENCE {
                interactions.removed.short_user += rows.len() as u64;
                continue;
            }
            dataset
                .raw_users
                .push(interactions.users[rows[0].user as usize].clone());
            for (position, row) in rows.iter().enumerate() {
                let item = &mut dense[row.item as usize];
                if *item == ItemId::PADDING {
                    let raw = &interactions.items[row.item as usize];
                    dataset.raw_items.push(raw.clone());
                    dataset
                        .metadata
                        .push(interactions.metadata.swap_remove(raw).unwrap_or_default());
                    *item = ItemId(dataset.raw_items.len() as u32);
                    dataset.train_popularity.push(0);
                }
                if position + 2 < rows.len() {
                    dataset.train_popularity[item.row()] += 1;
                }
                dataset.sequences.push(*item);
            }
            dataset.offsets.push(dataset.sequences.len());
        }
        let (removed, ordered_by) = (interactions.removed, interactions.ordered_by);
        if dataset.raw_users.is_empty() {
            return Err(DataError::NothingLeft {
                rows: rows_read,
                removed: Box::new(removed),
            });
        }
        dataset.statistics = statistics::of(&dataset, spec.cohorts, rows_read, removed, ordered_by);
        Ok(dataset)
    }

    /// The dataset of a file; `spec` has what the file does not decide.
    pub(crate) fn of_prepared(prepared: Prepared, spec: &DatasetSpec) -> Self {
        let mut dataset = Self {
            train_popularity: vec![0; prepared.raw_items.len() + 1],
            raw_users: prepared.raw_users,
            raw_items: prepared.raw_items,
            metadata: prepared.metadata,
            offsets: vec![0],
            sequences: Vec::new(),
            max_len: spec.max_len,
            statistics: Statistics::default(),
        };
        for sequence in prepared.sequences {
            for item in &sequence[..sequence.len().saturating_sub(2)] {
                dataset.train_popularity[*item as usize] += 1;
            }
            dataset.sequences.extend(sequence.into_iter().map(ItemId));
            dataset.offsets.push(dataset.sequences.len());
        }
        let (rows_read, removed) = (prepared.rows_read, prepared.removed);
        dataset.statistics = statistics::of(
            &dataset,
            spec.cohorts,
            rows_read,
            removed,
            prepared.ordered_by,
        );
        dataset
    }

    /// Number of users, at least 1. Users are `0..num_users()`.
    pub fn num_users(&self) -> usize {
        self.raw_users.len()
    }

    /// Number of items, at least 1. Items are `1..=num_items()`.
    pub fn num_items(&self) -> usize {
        self.raw_items.len()
    }

    /// Number of interactions, at least 3 per user.
    pub fn num_interactions(&self) -> usize {
        self.sequences.len()
    }

    /// All items, in id order.
    pub fn items(&self) -> impl ExactSizeIterator<Item = ItemId> + use<> {
        (0..self.num_items()).map(|index| ItemId(index as u32 + 1))
    }

    /// Longest history a model sees, `L`. Sequences here are whole; whoever makes batches cuts them.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// All items of a user, oldest first, at least 3.
    pub fn sequence(&self, user: usize) -> &[ItemId] {
        &self.sequences[self.offsets[user]..self.offsets[user + 1]]
    }

    /// A user's training items: all but the last two. Also the input of validation.
    pub fn train(&self, user: usize) -> &[ItemId] {
        let sequence = self.sequence(user);
        &sequence[..sequence.len() - 2]
    }

    /// A user's items before the test target: the input of the test.
    pub fn history(&self, user: usize) -> &[ItemId] {
        let sequence = self.sequence(user);
        &sequence[..sequence.len() - 1]
    }

    /// The item to be predicted from [`Dataset::train`].
    pub fn valid_target(&self, user: usize) -> ItemId {
        let sequence = self.sequence(user);
        sequence[sequence.len() - 2]
    }

    /// The item to be predicted from [`Dataset::history`].
    pub fn test_target(&self, user: usize) -> ItemId {
        let sequence = self.sequence(user);
        sequence[sequence.len() - 1]
    }

    /// How often each item is in the train part, by [`ItemId::row`]; row 0, padding, is 0.
    pub fn train_popularity(&self) -> &[u32] {
        &self.train_popularity
    }

    /// A user's id in the source.
    pub fn raw_user(&self, user: usize) -> &str {
        &self.raw_users[user]
    }

    /// An item's id in the source.
    ///
    /// # Panics
    /// For padding.
    pub fn raw_item(&self, item: ItemId) -> &str {
        &self.raw_items[item.row() - 1]
    }

    /// What the source says of an item, its id left out; empty where it says nothing.
    ///
    /// # Panics
    /// For padding.
    pub fn metadata(&self, item: ItemId) -> &Metadata {
        &self.metadata[item.row() - 1]
    }

    /// Sizes, shapes, and what was removed on the way.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// SHA-256 of the source's ids, lower-case hex: of users, then of items, in the order of their numbers, each after
    /// its length in bytes.
    pub fn ids_sha256(&self) -> String {
        let mut digest = Sha256::default();
        for ids in [&self.raw_users, &self.raw_items] {
            digest.update(format!("{}\n", ids.len()));
            for id in ids {
                digest.update(format!("{} {id}\n", id.len()));
            }
        }
        digest.finish()
    }

    /// SHA-256 of the sequences as text, lower-case hex: per user one line, `user item item ...\n`,
    /// dense ids, users counted from 1.
    pub fn sequences_sha256(&self) -> String {
        let mut digest = Sha256::default();
        let mut line = String::new();
        for user in 0..self.num_users() {
            line.clear();
            // Writing to a string cannot fail.
            let _ = write!(line, "{}", user + 1);
            for item in self.sequence(user) {
                let _ = write!(line, " {}", item.0);
            }
            line.push('\n');
            digest.update(&line);
        }
        digest.finish()
    }
}

/// Brings each user's rows together, in time order with ties in input order; users by first row.
fn sort(rows: &mut [Interaction], num_users: usize) {
    const UNSEEN: u32 = u32::MAX;
    let mut place = vec![UNSEEN; num_users];
    let mut next = 0;
    for row in rows.iter() {
        let place = &mut place[row.user as usize];
        if *place == UNSEEN {
            *place = next;
            next += 1;
        }
    }
    let place = |row: &Interaction| place[row.user as usize];
    rows.sort_by(|a, b| place(a).cmp(&place(b)).then(a.time.total_cmp(&b.time)));
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::filter;
    use genair_protocol::{KCore, KCoreMode};

    fn interactions(rows: &[(String, String, f64)]) -> Interactions {
        let mut result = Interactions::default();
        for (user, item, time) in rows {
            let user = result.users.insert_full(user.clone()).0 as u32;
            let item = result.items.insert_full(item.clone()).0 as u32;
            result.rows.push(Interaction {
                user,
                item,
                time: *time,
            });
        }
        result
    }

    /// Made by the published code (tests/fixtures/README.md, dataprep.json).
    #[derive(Deserialize)]
    struct Oracle {
        raw: Vec<(String, String, f64)>,
        user_core: u32,
        item_core: u32,
        user_num: usize,
        item_num: usize,
        inter_seq: HashMap<String, Vec<u32>>,
        user2id: HashMap<String, String>,
        item2id: HashMap<String, String>,
    }

    #[test]
    fn ids_and_order_are_those_of_the_published_code() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/dataprep.json"
        );
        let oracle: Oracle = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut rows = interactions(&oracle.raw);
        let core = KCore {
            mode: KCoreMode::SinglePass,
            user: oracle.user_core,
            item: oracle.item_core,
        };
        filter::k_core(&mut rows, &core);
        let dataset = Dataset::new(rows, &DatasetSpec::default()).unwrap();
        assert_eq!(
            (dataset.num_users(), dataset.num_items()),
            (oracle.user_num, oracle.item_num)
        );
        for user in 0..dataset.num_users() {
            let dense: Vec<u32> = dataset
                .sequence(user)
                .iter()
                .map(|item| item.get())
                .collect();
            assert_eq!(dense, oracle.inter_seq[&(user + 1).to_string()]);
            assert_eq!(
                (user + 1).to_string(),
                oracle.user2id[dataset.raw_user(user)]
            );
        }
        for item in dataset.items() {
            assert_eq!(
                item.get().to_string(),
                oracle.item2id[dataset.raw_item(item)]
            );
        }
    }

    fn tiny() -> Dataset {
        let rows = [
            ("short", "x", 0.0),
            ("b", "p", 3.0),
            ("b", "q", 1.0),
            ("a", "q", 5.0),
            ("b", "r", 1.0),
            ("short", "y", 1.0),
            ("a", "s", 5.0),
            ("b", "q", 9.0),
            ("a", "p", 0.0),
        ];
        let rows = rows.map(|(user, item, time)| (user.to_owned(), item.to_owned(), time));
        Dataset::new(interactions(&rows), &DatasetSpec::default()).unwrap()
    }

    #[test]
    fn short_users_leave_no_gap_in_the_ids() {
        let dataset = tiny();
        assert_eq!([dataset.raw_user(0), dataset.raw_user(1)], ["b", "a"]);
        let raw: Vec<&str> = dataset.items().map(|item| dataset.raw_item(item)).collect();
        assert_eq!(raw, ["q", "r", "p", "s"]);
        assert_eq!(dataset.statistics().removed.short_user, 2);
    }

    #[test]
    fn the_hash_is_of_the_lines() {
        // printf '1 1 2 3 1\n2 3 1 4\n' | sha256sum
        assert_eq!(
            tiny().sequences_sha256(),
            "c0bc3391c25e3b8b4c72e315c51751351c3e08a8ac3f721ed024b1ccbc995b47"
        );
    }

    #[test]
    fn the_hash_of_ids_is_of_their_lengths_and_texts() {
        // printf '2\n1 b\n1 a\n4\n1 q\n1 r\n1 p\n1 s\n' | sha256sum
        assert_eq!(
            tiny().ids_sha256(),
            "2f428af864cce66a918fe4aacb8c29b2b6f520d020a3c5061b943133776b00f8"
        );
    }

    #[test]
    fn nothing_left_says_what_took_it() {
        let rows = [
            ("a".to_owned(), "x".to_owned(), 0.0),
            ("a".to_owned(), "y".to_owned(), 0.0),
        ];
        let error = Dataset::new(interactions(&rows), &DatasetSpec::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("2 fell to users with fewer than 3"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn the_split_is_a_partition_and_popularity_sees_the_train_part_alone(
            pairs in prop::collection::vec((0_u8..6, 0_u8..9, 0_u8..20), 3..80),
        ) {
            let rows: Vec<_> = pairs.iter().map(|&(u, i, t)| (u.to_string(), i.to_string(), f64::from(t))).collect();
            let Ok(dataset) = Dataset::new(interactions(&rows), &DatasetSpec::default()) else { return Ok(()) };
            let mut popularity = vec![0; dataset.num_items() + 1];
            for user in 0..dataset.num_users() {
                let mut parts = dataset.train(user).to_vec();
                parts.iter().for_each(|item| popularity[item.row()] += 1);
                parts.push(dataset.valid_target(user));
                prop_assert_eq!(&parts, dataset.history(user));
                parts.push(dataset.test_target(user));
                prop_assert_eq!(&parts, dataset.sequence(user));
                prop_assert!(parts.iter().all(|item| *item != ItemId::PADDING));

                let mut expected: Vec<_> = rows.iter().filter(|row| row.0 == dataset.raw_user(user)).collect();
                expected.sort_by(|a, b| a.2.total_cmp(&b.2));
                let expected: Vec<_> = expected.iter().map(|row| row.1.as_str()).collect();
                let found: Vec<_> = parts.iter().map(|&item| dataset.raw_item(item)).collect();
                prop_assert_eq!(found, expected);
            }
            prop_assert_eq!(dataset.train_popularity(), popularity);
        }
    }
}
