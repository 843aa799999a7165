//! The worker: makes tables, figures, pages and exports of a database. Meant to be started by `genair`.

mod parquet_csv;
mod parquet_rows;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use genair_protocol::text::count;
use genair_protocol::{ReportEvent, ReportRequest, ReportTask};
use genair_report::export::mlflow::export_mlflow;
use genair_report::export::{
    ExportFormat, export_ranks, export_recommendations, export_tables, export_tensorboard,
};
use genair_report::html::{PageFigure, PageSpec, write_page};
use genair_report::{
    Format, Lacking, Report, ReportSpec, SpecError, make_report, render, write_report,
};
use genair_store::{RanksFilter, RunId, Store};
use serde::Serialize;
use serde_json::{Value, json};
use signal_hook::consts::SIGXFSZ;

/// Makes tables, figures, pages and exports of a results database; started by `genair`. Reads a request from the first
/// line of standard input (JSON); what it says goes to standard output, one JSON object a line.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Write a Parquet file as a csv file; lists become JSON. Reads no request.
    Csv {
        /// The Parquet file.
        file: PathBuf,
        /// The file to write.
        out: PathBuf,
    },
    /// Write the rows of a Parquet file to standard output, one JSON object a line. Reads no request.
    Rows {
        /// The Parquet file.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    // A file that reaches its limit (`ulimit -f`) is an error of whatever writes it, and not the end.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    genair_process::end_with_parent();
    let made = match Arguments::parse().command {
        Some(Command::Rows { file }) => return rows(&file),
        Some(Command::Csv { file, out }) => write_csv(&file, &out),
        None => request().and_then(|request| make(&request)),
    };
    let (event, code) = match made {
        Ok(done) => (done, ExitCode::SUCCESS),
        Err(error) => (ReportEvent::Failed(mistakes(&error)), ExitCode::from(2)),
    };
    match say(&event) {
        Ok(()) => code,
        // Nobody listens.
        Err(_) => ExitCode::FAILURE,
    }
}

fn rows(file: &Path) -> ExitCode {
    match parquet_rows::write(file, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Who started it listens there.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::from(2)
        }
    }
}

fn request() -> Result<ReportRequest> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    serde_json::from_str(&line).context("standard input is no request")
}

fn write_csv(file: &Path, out: &Path) -> Result<ReportEvent> {
    let rows = parquet_csv::parquet_to_csv(file, out)?;
    let text = format!("{}: {}", out.display(), count(rows, "row"));
    done(text, &json!({ "file": out, "rows": rows }))
}

fn make(request: &ReportRequest) -> Result<ReportEvent> {
    let open = || Store::open_read_only(&request.database);
    match &request.task {
        ReportTask::Report {
            spec,
            out,
            only,
            skip_missing,
        } => {
            // Its mistakes are told before the database's.
            let spec = ReportSpec::read(spec)?;
            report(&mut open()?, &spec, out.as_deref(), only, *skip_missing)
        }
        ReportTask::Tables { out, form, tables } => export(&mut open()?, out, form, tables),
        ReportTask::Ranks {
            out,
            sweep,
            runs,
            split,
            protocol,
        } => {
            let form = form_of(out, "ranks")?;
            let filter = RanksFilter {
                sweep: sweep.clone(),
                runs: runs.iter().copied().map(RunId).collect(),
                split: *split,
                protocol: *protocol,
            };
            let exported = export_ranks(&mut open()?, &filter, form, out)?;
            let (runs, rows) = (exported.runs, exported.rows);
            let text = format!("{}: {rows} ranks of {}", out.display(), count(runs, "run"));
            done(text, &json!({"file": out, "runs": runs, "rows": rows}))
        }
        ReportTask::Recommendations {
            lists,
            out,
            targets,
        } => {
            let target_form = targets.as_ref().map(|file| form_of(file, "targets"));
            let forms = (form_of(out, "recommendations")?, target_form.transpose()?);
            let targets = targets.as_deref().zip(forms.1);
            let exported = export_recommendations(lists, (out, forms.0), targets)?;
            let users = count(exported.users, "user");
            let mut text = format!(
                "{}: {} recommendations to {users}",
                out.display(),
                exported.rows
            );
            if let Some(file) = &exported.targets {
                text += &format!("\n{}: their targets", file.display());
            }
            done(text, &exported)
        }
        ReportTask::Mlflow { out, sweep } => {
            let mut told = Ok(());
            let exported = export_mlflow(&mut open()?, sweep.as_deref(), out, |done, all| {
                told = say(&ReportEvent::Progress { done, all });
            })?;
            told?;
            let (experiments, runs) = (exported.experiments, exported.runs);
            let of = count(experiments, "experiment");
            let text = format!("{}: {} in {of}", out.display(), count(runs, "run"));
            done(
                text,
                &json!({"folder": out, "experiments": experiments, "runs": runs}),
            )
        }
        ReportTask::Tensorboard { out, sweep } => {
            let written = export_tensorboard(&mut open()?, out, sweep.as_deref())?;
            let (runs, folder) = (count(written.runs, "run"), written.folder.display());
            let text =
                format!("{runs} in {folder}; look at them with `tensorboard --logdir {folder}`");
            done(text, &written)
        }
        ReportTask::Page {
            out,
            title,
            sweeps,
            figures,
        } => {
            let spec = PageSpec {
                title: title.clone(),
                sweeps: sweeps.clone(),
                figures: figures.iter().map(figure).collect::<Result<_>>()?,
            };
            let page = write_page(&mut open()?, &spec, out)?;
            let left = match page.runs_with_ranks {
                n if n == page.runs => String::new(),
                n => format!(", ranks of {n} to compare by"),
            };
            let (file, runs) = (page.file.display(), count(page.runs, "run"));
            let kibibytes = page.bytes.div_ceil(1024);
            done(format!("{file}: {runs}{left}, {kibibytes} KiB"), &page)
        }
    }
}

fn report(
    store: &mut Store,
    spec: &ReportSpec,
    out: Option<&Path>,
    only: &[String],
    skip_missing: bool,
) -> Result<ReportEvent> {
    let lacking = match skip_missing {
        true => Lacking::Skip,
        false => Lacking::Refuse,
    };
    let report = make_report(store, spec, only, lacking)?;
    let files = match out {
        Some(folder) => write_report(&report, spec, folder)?,
        None => Vec::new(),
    };
    for skipped in &report.skipped {
        say(&ReportEvent::Note(format!("skipped {skipped}")))?;
    }
    let figures = report.figures.iter().map(|figure| &figure.name);
    let value = json!({
        "tables": report.tables,
        "figures": figures.collect::<Vec<_>>(),
        "skipped": report.skipped,
        "files": files,
    });
    done(text(&report, out, &files), &value)
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
    let parts: Vec<String> = shown.chain((figures > 0).then(not_shown)).collect();
    parts.join("\n")
}

fn export(store: &mut Store, out: &Path, form: &str, tables: &[String]) -> Result<ReportEvent> {
    let form = match form {
        "csv" => ExportFormat::Csv,
        "parquet" => ExportFormat::Parquet,
        other => bail!("`{other}` is no form of tables"),
    };
    let files = export_tables(store, out, form, tables)?;
    let lines = files
        .iter()
        .map(|own| format!("{}: {} rows", own.file.display(), own.rows));
    done(lines.collect::<Vec<_>>().join("\n"), &files)
}

/// The form of a file of `what`, by its ending.
fn form_of(file: &Path, what: &str) -> Result<ExportFormat> {
    ExportFormat::of(file).with_context(|| {
        let file = file.display();
        format!("{file}: {what} are written as .csv or .parquet; the file's ending says which")
    })
}

fn figure(file: &PathBuf) -> Result<PageFigure> {
    let svg =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_stem().unwrap_or_default();
    Ok(PageFigure::new(&name.to_string_lossy(), svg))
}

fn done(text: String, value: &impl Serialize) -> Result<ReportEvent> {
    let value: Value = serde_json::to_value(value)?;
    Ok(ReportEvent::Done { text, value })
}

/// The mistakes of a spec, or an error with its causes.
fn mistakes(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref::<SpecError>() {
        Some(error) => error.problems.iter().map(ToString::to_string).collect(),
        None => vec![format!("{error:#}")],
    }
}

fn say(event: &ReportEvent) -> Result<()> {
    let mut line = serde_json::to_string(event)?;
    line.push('\n');
    let mut stdout = io::stdout();
    stdout.write_all(line.as_bytes())?;
    Ok(stdout.flush()?)
}
