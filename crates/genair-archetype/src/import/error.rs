//! Every way in which vectors made elsewhere can be refused.

use std::path::PathBuf;

use genair_data::{VectorsError, VectorsProblem};
use genair_files::FileError;

use super::PARTS;
use crate::assemble::AssembleError;

/// Why vectors made elsewhere cannot be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A pickle would run code of its own.
    #[error("`{}` is a Python pickle, which can run any code and is not read; convert it where you trust it:\n  {command}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// The command that converts it.
        command: String,
    },
    /// A file that holds no arrays this project reads.
    #[error("`{}` cannot be read as vectors ({reason}); write a .npy, .npz, .safetensors, .csv or .parquet file", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is not as it should be.
        reason: String,
    },
    /// An array that is not a row of numbers for each item.
    #[error("`{}`: `{array}` {problem}", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// Its name in the file, or that of the part it becomes.
        array: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Rows and ids differ in number.
    #[error("`{}`: `{array}` has {rows} rows and there are {ids} items in {source_of_ids}; {hint}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// The array.
        array: String,
        /// Its rows.
        rows: usize,
        /// How many ids there are.
        ids: usize,
        /// Where they are from.
        source_of_ids: String,
        /// What to do.
        hint: String,
    },
    /// A list of ids that cannot be used.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Ids {
        /// The list.
        path: PathBuf,
        /// The line, from 1; in a JSON list the number of the element.
        line: usize,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The file says itself which items it has.
    #[error("`{}` names its items itself; leave the list of ids out", path.display())]
    OwnIds {
        /// The file.
        path: PathBuf,
    },
    /// A table that is none, or that lacks a column.
    #[error("`{}` {problem}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A cell of a table.
    #[error("`{}`, {place}: column `{column}` {problem}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line or row, from 1.
        place: String,
        /// The column.
        column: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A file without columns, of which one was to have the ids.
    #[error("`{}` has no columns, so none with ids; give a list of ids with --items (in a spec, `items`), or a csv or Parquet file", path.display())]
    NoColumns {
        /// The file.
        path: PathBuf,
    },
    /// Two tables are about other items.
    #[error("`{}` and `{}` have other items in their rows ({problem}); write both with the same items in the same order", first.display(), path.display())]
    OtherItems {
        /// The file that was read first.
        first: PathBuf,
        /// The other one.
        path: PathBuf,
        /// Where they part.
        problem: String,
    },
    /// Hidden states without the norm that has to be applied.
    #[error("`{}` is a folder, read as hidden states of vLLM, which have no final norm; name the model's file that has it with --norm FILE", path.display())]
    NoNorm {
        /// The folder.
        path: PathBuf,
    },
    /// A norm that cannot be used.
    #[error("`{}` {problem}", path.display())]
    Norm {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The worker that reads Parquet files did not.
    #[error("cannot read `{}` with `{}`: {reason}; build it with `just tools`, or write a .csv or .npy file", path.display(), worker.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The worker.
        worker: PathBuf,
        /// How it failed.
        reason: String,
    },
    /// There was a request to stop.
    #[error("interrupted")]
    Interrupted,
    /// A part that no spec can ask for.
    #[error(
        "`{part}={}`: there is no part `{part}`; an array becomes one of {}{}",
        path.display(), PARTS.join(", "), if *.is_named { ", or keeps its own name" } else { "" }
    )]
    Part {
        /// The name that was given.
        part: String,
        /// The file.
        path: PathBuf,
        /// Whether the array has another name in its file.
        is_named: bool,
    },
    /// There is no file to import, or one of this project's own among several.
    #[error(
        "name one file of this project's own vectors, or one or more arrays; there are {files} files"
    )]
    Files {
        /// How many files there are.
        files: usize,
    },
    /// The vectors are not fit for any use.
    #[error(transparent)]
    Problem(#[from] VectorsProblem),
    /// A file of this project's own cannot be read.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The vectors cannot be reduced.
    #[error(transparent)]
    Reduce(#[from] AssembleError),
}
