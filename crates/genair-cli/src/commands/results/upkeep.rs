//! `genair results vacuum`, `backup` and `merge`: looking after the database.

use std::path::{Path, PathBuf};

use genair_store::{Merged, Store, Vacuumed};
use serde::Serialize;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::{bytes, count, table};
use crate::output_path::may_write;

pub(super) fn vacuum(format: Format, database: &DatabaseArgs) -> anyhow::Result<Exit> {
    let path = database.existing()?;
    let mut store = Store::open(&path)?;
    let vacuumed = store.vacuum()?;
    store.close()?;
    let Vacuumed {
        bytes_before,
        bytes_after,
    } = vacuumed;
    format.show(&vacuumed, || {
        let (path, size) = (path.display(), bytes(bytes_after));
        let freed = bytes(bytes_before.saturating_sub(bytes_after));
        format!("{path}: {size}, {freed} given back")
    })?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Copied<'a> {
    file: &'a Path,
    bytes: u64,
}

pub(super) fn backup(format: Format, to: &Path, database: &DatabaseArgs) -> anyhow::Result<Exit> {
    let database = database.path();
    if !to.exists() {
        may_write(to, &[&database])?;
    }
    let size = Store::backup(&database, to)?;
    let copied = Copied {
        file: to,
        bytes: size,
    };
    format.show(&copied, || format!("{}: {}", to.display(), bytes(size)))?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct MergedFile<'a> {
    file: &'a Path,
    #[serde(flatten)]
    merged: Merged,
}

pub(super) fn merge(
    format: Format,
    others: &[PathBuf],
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    // Whatever cannot be read is told before anything is changed.
    for other in others {
        Store::open_read_only(other)?;
    }
    let mut store = Store::open(database.path())?;
    let mut done = Vec::new();
    for file in others {
        let merged = store.merge(file)?;
        done.push(MergedFile { file, merged });
    }
    store.close()?;
    format.show(&done, || {
        let headers = ["database", "added", "replaced", "kept", "running", "sweeps"];
        let rows = done.iter().map(|MergedFile { file, merged }| {
            let numbers = [
                merged.added,
                merged.replaced,
                merged.kept,
                merged.running,
                merged.sweeps,
            ];
            std::iter::once(file.display().to_string())
                .chain(numbers.map(|number| number.to_string()))
        });
        table(&headers, &headers[1..], rows)
    })?;
    let mut exit = Exit::Done;
    for MergedFile { file, merged } in &done {
        if !merged.differing.is_empty() {
            let runs: Vec<String> = merged.differing.iter().map(ToString::to_string).collect();
            tracing::error!(
                "{} of {} with the same identity and other results than here: run {}; those here are kept",
                count(runs.len(), "run"),
                file.display(),
                runs.join(", "),
            );
            exit = Exit::Differs;
        }
    }
    Ok(exit)
}
