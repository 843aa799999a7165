//! Every way in which association scores cannot be had, with the place, the value and the fix.

use std::path::PathBuf;

use genair_files::FileError;

/// Why association scores cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssociationsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in the file is wrong, or belongs to other data.
    #[error("the association scores `{}` cannot be used", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        problem: AssociationsProblem,
    },
}

/// What is wrong with association scores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssociationsProblem {
    /// Not a file that [`Associations::write`](crate::Associations::write) wrote.
    #[error("not a file of association scores ({reason}); remove it, and it is counted again")]
    Format {
        /// What is not as it should be.
        reason: String,
    },
    /// Counted on other sequences.
    #[error(
        "counted on sequences with SHA-256 {found}, the dataset's have {expected}; count them again"
    )]
    OtherSequences {
        /// The hash in the file.
        found: String,
        /// The dataset's.
        expected: String,
    },
    /// An item's row breaks the order that lookups rely on.
    #[error("the row of item {item} {reason}; remove the file, and it is counted again")]
    Row {
        /// The item.
        item: usize,
        /// What is wrong with its row.
        reason: &'static str,
    },
    /// A pair that cannot be entered.
    #[error("the pair ({first}, {second}) {reason}")]
    Pair {
        /// One item.
        first: u32,
        /// The other.
        second: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
}
