//! Sequences of items, one a user, in one block of memory.

use crate::ItemId;

/// The items of each user, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Sequences {
    /// User `u` has `items[offsets[u]..offsets[u + 1]]`.
    offsets: Vec<usize>,
    items: Vec<ItemId>,
}

impl Sequences {
    pub(crate) fn new() -> Self {
        Self {
            offsets: vec![0],
            items: Vec::new(),
        }
    }

    /// Adds the next user.
    pub(crate) fn push(&mut self, items: impl IntoIterator<Item = ItemId>) {
        self.items.extend(items);
        self.offsets.push(self.items.len());
    }

    pub(crate) fn of(&self, user: usize) -> &[ItemId] {
        &self.items[self.offsets[user]..self.offsets[user + 1]]
    }

    /// Users.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Items of all users together.
    pub(crate) fn total(&self) -> usize {
        self.items.len()
    }

    /// The same without the items after `last`.
    pub(crate) fn up_to(&self, last: ItemId) -> Self {
        let mut result = Self::new();
        for user in 0..self.len() {
            let items = self.of(user).iter().copied();
            result.push(items.filter(|item| *item <= last));
        }
        result
    }
}
