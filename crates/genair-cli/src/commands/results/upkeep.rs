//! `genair results vacuum`, `backup` and `merge`: looking after the database.

use std::path::{Path, PathBuf};

use genair_protocol::text::count;
use genair_store::{Merged, Store, StoreError, StoreErrorKind};
use itertools::Itertools;
use serde::Serialize;

use crate::args::DatabaseArgs;
use crate::exit::Exit;
use crate::output::{Output, bytes, table};
use crate::output_path::may_write;

pub(super) fn vacuum(output: &Output, database: &DatabaseArgs) -> anyhow::Result<Exit> {
    let path = database.existing()?;
    let mut store = Store::open(&path)?;
    let vacuumed = store.vacuum()?;
    store.close()?;
    output.show(&vacuumed, || {
        let (path, size) = (path.display(), bytes(vacuumed.bytes_after));
        let freed = vacuumed.bytes_before.saturating_sub(vacuumed.bytes_after);
        format!("{path}: {size}, {} given back", bytes(freed))
    })
}

#[derive(Serialize)]
struct Copied<'a> {
    file: &'a Path,
    bytes: u64,
}

pub(super) fn backup(output: &Output, to: &Path, database: &DatabaseArgs) -> anyhow::Result<Exit> {
    let database = database.path();
    if !to.exists() {
        may_write(to, &[&database])?;
    }
    let size = Store::backup(&database, to)?;
    let copied = Copied {
        file: to,
        bytes: size,
    };
    output.show(&copied, || format!("{}: {}", to.display(), bytes(size)))
}

pub(super) fn rebuild(
    output: &Output,
    folder: &Path,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let path = database.path();
    if database.is_there() {
        let kind = StoreErrorKind::Exists;
        return Err(StoreError { path, kind }.into());
    }
    let mut store = Store::open(&path)?;
    let rebuilt = match genair_runner::rebuild(folder, &mut store) {
        Ok(rebuilt) => rebuilt,
        Err(error) => {
            // Half of a database would be taken for a whole one.
            drop(store);
            let _ = std::fs::remove_file(&path);
            return Err(error.into());
        }
    };
    store.close()?;
    for skipped in &rebuilt.skipped {
        let (path, reason) = (skipped.path.display(), &skipped.reason);
        tracing::warn!("{path} is left out: {reason}");
    }
    output.show(&rebuilt, || {
        let runs = rebuilt.finished + rebuilt.failed + rebuilt.pending;
        format!(
            "{}: {} of {}: {} finished, {} failed, {} pending; {} without a folder left out",
            path.display(),
            count(runs as usize, "run"),
            count(rebuilt.sweeps as usize, "sweep"),
            rebuilt.finished,
            rebuilt.failed,
            rebuilt.pending,
            rebuilt.without_folder,
        )
    })
}

#[derive(Serialize)]
struct MergedFile<'a> {
    file: &'a Path,
    #[serde(flatten)]
    merged: Merged,
}

pub(super) fn merge(
    output: &Output,
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
    output.show(&done, || {
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
            tracing::error!(
                "{} of {} with the same identity and other results than here: run {}; those here are kept",
                count(merged.differing.len(), "run"),
                file.display(),
                merged.differing.iter().join(", "),
            );
            exit = Exit::Differs;
        }
    }
    Ok(exit)
}
