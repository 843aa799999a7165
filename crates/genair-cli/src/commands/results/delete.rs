//! `genair results delete`: runs and their files, for good.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use genair_protocol::text::count;
use genair_runner::run_folder;
use genair_store::{Deletion, Doomed, RunId, Store};
use serde::Serialize;

use crate::args::DeleteArgs;
use crate::exit::Exit;
use crate::output::{Output, bytes};

#[derive(Serialize)]
struct Deleted<'a> {
    runs: Vec<RunId>,
    sweep: Option<&'a str>,
    kept: u64,
    bytes: u64,
}

pub(super) fn delete(output: &Output, arguments: &DeleteArgs) -> anyhow::Result<Exit> {
    let sweep = arguments.sweep.as_deref();
    let path = arguments.database.existing()?;
    if sweep.is_some() {
        Store::open_read_only(&path)?.require_sweep(sweep)?;
    }
    let doomed = match sweep {
        Some(name) => Doomed::Sweep(name.to_owned()),
        None => Doomed::Runs(arguments.runs.iter().copied().map(RunId).collect()),
    };
    let mut store = Store::open(&path)?;
    let deletion = store.deletion(&doomed)?;
    let what = described(sweep, &deletion, &folders_of(&path, &deletion)?);
    if !arguments.yes && !confirmed(&what)? {
        writeln!(io::stderr(), "nothing is deleted")?;
        return Ok(Exit::Done);
    }
    // As it is now: while somebody thought, a run may have begun.
    let deletion = store.delete(&doomed)?;
    store.close()?;
    let folders = folders_of(&path, &deletion)?;
    // After the rows: results never name files that are not there.
    for (folder, _) in &folders {
        std::fs::remove_dir_all(folder).with_context(|| {
            format!(
                "the runs are deleted, but not their files: remove {} by hand",
                folder.display()
            )
        })?;
    }
    let deleted = Deleted {
        runs: deletion.runs.iter().map(|run| run.run_id).collect(),
        sweep,
        kept: deletion.kept,
        bytes: folders.iter().map(|(_, bytes)| bytes).sum(),
    };
    let what = described(sweep, &deletion, &folders);
    output.show(&deleted, || {
        let kept = match deletion.kept {
            0 => String::new(),
            kept => {
                let runs = count(kept as usize, "run");
                format!("; {runs} that other sweeps have stay")
            }
        };
        format!("deleted {what}{kept}\n`genair results vacuum` gives the room of the rows back")
    })
}

/// The folders of the runs' files, with their bytes.
fn folders_of(database: &Path, deletion: &Deletion) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut folders = Vec::new();
    for run in &deletion.runs {
        let folder = run_folder(database, &run.identity)
            .with_context(|| format!("cannot read the files of run {}", run.run_id))?;
        folders.extend(folder);
    }
    Ok(folders)
}

fn described(sweep: Option<&str>, deletion: &Deletion, folders: &[(PathBuf, u64)]) -> String {
    let runs = count(deletion.runs.len(), "run");
    let files = bytes(folders.iter().map(|(_, bytes)| bytes).sum());
    match sweep {
        Some(name) => format!("sweep `{name}` with {runs} and {files} of files"),
        None => format!("{runs} and {files} of files"),
    }
}

/// Asks whoever is at the terminal.
fn confirmed(what: &str) -> anyhow::Result<bool> {
    let mut stderr = io::stderr();
    anyhow::ensure!(
        io::stdin().is_terminal() && stderr.is_terminal(),
        "this would delete {what} for good, and there is no terminal to ask on; `--yes` does it without a question"
    );
    write!(stderr, "Delete {what} for good? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
