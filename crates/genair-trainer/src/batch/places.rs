//! The distinct items of a batch, numbered.

use genair_data::ItemId;

/// Numbers items in order of appearance.
pub(super) struct Places {
    /// Place of each item, or [`Self::NONE`].
    place: Vec<i64>,
    items: Vec<i64>,
}

impl Places {
    const NONE: i64 = -1;
    /// Stands for the mask token until the number of distinct items is known.
    pub(super) const MASK: i64 = -2;

    pub(super) fn new(items: usize) -> Self {
        Self {
            place: vec![Self::NONE; items + 1],
            items: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        for item in self.items.drain(..) {
            self.place[item as usize] = Self::NONE;
        }
    }

    pub(super) fn of(&mut self, item: ItemId) -> i64 {
        let place = &mut self.place[item.row()];
        if *place == Self::NONE {
            *place = self.items.len() as i64;
            self.items.push(i64::from(item));
        }
        *place
    }

    pub(super) fn items(&self) -> &[i64] {
        &self.items
    }
}
