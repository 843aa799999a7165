//! Every way in which item vectors can be wrong.

use std::path::PathBuf;

use genair_files::FileError;

/// Why item vectors cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in the file, or was to be, is wrong.
    #[error("the item vectors `{}` cannot be used", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        problem: VectorsProblem,
    },
    /// The vectors do not serve the dataset.
    #[error(transparent)]
    Unfit(#[from] VectorsProblem),
}

/// What is wrong with item vectors.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VectorsProblem {
    /// Not a file that [`ItemVectors::write`] wrote.
    #[error(
        "not a file of item vectors ({reason}); vectors made elsewhere have to be imported first"
    )]
    Format {
        /// What is not as it should be.
        reason: String,
    },
    /// There is nothing in it.
    #[error("there are no {what}")]
    Nothing {
        /// `items` or `parts`.
        what: &'static str,
    },
    /// An item without an id.
    #[error("the id of row {row} is empty; rows count from 0")]
    EmptyId {
        /// Its row, from 0.
        row: usize,
    },
    /// An item with two rows.
    #[error("item `{item}` has rows {first} and {second}; remove one of the two")]
    DuplicateItem {
        /// Its raw id.
        item: String,
        /// The earlier row, from 0.
        first: usize,
        /// The later row.
        second: usize,
    },
    /// Two parts of one name.
    #[error("there are two parts `{part}`")]
    DuplicatePart {
        /// The name.
        part: String,
    },
    /// A part's values are not a row for each item.
    #[error("part `{part}` holds {values} values, not {items} items times {width}")]
    Shape {
        /// The part.
        part: String,
        /// How many values it has.
        values: usize,
        /// How many items there are.
        items: usize,
        /// Its width, which must be at least 1.
        width: usize,
    },
    /// NaN or an infinity.
    #[error(
        "part `{part}` of item `{item}` holds {value} at component {component}; every value must be finite"
    )]
    NotFinite {
        /// The part.
        part: String,
        /// The item's raw id.
        item: String,
        /// The component, from 0.
        component: usize,
        /// The value.
        value: f32,
    },
    /// A part that is asked for and not there.
    #[error("there is no part `{part}`; the file has {}", found.join(", "))]
    NoPart {
        /// The name.
        part: String,
        /// The parts there are, in order.
        found: Vec<String>,
    },
    /// Groups that are asked for and not there.
    #[error(
        "the file has no groups of items; leave out `within`, or make the vectors from metadata"
    )]
    NoGroups,
    /// Items of the dataset without a row.
    #[error(
        "{missing} of the dataset's {items} items have no vector, the first is `{item}`; make the vectors from the same source"
    )]
    Missing {
        /// Raw id of the first of them.
        item: String,
        /// How many they are.
        missing: usize,
        /// Items of the dataset.
        items: usize,
    },
}
