//! What the folder of a database's files says of sweeps and runs, beside what workers leave there: enough to make the
//! database again (`rebuild`).

use std::io;
use std::path::{Path, PathBuf};

use genair_store::{CodeRevision, NewRun};
use serde::{Deserialize, Serialize};

use crate::plan::PlannedRun;
use genair_spec::Sweep;

/// The folder of the sweeps' notes.
const SWEEPS: &str = "sweeps";

/// The file in a run's folder that says what executed it.
const RUN_FILE: &str = "run.json";

/// A sweep as it was last swept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SweepNote {
    pub(crate) name: String,
    pub(crate) spec_path: String,
    pub(crate) spec_text: String,
    pub(crate) searched: Vec<String>,
    pub(crate) runs: Vec<NewRun>,
}

/// What executes a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunNote {
    /// The run's identity: its folder's name is the beginning of it.
    pub(crate) identity: String,
    pub(crate) code: CodeRevision,
}

impl RunNote {
    /// Writes the note into the run's folder, and returns where.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        let path = folder.join(RUN_FILE);
        let written = serde_json::to_vec(self).map_err(io::Error::from);
        let written = written.and_then(|text| genair_files::write(&path, text));
        written.map_err(|error| (path, error))
    }

    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(
            folder.join(RUN_FILE),
        )?)?)
    }
}

/// Notes a sweep and its runs. That it cannot be noted costs the sweep nothing but that, so it is a warning.
pub(crate) fn note_sweep(artefacts: &Path, sweep: &Sweep<PlannedRun>, runs: &[NewRun]) {
    let spec_path = std::path::absolute(&sweep.spec_path);
    let spec_path = spec_path.unwrap_or_else(|_| sweep.spec_path.clone());
    let note = SweepNote {
        name: sweep.name.clone(),
        spec_path: spec_path.to_string_lossy().into_owned(),
        spec_text: sweep.spec_text.clone(),
        searched: sweep.searched.clone(),
        runs: runs.to_vec(),
    };
    // A sweep may have any name; a file may not.
    let file = format!("{}.json", &genair_files::sha256(&sweep.name)[..16]);
    let path = artefacts.join(SWEEPS).join(file);
    let text = serde_json::to_vec(&note).map_err(io::Error::from);
    if let Err(error) = text.and_then(|text| genair_files::write(&path, text)) {
        let path = path.display();
        tracing::warn!(
            "cannot write {path}, so `genair results rebuild` will not have this sweep: {error}"
        );
    }
}

/// Notes, and files that are none, with the reason.
type Notes = (Vec<SweepNote>, Vec<(PathBuf, io::Error)>);

/// The notes of all sweeps, the one swept last at the end, and the files that are none, with the reason.
pub(crate) fn sweeps(artefacts: &Path) -> io::Result<Notes> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(artefacts.join(SWEEPS))? {
        let entry = entry?;
        let path = entry.path();
        if path.extension() == Some("json".as_ref()) {
            files.push((entry.metadata()?.modified()?, path));
        }
    }
    files.sort();
    let (mut notes, mut wrong) = (Vec::new(), Vec::new());
    for (_, path) in files {
        let text = std::fs::read(&path);
        match text.and_then(|text| Ok(serde_json::from_slice(&text)?)) {
            Ok(note) => notes.push(note),
            Err(error) => wrong.push((path, error)),
        }
    }
    Ok((notes, wrong))
}
