//! How rows are split: the boundaries in time, the part of each user's rows that is for training, what is held out of
//! the rest, and which items are cold.
//!
//! Works on rows in the order of their users and times, by raw numbers. Numbers nothing and drops nothing: that is
//! `dataset`'s business.

mod cold;
#[cfg(test)]
mod tests;
mod time;

use std::ops::Range;

use genair_protocol::{Split, SplitKind, SplitSpec, TargetRule, ValidationRule};

use crate::DataError;
use crate::draws::Draws;
use crate::interactions::{Interaction, OrderedBy};
pub(crate) use cold::{Group, groups};
use time::Boundaries;
pub(crate) use time::per_second;

/// Interactions that a user needs for leave-one-out: one to train on, one to validate, one to test.
const LEAVE_ONE_OUT: usize = 3;
/// Interactions that a user needs for a time split: one to see and one to name.
const TIME: usize = 2;

/// Fewest interactions of a user.
pub(crate) fn shortest(spec: &SplitSpec) -> usize {
    match spec.kind {
        SplitKind::LeaveOneOut => LEAVE_ONE_OUT,
        SplitKind::Time => TIME,
    }
}

/// What a split makes of one user's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// So many rows, from the first, are for training.
    pub(crate) train: usize,
    /// So many rows, from the first, lie before the test.
    pub(crate) before_test: usize,
    /// What is held out, for validation and for the test.
    pub(crate) held: [Option<Held>; 2],
}

/// What is held out of a user's rows in one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// So many rows, from the first, are the input.
    pub(crate) input: usize,
    /// The targets.
    pub(crate) targets: Range<usize>,
}

impl Parts {
    /// Those of leave-one-out, of a user with so many rows.
    pub(crate) fn leave_one_out(rows: usize) -> Self {
        let test = rows - 1;
        Self {
            train: test - 1,
            before_test: test,
            held: [Some(Held::one(test - 1)), Some(Held::one(test))],
        }
    }
}

impl Held {
    fn one(target: usize) -> Self {
        Self {
            input: target,
            targets: target..target + 1,
        }
    }
}

/// How the rows of any user are split.
pub(crate) struct Splitter<'a> {
    spec: &'a SplitSpec,
    boundaries: Option<Boundaries>,
}

impl<'a> Splitter<'a> {
    /// `users` are the rows of each user, in the order of their times.
    ///
    /// # Errors
    /// The split compares the times of different users, and the data have none; a date that is none of theirs;
    /// boundaries in the wrong order.
    pub(crate) fn new(
        users: &[&[Interaction]],
        spec: &'a SplitSpec,
        ordered_by: OrderedBy,
    ) -> Result<Self, DataError> {
        if spec.needs_times() && ordered_by != OrderedBy::Time {
            let key = match spec.kind {
                SplitKind::Time => "split.kind",
                SplitKind::LeaveOneOut => "split.cold_items.by",
            };
            return Err(DataError::NoTimes { key, ordered_by });
        }
        let boundaries = match spec.kind {
            SplitKind::LeaveOneOut => None,
            SplitKind::Time => Some(Boundaries::of(users, spec)?),
        };
        Ok(Self { spec, boundaries })
    }

    /// The boundaries of validation and test, in the unit of the data's times, where the split has them.
    pub(crate) fn boundary(&self, split: Split) -> Option<f64> {
        let own = self.boundaries.as_ref()?;
        match split {
            Split::Valid => own.valid.map(|boundary| boundary.at),
            Split::Test => Some(own.test.at),
        }
    }

    /// The parts of a user with this raw id, who has enough rows ([`shortest`]).
    pub(crate) fn parts(&self, raw_user: &str, rows: &[Interaction]) -> Parts {
        let Some(boundaries) = &self.boundaries else {
            return Parts::leave_one_out(rows.len());
        };
        let before_test = boundaries.test.count_before(rows);
        let held_for = |split, before, all| self.held(raw_user, split, before, all);
        let (train, valid) = match boundaries.valid {
            Some(boundary) => {
                let train = boundary.count_before(rows);
                (train, held_for(Split::Valid, train, before_test))
            }
            // The last item before the test; a single one stays for training.
            None if before_test >= 2 => (before_test - 1, Some(Held::one(before_test - 1))),
            None => (before_test, None),
        };
        Parts {
            train,
            before_test,
            held: [valid, held_for(Split::Test, before_test, rows.len())],
        }
    }

    /// What is held out of the rows from `before` up to `all`.
    fn held(&self, raw_user: &str, split: Split, before: usize, all: usize) -> Option<Held> {
        if before == all {
            return None;
        }
        Some(match self.spec.target.unwrap_or_default() {
            TargetRule::First => Held::one(before),
            TargetRule::Last => Held::one(all - 1),
            TargetRule::Random => {
                let seed = self.spec.seed.unwrap_or(1);
                let mut draws = Draws::new(&format!("genair target {seed} {split} {raw_user}"));
                Held::one(before + draws.below(all - before))
            }
            TargetRule::All => Held {
                input: before,
                targets: before..all,
            },
        })
    }
}

/// Whether validation has a boundary of its own.
fn validates_by_time(spec: &SplitSpec) -> bool {
    let validation = spec.validation.as_ref();
    validation.is_none_or(|own| own.by == ValidationRule::Time)
}
