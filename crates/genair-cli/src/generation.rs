//! Progress of a generation: a bar with items per second on a terminal, plain lines in a log.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use genair_archetype::{GenerationProgress, Stage};
use genair_fetch::Progress;
use genair_runner::StageProgress;
use indicatif::{MultiProgress, ProgressBar};

use crate::output::{note, tick};
use crate::progress::{seconds_of_rest, style, to_go};

/// In a log, a generation is told at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Draws what a generation tells.
pub(crate) struct GenerationBar {
    bars: MultiProgress,
    label: String,
    bar: Option<ProgressBar>,
    begin: Instant,
    /// Records there were at the beginning.
    found: usize,
    told: Instant,
}

impl GenerationBar {
    pub(crate) fn new(bars: MultiProgress, label: String) -> Self {
        let now = Instant::now();
        Self {
            bars,
            label,
            bar: None,
            begin: now,
            found: 0,
            told: now,
        }
    }

    pub(crate) fn show(&mut self, progress: &StageProgress) {
        match progress {
            StageProgress::Building(log) => {
                let (label, log) = (&self.label, log.display());
                note(
                    &self.bars,
                    format!("{label}: building genair-llama, some minutes; its output is in {log}"),
                );
            }
            StageProgress::Fetching(news) => tell_download(&self.bars, news),
            StageProgress::Generating(news) => self.generating(news),
        }
    }

    fn generating(&mut self, progress: &GenerationProgress) {
        let label = &self.label;
        match progress {
            GenerationProgress::Waiting { folder } => {
                let folder = folder.display();
                let text = format!("{label}: waiting for another process that writes in {folder}");
                note(&self.bars, text);
            }
            GenerationProgress::Repaired { path, bytes } => {
                let path = path.display();
                let text = format!(
                    "warning: {path}: the last record was cut short; removed its {bytes} bytes, it is made again"
                );
                note(&self.bars, text);
            }
            GenerationProgress::Started { stage, done, total } => {
                let what = what(*stage);
                note(
                    &self.bars,
                    format!("{label}: {what}, {done} of {total} in the cache"),
                );
                self.begin = Instant::now();
                self.told = self.begin;
                self.found = *done;
                if std::io::stderr().is_terminal() {
                    let style = style("{bar:30} {pos}/{len} {msg}, {elapsed} gone");
                    let bar = ProgressBar::new(*total as u64).with_style(style);
                    let bar = self.bars.add(bar.with_position(*done as u64));
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
                    note(
                        &self.bars,
                        format!("{label}: {what} {done}/{total}, {rate:.1} items/s, {left}"),
                    );
                }
            }
            _ => {}
        }
    }
}

/// Says what a download is doing; megabytes need no bar.
pub(crate) fn tell_download(bars: &MultiProgress, progress: &Progress) {
    match progress {
        Progress::Connecting { url } => note(bars, format!("asking {url}")),
        Progress::Retrying { reason, wait } => {
            note(bars, format!("{reason}; again in {} s", wait.as_secs()));
        }
        Progress::FallingBack { reason } => {
            note(bars, format!("{reason}\ntaking it from PyPI instead"));
        }
        _ => {}
    }
}

impl Drop for GenerationBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.bars.remove(bar);
        }
    }
}

fn what(stage: Stage) -> &'static str {
    match stage {
        Stage::Answers => "writing",
        Stage::States => "reading answers",
    }
}
