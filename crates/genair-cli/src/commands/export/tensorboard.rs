//! `genair export tensorboard`: event files.

use std::path::Path;

use genair_report::export::export_tensorboard;
use genair_store::Store;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::count;

pub(super) fn tensorboard(
    format: Format,
    out: &Path,
    sweep: Option<&str>,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(database.path())?;
    let written = export_tensorboard(&mut store, out, sweep)?;
    format.show(&written, || {
        let (runs, folder) = (count(written.runs, "run"), written.folder.display());
        format!("{runs} in {folder}; look at them with `tensorboard --logdir {folder}`")
    })?;
    Ok(Exit::Done)
}
