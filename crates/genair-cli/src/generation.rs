//! Progress of a generation: a bar with items per second on a terminal, plain lines in a log.

use std::time::{Duration, Instant};

use genair_archetype::{GenerationProgress, Stage};
use genair_data::Statistics;
use genair_fetch::Progress;
use genair_runner::StageProgress;
use indicatif::ProgressBar;

use crate::output::{Output, tick};
use crate::progress::{seconds_of_rest, style, to_go};

/// In a log, a generation is told at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Draws what a generation tells.
pub(crate) struct GenerationBar {
    output: Output,
    label: String,
    bar: Option<ProgressBar>,
    begin: Instant,
    /// Records there were at the beginning.
    found: usize,
    told: Instant,
}

impl GenerationBar {
    pub(crate) fn new(output: Output, label: String) -> Self {
        let now = Instant::now();
        Self {
            output,
            label,
            bar: None,
            begin: now,
            found: 0,
            told: now,
        }
    }

    pub(crate) fn show(&mut self, progress: &StageProgress) {
        match progress {
            StageProgress::Building(log) => self.output.note(format!(
                "{}: building genair-llama, some minutes; its output is in {}",
                self.label,
                log.display()
            )),
            StageProgress::Fetching(news) => tell_download(&self.output, news),
            StageProgress::Generating(news) => self.generating(news),
            StageProgress::Read(statistics) => self.read(statistics),
        }
    }

    fn generating(&mut self, progress: &GenerationProgress) {
        let (label, output) = (&self.label, &self.output);
        match progress {
            GenerationProgress::Waiting { folder } => output.note(format!(
                "{label}: waiting for another process that writes in {}",
                folder.display()
            )),
            GenerationProgress::Repaired { path, bytes } => output.note(format!(
                "warning: {}: the last record was cut short; removed its {bytes} bytes, it is made again",
                path.display()
            )),
            GenerationProgress::Started { stage, done, total } => {
                let what = what(*stage);
                output.note(format!("{label}: {what}, {done} of {total} in the cache"));
                self.begin = Instant::now();
                self.told = self.begin;
                self.found = *done;
                if output.draws() {
                    let style = style("{bar:30} {pos}/{len} {msg}, {elapsed} gone");
                    let bar = ProgressBar::new(*total as u64).with_style(style);
                    let bar = output.bars.add(bar.with_position(*done as u64));
                    bar.set_message(what);
                    tick(&bar, Duration::from_secs(1));
                    self.bar = Some(bar);
                }
            }
            GenerationProgress::Advanced { stage, done, total } => {
                let (made, gone) = (done - self.found, self.begin.elapsed());
                let rate = made as f64 / gone.as_secs_f64().max(1e-9);
                let what = what(*stage);
                let left = to_go(seconds_of_rest(made, total - done, gone));
                if let Some(bar) = &self.bar {
                    bar.set_position(*done as u64);
                    bar.set_message(format!("{what}, {rate:.1} items/s, {left}"));
                } else if self.told.elapsed() >= LOG_INTERVAL || done == total {
                    self.told = Instant::now();
                    output.note(format!(
                        "{label}: {what} {done}/{total}, {rate:.1} items/s, {left}"
                    ));
                }
            }
            GenerationProgress::Counted(counts) => {
                let with_prompt = counts.items - counts.without_metadata;
                let losses: [(u64, &str); 3] = [
                    (counts.without_metadata as u64, "without a prompt, as nothing is known of them"),
                    ((with_prompt - counts.prompts) as u64, "with the same prompt as another"),
                    (counts.empty_answers as u64, "with an empty answer"),
                ];
                tell_losses(output, label, &format!("{} items", counts.items), &losses);
            }
            _ => {}
        }
    }

    fn read(&self, statistics: &Statistics) {
        let removed = &statistics.removed;
        let rows = [
            (removed.missing, "without a user, an item or a time"),
            (
                removed.low_rating,
                "with a rating of at most `min_rating` (0 by default)",
            ),
            (removed.unknown_item, "with an unknown item"),
            (removed.repeats, "by `repeats`"),
            (removed.k_core, "by `k_core`"),
            (removed.short_user, "of users with too few interactions"),
        ];
        let of = format!("of {} rows, dropped", statistics.rows_read);
        tell_losses(&self.output, &self.label, &of, &rows);
        let items = [
            (removed.duplicate_items, "of an item that has another"),
            (removed.items_without_id, "without an id"),
        ];
        tell_losses(
            &self.output,
            &self.label,
            "of the items file, dropped lines",
            &items,
        );
    }
}

/// Says what was left out, if anything was: how many of what, and why.
fn tell_losses(output: &Output, label: &str, of: &str, losses: &[(u64, &str)]) {
    let losses = losses.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = losses
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
    if !told.is_empty() {
        output.note(format!("{label}: {of}: {}", told.join(", ")));
    }
}

/// Says what a download is doing; megabytes need no bar.
pub(crate) fn tell_download(output: &Output, progress: &Progress) {
    match progress {
        Progress::Connecting { url } => output.note(format!("asking {url}")),
        Progress::Retrying { reason, wait } => {
            output.note(format!("{reason}; again in {} s", wait.as_secs()));
        }
        Progress::FallingBack { reason } => {
            output.note(format!("{reason}\ntaking it from PyPI instead"));
        }
        _ => {}
    }
}

impl Drop for GenerationBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.output.bars.remove(bar);
        }
    }
}

fn what(stage: Stage) -> &'static str {
    match stage {
        Stage::Answers => "writing",
        Stage::Prompts => "reading prompts",
        Stage::States => "reading answers",
    }
}
