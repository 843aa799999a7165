//! Where the files of runs are, and which of them go when a run needs them no more.

use std::io;
use std::path::{Path, PathBuf};

use genair_protocol::{ATTEMPT_FILE, LOCK_FILE, RESUME_FILE, events_file};

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

pub(crate) fn of_identity(artefacts: &Path, identity: &str) -> PathBuf {
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

/// Removes what a run has for going on: its resume checkpoint, its lock, the events of attempts that do not count, and
/// files that were half written when something died. Logs stay.
pub(crate) fn tidy(run: &Path) {
    let mut done = vec![run.join(RESUME_FILE), run.join(LOCK_FILE)];
    done.extend(genair_files::partials(run));
    done.extend(past_events(run));
    for file in done {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", file.display());
            }
            _ => {}
        }
    }
}

/// The files of events of attempts at a run but the one that counts.
fn past_events(run: &Path) -> Vec<PathBuf> {
    let Ok(counts) = std::fs::read_to_string(run.join(ATTEMPT_FILE)) else {
        return Vec::new();
    };
    let counts = events_file(&counts);
    let is_past = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("events.") && name.ends_with(".jsonl") && name != counts
    };
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_past).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_done_keeps_what_it_made_alone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = [
            ATTEMPT_FILE,
            "best.safetensors",
            "events.b-1-2.jsonl",
            "log.a-1-1.txt",
            "log.b-1-2.txt",
            "request.json",
        ];
        let gone = [
            RESUME_FILE,
            LOCK_FILE,
            "events.a-1-1.jsonl",
            ".resume.safetensors.x1.partial",
            ".best.safetensors.x1.partial",
            ".request.json.x1.partial",
        ];
        for file in kept.iter().chain(&gone) {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        std::fs::write(folder.path().join(ATTEMPT_FILE), "b-1-2").unwrap();
        tidy(folder.path());
        let left = folder.path().read_dir().unwrap();
        let mut left = left
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        left.sort();
        assert_eq!(left, kept);
    }
}
