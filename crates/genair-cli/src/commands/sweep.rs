//! `genair sweep`: trains what has no result yet, then shows the leaderboard.

use std::ffi::OsStr;
use std::path::PathBuf;

use genair_archetype::Installation;
use genair_fetch::Source;
use genair_protocol::Labels;
use genair_runner::{Execution, Interrupt, Outcome, Plan, Stage, SweepReport, Urgency};
use genair_spec::SpecFile;
use genair_store::{FailedRuns, Store};
use indicatif::MultiProgress;
use serde::Serialize;

use super::{Workshop, results, warn};
use crate::args::{CacheArgs, DatabaseArgs, Format, PluginArgs, Retry, SpecArgs};
use crate::exit::Exit;
use crate::generation::tell_download;
use crate::output::{count, note};
use crate::progress::{Progress, Remaining};
use crate::standings::{self, Shown, Standing};

/// The public data set that a folder of this name is taken for.
const ML_100K: &str = "ml-100k";

pub(super) struct How {
    pub(super) jobs: Option<usize>,
    pub(super) retry: Retry,
    pub(super) fail_fast: bool,
    pub(super) continue_pruned: bool,
}

#[derive(Serialize)]
struct Summary<'a> {
    sweep: &'a str,
    interrupted: bool,
    runs: Vec<RunSummary<'a>>,
    leaderboard: &'a [Standing],
}

#[derive(Serialize)]
struct RunSummary<'a> {
    run_id: i64,
    #[serde(flatten)]
    labels: &'a Labels,
    outcome: &'static str,
    failure: Option<serde_json::Value>,
}

pub(super) fn sweep(
    format: Format,
    bars: &MultiProgress,
    spec: &SpecArgs,
    how: How,
    plugins: &PluginArgs,
    database: &DatabaseArgs,
    cache: &CacheArgs,
) -> anyhow::Result<Exit> {
    let file = SpecFile::read(&spec.spec, &spec.set.options())?;
    fetch_data(&file, bars)?;
    let workshop = Workshop::open(plugins)?;
    let sweep = workshop.expand(&file)?;
    let installation = Installation::new(cache.path());
    let plan = Plan::with_refusals(sweep, &installation);
    warn(bars, &plan.sweep.warnings);
    if plan.sweep.runs.is_empty() {
        note(
            bars,
            format!(
                "{}: nothing to run; the spec has no [dataset.NAME]",
                spec.spec.display()
            ),
        );
        return Ok(Exit::NothingToRun);
    }
    tell_lacking(&plan, &installation, bars);
    let mut store = Store::open(database.path())?;
    let told = bars.clone();
    let interrupt = Interrupt::on_signals(move |urgency| match urgency {
        Urgency::Kill => note(&told, "killing the workers"),
        _ => note(&told, "stopping; once more kills the workers at once"),
    })?;
    let remaining = Remaining::new(store.run_times(&plan.sweep.name)?);
    let progress = (format != Format::Quiet).then(|| Progress::new(bars.clone(), remaining));
    let execution = Execution {
        trainer: &workshop.trainer,
        jobs: how.jobs.unwrap_or_else(|| plan.default_jobs()),
        failed: match how.retry {
            Retry::None => FailedRuns::Keep,
            Retry::Crashed => FailedRuns::RetryCrashed,
            Retry::Failed => FailedRuns::Retry,
        },
        fail_fast: how.fail_fast,
        continue_pruned: how.continue_pruned,
        observer: match &progress {
            Some(progress) => progress,
            None => &(),
        },
        interrupt: &interrupt,
        installation: &installation,
    };
    let (mut store, report) = genair_runner::sweep(&plan, store, &execution)?;
    drop(progress);
    let shown = Shown::default();
    let leaderboard = results::standings_of(&mut store, Some(&plan.sweep.name), shown, format)?;
    store.close()?;
    format.show(&summary(&plan, &report, &leaderboard)?, || {
        standings::text(&leaderboard, &shown)
    })?;
    tell_failures(bars, &report);
    let pruned =
        |outcome: &Outcome| matches!(outcome, Outcome::Pruned { .. } | Outcome::PrunedBefore);
    let pruned = report
        .runs
        .iter()
        .filter(|(_, _, outcome)| pruned(outcome))
        .count();
    if pruned > 0 {
        let runs = count(pruned, "run");
        note(
            bars,
            format!("{runs} pruned; `--continue-pruned` takes them to their end"),
        );
    }
    let left = report.left();
    if report.interrupted && left > 0 {
        note(
            bars,
            format!(
                "interrupted: {} left; the same command continues",
                count(left, "run")
            ),
        );
        return Ok(Exit::Interrupted);
    }
    if report.failed_fast && left > 0 {
        let left = count(left, "run");
        note(
            bars,
            format!("stopped at the first failure: {left} left; the same command continues"),
        );
    }
    Ok(if report.failed().next().is_some() {
        Exit::SomeFailed
    } else {
        Exit::Done
    })
}

/// Fetches the public data that the spec reads and that are not there.
fn fetch_data(file: &SpecFile, bars: &MultiProgress) -> anyhow::Result<()> {
    let is_absent = |folder: &PathBuf| match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    let public = |folder: &PathBuf| folder.file_name() == Some(OsStr::new(ML_100K));
    for folder in file.data_folders() {
        if public(&folder) && is_absent(&folder) {
            note(
                bars,
                format!("{} is not there: fetching {ML_100K}", folder.display()),
            );
            genair_fetch::ml_100k(&folder, &Source::Auto, &mut |progress| {
                tell_download(bars, &progress);
            })?;
        }
    }
    Ok(())
}

/// Says that a worker has to be built first, or is missing.
fn tell_lacking(plan: &Plan, installation: &Installation, bars: &MultiProgress) {
    let lacking = |stage: &&Stage| stage.lacks_llama(installation);
    let Some(stage) = plan.stages.iter().find(lacking) else {
        return;
    };
    let dataset = &stage.dataset;
    let text = match installation.build_llama {
        Some(_) => format!(
            "archetypes of {dataset}: genair-llama is not built yet; it is built while runs that need no archetypes train"
        ),
        None => format!(
            "warning: archetypes of {dataset}: there is no {}; `just llama` builds it, and without it the runs that need archetypes fail",
            installation.llama.display()
        ),
    };
    note(bars, text);
}

fn summary<'a>(
    plan: &'a Plan,
    report: &'a SweepReport,
    leaderboard: &'a [Standing],
) -> anyhow::Result<Summary<'a>> {
    let runs = report.runs.iter().map(|(id, labels, outcome)| {
        let (name, failure) = match outcome {
            Outcome::Finished => ("finished", None),
            Outcome::FinishedBefore => ("finished-before", None),
            Outcome::Failed(failure) => ("failed", Some(serde_json::to_value(failure)?)),
            Outcome::FailedBefore(failure) => {
                ("failed-before", Some(serde_json::to_value(failure)?))
            }
            Outcome::Pruned { .. } => ("pruned", None),
            Outcome::PrunedBefore => ("pruned-before", None),
            Outcome::Left => ("left", None),
        };
        Ok(RunSummary {
            run_id: id.0,
            labels,
            outcome: name,
            failure,
        })
    });
    let runs = runs.collect::<anyhow::Result<_>>()?;
    Ok(Summary {
        sweep: &plan.sweep.name,
        interrupted: report.interrupted,
        runs,
        leaderboard,
    })
}

fn tell_failures(bars: &MultiProgress, report: &SweepReport) {
    for (id, labels, outcome) in report.failed() {
        let (when, phase, message, hint) = match outcome {
            Outcome::Failed(failure) => {
                ("", failure.phase.as_str(), &failure.message, &failure.hint)
            }
            Outcome::FailedBefore(failure) => (
                " before",
                failure.phase.as_str(),
                &failure.message,
                &failure.hint,
            ),
            _ => continue,
        };
        note(
            bars,
            format!("error: run {id} ({labels}) failed{when} while {phase}: {message}"),
        );
        if let Some(hint) = hint {
            note(bars, format!("hint: {hint}"));
        }
    }
    if report
        .failed()
        .any(|(_, _, outcome)| matches!(outcome, Outcome::FailedBefore(_)))
    {
        note(
            bars,
            "hint: `--retry failed` tries runs again that failed before",
        );
    }
}
