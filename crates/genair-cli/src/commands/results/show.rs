//! `genair results show`: everything about one run but its ranks.

use genair_store::{DiagnosticRecord, RunDetails, RunId, Store};
use serde::Serialize;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::{facts, metric, table};

pub(super) fn show(format: Format, run: i64, database: &DatabaseArgs) -> anyhow::Result<Exit> {
    let details = Store::open_read_only(database.path())?.show_run(RunId(run))?;
    let text = text(&details)?;
    format.show(&details, || text)?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Code {
    revision: Option<String>,
    dirty: Option<bool>,
    diff: Option<String>,
}

pub(super) fn code(format: Format, run: i64, database: &DatabaseArgs) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(database.path())?;
    let details = store.show_run(RunId(run))?;
    let code = Code {
        revision: details.run.code_revision,
        dirty: details.run.code_dirty,
        diff: store.code_diff(RunId(run))?,
    };
    format.show(&code, || {
        let revision = code.revision.as_deref();
        let Some(revision) = revision else {
            return format!("run {run} has not been executed");
        };
        // A patch may begin with words of any kind.
        match (&code.diff, code.dirty) {
            (Some(diff), _) => format!("commit {revision}, and:\n\n{diff}"),
            (None, Some(true)) => {
                format!("commit {revision}, with changes that were not kept")
            }
            (None, _) => format!("commit {revision}"),
        }
    })?;
    Ok(Exit::Done)
}

fn text(details: &RunDetails) -> anyhow::Result<String> {
    let mut parts = vec![facts(&details.run)?];
    if let Some(failure) = &details.failure {
        parts.push(facts(failure)?);
    }
    if let Some(owner) = &details.owner {
        parts.push(facts(owner)?);
    }
    if let Some(machine) = &details.machine {
        parts.push(facts(machine)?);
    }
    let sweeps = details.sweeps.iter().map(|sweep| {
        [
            sweep.sweep.clone(),
            sweep.variant.clone(),
            if sweep.superseded { "yes" } else { "no" }.to_owned(),
        ]
    });
    parts.push(table(&["sweep", "variant", "superseded"], &[], sweeps));
    if !details.metrics.is_empty() {
        let rows = details.metrics.iter().map(|row| {
            let [split, protocol, cohort] = [
                row.split.as_str(),
                row.protocol.as_str(),
                row.cohort.as_str(),
            ];
            let name = format!("{}@{}", row.metric, row.k);
            [
                split.to_owned(),
                protocol.to_owned(),
                cohort.to_owned(),
                name,
                metric(Some(row.value)),
                row.users.to_string(),
            ]
        });
        parts.push(table(
            &["split", "protocol", "cohort", "metric", "value", "users"],
            &["value", "users"],
            rows,
        ));
    }
    if !details.diagnostics.is_empty() {
        parts.push(item_space(&details.diagnostics));
    }
    if !details.epochs.is_empty() {
        let rows = details.epochs.iter().map(|epoch| {
            let best = if epoch.best { "best" } else { "" };
            [
                epoch.epoch.to_string(),
                metric(Some(epoch.loss)),
                metric(epoch.calibration),
                metric(epoch.valid),
                format!("{:.2}", epoch.train_seconds),
                best.to_owned(),
            ]
        });
        parts.push(table(
            &["epoch", "loss", "calibration", "valid", "seconds", ""],
            &["epoch", "loss", "calibration", "valid", "seconds"],
            rows,
        ));
    }
    if !details.inputs.is_empty() {
        let rows = details
            .inputs
            .iter()
            .map(|file| [file.kind.clone(), file.sha256.clone(), file.path.clone()]);
        parts.push(table(&["input", "sha256", "path"], &[], rows));
    }
    if !details.artefacts.is_empty() {
        let rows = details
            .artefacts
            .iter()
            .map(|file| [file.kind.clone(), file.bytes.to_string(), file.path.clone()]);
        parts.push(table(&["artefact", "bytes", "path"], &["bytes"], rows));
    }
    Ok(parts.join("\n\n"))
}

/// Measures of the item space, before training beside those of the best epoch's weights.
fn item_space(diagnostics: &[DiagnosticRecord]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for record in diagnostics {
        if !names.contains(&record.name.as_str()) {
            names.push(&record.name);
        }
    }
    let value = |name: &str, trained: bool| {
        let found = diagnostics
            .iter()
            .find(|record| record.name == name && (record.epoch > 0) == trained);
        metric(found.map(|record| record.value))
    };
    let rows = names
        .iter()
        .map(|name| [(*name).to_owned(), value(name, false), value(name, true)]);
    table(
        &["item space", "before training", "best epoch"],
        &["before training", "best epoch"],
        rows,
    )
}
