//! Every way in which data can fail to load, with the place, the value and the fix.

use std::path::PathBuf;

use genair_files::FileError;
use genair_protocol::SpecProblem;

use crate::dataset::LeftOut;
use crate::interactions::{OrderedBy, Removed};

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
    #[error("`{}` is a truncated or damaged {kind}; get it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should be.
        kind: &'static str,
        /// What the decoder says.
        source: std::io::Error,
    },
    /// A zip file lacks a member.
    #[error("`{}` has no member `{member}` (it has {}); correct the name", archive.display(), columns(members))]
    NoMember {
        /// The archive.
        archive: PathBuf,
        /// The member that was looked for.
        member: String,
        /// The members there are.
        members: Vec<String>,
    },
    /// A pattern that no file fits.
    #[error("`{}` has no file `{pattern}`; correct the pattern", folder.display())]
    NoMatch {
        /// The folder that was searched.
        folder: PathBuf,
        /// The pattern.
        pattern: String,
    },
    /// The file that joins items with interactions is none.
    #[error("`{}` is no object of ids: {reason}; correct the file, or `items_format.id_map`", path.display())]
    IdMap {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The worker that reads Parquet files cannot be started.
    #[error("cannot read `{}` with `{}`; build it with `just tools`, or write a .csv file", path.display(), program.display())]
    ParquetReader {
        /// The file.
        path: PathBuf,
        /// The worker.
        program: PathBuf,
        /// What the operating system says.
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
    #[error("the name of `{}` does not say how it is written; set `{key}` (`genair data inspect` finds out)", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The key of a spec that says it.
        key: &'static str,
    },
    /// The first line, which should name columns, has numbers, as rows have.
    #[error("the first line of `{}` is no header ({}); set `{key}.header = false` and give positions in `columns`, or names in `{key}.names`", path.display(), columns(first))]
    NoHeader {
        /// The file.
        path: PathBuf,
        /// The fields of the first line.
        first: Vec<String>,
        /// The key of a spec that says how the file is written.
        key: &'static str,
    },
    /// A file without a header, whose columns a spec does not tell apart.
    #[error("`{}` has no header, and its first row is {}; say which column is which, such as `columns = {{ user = 1, item = 2, rating = 3, time = 4 }}`", path.display(), columns(first))]
    NoPositions {
        /// The file.
        path: PathBuf,
        /// The fields of the first row.
        first: Vec<String>,
    },
    /// Some files of a log have times, others have none.
    #[error("`{}` and the files before it do not agree on a column of times; set `columns.time` to a column that all have, or to false", path.display())]
    TimesInSome {
        /// The first file that differs.
        path: PathBuf,
    },
    /// Signs of strftime that mean nothing.
    #[error("`time_format` is `{format}`, which has a sign that strftime does not know")]
    TimeFormat {
        /// The format.
        format: String,
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
    #[error("`{}` has no interactions; it needs one row per interaction, after the header if it has one", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The filters left no user.
    #[error(
        "no interaction is left of {rows}: {removed} to users with fewer than {shortest} interactions; loosen the filter that took most"
    )]
    NothingLeft {
        /// Rows read.
        rows: u64,
        /// Rows dropped, by reason.
        removed: Box<Removed>,
        /// Interactions that a user needs.
        shortest: usize,
    },
    /// The split compares the times of different users, and there are none.
    #[error(
        "`{key}` needs the times of interactions, but {ordered_by} order them; name a column of times with `columns.time`, or change `{key}`"
    )]
    NoTimes {
        /// The key that needs times.
        key: &'static str,
        /// What there is instead.
        ordered_by: OrderedBy,
    },
    /// A date is compared with times that are no Unix times.
    #[error(
        "a split by `date` needs Unix times in seconds or milliseconds, but the latest time is {latest}; use `quantile`"
    )]
    NotUnixTimes {
        /// The latest time.
        latest: f64,
    },
    /// Validation would begin with the test, or after it.
    #[error(
        "the validation boundary, {valid}, is not before the test boundary, {test}; set `split.validation.quantile` or `split.validation.date` lower"
    )]
    Boundaries {
        /// The validation boundary, in the unit of the times.
        valid: f64,
        /// The test boundary.
        test: f64,
    },
    /// The split leaves nothing to train on, to stop by or to test.
    #[error(
        "the split leaves no {what} of {users} users{}; change `split`",
        because(left_out)
    )]
    EmptySplit {
        /// What there is none of.
        what: &'static str,
        /// Users.
        users: usize,
        /// Why users or targets are left out, where that is it.
        left_out: LeftOut,
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
    /// The line has another number of fields than the header, or the first line.
    #[error("{found} fields where the {} has {expected}; complete or remove the line", if *has_header { "header" } else { "first row" })]
    FieldCount {
        /// Fields of the header or the first row.
        expected: usize,
        /// Fields of the line.
        found: usize,
        /// Whether the file has a header.
        has_header: bool,
    },
    /// Another number of names than there are columns.
    #[error("{found} fields, and `{key}.names` has {expected}; name every column")]
    NameCount {
        /// Names.
        expected: usize,
        /// Fields of the first row.
        found: usize,
        /// The key of a spec that says how the file is written.
        key: &'static str,
    },
    /// A quote that is not closed before a separator.
    #[error(
        "a quote opens a field here and is not closed before a separator; double the quotes within a field, or set `quotes = false` in `format` if they are text"
    )]
    StrayQuote,
    /// A user, an item or a time is empty.
    #[error("`{column}` is empty; complete or remove the line, or set `missing` to \"drop\"")]
    Missing {
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
    /// A rating that is no number.
    #[error("`{column}` is `{value}`; write a finite number, or set `columns.rating` to false")]
    BadRating {
        /// The column.
        column: String,
        /// What is there.
        value: String,
    },
    /// A time of another form.
    #[error("`{column}` is {problem}")]
    BadTime {
        /// The column.
        column: String,
        /// What is there, and what should be.
        problem: String,
    },
    /// A time of which a 64-bit float does not hold the order.
    #[error(
        "`{column}` is `{value}`, which a float does not hold exactly; write whole numbers below 2^63 without a decimal point"
    )]
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
    #[error("not UTF-8; set `{key}` to \"latin-1\" or \"utf-16\", or convert the file")]
    NotUtf8 {
        /// The key of a spec that names the encoding.
        key: &'static str,
    },
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
    #[error(
        "item `{item}` is on line {first_line}{} already; remove one of the two, or set `items_format.duplicates` to \"first\" or \"last\"",
        first_file.as_ref().map(|file| format!(" of `{file}`")).unwrap_or_default()
    )]
    DuplicateItem {
        /// The item's raw id.
        item: String,
        /// The earlier line.
        first_line: u64,
        /// The file that it is in, if that is another.
        first_file: Option<Box<str>>,
    },
    /// A line of an items file that is not a JSON object.
    #[error("not a JSON object ({reason}); write one object per line")]
    NotAnObject {
        /// What the parser says.
        reason: String,
    },
    /// A JSON array instead of lines.
    #[error("a JSON array; write one object per line, for example with `jq -c '.[]'`")]
    JsonArray,
    /// NaN or infinity, which JSON does not have.
    #[error("NaN and Infinity are not JSON; write null")]
    JsonNan,
    /// A Python dictionary where JSON should be.
    #[error(
        "a Python dictionary and no JSON; set `kind = \"python-lines\"` in `format` or `items_format`"
    )]
    PythonLine,
    /// A line that is no Python dictionary.
    #[error("not a Python dictionary ({reason}); write one dictionary per line")]
    NotADictionary {
        /// What the parser says.
        reason: String,
    },
    /// A list or an object where a single value must be.
    #[error("`{column}` is a list or an object; name a single value, such as `user.id`")]
    Compound {
        /// The key or path.
        column: String,
    },
    /// A JSON object without a usable item id.
    #[error(
        "`{key}` is {}; an item id is a non-empty string or an integer; `items_format.id` names its key",
        found.as_deref().unwrap_or("missing")
    )]
    BadItemId {
        /// The key.
        key: String,
        /// The JSON value; absent if there is none.
        found: Option<String>,
    },
}

/// `: 3 have ..., 2 ...`; empty where nothing is left out.
fn because(counts: &LeftOut) -> String {
    let counts = [
        (counts.without_target, "have no interaction there"),
        (counts.without_input, "have no item before their target"),
        (
            counts.cold_elsewhere,
            "have a target that is cold in the other split",
        ),
    ];
    let said = counts.iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = said.map(|(count, why)| format!("{count} {why}")).collect();
    match said.is_empty() {
        true => String::new(),
        false => format!(" ({})", said.join(", ")),
    }
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
