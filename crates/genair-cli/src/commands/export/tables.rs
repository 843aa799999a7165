//! Tables and views as CSV and Parquet files.

use genair_report::export::{ExportFormat, export_tables};
use genair_store::Store;

use crate::args::{Format, TablesArgs};
use crate::exit::Exit;
use crate::output::table;
use crate::output_path::may_fill;

pub(super) fn tables(
    format: Format,
    of: ExportFormat,
    arguments: &TablesArgs,
) -> anyhow::Result<Exit> {
    let database = arguments.database.path();
    may_fill(&arguments.out, &[of.extension()], &[&database])?;
    let mut store = Store::open_read_only(&database)?;
    let files = export_tables(&mut store, &arguments.out, of, &arguments.tables)?;
    format.show(&files, || {
        let rows = files
            .iter()
            .map(|file| [file.rows.to_string(), file.file.display().to_string()]);
        table(&["rows", "file"], &["rows"], rows)
    })?;
    Ok(Exit::Done)
}
