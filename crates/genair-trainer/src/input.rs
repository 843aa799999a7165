//! Artefacts of earlier stages that a run reads: the very files that were planned, or none.

use std::path::Path;

use genair_protocol::InputFile;

use crate::RunErrorKind;
use crate::error::io;

/// The path of a file, once its bytes are known to be the ones the request names.
///
/// # Errors
/// [`RunErrorKind::ChangedInput`] for other bytes, [`RunErrorKind::Io`].
pub(crate) fn check<'a>(file: &'a InputFile, what: &'static str) -> Result<&'a Path, RunErrorKind> {
    let found = genair_files::sha256_of_file(&file.path).map_err(io(&file.path))?;
    if found != file.sha256 {
        return Err(RunErrorKind::ChangedInput {
            what,
            path: file.path.clone(),
            expected: file.sha256.clone(),
            found,
        });
    }
    Ok(&file.path)
}
