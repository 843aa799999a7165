//! `genair report`: tables and figures from the database.

use std::path::{Path, PathBuf};

use genair_report::{Format as TableFormat, Lacking, Report, ReportSpec, make_report, render};
use genair_store::Store;
use indicatif::MultiProgress;
use serde_json::json;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::{count, note};
use crate::output_path::may_fill;

/// Endings of the files that a report is written to.
const WRITTEN: [&str; 7] = ["tex", "md", "csv", "json", "svg", "pdf", "png"];

/// What of a report is made, and where it goes.
pub(super) struct Wanted<'a> {
    pub(super) out: Option<&'a Path>,
    pub(super) only: &'a [String],
    pub(super) skip_missing: bool,
}

pub(super) fn report(
    format: Format,
    bars: &MultiProgress,
    path: &Path,
    wanted: &Wanted<'_>,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let spec = ReportSpec::read(path)?;
    let database = database.path();
    if let Some(folder) = wanted.out {
        may_fill(folder, &WRITTEN, &[path, &database])?;
    }
    let mut store = Store::open_read_only(&database)?;
    let lacking = match wanted.skip_missing {
        true => Lacking::Skip,
        false => Lacking::Refuse,
    };
    let report = make_report(&mut store, &spec, wanted.only, lacking)?;
    let files = match wanted.out {
        Some(folder) => genair_report::write_report(&report, &spec, folder)?,
        None => Vec::new(),
    };
    if format != Format::Quiet {
        for skipped in &report.skipped {
            note(bars, format!("skipped {skipped}"));
        }
    }
    let value = json!({
        "tables": report.tables,
        "figures": report.figures.iter().map(|figure| &figure.name).collect::<Vec<_>>(),
        "skipped": report.skipped,
        "files": files,
    });
    format.show(&value, || text(&report, wanted.out, &files))?;
    Ok(Exit::Done)
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
    let mut parts: Vec<String> = report
        .tables
        .iter()
        .map(|table| render(table, TableFormat::Markdown))
        .collect();
    if figures > 0 {
        parts.push(format!(
            "{} not shown; `--out FOLDER` writes files",
            count(figures, "figure")
        ));
    }
    parts.join("\n")
}
