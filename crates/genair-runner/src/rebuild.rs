//! A database made again from the folder of its runs: the events of each run's last attempt are told once more.
//!
//! What only the database had does not come back: how runs were judged for pruning, failures that no worker said, such
//! as a kill, and when runs began and ended.

use std::io;
use std::path::{Path, PathBuf};

use genair_protocol::{ATTEMPT_FILE, REQUEST_FILE, RunEvent, WorkerRequest, events_file};
use genair_store::{FailedRuns, InputKind, NewRun, Owner, RunId, Store, StoreError};
use serde::Serialize;

use crate::artefacts;
use crate::events::EventFile;
use crate::folder::{self, RunNote};

/// What came of a rebuild. Each run with a folder is in one of the first three counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Runs with results.
    pub finished: u64,
    /// Runs whose worker said why they failed.
    pub failed: u64,
    /// Runs without a last word: pruned, killed or never begun. The next sweep goes on with them.
    pub pending: u64,
    /// Sweeps.
    pub sweeps: u64,
    /// Runs that were planned and have no folder. They are left out; the next sweep enters them again.
    pub without_folder: u64,
    /// Files that could not be used.
    pub skipped: Vec<Skipped>,
}

/// A file that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a database cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The folder has no notes of sweeps.
    #[error("{} is no folder of runs: it has no notes of sweeps in `sweeps`; name the folder beside the database that `genair sweep` made, such as results/genair-artefacts", folder.display())]
    NoFolderOfRuns {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The database cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Enters the sweeps and runs of a folder into a database that has none of them.
///
/// # Errors
/// The folder is none of runs; the database cannot be written. Files of runs that cannot be used are
/// [told](Rebuilt::skipped).
pub fn rebuild(folder: &Path, store: &mut Store) -> Result<Rebuilt, RebuildError> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let notes = folder::sweeps(&folder);
    let (sweeps, wrong) = notes.map_err(|source| RebuildError::NoFolderOfRuns {
        folder: folder.clone(),
        source,
    })?;
    let mut rebuilt = Rebuilt::default();
    for (path, error) in wrong {
        rebuilt.skip(path, error);
    }
    let mut told = std::collections::HashSet::new();
    for sweep in sweeps {
        let planned = sweep.runs.len();
        let there = |run: &NewRun| artefacts::of_identity(&folder, &run.identity).is_dir();
        let runs: Vec<NewRun> = sweep.runs.into_iter().filter(there).collect();
        rebuilt.without_folder += (planned - runs.len()) as u64;
        if runs.is_empty() {
            continue;
        }
        let id = store.begin_sweep(&sweep.name, &sweep.spec_path, &sweep.spec_text)?;
        store.note_search(id, &sweep.searched)?;
        let numbers = store.register(id, &runs)?.runs;
        rebuilt.sweeps += 1;
        for (number, run) in numbers.into_iter().zip(runs) {
            if told.insert(number) {
                rebuilt.tell(
                    store,
                    number,
                    &artefacts::of_identity(&folder, &run.identity),
                )?;
            }
        }
    }
    Ok(rebuilt)
}

impl Rebuilt {
    fn skip(&mut self, path: PathBuf, reason: impl ToString) {
        let reason = reason.to_string();
        self.skipped.push(Skipped { path, reason });
    }

    /// Tells the database what a run's last attempt said.
    fn tell(&mut self, store: &mut Store, run: RunId, folder: &Path) -> Result<(), StoreError> {
        let Ok(attempt) = std::fs::read_to_string(folder.join(ATTEMPT_FILE)) else {
            self.pending += 1;
            return Ok(());
        };
        let path = folder.join(events_file(&attempt));
        let events = match EventFile::new(&path).read() {
            Ok(events) => events,
            Err(error) => {
                self.skip(path, error);
                self.pending += 1;
                return Ok(());
            }
        };
        let finished = matches!(events.last(), Some(RunEvent::Finished(_)));
        if !finished && !matches!(events.last(), Some(RunEvent::Failed(_))) {
            self.pending += 1;
            return Ok(());
        }
        let owner = match RunNote::read(folder) {
            Ok(note) => Owner::this_process(note.code),
            Err(error) => {
                self.skip(folder.to_owned(), error);
                self.pending += 1;
                return Ok(());
            }
        };
        store.claim(run, &owner, FailedRuns::Retry)?;
        for (kind, input) in inputs(folder) {
            store.record_input(run, &owner, kind, &input)?;
        }
        store.begin_attempt(run, &owner, &attempt)?;
        for event in &events {
            if let Err(error) = store.record(run, &owner, event) {
                // Events of another version, or in no order: nothing of them stays.
                self.skip(path, error.kind);
                self.pending += 1;
                return store.release(run, &owner);
            }
        }
        match finished {
            true => self.finished += 1,
            false => self.failed += 1,
        }
        store.remove_owner(&owner)
    }
}

/// The files of earlier stages that a run's request names.
fn inputs(folder: &Path) -> Vec<(InputKind, genair_protocol::InputFile)> {
    let request = std::fs::read(folder.join(REQUEST_FILE)).ok();
    let request = request.and_then(|text| serde_json::from_slice::<WorkerRequest>(&text).ok());
    let named = request.map(|request| {
        [
            (InputKind::Vectors, request.vectors),
            (InputKind::Associations, request.associations),
        ]
    });
    let named = named.into_iter().flatten();
    named
        .filter_map(|(kind, file)| Some((kind, file?)))
        .collect()
}
