//! What this crate keeps for later runs: one JSON value in a file.

use std::io::BufReader;
use std::path::Path;

use genair_files::{doing, regular_file};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::DataError;

/// Writes a file, and the folders it is in; it appears whole or not at all.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<(), DataError> {
    let written = genair_files::write_with(path, |file| {
        serde_json::to_writer(file, value).map_err(std::io::Error::from)
    });
    Ok(written.map_err(doing("write", path))?)
}

/// Reads what [`write`] wrote, in its present form.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    let file = regular_file::open(path).map_err(doing("read", path))?;
    serde_json::from_reader(BufReader::new(file)).map_err(|error| broken(path, error))
}

/// A file that is not as it was written.
pub(crate) fn broken(path: &Path, reason: impl ToString) -> DataError {
    DataError::NotPrepared {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
