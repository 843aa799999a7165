//! `genair results show`: everything about one run but its ranks.

use std::path::{Path, PathBuf};

use genair_protocol::{Cohort, Metric, Protocol, Split, log_file};
use genair_runner::run_folder;
use genair_store::{
    CountRecord, DiagnosticRecord, RunDetails, RunId, RunRecord, RunState, Submission,
};
use itertools::Itertools;
use serde::Serialize;

use crate::args::RunArgs;
use crate::exit::Exit;
use crate::output::{Output, facts, metric, table};
use crate::standings::{CUT, title};

pub(super) fn show(output: &Output, arguments: &RunArgs) -> anyhow::Result<Exit> {
    let details = arguments.database.open()?.show_run(RunId(arguments.run))?;
    let log = log_of(&arguments.database.path(), &details.run);
    let text = text(&details, log.as_deref())?;
    let shown = Shown { details, log };
    output.show(&shown, || text)
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    details: RunDetails,
    /// The log of the last attempt, if it is there.
    log: Option<PathBuf>,
}

/// The log of a run's last attempt, if it is there.
fn log_of(database: &Path, run: &RunRecord) -> Option<PathBuf> {
    let (folder, _) = run_folder(database, &run.identity).ok()??;
    let log = folder.join(log_file(run.attempt.as_ref()?));
    let log = std::path::absolute(&log).unwrap_or(log);
    log.exists().then_some(log)
}

#[derive(Serialize)]
struct Code {
    revision: Option<String>,
    dirty: Option<bool>,
    diff: Option<String>,
}

pub(super) fn code(output: &Output, arguments: &RunArgs) -> anyhow::Result<Exit> {
    let (run, mut store) = (RunId(arguments.run), arguments.database.open()?);
    let details = store.show_run(run)?.run;
    let code = Code {
        revision: details.code_revision,
        dirty: details.code_dirty,
        diff: store.code_diff(run)?,
    };
    output.show(&code, || {
        let Some(revision) = &code.revision else {
            return format!("run {run} has not been executed");
        };
        // A patch may begin with words of any kind.
        match (&code.diff, code.dirty) {
            (Some(diff), _) => format!("commit {revision}, and:\n\n{diff}"),
            (None, Some(true)) => format!("commit {revision}, with changes that were not kept"),
            (None, _) => format!("commit {revision}"),
        }
    })
}

fn text(details: &RunDetails, log: Option<&Path>) -> anyhow::Result<String> {
    let mut parts = vec![summary(details), facts(&details.run)?];
    parts.extend(log.map(|log| format!("log  {}", log.display())));
    parts.extend(details.failure.as_ref().map(facts).transpose()?);
    parts.extend(details.owner.as_ref().map(facts).transpose()?);
    parts.extend(details.machine.as_ref().map(facts).transpose()?);
    parts.extend(details.job.as_ref().map(facts).transpose()?);
    let sweeps = details.sweeps.iter().map(|sweep| {
        [
            sweep.sweep.clone(),
            sweep.variant.clone(),
            if sweep.superseded { "yes" } else { "no" }.to_owned(),
        ]
    });
    parts.push(table(&["sweep", "variant", "superseded"], &[], sweeps));
    if !details.counts.is_empty() {
        let rows = details.counts.iter().map(|row| {
            let CountRecord { input, what, count } = row;
            [input.clone(), what.clone(), count.to_string()]
        });
        parts.push(table(&["counts of", "what", "count"], &["count"], rows));
    }
    if !details.metrics.is_empty() {
        let rows = details.metrics.iter().map(|row| {
            [
                row.split.to_string(),
                row.protocol.to_string(),
                row.cohort.to_string(),
                format!("{}@{}", row.metric, row.k),
                metric(Some(row.value)),
                row.users.to_string(),
            ]
        });
        let headers = ["split", "protocol", "cohort", "metric", "value", "users"];
        parts.push(table(&headers, &headers[4..], rows));
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
        let headers = ["epoch", "loss", "calibration", "valid", "seconds", ""];
        parts.push(table(&headers, &headers[..5], rows));
    }
    if !details.inputs.is_empty() {
        let rows = details.inputs.iter();
        let rows = rows.map(|own| [&own.kind, &own.sha256, &own.path].map(String::clone));
        parts.push(table(&["input", "sha256", "path"], &[], rows));
    }
    if !details.artefacts.is_empty() {
        let rows = details.artefacts.iter();
        let rows = rows.map(|own| [own.kind.clone(), own.bytes.to_string(), own.path.clone()]);
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
    let headline = |metric| matches!(metric, Metric::Ndcg | Metric::Hr);
    let rows = details.metrics.iter();
    let rows = rows.filter(|row| headline(row.metric) && row.k == CUT);
    let columns = rows.map(|row| (row.protocol, row.metric, row.k)).unique();
    // Full ranking first, NDCG before HR, as leaderboards have it.
    let order = |column: &(Protocol, Metric, u32)| (column.0, column.1 != Metric::Ndcg);
    let columns: Vec<_> = columns.sorted_by_key(order).collect();
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
    let table = table(&headers, &headers[1..], rows);
    format!("{}\n\n{table}", lines.join("\n"))
}

/// Where a run stands, in words.
fn state(details: &RunDetails) -> String {
    let run = &details.run;
    let at = run.finished_at.as_ref().map(|time| format!(" at {time}"));
    let at = at.unwrap_or_default();
    let known = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
    match run.state {
        RunState::Pending => match &details.job {
            Some(job) => format!(
                "pending: {}; the same `genair sweep` follows it",
                job_text(job)
            ),
            None => "pending: nobody is at it".to_owned(),
        },
        RunState::Running => match &details.owner {
            Some(owner) => {
                let since = run.started_at.as_deref().unwrap_or_default();
                let (pid, host) = (owner.pid, &owner.host);
                match &details.job {
                    Some(job) => format!("{}; process {pid} on {host} follows it", job_text(job)),
                    None => format!("running since {since}, by process {pid} on {host}"),
                }
            }
            None => "running".to_owned(),
        },
        RunState::Finished => {
            let seconds = run.seconds.map(|seconds| format!(", after {seconds:.1} s"));
            let (seconds, best) = (seconds.unwrap_or_default(), known(run.best_epoch));
            format!(
                "finished{at}{seconds}: best epoch {best} of {}",
                known(run.epochs)
            )
        }
        RunState::Pruned => format!(
            "pruned{at} after epoch {}; `genair sweep --continue-pruned` takes it to its end",
            known(run.pruned_at_epoch)
        ),
        RunState::Failed => match &details.failure {
            Some(failure) => {
                let hint = failure.hint.as_ref();
                let hint = hint.map(|hint| format!("\nhint: {hint}"));
                let (phase, kind, message) = (&failure.phase, &failure.kind, &failure.message);
                let hint = hint.unwrap_or_default();
                format!("failed{at} while {phase} ({kind}): {message}{hint}")
            }
            None => "failed".to_owned(),
        },
    }
}

/// Where a job stands: `job 12_3 is pending (Priority)`.
fn job_text(job: &Submission) -> String {
    let number = job.job.as_deref().unwrap_or("of unknown number");
    let reason = job.reason.as_ref().map(|reason| format!(" ({reason})"));
    let node = job.node.as_ref().map(|node| format!(" on {node}"));
    let [reason, node] = [reason, node].map(Option::unwrap_or_default);
    format!("job {number} is {}{reason}{node}", job.state)
}

/// Measures of the item space, before training beside those of the best epoch's weights.
fn item_space(diagnostics: &[DiagnosticRecord]) -> String {
    let value = |name: &str, trained: bool| {
        let found = diagnostics
            .iter()
            .find(|record| record.name == name && (record.epoch > 0) == trained);
        metric(found.map(|record| record.value))
    };
    let names = diagnostics.iter().map(|record| &record.name).unique();
    let rows = names.map(|name| [name.clone(), value(name, false), value(name, true)]);
    let headers = ["item space", "before training", "best epoch"];
    table(&headers, &headers[1..], rows)
}
