//! `genair results show`: everything about one run but its ranks.

use genair_protocol::{Cohort, Metric, Protocol, Split};
use genair_store::{DiagnosticRecord, RunDetails, RunId, RunState, Store};
use serde::Serialize;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::{facts, metric, table};
use crate::standings::{CUT, title};

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
    let mut parts = vec![summary(details), facts(&details.run)?];
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

/// What it is, where it stands, and the results that people ask for first.
fn summary(details: &RunDetails) -> String {
    let run = &details.run;
    let (backbone, representation, dataset) = (&run.backbone, &run.representation, &run.dataset);
    let mut lines = vec![format!(
        "run {}: {backbone} {representation} on {dataset}, seed {}",
        run.run_id, run.seed
    )];
    for sweep in &details.sweeps {
        let variant = match sweep.variant.as_str() {
            "" => String::new(),
            variant => format!(" as {variant}"),
        };
        let present = if sweep.superseded {
            ", whose present spec does not describe it"
        } else {
            ""
        };
        lines.push(format!("of sweep {}{variant}{present}", sweep.sweep));
    }
    lines.push(state(details));
    let mut columns: Vec<(Protocol, Metric, u32)> = Vec::new();
    let headline = |metric| matches!(metric, Metric::Ndcg | Metric::Hr);
    for row in &details.metrics {
        let column = (row.protocol, row.metric, row.k);
        if headline(row.metric) && row.k == CUT && !columns.contains(&column) {
            columns.push(column);
        }
    }
    // Full ranking first, NDCG before HR, as leaderboards have it.
    columns.sort_by_key(|(protocol, metric, _)| (*protocol, *metric != Metric::Ndcg));
    if columns.is_empty() {
        return lines.join("\n");
    }
    let rows = [(Split::Test, "test"), (Split::Valid, "validation")].map(|(split, name)| {
        let value = |column: &(Protocol, Metric, u32)| {
            let found = details.metrics.iter().find(|row| {
                row.split == split
                    && row.cohort == Cohort::All
                    && (row.protocol, row.metric, row.k) == *column
            });
            metric(found.map(|row| row.value))
        };
        std::iter::once(name.to_owned())
            .chain(columns.iter().map(value))
            .collect::<Vec<_>>()
    });
    let titles: Vec<String> = columns.iter().map(|&column| title(column)).collect();
    let mut headers = vec!["all users"];
    headers.extend(titles.iter().map(String::as_str));
    format!(
        "{}\n\n{}",
        lines.join("\n"),
        table(&headers, &headers[1..], rows)
    )
}

/// Where a run stands, in words.
fn state(details: &RunDetails) -> String {
    let run = &details.run;
    let at = |time: &Option<String>| match time {
        Some(time) => format!(" at {time}"),
        None => String::new(),
    };
    let known = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
    match run.state {
        RunState::Pending => "pending: nobody is at it".to_owned(),
        RunState::Running => match &details.owner {
            Some(owner) => {
                let since = run.started_at.as_deref().unwrap_or_default();
                let (pid, host) = (owner.pid, &owner.host);
                format!("running since {since}, by process {pid} on {host}")
            }
            None => "running".to_owned(),
        },
        RunState::Finished => {
            let seconds = run.seconds.map(|seconds| format!(", after {seconds:.1} s"));
            format!(
                "finished{}{}: best epoch {} of {}",
                at(&run.finished_at),
                seconds.unwrap_or_default(),
                known(run.best_epoch),
                known(run.epochs)
            )
        }
        RunState::Pruned => format!(
            "pruned{} after epoch {}; `genair sweep --continue-pruned` takes it to its end",
            at(&run.finished_at),
            known(run.pruned_at_epoch)
        ),
        RunState::Failed => match &details.failure {
            Some(failure) => {
                let hint = failure.hint.as_ref();
                let hint = hint.map(|hint| format!("\nhint: {hint}"));
                format!(
                    "failed{} while {} ({}): {}{}",
                    at(&run.finished_at),
                    failure.phase,
                    failure.kind,
                    failure.message,
                    hint.unwrap_or_default()
                )
            }
            None => "failed".to_owned(),
        },
    }
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
