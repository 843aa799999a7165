//! Where the files of runs are, and which of them go when a run needs them no more.

use std::io;
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
    of_identity(artefacts, &run.identity)
}

fn of_identity(artefacts: &Path, identity: &str) -> PathBuf {
    artefacts.join(identity.get(..16).unwrap_or(identity))
}

/// The folder of a run's files beside `database`, and their bytes; none where it has no files.
///
/// # Errors
/// The folder cannot be read.
pub fn run_folder(database: &Path, identity: &str) -> io::Result<Option<(PathBuf, u64)>> {
    let run = of_identity(&folder(database), identity);
    match size(&run) {
        Ok(bytes) => Ok(Some((run, bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.metadata()? {
            inner if inner.is_dir() => size(&entry.path())?,
            file => file.len(),
        };
    }
    Ok(bytes)
}

/// Removes what a run has for going on: its resume checkpoint, its lock, and files that were half written
/// when something died.
pub(crate) fn tidy(run: &Path) {
    let mut done = vec![run.join(RESUME_FILE), run.join(LOCK_FILE)];
    done.extend(genair_files::partials(run));
    for file in done {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", file.display());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_done_keeps_what_it_made_alone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = ["best.safetensors", "log.txt", "request.json"];
        let gone = [
            RESUME_FILE,
            LOCK_FILE,
            ".resume.safetensors.x1.partial",
            ".best.safetensors.x1.partial",
            ".request.json.x1.partial",
        ];
        for file in kept.iter().chain(&gone) {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        tidy(folder.path());
        let left = folder.path().read_dir().unwrap();
        let mut left = left
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        left.sort();
        assert_eq!(left, kept);
    }
}
