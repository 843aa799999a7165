//! Runs as MLflow's files.

use std::io::IsTerminal;
use std::path::Path;

use genair_report::export::mlflow::export_mlflow;
use genair_store::Store;
use indicatif::{MultiProgress, ProgressBar};
use serde_json::json;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::count;
use crate::progress::style;

pub(super) fn mlflow(
    format: Format,
    bars: &MultiProgress,
    sweep: Option<&str>,
    out: &Path,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(database.path())?;
    let bar = match std::io::stderr().is_terminal() && format != Format::Quiet {
        true => bars.add(ProgressBar::new(0).with_style(style("{bar:30} {pos}/{len} runs"))),
        false => ProgressBar::hidden(),
    };
    let exported = export_mlflow(&mut store, sweep, out, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let exported = exported?;
    let value = json!({"folder": out, "experiments": exported.experiments, "runs": exported.runs});
    format.show(&value, || {
        format!(
            "{}: {} in {}",
            out.display(),
            count(exported.runs, "run"),
            count(exported.experiments, "experiment")
        )
    })?;
    Ok(Exit::Done)
}
