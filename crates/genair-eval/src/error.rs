//! What evaluation refuses, and why.

/// An input that has no honest number.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A score that is not a number.
    #[error("the score of item {item} is NaN")]
    NanScore {
        /// The item scored, from 1.
        item: usize,
    },
    /// A target that is infinitely good or bad has no meaningful rank.
    #[error("the score of the target, item {item}, is {score}")]
    InfiniteTarget {
        /// The target, from 1.
        item: usize,
        /// Its score, positive or negative infinity.
        score: f32,
    },
    /// An item without a score: padding, or past the end of the scores.
    #[error("item {item} has no score; scored items are 1 to {last}")]
    ItemOutOfRange {
        /// The item asked for.
        item: usize,
        /// The last item that has a score.
        last: usize,
    },
    /// A list of items that would be counted wrongly.
    #[error(
        "items must be in ascending order without duplicates, but {next} comes after {previous}"
    )]
    NotAscending {
        /// The item before.
        previous: u32,
        /// The item that is not above it.
        next: u32,
    },
}
