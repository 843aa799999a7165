//! `genair sweep`: trains what has no result yet, then shows the leaderboard.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use genair_archetype::Installation;
use genair_protocol::Labels;
use genair_protocol::text::count;
use genair_runner::{Execution, Interrupt, Outcome, Plan, Stage, SweepReport, Urgency};
use genair_spec::{ExecutorKind, SpecFile};
use genair_store::{FailedRuns, MeanFilter, Select, Store};
use serde::Serialize;

use super::example::spec_or_example;
use super::{Workshop, results, warn};
use crate::args::{Retry, SweepArgs};
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::{Progress, Remaining};
use crate::public;
use crate::standings::{self, Standing};

/// How long Ctrl-C may still be pressed a second time, to cancel jobs that go on by themselves.
const SECOND_THOUGHTS: Duration = Duration::from_secs(5);

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

pub(super) fn sweep(output: &Output, arguments: &SweepArgs) -> anyhow::Result<Exit> {
    let spec = &arguments.spec;
    let path = spec_or_example(output, &spec.spec)?;
    let file = SpecFile::read(&path, &spec.set.options())?;
    fetch_data(&file, output)?;
    let workshop = Workshop::open(&arguments.plugins)?;
    let sweep = workshop.expand(&file)?;
    let installation = Installation::new(arguments.cache.path());
    let plan = Plan::with_refusals(sweep, &installation);
    warn(output, &plan.sweep.warnings);
    if plan.sweep.runs.is_empty() {
        let spec = spec.spec.display();
        output.note(format!(
            "{spec}: nothing to run; the spec has no [dataset.NAME]"
        ));
        return Ok(Exit::NothingToRun);
    }
    tell_lacking(&plan, &installation, output);
    let executor = arguments.executor.map(ExecutorKind::from);
    let executor = executor.unwrap_or(plan.sweep.schedule.executor);
    anyhow::ensure!(
        !arguments.detach || executor != ExecutorKind::Local,
        "`--detach` is for a batch system, and this sweep's executor is `local`\nhint: add `--executor slurm`, or set `schedule.executor`"
    );
    let mut store = Store::open(arguments.database.path())?;
    let told = output.clone();
    let is_local = executor == ExecutorKind::Local;
    let interrupt = Interrupt::on_signals(move |urgency| match (urgency, is_local) {
        (Urgency::Kill, true) => told.note("killing the workers"),
        (Urgency::Kill, false) => told.note("cancelling the jobs"),
        (_, true) => told.note("stopping; once more kills the workers at once"),
        (_, false) => told.note("stopping; the jobs go on. Once more within 5 s cancels them"),
    })?;
    let remaining = Remaining::new(store.run_times(&plan.sweep.name)?);
    let progress = Progress::new(output.clone(), remaining);
    let execution = Execution {
        trainer: &workshop.trainer,
        jobs: arguments
            .jobs
            .map_or_else(|| plan.default_jobs(executor), usize::from),
        failed: match arguments.retry {
            Retry::None => FailedRuns::Keep,
            Retry::Crashed => FailedRuns::RetryCrashed,
            Retry::Failed => FailedRuns::Retry,
        },
        fail_fast: arguments.fail_fast,
        continue_pruned: arguments.continue_pruned,
        executor,
        detach: arguments.detach,
        second_thoughts: SECOND_THOUGHTS,
        observer: &progress,
        interrupt: &interrupt,
        installation: &installation,
    };
    let (mut store, report) = genair_runner::sweep(&plan, store, &execution)?;
    drop(progress);
    let shown = MeanFilter {
        sweep: Some(plan.sweep.name.clone()),
        ..MeanFilter::default()
    };
    let leaderboard = results::standings_of(&mut store, &shown, Select::Auto, output.format)?;
    let few = store.fewest_negatives()?;
    store.close()?;
    output.show(&summary(&plan, &report, &leaderboard)?, || {
        standings::text(&leaderboard, &shown, &few)
    })?;
    tell_failures(output, &report);
    let outcomes = report.runs.iter().map(|(_, _, outcome)| outcome);
    let is_pruned = |own: &&Outcome| matches!(own, Outcome::Pruned { .. } | Outcome::PrunedBefore);
    let pruned = outcomes.filter(is_pruned).count();
    if pruned > 0 {
        let runs = count(pruned, "run");
        output.note(format!(
            "{runs} pruned; `--continue-pruned` takes them to their end"
        ));
    }
    if report.submitted() > 0 {
        let jobs = count(report.submitted(), "run");
        let cancel = report.how_to_cancel.as_deref().unwrap_or_default();
        output.note(format!(
            "{jobs} submitted; the same command follows them, and `{cancel}` cancels them"
        ));
    }
    let left = count(report.left(), "run");
    if report.interrupted && report.left() == 0 && report.submitted() > 0 {
        return Ok(Exit::Interrupted);
    }
    if report.interrupted && report.left() > 0 {
        output.note(format!(
            "interrupted: {left} left; the same command continues"
        ));
        return Ok(Exit::Interrupted);
    }
    if report.failed_fast && report.left() > 0 {
        output.note(format!(
            "stopped at the first failure: {left} left; the same command continues"
        ));
    }
    Ok(if report.failed().next().is_some() {
        Exit::SomeFailed
    } else {
        Exit::Done
    })
}

/// Fetches the public data that the spec reads and that are not there.
fn fetch_data(file: &SpecFile, output: &Output) -> anyhow::Result<()> {
    let is_absent = |folder: &Path| match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    let named = file.data_folders().into_iter();
    let named = named.filter(|folder| folder.file_name() == Some(OsStr::new(public::ML_100K)));
    let named = named.map(|folder| (folder, public::ML_100K.to_owned()));
    let by_kind = file.public_datasets().into_iter();
    for (folder, name) in named.chain(by_kind.map(|own| (own.folder, own.name))) {
        if is_absent(folder.as_path()) {
            output.note(format!(
                "{} is not there: fetching {name}",
                folder.display()
            ));
            public::fetch(output, &name, Some(&folder), None)?;
        }
    }
    Ok(())
}

/// Says that a worker has to be built first, or is missing.
fn tell_lacking(plan: &Plan, installation: &Installation, output: &Output) {
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
    output.note(text);
}

fn summary<'a>(
    plan: &'a Plan,
    report: &'a SweepReport,
    leaderboard: &'a [Standing],
) -> anyhow::Result<Summary<'a>> {
    let runs = report.runs.iter().map(|(id, labels, result)| {
        let (outcome, failure) = match result {
            Outcome::Finished => ("finished", None),
            Outcome::FinishedBefore => ("finished-before", None),
            Outcome::Failed(own) => ("failed", Some(serde_json::to_value(own)?)),
            Outcome::FailedBefore(own) => ("failed-before", Some(serde_json::to_value(own)?)),
            Outcome::Pruned { .. } => ("pruned", None),
            Outcome::PrunedBefore => ("pruned-before", None),
            Outcome::Submitted => ("submitted", None),
            Outcome::Left => ("left", None),
        };
        Ok(RunSummary {
            run_id: id.0,
            labels,
            outcome,
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

fn tell_failures(output: &Output, report: &SweepReport) {
    let mut before = false;
    for (id, labels, outcome) in report.failed() {
        let (when, phase, message, hint) = match outcome {
            Outcome::Failed(own) => ("", own.phase.as_str(), &own.message, &own.hint),
            Outcome::FailedBefore(own) => (" before", &*own.phase, &own.message, &own.hint),
            _ => continue,
        };
        before |= !when.is_empty();
        output.error(format!(
            "error: run {id} ({labels}) failed{when} while {phase}: {message}"
        ));
        if let Some(hint) = hint {
            output.error(format!("hint: {hint}"));
        }
    }
    if before {
        output.error("hint: `--retry failed` tries runs again that failed before");
    }
}
