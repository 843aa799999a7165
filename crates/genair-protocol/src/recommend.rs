//! What crosses between `genair` and the worker `genair-trainer recommend`, which makes lists of items with the weights
//! of a finished run.
//!
//! The worker reads a [`RecommendRequest`] as JSON, the first line of its standard input, and says
//! [`RecommendEvent`]s, one JSON object a line. The last one is `done` or `failed`.

use serde::{Deserialize, Serialize};

use crate::{InputFile, RunFailure, Split, WorkerRequest};

/// Which lists to make, and by which run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecommendRequest {
    /// The run as its worker got it. Nothing is written to its folder.
    pub work: WorkerRequest,
    /// Its weights; absent for a run that has none of its own: a built-in backbone, a combination.
    pub checkpoint: Option<InputFile>,
    /// Who gets a list.
    pub readers: Readers,
    /// Of which split the histories are.
    pub split: Split,
    /// Items of a list, at least 1; a list is shorter where there are fewer candidates.
    pub k: usize,
    /// Whether items of the history are candidates, too.
    pub with_history: bool,
}

/// Who gets a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readers {
    /// Every user of the data.
    All,
    /// Users by their raw ids.
    Users(Vec<String>),
    /// Somebody with these items, by their raw ids, oldest first; nobody of the data.
    History(Vec<String>),
}

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecommendEvent {
    /// One list.
    List(RecommendedList),
    /// All lists are made.
    Done {
        /// Their number.
        lists: u64,
        /// Of these, lists with fewer than `k` items, as there were no more candidates.
        shorter: u64,
    },
    /// They cannot be made.
    Failed(RunFailure),
}

/// The list of one user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecommendedList {
    /// The user's raw id; absent for a history that is nobody's.
    pub user_id: Option<String>,
    /// Items of the history that the list was made from.
    pub history: u64,
    /// The item that the user met next; absent for a history that is nobody's.
    pub target: Option<RecommendedTarget>,
    /// Best first.
    pub items: Vec<RecommendedItem>,
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecommendedItem {
    /// The item's raw id.
    pub item_id: String,
    /// Its `title`, or else its `name`, where the data say it.
    pub title: Option<String>,
    /// The model's score.
    pub score: f32,
}

/// The target of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecommendedTarget {
    /// The item's raw id.
    pub item_id: String,
    /// Its title, as of a list's items.
    pub title: Option<String>,
    /// Its rank among all candidates, from 0; ties count against the model.
    pub rank: u32,
}
