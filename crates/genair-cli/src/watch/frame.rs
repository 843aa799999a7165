//! One frame of `genair watch`.

use genair_store::{RunCounts, RunProgress, RunState, StageProgress};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table, Wrap};

use super::View;
use crate::output::message;
use crate::progress::{about, rounded};

/// Sweeps that are shown at once.
const SWEEPS: usize = 8;
/// Failures that are told in words.
const FAILURES: usize = 5;
/// Columns of a progress bar, and of a curve.
const BAR: usize = 20;
const CURVE: usize = 24;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// Rows that a whole view takes.
pub(super) fn height(view: &View) -> u16 {
    let runs = view.snapshot.runs.len().saturating_sub(view.scroll) + 2;
    let stages = view.snapshot.stages.len();
    let rows = 2 + sweeps_height(view) + stages + runs + failure_lines(view).len();
    u16::try_from(rows).unwrap_or(u16::MAX)
}

fn sweeps_height(view: &View) -> usize {
    view.snapshot.sweeps.len().clamp(1, SWEEPS) + 2
}

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let failures = failure_lines(view);
    let fixed = |rows: usize| Constraint::Length(u16::try_from(rows).unwrap_or(u16::MAX));
    let stages: Vec<Line<'_>> = view.snapshot.stages.iter().map(stage_line).collect();
    let areas: [Rect; 5] = Layout::vertical([
        fixed(2),
        fixed(sweeps_height(view)),
        fixed(stages.len()),
        Constraint::Min(3),
        fixed(failures.len()),
    ])
    .areas(frame.area());
    let [title, sweeps, making, runs, failed] = areas;
    frame.render_widget(heading(view), title);
    frame.render_widget(sweep_table(view), sweeps);
    frame.render_widget(Text::from(stages), making);
    frame.render_widget(run_table(view), runs);
    let failures = Paragraph::new(Text::from(failures)).wrap(Wrap { trim: false });
    frame.render_widget(failures, failed);
}

fn heading(view: &View) -> Line<'static> {
    match &view.trouble {
        Some(trouble) => Line::styled(message(trouble), Color::Red),
        None => {
            // A frame that is printed takes no keys.
            let keys = match view.takes_keys {
                true => "   tab: next sweep, arrows: runs, q: quit",
                false => "",
            };
            let age = view.as_of.and_then(|as_of| as_of.elapsed().ok());
            let age = age.map(|age| format!(" (copy of {} s ago)", age.as_secs()));
            let age = age.unwrap_or_default();
            let text = format_args!("{}{age}{keys}", view.database.display());
            Line::styled(message(text), BOLD)
        }
    }
}

fn sweep_table(view: &View) -> Table<'static> {
    let chosen = view.snapshot.sweep.as_deref();
    let sweeps = &view.snapshot.sweeps;
    let mut names = sweeps.iter().map(|own| Some(own.sweep.as_str()));
    let at = names.position(|name| name == chosen);
    // The chosen one is always among those that are shown.
    let first = (at.unwrap_or_default() + 1).saturating_sub(SWEEPS);
    let rows = sweeps.iter().skip(first).take(SWEEPS).map(|own| {
        let RunCounts {
            pending,
            running,
            finished,
            failed,
            pruned,
        } = own.runs;
        let total = pending + running + finished + failed + pruned;
        let is_chosen = Some(own.sweep.as_str()) == chosen;
        let mark = if is_chosen { "> " } else { "  " };
        let row = Row::new([
            message(format_args!("{mark}{}", own.sweep)),
            bar((finished + pruned) as f64 / total.max(1) as f64),
            format!("{finished}/{total}"),
            running.to_string(),
            failed.to_string(),
            pruned.to_string(),
            pending.to_string(),
            about(own.seconds_left).unwrap_or_default(),
        ]);
        match (failed, is_chosen) {
            (1.., _) => row.style(Color::Red),
            (_, true) => row.style(BOLD),
            _ => row,
        }
    });
    let others = [BAR as u16, 11, 7, 6, 6, 7, 20].map(Constraint::Length);
    let widths = [Constraint::Min(20)].into_iter().chain(others);
    let header = [
        "  sweep", "", "finished", "running", "failed", "pruned", "pending", "to go",
    ];
    Table::new(rows, widths).header(Row::new(header).style(BOLD))
}

/// A stage at work: `making archetypes of ml-100k: 120 of 1682, 35s`.
fn stage_line(own: &StageProgress) -> Line<'static> {
    let counted = match own.done.zip(own.total) {
        Some((done, total)) => format!("{done} of {total}, "),
        None => String::new(),
    };
    let (stage, dataset, seconds) = (&own.stage, &own.dataset, rounded(own.seconds));
    let text = format_args!("making {stage} of {dataset}: {counted}{seconds}");
    Line::styled(message(text), Color::Cyan)
}

fn run_table(view: &View) -> Table<'static> {
    let rows = view.snapshot.runs.iter().skip(view.scroll).map(run_row);
    let mut widths = [9, 6, 0, 9, 8, CURVE as u16, 12].map(Constraint::Length);
    widths[2] = Constraint::Min(30);
    let mut metrics = view.snapshot.runs.iter().map(|run| run.stop_metric.clone());
    let metric = metrics.find_map(|metric| metric);
    let metric = metric.unwrap_or_else(|| "valid".to_owned());
    let header = ["state", "run", "what", "epoch", "best", &metric, "time"].map(str::to_owned);
    Table::new(rows, widths).header(Row::new(header).style(BOLD))
}

fn run_row(run: &RunProgress) -> Row<'static> {
    let epoch = match run.max_epochs {
        _ if run.epoch == 0 => String::new(),
        Some(most) => format!("{}/{most}", run.epoch),
        None => run.epoch.to_string(),
    };
    let best = run.curve.iter().copied().reduce(f64::max);
    let job = job(run);
    let what = match &job {
        Some(job) => format!("{}  [{job}]", run.labels),
        None => run.labels.to_string(),
    };
    let row = Row::new([
        Cell::from(run.state.as_str()),
        Cell::from(run.run_id.to_string()),
        Cell::from(message(what)),
        Cell::from(epoch),
        Cell::from(best.map(|best| format!("{best:.4}")).unwrap_or_default()),
        Cell::from(sparkline(&run.curve, CURVE)),
        Cell::from(run.seconds.map(rounded).unwrap_or_default()),
    ]);
    match run.state {
        RunState::Running => row.style(Color::Cyan),
        RunState::Failed => row.style(Color::Red),
        RunState::Finished => row.style(Color::Green),
        RunState::Pending | RunState::Pruned => row,
    }
}

/// Where a run's job stands in a batch system: `pending (Priority), 2h`, `running on node1, job 12_3`.
fn job(run: &RunProgress) -> Option<String> {
    let state = run.job_state.as_deref()?;
    let reason = run.job_reason.as_ref().filter(|_| state == "pending");
    let reason = reason.map(|reason| format!(" ({reason})"));
    let node = run.node.as_ref().filter(|_| state == "running");
    let node = node.map(|node| format!(" on {node}"));
    let number = run.job.as_ref().map(|job| format!(", job {job}"));
    let since = run.job_seconds.filter(|_| state != "running");
    let since = since.map(|seconds| format!(", {}", rounded(seconds)));
    let parts = [reason, node, number, since];
    Some(
        parts
            .into_iter()
            .flatten()
            .fold(state.to_owned(), |text, part| text + &part),
    )
}

/// The reasons of the first failures.
fn failure_lines(view: &View) -> Vec<Line<'static>> {
    let runs = view.snapshot.runs.iter();
    let mut failed = runs.filter(|run| run.state == RunState::Failed);
    let mut lines = Vec::new();
    for run in failed.by_ref().take(FAILURES) {
        let phase = run.failure_phase.as_deref().unwrap_or("at work");
        let kind = run.failure_kind.as_deref().unwrap_or_default();
        let why = run.failure_message.as_deref().unwrap_or_default();
        let text = format!("run {} failed while {phase} ({kind}): {why}", run.run_id);
        let red = |line: &str| Line::styled(line.to_owned(), Color::Red);
        lines.extend(message(text).lines().map(red));
        if let Some(hint) = &run.failure_hint {
            lines.push(Line::raw(message(format_args!("hint: {hint}"))));
        }
    }
    let untold = failed.count();
    if untold > 0 {
        let text = format!("and {untold} more; `genair results list` has them");
        lines.push(Line::raw(text));
    }
    lines
}

/// A bar that is full at 1.
fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let partial = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8];
    let full: String = std::iter::repeat_n('█', eighths / 8).collect();
    format!("{full}{partial}").trim_end().to_owned()
}

/// The curve in at most `width` characters, from its least value to its greatest; of a longer one each
/// character is the best of its stretch.
fn sparkline(curve: &[f64], width: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let columns = curve.len().min(width);
    let (least, most) = curve.iter().fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), &value| (least.min(value), most.max(value)),
    );
    let level = |at: usize| {
        let stretch = &curve[at * curve.len() / columns..(at + 1) * curve.len() / columns];
        let value = stretch.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let height = (value - least) / (most - least);
        // A flat curve has no height.
        let level = if height.is_finite() {
            (height * 7.0).round() as usize
        } else {
            0
        };
        LEVELS[level.min(7)]
    };
    (0..columns).map(level).collect()
}

#[cfg(test)]
mod tests {
    use genair_protocol::Labels;
    use genair_store::{RunId, SweepProgress};

    use super::*;
    use crate::watch::Snapshot;

    #[test]
    fn curves_go_from_their_least_to_their_greatest_value() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0], 24), "▁▅█");
        assert_eq!(sparkline(&[0.3, 0.3], 24), "▁▁");
        assert_eq!(sparkline(&[], 24), "");
        let long: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(sparkline(&long, 10), "▂▂▃▄▄▅▆▇▇█");
    }

    #[test]
    fn a_frame_shows_sweeps_runs_and_reasons() {
        let run = |run_id, state, curve: &[f64]| RunProgress {
            run_id: RunId(run_id),
            state,
            labels: Labels {
                dataset: "tiny".to_owned(),
                backbone: "sasrec".to_owned(),
                representation: "id".to_owned(),
                axes: [("lr", "0.1")].into_iter().collect(),
                seed: 44,
            },
            epoch: curve.len() as u64,
            max_epochs: Some(8),
            stop_metric: Some("ndcg@10".to_owned()),
            seconds: Some(75.0),
            job_state: (state == RunState::Running).then(|| "pending".to_owned()),
            job_reason: Some("Priority".to_owned()),
            job: Some("12_3".to_owned()),
            job_seconds: Some(7200.0),
            node: None,
            failure_kind: (state == RunState::Failed).then(|| "diverged".to_owned()),
            failure_phase: (state == RunState::Failed).then(|| "training".to_owned()),
            failure_message: (state == RunState::Failed).then(|| "the loss is NaN".to_owned()),
            failure_hint: (state == RunState::Failed).then(|| "lower the rate".to_owned()),
            curve: curve.to_vec(),
        };
        let sweep = SweepProgress {
            sweep: "main".to_owned(),
            runs: RunCounts {
                pending: 1,
                running: 1,
                finished: 1,
                failed: 1,
                pruned: 0,
            },
            seconds_left: Some(120.0),
        };
        let view = View {
            database: "results.db".into(),
            snapshot: Snapshot {
                sweeps: vec![sweep],
                sweep: Some("main".to_owned()),
                stages: vec![StageProgress {
                    stage: "archetypes".to_owned(),
                    dataset: "ml-100k".to_owned(),
                    done: Some(120),
                    total: Some(1682),
                    seconds: 35.0,
                }],
                runs: vec![
                    run(2, RunState::Running, &[0.1, 0.3]),
                    run(3, RunState::Failed, &[]),
                    run(1, RunState::Finished, &[0.1, 0.4, 0.2]),
                ],
            },
            scroll: 0,
            as_of: None,
            trouble: None,
            takes_keys: false,
        };
        let text = view.to_text().unwrap();
        assert!(
            !text.contains("quit"),
            "a printed frame takes no keys:\n{text}"
        );
        for expected in [
            "> main",
            "1/4",
            "about 2m",
            "running   2      tiny sasrec id lr=0.1 seed 44  [pending (Priority), job 12_3",
            "2/8",
            "0.3000   ▁█",
            "0.4000   ▁█▃",
            "run 3 failed while training (diverged): the loss is NaN",
            "hint: lower the rate",
        ] {
            assert!(text.contains(expected), "no `{expected}` in\n{text}");
        }
    }
}
