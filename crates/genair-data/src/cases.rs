//! The cases of a split: what a model gets to see of a user, and what it must name.

use genair_protocol::Split;
use serde::{Deserialize, Serialize};

use crate::ItemId;

/// One user in one split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case<'a> {
    /// The split that it is a case of.
    pub split: Split,
    /// The user, from 0.
    pub user: usize,
    /// What a model gets to see, oldest first, at least one item; whoever makes batches cuts it.
    pub input: &'a [ItemId],
    /// What it must name, in the order of time: distinct, at least one, and each a candidate of the split.
    pub targets: &'a [ItemId],
}

/// Users and targets that a split leaves out, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Users without an interaction among those that are held out.
    pub without_target: u64,
    /// Users without an item before their target, or with cold ones alone that no model sees.
    pub without_input: u64,
    /// Users whose target is cold in the other split.
    pub cold_elsewhere: u64,
}

/// The cases of a split, in the order of their users: at most one a user.
#[derive(Clone, Debug)]
pub(crate) struct Cases {
    /// Of each user, whether there is a case or not: the length of what a model sees.
    pub(crate) histories: Vec<u32>,
    /// Of each case.
    pub(crate) users: Vec<u32>,
    /// Case `c` has `targets[offsets[c]..offsets[c + 1]]`.
    offsets: Vec<usize>,
    targets: Vec<ItemId>,
    pub(crate) left_out: LeftOut,
}

impl Cases {
    pub(crate) fn new() -> Self {
        Self {
            histories: Vec::new(),
            users: Vec::new(),
            offsets: vec![0],
            targets: Vec::new(),
            left_out: LeftOut::default(),
        }
    }

    /// Adds a case after those of the users before; each target once.
    pub(crate) fn push(&mut self, user: usize, targets: impl IntoIterator<Item = ItemId>) {
        let first = self.targets.len();
        for target in targets {
            if !self.targets[first..].contains(&target) {
                self.targets.push(target);
            }
        }
        self.users.push(user as u32);
        self.offsets.push(self.targets.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn targets(&self, case: usize) -> &[ItemId] {
        &self.targets[self.offsets[case]..self.offsets[case + 1]]
    }

    /// Targets of all cases together.
    pub(crate) fn all_targets(&self) -> &[ItemId] {
        &self.targets
    }

    /// The case of a user.
    pub(crate) fn of_user(&self, user: usize) -> Option<usize> {
        self.users.binary_search(&(user as u32)).ok()
    }
}
