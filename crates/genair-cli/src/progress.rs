//! Progress of a sweep: bars on a terminal, plain lines in a log.

mod remaining;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use genair_protocol::text::count;
use genair_protocol::{Cohort, Metric, MetricRow, Protocol, RunEvent, Split};
use genair_runner::{Notice, Observer, Outcome, PlannedRun};
use genair_store::RunId;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::generation::GenerationBar;
use crate::output::{Output, message, tick};

pub(crate) use remaining::{Remaining, about, rounded, seconds_of_rest, to_go};

/// In a log, a run's epochs are told at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Draws what a sweep tells.
pub(crate) struct Progress {
    output: Output,
    remaining: Remaining,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the whole sweep; on a terminal only.
    sweep: Option<ProgressBar>,
    /// Of stages that are being made, by their recipe.
    stages: HashMap<String, GenerationBar>,
    runs: HashMap<RunId, RunProgress>,
    ended: usize,
    total: usize,
}

struct RunProgress {
    bar: Option<ProgressBar>,
    begin: Instant,
    /// When this run last had a line in the log.
    told: Instant,
    /// Last value of the early-stopping metric.
    valid: Option<f64>,
    /// The epoch it goes on from; 0 where it began at the beginning.
    resumed: usize,
    /// Its test metrics, once they are known.
    result: String,
}

impl Progress {
    /// `remaining` knows what runs of the sweep took that finished before.
    pub(crate) fn new(output: Output, remaining: Remaining) -> Self {
        Self {
            output,
            remaining,
            state: Mutex::default(),
        }
    }

    fn begin(&self, state: &mut State, [total, finished, failed, pruned, jobs]: [usize; 5]) {
        let open = total - finished - failed - pruned;
        let mut line = format!(
            "{}: {finished} finished before, {open} to run, {jobs} at once",
            count(total, "run")
        );
        if failed > 0 {
            line += &format!(
                "; {failed} failed before and are left alone (`--retry failed` tries them again)"
            );
        }
        if pruned > 0 {
            line += &format!(
                "; {pruned} pruned before and are left alone (`--continue-pruned` goes on with them)"
            );
        }
        self.output.note(line);
        state.total = open;
        if self.output.draws() && open > 0 {
            let remaining = self.remaining.clone();
            let left = move |_: &ProgressState, to: &mut dyn std::fmt::Write| {
                // A bar takes every write.
                let _ = to.write_str(&to_go(remaining.seconds()));
            };
            let style = style("{bar:30} {pos}/{len} runs, {elapsed} gone, {left}");
            let bar = ProgressBar::new(open as u64).with_style(style.with_key("left", left));
            let bar = self.output.bars.add(bar);
            tick(&bar, Duration::from_secs(1));
            state.sweep = Some(bar);
        }
    }

    fn started(&self, state: &mut State, id: RunId, run: &PlannedRun) {
        self.remaining.started(&run.labels);
        let mut bar = None;
        if self.output.draws() {
            let own = ProgressBar::new_spinner().with_style(style("{spinner} {prefix}: {msg}"));
            let own = own
                .with_prefix(message(&run.labels))
                .with_message("starting");
            let own = self.output.bars.add(own);
            tick(&own, Duration::from_millis(200));
            bar = Some(own);
        } else {
            self.output
                .note(format!("run {id} ({}): starting", run.labels));
        }
        let now = Instant::now();
        let progress = RunProgress {
            bar,
            begin: now,
            told: now,
            valid: None,
            resumed: 0,
            result: String::new(),
        };
        state.runs.insert(id, progress);
    }

    /// Takes the bar of a run away that does not run any more.
    fn stopped(&self, state: &mut State, id: RunId) -> Option<RunProgress> {
        let progress = state.runs.remove(&id)?;
        if let Some(bar) = &progress.bar {
            bar.finish_and_clear();
            self.output.bars.remove(bar);
        }
        Some(progress)
    }

    fn event(&self, state: &mut State, id: RunId, run: &PlannedRun, event: &RunEvent) {
        let Some(progress) = state.runs.get_mut(&id) else {
            return;
        };
        let message = match event {
            RunEvent::Started { data, .. } => format!("{} users, {} items", data.users, data.items),
            RunEvent::Resumed { epoch } => {
                progress.resumed = *epoch;
                let news = format!("goes on from epoch {epoch}");
                return self
                    .output
                    .note(format!("run {id} ({}): {news}", run.labels));
            }
            RunEvent::StartedOver { reason } => {
                let news = format!("starts over: {reason}");
                return self
                    .output
                    .note(format!("run {id} ({}): {news}", run.labels));
            }
            // Of earlier workers.
            RunEvent::Epoch { epoch, .. } if *epoch <= progress.resumed => return,
            RunEvent::Epoch {
                epoch,
                max_epochs,
                loss,
                valid,
                ..
            } => {
                progress.valid = valid.or(progress.valid);
                let metric = run.spec.train.stop.metric;
                let valid = progress.valid;
                let valid = valid.map(|value| format!(", valid {metric} {value:.4}"));
                let valid = valid.unwrap_or_default();
                let done = epoch - progress.resumed;
                let left = max_epochs.saturating_sub(*epoch);
                let left = seconds_of_rest(done, left, progress.begin.elapsed());
                let left = rounded(left.unwrap_or_default());
                format!("epoch {epoch}/{max_epochs}, loss {loss:.4}{valid}, at most {left} to go")
            }
            RunEvent::Metrics {
                epoch: None,
                split,
                protocol,
                rows,
            } => {
                if (*split, *protocol) == (Split::Test, Protocol::Full) {
                    progress.result = told_metrics(rows);
                }
                "testing".to_owned()
            }
            _ => return,
        };
        match &progress.bar {
            Some(bar) => bar.set_message(message),
            None if progress.told.elapsed() >= LOG_INTERVAL => {
                progress.told = Instant::now();
                self.output
                    .note(format!("run {id} ({}): {message}", run.labels));
            }
            None => {}
        }
    }

    fn ended(&self, state: &mut State, id: RunId, run: &PlannedRun, outcome: &Outcome) {
        let finished = matches!(outcome, Outcome::Finished);
        let was_open = self.remaining.ended(&run.labels, finished);
        let progress = self.stopped(state, id);
        let took = progress.map(|own| {
            let took = duration(own.begin.elapsed());
            format!(" after {took}{}", own.result)
        });
        if let (Some(bar), true) = (&state.sweep, was_open) {
            bar.inc(1);
        }
        let how = match outcome {
            Outcome::Finished => "finished".to_owned(),
            Outcome::Failed(failure) => format!("failed ({})", failure.kind.as_str()),
            Outcome::FinishedBefore => "finished by another process".to_owned(),
            // Told at the beginning.
            Outcome::FailedBefore(_) => return,
            Outcome::Pruned { epoch } => format!("pruned at epoch {epoch}"),
            Outcome::PrunedBefore => "pruned by another process".to_owned(),
            Outcome::Submitted => "submitted; its job goes on".to_owned(),
            Outcome::Left => "stopped".to_owned(),
        };
        state.ended += 1;
        let (ended, total, took) = (state.ended, state.total, took.unwrap_or_default());
        self.output.note(format!(
            "[{ended}/{total}] run {id} ({}): {how}{took}",
            run.labels
        ));
    }
}

/// The metrics that the leaderboard leads with: `, test ndcg@10 0.0894, hr@10 0.1813`.
fn told_metrics(rows: &[MetricRow]) -> String {
    let value = |metric| {
        let mut rows = rows.iter();
        let row = rows.find(|row| (row.cohort, row.metric, row.k) == (Cohort::All, metric, 10))?;
        Some(format!("{metric}@10 {:.4}", row.value))
    };
    let told = [Metric::Ndcg, Metric::Hr].into_iter().filter_map(value);
    let told = told.collect::<Vec<_>>().join(", ");
    match told.as_str() {
        "" => told,
        told => format!(", test {told}"),
    }
}

impl Observer for Progress {
    fn observe(&self, notice: Notice<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Begin {
                total,
                finished,
                failed,
                pruned,
                open,
                jobs,
            } => {
                open.iter().for_each(|run| self.remaining.add(&run.labels));
                self.begin(&mut state, [total, finished, failed, pruned, jobs]);
            }
            Notice::StageStarted { stage } => {
                if !stage.is_ready() {
                    let (name, dataset) = (stage.name().as_str(), &stage.dataset);
                    self.output.note(format!("{name} of {dataset}: starting"));
                }
            }
            Notice::StageProgress { stage, progress } => {
                let label = || format!("{} of {}", stage.name().as_str(), stage.dataset);
                let of_stage = state.stages.entry(stage.recipe_sha256.clone());
                let bar = || GenerationBar::new(self.output.clone(), label());
                of_stage.or_insert_with(bar).show(progress);
            }
            Notice::StageEnded { stage } => drop(state.stages.remove(&stage.recipe_sha256)),
            Notice::RunStarted { id, run } => self.started(&mut state, id, run),
            Notice::RunEvent { id, run, event } => self.event(&mut state, id, run, event),
            Notice::RunRetried { id, run, failure } => {
                self.remaining.stopped(&run.labels);
                self.stopped(&mut state, id);
                let (labels, message) = (&run.labels, &failure.message);
                self.output.note(format!(
                    "run {id} ({labels}): crashed and is tried again: {message}"
                ));
            }
            Notice::RunPromoted { run } => {
                self.remaining.add(&run.labels);
                state.total += 1;
                if let Some(bar) = &state.sweep {
                    bar.inc_length(1);
                }
            }
            Notice::RunEnded {
                id, run, outcome, ..
            } => self.ended(&mut state, id, run, outcome),
            Notice::Waiting { runs, owner } => {
                let (pid, host, runs) = (owner.pid, &owner.host, count(runs, "run"));
                self.output.note(format!(
                    "waiting for {runs} that process {pid} on {host} is at"
                ));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // An error may end the sweep with bars on the screen.
        let _ = self.output.bars.clear();
    }
}

pub(crate) fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one still shows progress.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `1h02m`, `3m05s`, `7s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
