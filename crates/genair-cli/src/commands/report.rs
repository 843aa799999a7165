//! `genair report`: tables and figures from the database.

use std::path::{Path, PathBuf};

use genair_report::{Format, Lacking, Report, ReportSpec, make_report, render};
use genair_store::Store;
use itertools::Itertools;
use serde_json::json;

use crate::args::ReportArgs;
use crate::exit::Exit;
use crate::output::{Output, count};
use crate::output_path::may_fill;

/// Endings of the files that a report is written to.
const WRITTEN: [&str; 7] = ["tex", "md", "csv", "json", "svg", "pdf", "png"];

pub(super) fn report(output: &Output, arguments: &ReportArgs) -> anyhow::Result<Exit> {
    let (path, out) = (&arguments.report, arguments.out.as_deref());
    let spec = ReportSpec::read(path)?;
    let database = arguments.database.path();
    if let Some(folder) = out {
        may_fill(folder, &WRITTEN, &[path, &database])?;
    }
    let mut store = Store::open_read_only(&database)?;
    let lacking = match arguments.skip_missing {
        true => Lacking::Skip,
        false => Lacking::Refuse,
    };
    let report = make_report(&mut store, &spec, &arguments.only, lacking)?;
    let files = match out {
        Some(folder) => genair_report::write_report(&report, &spec, folder)?,
        None => Vec::new(),
    };
    for skipped in &report.skipped {
        output.note(format!("skipped {skipped}"));
    }
    let value = json!({
        "tables": report.tables,
        "figures": report.figures.iter().map(|figure| &figure.name).collect::<Vec<_>>(),
        "skipped": report.skipped,
        "files": files,
    });
    output.show(&value, || text(&report, out, &files))
}

/// The tables themselves, or where everything is.
fn text(report: &Report, out: Option<&Path>, files: &[PathBuf]) -> String {
    let [tables, figures] = [report.tables.len(), report.figures.len()];
    if let Some(folder) = out {
        return format!(
            "{} and {} in {} files; overview: {}",
            count(tables, "table"),
            count(figures, "figure"),
            files.len(),
            folder.join("index.md").display()
        );
    }
    let shown = report
        .tables
        .iter()
        .map(|table| render(table, Format::Markdown));
    let not_shown = || {
        let figures = count(figures, "figure");
        format!("{figures} not shown; `--out FOLDER` writes files")
    };
    shown.chain((figures > 0).then(not_shown)).join("\n")
}
