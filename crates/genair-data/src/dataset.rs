//! Dense ids, one sequence per user, and the split over them.
//!
//! Owns [`ItemId`] and what may be known in training: everything that is counted here comes from
//! the train part alone. Knows nothing of files, and makes no batches.

use std::fmt::Write as _;
use std::ops::Range;

use genair_files::Sha256;

use crate::DataError;
use crate::cases::Cases;
pub use crate::cases::{Case, LeftOut};
use crate::interactions::{Interaction, Interactions, Metadata, OrderedBy};
use crate::prepared::Prepared;
use crate::sequences::Sequences;
use crate::split::{Group, Parts, Splitter, groups, per_second, shortest};
use crate::statistics::{self, Origin, Statistics};
use genair_protocol::{ColdInHistory, DatasetSpec, Split, SplitKind, SplitSpec};

const SECONDS_OF_DAY: f64 = 86_400.0;

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

/// Users with their item sequences, oldest item first, and the split of them.
///
/// Users are numbered from 0, by their first interaction that survived all filters. Items are numbered from 1: those
/// with training interactions (of a split without cold items, all) by first appearance when walking the users'
/// sequences in that order, then the cold items of validation in the same order, then the others.
#[derive(Clone, Debug)]
pub struct Dataset {
    raw_users: Vec<String>,
    raw_items: Vec<String>,
    metadata: Vec<Metadata>,
    sequences: Sequences,
    /// The sequences without cold items, where there are some.
    warm: Option<Sequences>,
    /// How many items of each user's warm sequence, from the first, are for training.
    train: Vec<u32>,
    warm_items: u32,
    /// Cold items that come first.
    cold_in_validation: u32,
    /// By [`Split`].
    cases: [Cases; 2],
    train_popularity: Vec<u32>,
    train_ages: Option<Vec<Vec<u32>>>,
    spec: SplitSpec,
    max_len: usize,
    statistics: Statistics,
}

impl Dataset {
    /// Orders, drops users with too few interactions (fewer than 3; in a time split, than 2), splits, and numbers what
    /// is left.
    ///
    /// # Errors
    /// [`DataError::NothingLeft`] if no user has enough interactions; [`DataError::EmptySplit`] if the split leaves
    /// nothing to train on, to validate or to test; [`DataError::NoTimes`], [`DataError::NotUnixTimes`] and
    /// [`DataError::Boundaries`] for a split that does not fit the data's times.
    pub fn new(mut interactions: Interactions, spec: &DatasetSpec) -> Result<Self, DataError> {
        let rows_read = interactions.rows.len() as u64 + interactions.removed.total();
        sort(&mut interactions.rows, interactions.users.len());
        let shortest = shortest(&spec.split);
        let mut kept: Vec<&[Interaction]> = Vec::new();
        for rows in interactions.rows.chunk_by(|a, b| a.user == b.user) {
            match rows.len() < shortest {
                true => interactions.removed.short_user += rows.len() as u64,
                false => kept.push(rows),
            }
        }
        let (removed, ordered_by) = (interactions.removed, interactions.ordered_by);
        if kept.is_empty() {
            return Err(DataError::NothingLeft {
                rows: rows_read,
                removed: Box::new(removed),
                shortest,
            });
        }
        let splitter = Splitter::new(&kept, &spec.split, ordered_by)?;
        let raw_user = |rows: &[Interaction]| &interactions.users[rows[0].user as usize];
        let users = kept.into_iter();
        let users = users.map(|rows| (rows, splitter.parts(raw_user(rows), rows)));
        let users: Vec<(&[Interaction], Parts)> = users.collect();
        let groups = groups(&users, interactions.items.len(), &spec.split);
        let numbers = Numbers::new(&users, &groups);
        let metadata = &mut interactions.metadata;
        let (mut raw_items, mut known) = (Vec::new(), Vec::new());
        for &item in &numbers.raw {
            let raw = &interactions.items[item as usize];
            raw_items.push(raw.clone());
            known.push(metadata.swap_remove(raw).unwrap_or_default());
        }
        let mut sequences = Sequences::new();
        for (rows, _) in &users {
            sequences.push(rows.iter().map(|row| numbers.dense[row.item as usize]));
        }
        let boundaries = [Split::Valid, Split::Test].map(|split| splitter.boundary(split));
        let origin = Origin {
            rows_read,
            removed,
            ordered_by,
            boundaries,
        };
        let mut dataset = Self {
            raw_users: users
                .iter()
                .map(|(rows, _)| raw_user(rows).clone())
                .collect(),
            raw_items,
            metadata: known,
            warm: None,
            train: Vec::new(),
            warm_items: numbers.count(Group::Warm),
            cold_in_validation: numbers.count(Group::ColdInValidation),
            cases: [Cases::new(), Cases::new()],
            train_popularity: Vec::new(),
            train_ages: None,
            spec: spec.split.clone(),
            max_len: spec.max_len,
            statistics: Statistics::default(),
            sequences,
        };
        dataset.split(users.iter().map(|(_, parts)| parts));
        if ordered_by == OrderedBy::Time {
            let rows = users.iter().map(|(rows, _)| *rows);
            dataset.train_ages = dataset.ages(rows, &numbers.dense);
        }
        dataset.finish(spec, origin)
    }

    /// Takes the parts of all users.
    fn split<'p>(&mut self, users: impl Iterator<Item = &'p Parts>) {
        let last_warm = ItemId(self.warm_items);
        self.leave_out_cold();
        for (user, parts) in users.enumerate() {
            let items = self.sequences.of(user);
            let count_warm = |end: usize| {
                let warm = items[..end].iter().filter(|item| **item <= last_warm);
                warm.count()
            };
            self.train.push(count_warm(parts.train) as u32);
            for (split, held) in [Split::Valid, Split::Test].into_iter().zip(&parts.held) {
                let (warm, cold) = (self.warm_items, self.cold_in_validation);
                let outside = outside(&self.spec, warm, cold, self.raw_items.len(), split);
                let cases = &mut self.cases[split as usize];
                let before = match (held, split) {
                    (Some(held), _) => held.input,
                    (None, Split::Valid) => parts.before_test,
                    (None, Split::Test) => items.len(),
                };
                let input = match self.spec.cold_in_history.unwrap_or_default() {
                    ColdInHistory::Keep => before,
                    ColdInHistory::Drop => count_warm(before),
                };
                cases.histories.push(input as u32);
                let Some(held) = held else {
                    cases.left_out.without_target += 1;
                    continue;
                };
                let targets = items[held.targets.clone()].iter().copied();
                let targets = targets.filter(|target| !outside.contains(&target.0));
                if targets.clone().next().is_none() {
                    cases.left_out.cold_elsewhere += 1;
                } else if input == 0 {
                    cases.left_out.without_input += 1;
                } else {
                    cases.push(user, targets);
                }
            }
        }
    }

    /// See [`Self::train_ages`]; of the rows of each user, with the numbers of raw items.
    fn ages<'r>(
        &self,
        users: impl Iterator<Item = &'r [Interaction]> + Clone,
        dense: &[ItemId],
    ) -> Option<Vec<Vec<u32>>> {
        let number = |row: &Interaction| dense[row.item as usize];
        let train = users.enumerate().flat_map(|(user, rows)| {
            let warm = rows.iter().filter(|row| !self.is_cold(number(row)));
            warm.take(self.train[user] as usize)
        });
        let latest = train.clone().map(|row| row.time).fold(f64::MIN, f64::max);
        let day = SECONDS_OF_DAY * per_second(latest)?;
        let mut ages = vec![Vec::new(); self.num_items() + 1];
        for row in train {
            let age = ((latest - row.time) / day).floor();
            ages[number(row).row()].push(age as u32);
        }
        ages.iter_mut().for_each(|own| own.sort_unstable());
        Some(ages)
    }

    /// Makes the sequences without cold items.
    fn leave_out_cold(&mut self) {
        if self.num_warm_items() < self.num_items() {
            self.warm = Some(self.sequences.up_to(ItemId(self.warm_items)));
        }
    }

    /// The dataset of a file; `spec` has what the file does not decide.
    pub(crate) fn of_prepared(prepared: Prepared, spec: &DatasetSpec) -> Result<Self, DataError> {
        let mut sequences = Sequences::new();
        for sequence in prepared.sequences {
            sequences.push(sequence.into_iter().map(ItemId));
        }
        let mut dataset = Self {
            warm_items: prepared.raw_items.len() as u32,
            cold_in_validation: 0,
            raw_users: prepared.raw_users,
            raw_items: prepared.raw_items,
            metadata: prepared.metadata,
            sequences,
            warm: None,
            train: Vec::new(),
            cases: [Cases::new(), Cases::new()],
            train_popularity: Vec::new(),
            train_ages: None,
            spec: spec.split.clone(),
            max_len: spec.max_len,
            statistics: Statistics::default(),
        };
        match prepared.split {
            Some(split) => {
                dataset.warm_items = split.warm_items;
                dataset.cold_in_validation = split.cold_in_validation;
                dataset.train = split.train;
                dataset.cases = split.cases.map(Into::into);
                dataset.leave_out_cold();
            }
            None => {
                let lengths = (0..dataset.num_users()).map(|user| dataset.sequence(user).len());
                let parts: Vec<Parts> = lengths.map(Parts::leave_one_out).collect();
                dataset.split(parts.iter());
            }
        }
        dataset.train_ages = prepared.train_ages;
        dataset.finish(spec, prepared.origin)
    }

    /// Counts what is for training, and measures.
    fn finish(mut self, spec: &DatasetSpec, origin: Origin) -> Result<Self, DataError> {
        let mut popularity = vec![0; self.num_items() + 1];
        for user in 0..self.num_users() {
            for item in self.train(user) {
                popularity[item.row()] += 1;
            }
        }
        self.train_popularity = popularity;
        self.refuse_empty_parts()?;
        self.statistics = statistics::of(&self, spec.cohorts, origin);
        Ok(self)
    }

    /// Training needs items, early stopping warm targets of validation, and a result targets of the test.
    fn refuse_empty_parts(&self) -> Result<(), DataError> {
        let empty = |what, left_out| {
            let users = self.num_users();
            Err(DataError::EmptySplit {
                what,
                users,
                left_out,
            })
        };
        let [valid, test] = &self.cases;
        if self.train.iter().all(|&length| length == 0) {
            return empty("training interaction", LeftOut::default());
        }
        let stops = valid
            .all_targets()
            .iter()
            .any(|target| target.0 <= self.warm_items);
        if !stops {
            return empty(
                "validation target with training interactions",
                valid.left_out,
            );
        }
        if test.len() == 0 {
            return empty("test target", test.left_out);
        }
        Ok(())
    }

    /// Number of users, at least 1. Users are `0..num_users()`.
    pub fn num_users(&self) -> usize {
        self.raw_users.len()
    }

    /// Number of items, at least 1. Items are `1..=num_items()`.
    pub fn num_items(&self) -> usize {
        self.raw_items.len()
    }

    /// Number of items that training may see, at least 1: they are `1..=num_warm_items()`. The others are cold: no
    /// training sequence has them, and nothing that is fitted or drawn for training may use them.
    pub fn num_warm_items(&self) -> usize {
        self.warm_items as usize
    }

    /// Number of interactions: training, held out, and left out of both.
    pub fn num_interactions(&self) -> usize {
        self.sequences.total()
    }

    /// All items, in id order.
    pub fn items(&self) -> impl ExactSizeIterator<Item = ItemId> + use<> {
        (0..self.num_items()).map(|index| ItemId(index as u32 + 1))
    }

    /// The items that training may see, in id order.
    pub fn warm_items(&self) -> impl ExactSizeIterator<Item = ItemId> + use<> {
        (0..self.num_warm_items()).map(|index| ItemId(index as u32 + 1))
    }

    /// Whether the split may have cold items; only then does it make sense to measure them apart.
    pub fn has_cold_items(&self) -> bool {
        self.spec.has_cold_items()
    }

    /// Whether an item is cold: of a split that has such items, one without training interactions.
    pub fn is_cold(&self, item: ItemId) -> bool {
        item.0 > self.warm_items
    }

    /// The cold items that are candidates of a split.
    pub fn cold_items(&self, split: Split) -> Range<u32> {
        let (first, valid) = (self.warm_items + 1, self.cold_in_validation);
        match (split, self.spec.kind) {
            (Split::Valid, _) => first..first + valid,
            (Split::Test, SplitKind::Time) => first..self.end(),
            (Split::Test, SplitKind::LeaveOneOut) => first + valid..self.end(),
        }
    }

    /// The items that are no candidates of a split: of drawn cold items those of the other split, and of a time split,
    /// in validation, the items that are new in the test.
    pub fn outside(&self, split: Split) -> Range<u32> {
        outside(
            &self.spec,
            self.warm_items,
            self.cold_in_validation,
            self.num_items(),
            split,
        )
    }

    /// The number after the last item's.
    fn end(&self) -> u32 {
        self.raw_items.len() as u32 + 1
    }

    /// Longest history a model sees, `L`. Sequences here are whole; whoever makes batches cuts them.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// All items of a user, oldest first, at least 2.
    pub fn sequence(&self, user: usize) -> &[ItemId] {
        self.sequences.of(user)
    }

    /// A user's training items, oldest first; none of them is cold. Empty where a split leaves none.
    pub fn train(&self, user: usize) -> &[ItemId] {
        let warm = self.warm.as_ref().unwrap_or(&self.sequences);
        &warm.of(user)[..self.train[user] as usize]
    }

    /// Cases of a split: users with something to be named and something to see before it.
    pub fn num_cases(&self, split: Split) -> usize {
        self.cases[split as usize].len()
    }

    /// A case of a split, from 0; they are in the order of their users.
    pub fn case(&self, split: Split, case: usize) -> Case<'_> {
        let cases = &self.cases[split as usize];
        let user = cases.users[case] as usize;
        Case {
            split,
            user,
            input: self.history(user, split),
            targets: cases.targets(case),
        }
    }

    /// The cases of a split.
    pub fn cases(&self, split: Split) -> impl ExactSizeIterator<Item = Case<'_>> {
        (0..self.num_cases(split)).map(move |case| self.case(split, case))
    }

    /// A user's case of a split.
    pub fn case_of(&self, user: usize, split: Split) -> Option<Case<'_>> {
        let case = self.cases[split as usize].of_user(user)?;
        Some(self.case(split, case))
    }

    /// What a model sees of a user before the targets of a split, oldest first: the input of the user's case; of a user
    /// without one, what lies before the end of the split. Empty where that is nothing.
    pub fn history(&self, user: usize, split: Split) -> &[ItemId] {
        let seen = match self.spec.cold_in_history.unwrap_or_default() {
            ColdInHistory::Keep => &self.sequences,
            ColdInHistory::Drop => self.warm.as_ref().unwrap_or(&self.sequences),
        };
        &seen.of(user)[..self.cases_of(split).histories[user] as usize]
    }

    /// Length of a user's test input; of a user without one that of the validation input. `None` for a user who has
    /// neither.
    pub fn input_length(&self, user: usize) -> Option<usize> {
        let case = self.case_of(user, Split::Test);
        let case = case.or_else(|| self.case_of(user, Split::Valid))?;
        Some(case.input.len())
    }

    /// Whether it is plain leave-one-out, without cold items.
    pub(crate) fn is_plain(&self) -> bool {
        self.spec.is_default()
    }

    pub(crate) fn cases_of(&self, split: Split) -> &Cases {
        &self.cases[split as usize]
    }

    /// How often each item is in the train part, by [`ItemId::row`]; row 0, padding, is 0.
    pub fn train_popularity(&self) -> &[u32] {
        &self.train_popularity
    }

    /// Whole days from each training interaction of an item to the newest one of all, ascending, by [`ItemId::row`];
    /// `None` where the times are no Unix times.
    pub fn train_ages(&self) -> Option<&[Vec<u32>]> {
        self.train_ages.as_deref()
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

    /// SHA-256 of the sequences as text, lower-case hex: per user one line, `user item item ...\n`, dense ids, users
    /// counted from 1. Of a split other than plain leave-one-out, which follows from the sequences, the text goes on:
    /// `warm COUNT COLD\n`, the length of each training part (`train LENGTH ...\n`), and of each case of both splits
    /// `SPLIT user input-length target ...\n`. So it decides every input, target and candidate.
    pub fn sequences_sha256(&self) -> String {
        let mut digest = Sha256::default();
        let mut line = String::new();
        // Writing to a string cannot fail.
        for user in 0..self.num_users() {
            line.clear();
            let _ = write!(line, "{}", user + 1);
            add_items(&mut line, self.sequence(user));
            digest.update(&line);
        }
        if !self.is_plain() {
            digest.update(format!(
                "warm {} {}\n",
                self.warm_items, self.cold_in_validation
            ));
            line.clear();
            line += "train";
            for length in &self.train {
                let _ = write!(line, " {length}");
            }
            line.push('\n');
            digest.update(&line);
            for &split in Split::ALL {
                for case in self.cases(split) {
                    line.clear();
                    let _ = write!(line, "{split} {} {}", case.user + 1, case.input.len());
                    add_items(&mut line, case.targets);
                    digest.update(&line);
                }
            }
        }
        digest.finish()
    }
}

/// Ends a line with items.
fn add_items(line: &mut String, items: &[ItemId]) {
    for item in items {
        let _ = write!(line, " {}", item.0);
    }
    line.push('\n');
}

/// See [`Dataset::outside`].
fn outside(spec: &SplitSpec, warm: u32, cold: u32, items: usize, split: Split) -> Range<u32> {
    let (first, end) = (warm + 1, items as u32 + 1);
    match (split, spec.kind) {
        (Split::Valid, _) => first + cold..end,
        (Split::Test, SplitKind::Time) => end..end,
        (Split::Test, SplitKind::LeaveOneOut) => first..first + cold,
    }
}

/// Dense numbers of items.
struct Numbers {
    /// By raw item; padding for one that no user has.
    dense: Vec<ItemId>,
    /// Raw items in the order of their numbers.
    raw: Vec<u32>,
    /// How many there are of each group.
    counts: [u32; 3],
}

impl Numbers {
    fn new(users: &[(&[Interaction], Parts)], groups: &[Group]) -> Self {
        let mut numbers = Self {
            dense: vec![ItemId::PADDING; groups.len()],
            raw: Vec::new(),
            counts: [0; 3],
        };
        for group in [Group::Warm, Group::ColdInValidation, Group::ColdInTest] {
            for row in users.iter().flat_map(|(rows, _)| rows.iter()) {
                let item = row.item as usize;
                if groups[item] == group && numbers.dense[item] == ItemId::PADDING {
                    numbers.raw.push(row.item);
                    numbers.dense[item] = ItemId(numbers.raw.len() as u32);
                    numbers.counts[group as usize] += 1;
                }
            }
        }
        numbers
    }

    fn count(&self, group: Group) -> u32 {
        self.counts[group as usize]
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
                for split in [Split::Valid, Split::Test] {
                    let case = dataset.case(split, user);
                    prop_assert_eq!((case.user, case.input, case.targets.len()), (user, &parts[..], 1));
                    parts.push(case.targets[0]);
                }
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
