//! Where the files of runs are, and which of them go when a run needs them no more.

use std::path::{Path, PathBuf};

use genair_protocol::{LOCK_FILE, RESUME_FILE};

use crate::plan::PlannedRun;

/// Where the artefacts of a database's runs are: a folder beside it, named after it.
pub(crate) fn folder(database: &Path) -> PathBuf {
    let stem = database.file_stem().unwrap_or_default().to_string_lossy();
    database.with_file_name(format!("{stem}-artefacts"))
}

/// A run's own folder among them.
pub(crate) fn of_run(artefacts: &Path, run: &PlannedRun) -> PathBuf {
    artefacts.join(&run.identity[..16])
}

/// Removes what a run has for going on: its resume checkpoint, whole or half written, and its lock.
pub(crate) fn tidy(run: &Path) {
    let resume = run.join(RESUME_FILE);
    for file in [
        resume.with_extension("partial"),
        resume,
        run.join(LOCK_FILE),
    ] {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", file.display());
            }
            _ => {}
        }
    }
}
