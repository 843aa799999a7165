//! Every way in which data can fail to load, with the place, the value and the fix.

use std::path::PathBuf;

use genair_files::FileError;
use genair_protocol::SpecProblem;

/// Why a dataset cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The spec is wrong before any file is opened.
    #[error("wrong dataset settings: {}", join(problems, "; "))]
    Spec {
        /// All of its problems.
        problems: Vec<SpecProblem>,
    },
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of prepared data is broken, or of another version.
    #[error("`{}` is not what this version prepares ({reason}); delete it, and it is made again", path.display())]
    NotPrepared {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A compressed file ends early or holds something else.
    #[error("`{}` is a truncated or damaged gzip file; get it again", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        source: std::io::Error,
    },
    /// No file of a kind that must be there.
    #[error("`{}` has no interactions file (looked for {looked_for}); correct `path`, or name the file with `interactions`", folder.display())]
    NoInteractionsFile {
        /// The folder that was searched.
        folder: PathBuf,
        /// The names that would have been taken.
        looked_for: &'static str,
    },
    /// More than one file could be meant.
    #[error("`{}` has several candidates ({}); name one with `{key}`", folder.display(), join(found, ", "))]
    SeveralFiles {
        /// The folder that was searched.
        folder: PathBuf,
        /// The key that settles it.
        key: &'static str,
        /// Names of the candidates, sorted.
        found: Vec<String>,
    },
    /// The header lacks a column.
    #[error("`{}` has no column `{column}` (it has {}); correct the file, or set `{key}`", path.display(), columns(header))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column that was looked for.
        column: String,
        /// The key that names the column.
        key: &'static str,
        /// The columns there are.
        header: Vec<String>,
    },
    /// The spec asks for a minimum rating of data without ratings.
    #[error("`min_rating` is set, but `{}` has no column `rating` (it has {}); remove `min_rating`, or set `columns.rating`", path.display(), columns(header))]
    NoRating {
        /// The file.
        path: PathBuf,
        /// The columns there are.
        header: Vec<String>,
    },
    /// The file's name does not say its format.
    #[error("`{}` is neither .tsv nor .csv (nor either with .gz); rename it to say which it is", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A line cannot be used.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1, the header included.
        line: u64,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// The file has no line, or a header alone.
    #[error("`{}` has no interactions; it needs a header line and one line per interaction", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The filters left no user.
    #[error(
        "no interaction is left of {rows}: {low_rating} had a rating of at most `min_rating`, {unknown_item} an unknown item, {k_core} fell to `k_core`, {short_user} to users with fewer than 3 interactions; loosen the filter that took most"
    )]
    NothingLeft {
        /// Rows read.
        rows: u64,
        /// Rows dropped for their rating.
        low_rating: u64,
        /// Rows dropped because the items file lacks their item.
        unknown_item: u64,
        /// Rows dropped by the k-core filter.
        k_core: u64,
        /// Rows dropped because their user had fewer than 3 left.
        short_user: u64,
    },
    /// More users or items than ids.
    #[error("`{}` has more than {limit} {what}; ids are 32 bits wide", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// `users` or `items`.
        what: &'static str,
        /// How many there may be.
        limit: u32,
    },
}

/// What is wrong with one line of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// The line has another number of fields than the header.
    #[error("{found} fields where the header has {expected}; complete or remove the line")]
    FieldCount {
        /// Fields of the header.
        expected: usize,
        /// Fields of the line.
        found: usize,
    },
    /// A user or item id is empty.
    #[error("`{column}` is empty; write an id or remove the line")]
    EmptyId {
        /// The column.
        column: String,
    },
    /// Something else where a finite number must be.
    #[error("`{column}` is `{value}`; write a finite number")]
    BadNumber {
        /// The column.
        column: String,
        /// What is there.
        value: String,
    },
    /// An integer time that a 64-bit float cannot hold.
    #[error("`{column}` is `{value}`, too large to be kept exactly; write seconds or milliseconds")]
    InexactTime {
        /// The column.
        column: String,
        /// What is there.
        value: String,
    },
    /// A line, or a CSV record with its quoted line ends, that is too long to be one.
    #[error(
        "the line is longer than {} MiB, the limit for one; look for a missing line end or a quote that is never closed",
        limit >> 20
    )]
    TooLong {
        /// Bytes that a line may have.
        limit: u64,
    },
    /// Bytes that are not UTF-8.
    #[error("not UTF-8; convert the file, for example with `iconv -f latin1 -t utf-8`")]
    NotUtf8,
    /// The header names a column twice.
    #[error("the header has two columns `{column}`; rename one")]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// A RecBole header field without its type.
    #[error(
        "column `{column}` has no type RecBole knows; write it as `name:token`, `name:float`, `name:token_seq` or `name:float_seq`"
    )]
    BadColumnType {
        /// The header field as written.
        column: String,
    },
    /// A RecBole column of the wrong type.
    #[error("column `{column}` is of type {found} where {expected} is needed; correct the header")]
    WrongColumnType {
        /// The column.
        column: String,
        /// The type it has.
        found: &'static str,
        /// The type it must have.
        expected: &'static str,
    },
    /// An interaction with an item that the items file does not have.
    #[error(
        "item `{item}` is not in `{items_file}`; add it there, or set `unknown_items` to \"keep\" or \"drop\""
    )]
    UnknownItem {
        /// The item's raw id.
        item: String,
        /// Name of the items file.
        items_file: String,
    },
    /// An item that has a line already.
    #[error("item `{item}` is on line {first_line} already; remove one of the two")]
    DuplicateItem {
        /// The item's raw id.
        item: String,
        /// The earlier line.
        first_line: u64,
    },
    /// A line of an items file that is not a JSON object.
    #[error("not a JSON object ({reason}); write one object per line")]
    NotAnObject {
        /// What the parser says.
        reason: String,
    },
    /// A JSON object without a usable item id.
    #[error("`{key}` is {found}; an item id is a non-empty string or an integer")]
    BadItemId {
        /// The key.
        key: String,
        /// `missing`, or the JSON value.
        found: String,
    },
}

fn join<T: std::fmt::Display>(values: &[T], separator: &str) -> String {
    values
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(separator)
}

/// The columns of a header, of a wide one the first.
fn columns(header: &[String]) -> String {
    const SHOWN: usize = 12;
    match header.len().checked_sub(SHOWN) {
        None | Some(0) => join(header, ", "),
        Some(more) => format!("{} and {more} more", join(&header[..SHOWN], ", ")),
    }
}
