//! Interactions as read or generated: interned raw ids, one small row each, in input order.
//!
//! Owns the step between a source and the filters. Knows nothing of files, dense ids or splits.

use indexmap::{IndexMap, IndexSet};

/// An item's fields other than its id; empty where nothing is known.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// One user met one item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interaction {
    /// Index into [`Interactions::users`].
    pub user: u32,
    /// Index into [`Interactions::items`].
    pub item: u32,
    /// Sorts a user's interactions: a time, or the position in the file; finite.
    pub time: f64,
}

/// All interactions of a source, in its order.
#[derive(Clone, Debug, Default)]
pub struct Interactions {
    /// Raw user ids by first appearance.
    pub users: IndexSet<String>,
    /// Raw item ids by first appearance.
    pub items: IndexSet<String>,
    /// What the times of the rows are.
    pub ordered_by: OrderedBy,
    /// One per row that counts.
    pub rows: Vec<Interaction>,
    /// What is known of items, by raw id, in the order of their file.
    pub metadata: IndexMap<String, Metadata>,
    /// What reading and filtering took away so far.
    pub removed: Removed,
}

/// What orders a user's interactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderedBy {
    /// The source's times; ties keep the order of the file.
    #[default]
    Time,
    /// The positions in the source's column `order`; they say nothing of the order between users.
    Position,
    /// The order of the file alone: it has no column of times.
    FileOrder,
}

/// Rows that were read and do not count, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Removed {
    /// A rating of at most `min_rating`.
    pub low_rating: u64,
    /// An item the items file lacks, under `unknown_items = "drop"`.
    pub unknown_item: u64,
    /// No user, item or time, under `missing = "drop"`.
    pub missing: u64,
    /// An item that the user has met before, under `repeats`.
    pub repeats: u64,
    /// The k-core filter.
    pub k_core: u64,
    /// A user with too few interactions left: fewer than 3, in a time split fewer than 2.
    pub short_user: u64,
    /// Of the items file, and no rows: lines of an item that has another, under `items_format.duplicates`.
    pub duplicate_items: u64,
    /// Of the items file, and no rows: lines without an id, under `items_format.missing`.
    pub items_without_id: u64,
}

impl std::fmt::Display for OrderedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Time => "times",
            Self::Position => "the positions in a column `order`",
            Self::FileOrder => "the order of the file",
        })
    }
}

impl Removed {
    /// Rows taken away for any reason.
    pub fn total(&self) -> u64 {
        self.missing
            + self.low_rating
            + self.unknown_item
            + self.repeats
            + self.k_core
            + self.short_user
    }
}

/// What took rows before the users were counted.
impl std::fmt::Display for Removed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by_reason = [
            (self.missing, "lacked a user, an item or a time"),
            (self.low_rating, "had a rating of at most `min_rating`"),
            (self.unknown_item, "had an unknown item"),
            (self.repeats, "fell to `repeats`"),
            (self.k_core, "fell to `k_core`"),
        ];
        for (rows, reason) in by_reason.into_iter().filter(|(rows, _)| *rows > 0) {
            write!(f, "{rows} {reason}, ")?;
        }
        write!(f, "{} fell", self.short_user)
    }
}
