//! `genair export`, `genair results html` and `export-ranks`: the database for other programs.

mod html;

use anyhow::Context;
use genair_report::export::mlflow::export_mlflow;
use genair_report::export::{ExportFormat, export_ranks, export_tables, export_tensorboard};
use genair_store::{RanksFilter, RunId};
use indicatif::ProgressBar;
use serde_json::json;

use crate::args::{Export, RanksArgs, TablesArgs};
use crate::exit::Exit;
use crate::output::{Output, count, table};
use crate::output_path::{may_fill, may_write};
use crate::progress::style;

pub(super) use html::html;

pub(super) fn export(output: &Output, command: &Export) -> anyhow::Result<Exit> {
    match command {
        Export::Csv(arguments) => tables(output, ExportFormat::Csv, arguments),
        Export::Parquet(arguments) => tables(output, ExportFormat::Parquet, arguments),
        Export::Mlflow {
            sweep,
            out,
            database,
        } => {
            let mut store = database.open()?;
            let bar = match output.draws() {
                true => ProgressBar::new(0).with_style(style("{bar:30} {pos}/{len} runs")),
                false => ProgressBar::hidden(),
            };
            let bar = output.bars.add(bar);
            let exported = export_mlflow(&mut store, sweep.as_deref(), out, |done, all| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            });
            bar.finish_and_clear();
            let exported = exported?;
            let (experiments, runs) = (exported.experiments, exported.runs);
            let value = json!({"folder": out, "experiments": experiments, "runs": runs});
            output.show(&value, || {
                let (runs, experiments) = (count(runs, "run"), count(experiments, "experiment"));
                format!("{}: {runs} in {experiments}", out.display())
            })
        }
        Export::Tensorboard {
            out,
            sweep,
            database,
        } => {
            let written = export_tensorboard(&mut database.open()?, out, sweep.as_deref())?;
            output.show(&written, || {
                let (runs, folder) = (count(written.runs, "run"), written.folder.display());
                format!("{runs} in {folder}; look at them with `tensorboard --logdir {folder}`")
            })
        }
    }
}

fn tables(output: &Output, of: ExportFormat, arguments: &TablesArgs) -> anyhow::Result<Exit> {
    let database = arguments.database.path();
    may_fill(&arguments.out, &[of.extension()], &[&database])?;
    let mut store = arguments.database.open()?;
    let files = export_tables(&mut store, &arguments.out, of, &arguments.tables)?;
    output.show(&files, || {
        let rows = files.iter();
        let rows = rows.map(|own| [own.rows.to_string(), own.file.display().to_string()]);
        table(&["rows", "file"], &["rows"], rows)
    })
}

pub(super) fn ranks(output: &Output, arguments: &RanksArgs) -> anyhow::Result<Exit> {
    let out = &arguments.out;
    let of_file = ExportFormat::of(out).with_context(|| {
        let file = out.display();
        format!("{file}: ranks are written as .csv or .parquet; the file's ending says which")
    })?;
    may_write(out, &[&arguments.database.path()])?;
    let filter = RanksFilter {
        sweep: arguments.sweep.clone(),
        runs: arguments.runs.iter().copied().map(RunId).collect(),
        split: arguments.split,
        protocol: arguments.protocol,
    };
    let exported = export_ranks(&mut arguments.database.open()?, &filter, of_file, out)?;
    let (runs, rows) = (exported.runs, exported.rows);
    output.show(&json!({"file": out, "runs": runs, "rows": rows}), || {
        format!("{}: {rows} ranks of {}", out.display(), count(runs, "run"))
    })
}
