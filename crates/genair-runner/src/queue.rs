//! Which run goes next. A free thread takes the first one whose memory fits beside those at work; there are no
//! batches, and nobody waits for anybody but for room.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use genair_store::PeakMemory;

use crate::memory;
use crate::plan::PlannedRun;
use genair_protocol::Labels;

/// How often a waiting thread looks whether it is asked to stop.
const TICK: Duration = Duration::from_millis(50);

/// Memory taken to be needed by a run when nothing like it was ever measured.
const UNKNOWN: u64 = 1 << 30;

/// The share of free memory that workers get.
const SHARE: f64 = 0.9;

/// The runs of a sweep that wait for a thread.
pub(crate) struct Queue {
    /// Bytes for all workers; none where the system does not tell.
    budget: Option<u64>,
    /// Bytes one worker may use.
    limit: Option<u64>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// In the order they go.
    open: Vec<Entry>,
    /// Bytes that each run at work is taken to need, by its place in the plan.
    at_work: HashMap<usize, u64>,
    peaks: Peaks,
}

/// A run that waits.
struct Entry {
    /// Its place in the plan.
    at: usize,
    alike: Alike,
    /// Where it was stopped, if it goes on: higher ones go first, and all of them before new ones.
    rung: Option<u64>,
    /// In another process's hands; asked about again from then on.
    held_until: Option<Instant>,
}

/// What makes runs alike in the memory they need.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alike {
    dataset: String,
    backbone: String,
    representation: String,
}

impl Alike {
    fn of(labels: &Labels) -> Self {
        Self {
            dataset: labels.dataset.clone(),
            backbone: labels.backbone.clone(),
            representation: labels.representation.clone(),
        }
    }
}

/// The largest peak measured of each kind of run.
#[derive(Default)]
struct Peaks(HashMap<Alike, u64>);

impl Peaks {
    fn learn(&mut self, alike: &Alike, bytes: u64) {
        let known = self.0.entry(alike.clone()).or_default();
        *known = bytes.max(*known);
    }

    fn of(&self, alike: &Alike) -> Option<u64> {
        self.0.get(alike).copied().filter(|bytes| *bytes > 0)
    }
}

impl Queue {
    /// A queue of the runs at these places of the plan. `budget` is for all workers, by default most of
    /// what is free now; `measured` what earlier runs took.
    pub(crate) fn new<'r>(
        open: impl Iterator<Item = (usize, &'r PlannedRun)>,
        budget: Option<u64>,
        limit: Option<u64>,
        measured: Vec<PeakMemory>,
    ) -> Self {
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|(at, run)| (run.priority, *at));
        let entry = |(at, run): (usize, &PlannedRun)| Entry {
            at,
            alike: Alike::of(&run.labels),
            rung: None,
            held_until: None,
        };
        let mut peaks = Peaks::default();
        for PeakMemory {
            dataset,
            backbone,
            representation,
            bytes,
        } in measured
        {
            let alike = Alike {
                dataset,
                backbone,
                representation,
            };
            peaks.learn(&alike, bytes);
        }
        Self {
            budget: budget.or_else(|| Some((memory::free()? as f64 * SHARE) as u64)),
            limit,
            state: Mutex::new(State {
                open: open.into_iter().map(entry).collect(),
                at_work: HashMap::new(),
                peaks,
            }),
            changed: Condvar::new(),
        }
    }

    /// The place in the plan of the next run, which the caller has to give back to [`Queue::done`] or
    /// [`Queue::put_back`]; none once `stopped`, or when nothing is left: a run at work may yet bring others
    /// back.
    pub(crate) fn next(&self, stopped: impl Fn() -> bool) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if stopped() || state.open.is_empty() && state.at_work.is_empty() {
                return None;
            }
            if let Some((place, need)) = self.fitting(&state) {
                let entry = state.open.remove(place);
                state.at_work.insert(entry.at, need);
                return Some(entry.at);
            }
            let waited = self.changed.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The first run that may go now, by its place in the queue, and the bytes it is taken to need.
    fn fitting(&self, state: &State) -> Option<(usize, u64)> {
        let used: u64 = state.at_work.values().sum();
        let now = Instant::now();
        let need = |entry: &Entry| {
            let need = state.peaks.of(&entry.alike).or(self.limit);
            need.unwrap_or(UNKNOWN)
        };
        let fits = |need: u64| {
            // Whatever it needs: a run that fits beside nothing must run alone.
            state.at_work.is_empty() || self.budget.is_none_or(|budget| used + need <= budget)
        };
        let ready = |entry: &Entry| entry.held_until.is_none_or(|until| until <= now);
        let mut open = state.open.iter().enumerate();
        let (place, entry) = open.find(|(_, entry)| ready(entry) && fits(need(entry)))?;
        Some((place, need(entry)))
    }

    /// A worker at work was seen to have had this many bytes in memory, which says what runs like it need.
    pub(crate) fn uses(&self, at: usize, labels: &Labels, bytes: u64) {
        let mut state = self.lock();
        if let Some(need) = state.at_work.get_mut(&at) {
            *need = bytes.max(*need);
        }
        state.peaks.learn(&Alike::of(labels), bytes);
    }

    /// A run has ended.
    pub(crate) fn done(&self, at: usize) {
        self.lock().at_work.remove(&at);
        self.changed.notify_all();
    }

    /// A run that was stopped at a rung is to go on.
    pub(crate) fn promote(&self, at: usize, labels: &Labels, rung: u64) {
        let mut state = self.lock();
        // It may have been asked about while another process had it.
        state.open.retain(|entry| entry.at != at);
        let place = state.open.partition_point(|entry| entry.rung >= Some(rung));
        let entry = Entry {
            at,
            alike: Alike::of(labels),
            rung: Some(rung),
            held_until: None,
        };
        state.open.insert(place, entry);
        drop(state);
        self.changed.notify_all();
    }

    /// Another process has the run: it is asked about again after a while. Returns how many runs are waited
    /// for if none of those left is for this process.
    pub(crate) fn put_back(&self, at: usize, labels: &Labels, wait: Duration) -> Option<usize> {
        let mut state = self.lock();
        state.at_work.remove(&at);
        state.open.push(Entry {
            at,
            alike: Alike::of(labels),
            rung: None,
            held_until: Some(Instant::now() + wait),
        });
        let only_held = state.open.iter().all(|entry| entry.held_until.is_some());
        let waiting = (only_held && state.at_work.is_empty()).then_some(state.open.len());
        drop(state);
        self.changed.notify_all();
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use genair_protocol::EvalSpec;
    use genair_protocol::{
        BackboneSpec, RepresentationKind, RepresentationSpec, RunSpec, TrainSpec,
    };

    use super::*;

    const MIB: u64 = 1 << 20;

    fn run(backbone: &str, priority: usize) -> PlannedRun {
        let spec = RunSpec {
            dataset_name: "made".to_owned(),
            dataset: genair_protocol::DatasetSpec::default(),
            backbone: BackboneSpec {
                name: backbone.to_owned(),
                params: serde_json::Map::new(),
            },
            representation: RepresentationSpec {
                name: "id".to_owned(),
                kind: RepresentationKind::Id,
                frozen: None,
                calibration: None,
            },
            train: TrainSpec::default(),
            eval: EvalSpec::default(),
            seed: 1,
        };
        PlannedRun {
            labels: Labels {
                dataset: "made".to_owned(),
                backbone: backbone.to_owned(),
                representation: "id".to_owned(),
                axes: genair_protocol::Axes::default(),
                seed: 1,
            },
            spec,
            plugin: None,
            data_sha256: String::new(),
            data: None,
            vectors: None,
            associations: None,
            identity: String::new(),
            configuration: String::new(),
            priority,
            refused: None,
        }
    }

    fn queue(runs: &[PlannedRun], budget: u64, peaks: &[(&str, u64)]) -> Queue {
        let measured = peaks.iter().map(|(backbone, bytes)| PeakMemory {
            dataset: "made".to_owned(),
            backbone: (*backbone).to_owned(),
            representation: "id".to_owned(),
            bytes: *bytes,
        });
        Queue::new(
            runs.iter().enumerate(),
            Some(budget),
            None,
            measured.collect(),
        )
    }

    /// What goes now, without waiting.
    fn now(queue: &Queue) -> Vec<usize> {
        let looks = std::cell::Cell::new(0);
        let mut taken = Vec::new();
        loop {
            looks.set(0);
            // The first look is before anything is chosen; by the second, nothing fitted.
            let stopped = || looks.replace(looks.get() + 1) > 0;
            match queue.next(stopped) {
                Some(at) => taken.push(at),
                None => return taken,
            }
        }
    }

    #[test]
    fn runs_go_by_priority_and_then_as_planned() {
        let runs = [run("a", 1), run("a", 0), run("a", 1), run("a", 0)];
        assert_eq!(now(&queue(&runs, u64::MAX / 2, &[])), [1, 3, 0, 2]);
    }

    #[test]
    fn runs_that_go_on_go_before_new_ones_the_farthest_first() {
        let runs = [run("a", 0), run("a", 0), run("a", 0), run("a", 0)];
        let queue = queue(&runs[..1], u64::MAX / 2, &[]);
        for (at, rung) in [(1, 0), (2, 1), (3, 0)] {
            queue.promote(at, &runs[at].labels, rung);
        }
        assert_eq!(now(&queue), [2, 1, 3, 0]);
        queue.put_back(2, &runs[2].labels, Duration::ZERO);
        queue.promote(2, &runs[2].labels, 2);
        assert_eq!(now(&queue), [2], "once");
    }

    #[test]
    fn a_thread_waits_for_what_those_at_work_may_bring_back() {
        let runs = [run("a", 0), run("a", 0)];
        let queue = queue(&runs[..1], u64::MAX / 2, &[]);
        assert_eq!(queue.next(|| false), Some(0));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.next(|| false));
            std::thread::sleep(2 * TICK);
            assert!(!waiting.is_finished());
            queue.promote(1, &runs[1].labels, 0);
            queue.done(0);
            assert_eq!(waiting.join().unwrap(), Some(1));
        });
        queue.done(1);
        assert_eq!(queue.next(|| false), None);
    }

    #[test]
    fn what_was_measured_decides_how_many_fit() {
        let runs = [
            run("large", 0),
            run("large", 0),
            run("small", 0),
            run("small", 0),
        ];
        let queue = queue(
            &runs,
            700 * MIB,
            &[("large", 500 * MIB), ("small", 100 * MIB)],
        );
        assert_eq!(now(&queue), [0, 2, 3], "smaller ones pass");
        queue.done(2);
        assert_eq!(now(&queue), [0; 0]);
        queue.done(0);
        assert_eq!(now(&queue), [1]);
    }

    #[test]
    fn one_that_fits_nowhere_runs_alone() {
        let runs = [run("huge", 0), run("small", 0)];
        let queue = queue(
            &runs,
            200 * MIB,
            &[("huge", 500 * MIB), ("small", 100 * MIB)],
        );
        assert_eq!(now(&queue), [0]);
        queue.done(0);
        assert_eq!(now(&queue), [1]);
    }

    #[test]
    fn what_is_seen_at_work_counts_at_once() {
        let runs = [run("new", 0), run("new", 0), run("new", 0)];
        let queue = queue(&runs, 2 * UNKNOWN + MIB, &[]);
        assert_eq!(now(&queue), [0, 1], "a gibibyte each, as nothing is known");
        queue.uses(0, &runs[0].labels, 3 * UNKNOWN);
        queue.done(1);
        assert_eq!(now(&queue), [0; 0], "the first one fills it all");
        queue.done(0);
        assert_eq!(now(&queue), [2], "alone, whatever it needs");
    }

    #[test]
    fn runs_of_other_processes_are_asked_about_again() {
        let runs = [run("a", 0), run("a", 0)];
        let queue = queue(&runs, u64::MAX / 2, &[]);
        assert_eq!(now(&queue), [0, 1]);
        let wait = Duration::from_millis(20);
        assert_eq!(
            queue.put_back(0, &runs[0].labels, wait),
            None,
            "another one is at work"
        );
        queue.done(1);
        assert_eq!(now(&queue), [0; 0]);
        std::thread::sleep(wait);
        assert_eq!(now(&queue), [0]);
        assert_eq!(queue.put_back(0, &runs[0].labels, wait), Some(1));
    }
}
