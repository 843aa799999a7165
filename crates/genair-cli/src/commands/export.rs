//! `genair report`, `genair export`, `genair results html` and `export-ranks`: what the worker `genair-report` makes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use genair_protocol::{ReportEvent, ReportRequest, ReportTask};
use indicatif::ProgressBar;

use crate::args::{DatabaseArgs, Export, HtmlArgs, RanksArgs, ReportArgs, TablesArgs};
use crate::commands::recommend;
use crate::exit::{Exit, Mistakes};
use crate::helper::ask;
use crate::output::Output;
use crate::output_path::{may_be_page, may_fill, may_write};
use crate::progress::style;

/// Name of the worker.
const WORKER: &str = "genair-report";
/// Longest line it may write: all tables of a report as JSON.
const LONGEST: usize = 1 << 30;
/// Endings of the files that a report is written to.
const WRITTEN: [&str; 7] = ["tex", "md", "csv", "json", "svg", "pdf", "png"];

pub(super) fn report(output: &Output, arguments: &ReportArgs) -> anyhow::Result<Exit> {
    let (spec, out) = (arguments.report.clone(), arguments.out.clone());
    let database = arguments.database.path();
    if let Some(folder) = &out {
        may_fill(folder, &WRITTEN, &[&spec, &database])?;
    }
    let (only, skip_missing) = (arguments.only.clone(), arguments.skip_missing);
    let task = ReportTask::Report {
        spec,
        out,
        only,
        skip_missing,
    };
    make(output, database, task)
}

pub(super) fn export(output: &Output, command: &Export) -> anyhow::Result<Exit> {
    match command {
        Export::Csv(arguments) => tables(output, "csv", arguments),
        Export::Parquet(arguments) => tables(output, "parquet", arguments),
        Export::Recommendations(arguments) => recommend::recommendations(output, arguments),
        Export::Mlflow {
            sweep,
            out,
            database,
        } => {
            let (out, sweep) = (out.clone(), sweep.clone());
            make_of(output, database, ReportTask::Mlflow { out, sweep })
        }
        Export::Tensorboard {
            out,
            sweep,
            database,
        } => {
            let (out, sweep) = (out.clone(), sweep.clone());
            make_of(output, database, ReportTask::Tensorboard { out, sweep })
        }
    }
}

fn tables(output: &Output, form: &str, arguments: &TablesArgs) -> anyhow::Result<Exit> {
    may_fill(&arguments.out, &[form], &[&arguments.database.path()])?;
    let task = ReportTask::Tables {
        out: arguments.out.clone(),
        form: form.to_owned(),
        tables: arguments.tables.clone(),
    };
    make_of(output, &arguments.database, task)
}

pub(super) fn ranks(output: &Output, arguments: &RanksArgs) -> anyhow::Result<Exit> {
    may_write(&arguments.out, &[&arguments.database.path()])?;
    let task = ReportTask::Ranks {
        out: arguments.out.clone(),
        sweep: arguments.sweep.clone(),
        runs: arguments.runs.clone(),
        split: arguments.split,
        protocol: arguments.protocol,
    };
    make_of(output, &arguments.database, task)
}

pub(super) fn html(output: &Output, arguments: &HtmlArgs) -> anyhow::Result<Exit> {
    let database = arguments.database.path();
    let mut figures = Vec::new();
    for folder in &arguments.figures {
        figures.extend(figures_of(folder)?);
    }
    let read: Vec<&Path> = figures
        .iter()
        .chain([&database])
        .map(PathBuf::as_path)
        .collect();
    let beside = || database.with_extension("html");
    let out = arguments.out.clone().unwrap_or_else(beside);
    may_write(&out, &read)?;
    may_be_page(&out)?;
    let task = ReportTask::Page {
        out,
        title: arguments.title.clone(),
        sweeps: arguments.sweeps.clone(),
        figures,
    };
    make_of(output, &arguments.database, task)
}

/// The SVG files of a folder by name, at least one.
fn figures_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read the figures in {}", folder.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(unreadable)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "svg"));
    files.sort();
    anyhow::ensure!(
        !files.is_empty(),
        "{} holds no .svg file; `genair report SPEC.toml --out FOLDER` makes figures",
        folder.display()
    );
    Ok(files)
}

/// Of a database that must be there.
fn make_of(output: &Output, database: &DatabaseArgs, task: ReportTask) -> anyhow::Result<Exit> {
    make(output, database.existing()?, task)
}

/// Has the worker make it, and shows what it says.
pub(super) fn make(output: &Output, database: PathBuf, task: ReportTask) -> anyhow::Result<Exit> {
    let mut bar = None; // There is one from its first progress on.
    let request = ReportRequest { database, task };
    let made = ask(WORKER, &[], &request, LONGEST, |event| match event {
        ReportEvent::Note(text) => {
            output.note(text);
            Ok(None)
        }
        ReportEvent::Progress { done, all } => {
            let bar = bar.get_or_insert_with(|| output.bars.add(new_bar(output)));
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            Ok(None)
        }
        ReportEvent::Done { text, value } => Ok(Some((text, value))),
        ReportEvent::Failed(mistakes) => Err(Mistakes(mistakes).into()),
    })?;
    match made {
        Ok((text, value)) => {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            output.show(&value, || text)
        }
        Err(Some(status)) => {
            anyhow::bail!("{WORKER} ended with {status}; the lines above say why")
        }
        Err(None) => anyhow::bail!("{WORKER} was lost"),
    }
}

fn new_bar(output: &Output) -> ProgressBar {
    match output.draws() {
        true => ProgressBar::new(0).with_style(style("{bar:30} {pos}/{len} runs")),
        false => ProgressBar::hidden(),
    }
}
