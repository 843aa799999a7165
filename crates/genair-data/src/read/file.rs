//! Opening, listing and hashing files, plain or gzipped by their name.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use genair_files::{doing, regular_file};

use crate::DataError;

const BUFFER: usize = 1 << 18;

/// Opens a file for streaming; one whose name ends in `.gz` is decompressed on the way.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let file = regular_file::open(path).map_err(doing("read", path))?;
    let file = BufReader::with_capacity(BUFFER, file);
    if is_gzip(path) {
        Ok(Box::new(MultiGzDecoder::new(file)))
    } else {
        Ok(Box::new(file))
    }
}

/// Longest line of a data file in bytes, or of a CSV file the longest record, whose quotes may hold line ends.
pub(super) const MAX_LINE: u64 = 16 << 20;

/// Hands out what it reads until its allowance is used up, and then fails with [`TooLong`].
pub(super) struct Rationed<R> {
    input: R,
    /// Bytes that may still be read; whoever reads records renews it for each.
    left: Rc<Cell<u64>>,
}

/// A record has more than [`MAX_LINE`] bytes.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_LINE} bytes")]
pub(super) struct TooLong;

impl<R: Read> Rationed<R> {
    pub(super) fn new(input: R) -> (Self, Rc<Cell<u64>>) {
        let left = Rc::new(Cell::new(MAX_LINE));
        let allowance = Rc::clone(&left);
        (Self { input, left }, allowance)
    }
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other(TooLong));
        }
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.input.read(&mut buffer[..most])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

/// Tells a broken archive from a broken disk.
pub(super) fn read_error(path: &Path, source: io::Error) -> DataError {
    let is_content = matches!(
        source.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
    );
    if !is_gzip(path) || !is_content {
        return doing("read", path)(source).into();
    }
    let path = path.to_owned();
    DataError::Gzip { path, source }
}

fn is_gzip(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("gz"))
}

/// SHA-256 of a file's bytes as they lie on the disk, lower-case hex.
pub(crate) fn hash(path: &Path) -> Result<String, DataError> {
    Ok(genair_files::sha256_of_file(path).map_err(doing("read", path))?)
}

/// Names of the files in a folder, sorted.
pub(super) fn list(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(doing("read", folder))? {
        let name = entry.map_err(doing("read", folder))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The one file among a folder's `names` that ends in `suffix` or `suffix.gz`, if there is one.
pub(super) fn only_with_suffix(
    folder: &Path,
    names: &[String],
    key: &'static str,
    suffix: &str,
) -> Result<Option<PathBuf>, DataError> {
    let has_suffix = |name: &&String| name.strip_suffix(".gz").unwrap_or(name).ends_with(suffix);
    let found: Vec<String> = names.iter().filter(has_suffix).cloned().collect();
    match found.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(folder.join(only))),
        _ => Err(DataError::SeveralFiles {
            folder: folder.to_owned(),
            key,
            found,
        }),
    }
}
