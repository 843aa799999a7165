//! Users' ranks, for others' statistics.

use anyhow::Context;
use genair_report::export::{ExportFormat, export_ranks};
use genair_store::{RanksFilter, RunId, Store};
use serde_json::json;

use crate::args::{Format, RanksArgs};
use crate::exit::Exit;
use crate::output::count;
use crate::output_path::may_write;

pub(crate) fn ranks(format: Format, arguments: &RanksArgs) -> anyhow::Result<Exit> {
    let out = &arguments.out;
    let of_file = ExportFormat::of(out).with_context(|| {
        let file = out.display();
        format!("{file}: ranks are written as .csv or .parquet; the file's ending says which")
    })?;
    let database = arguments.database.path();
    may_write(out, &[&database])?;
    let mut store = Store::open_read_only(&database)?;
    let filter = RanksFilter {
        sweep: arguments.sweep.clone(),
        runs: arguments.runs.iter().copied().map(RunId).collect(),
        split: arguments.split,
        protocol: arguments.protocol,
    };
    let exported = export_ranks(&mut store, &filter, of_file, out)?;
    let value = json!({"file": out, "runs": exported.runs, "rows": exported.rows});
    format.show(&value, || {
        format!(
            "{}: {} ranks of {}",
            out.display(),
            exported.rows,
            count(exported.runs, "run")
        )
    })?;
    Ok(Exit::Done)
}
