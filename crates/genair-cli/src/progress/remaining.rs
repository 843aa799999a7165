//! How long a sweep still takes: the numbers behind `genair watch`'s estimate, kept while it goes on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use genair_protocol::Labels;
use genair_store::{OpenRuns, RunTimes, seconds_left};
use indicatif::HumanDuration;

/// What is left of a sweep. Its clones are of the same one, so that a bar can ask whenever it is drawn.
#[derive(Clone, Default)]
pub(crate) struct Remaining(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    times: Vec<RunTimes>,
    /// Runs that have not ended.
    open: HashSet<Labels>,
    /// Those of them that run, and since when.
    running: HashMap<Labels, Instant>,
}

impl Remaining {
    /// Of a sweep of which some runs finished before, in these times.
    pub(crate) fn new(times: Vec<RunTimes>) -> Self {
        let state = State {
            times,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn add(&self, run: &Labels) {
        self.state().open.insert(run.clone());
    }

    pub(super) fn started(&self, run: &Labels) {
        self.state().running.insert(run.clone(), Instant::now());
    }

    /// A run has stopped for now, and is still to do.
    pub(super) fn stopped(&self, run: &Labels) {
        self.state().running.remove(run);
    }

    /// A run has ended; whether it was open.
    pub(super) fn ended(&self, run: &Labels, finished: bool) -> bool {
        let mut state = self.state();
        if let Some(begin) = state.running.remove(run)
            && finished
        {
            state.times.push(RunTimes {
                dataset: run.dataset.clone(),
                backbone: run.backbone.clone(),
                runs: 1,
                seconds: begin.elapsed().as_secs_f64(),
            });
        }
        state.open.remove(run)
    }

    /// Seconds until the rest is done; `None` until a run has finished.
    pub(super) fn seconds(&self) -> Option<f64> {
        let state = self.state();
        let mut open: BTreeMap<(&str, &str), (u64, f64)> = BTreeMap::new();
        for run in &state.open {
            let begin = state.running.get(run);
            let elapsed = begin.map_or(0.0, |begin| begin.elapsed().as_secs_f64());
            let of_kind = open.entry((&run.dataset, &run.backbone)).or_default();
            *of_kind = (of_kind.0 + 1, of_kind.1 + elapsed);
        }
        let open = open.into_iter();
        let open = open.map(|((dataset, backbone), (runs, elapsed))| OpenRuns {
            dataset: dataset.to_owned(),
            backbone: backbone.to_owned(),
            runs,
            elapsed,
        });
        // Between two runs there is none, but the sweep goes on.
        let at_once = state.running.len().max(1) as u64;
        seconds_left(&state.times, &open.collect::<Vec<_>>(), at_once)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `about 3m`; nothing where nobody knows.
pub(crate) fn about(seconds: Option<f64>) -> Option<String> {
    Some(format!("about {}", rounded(seconds?)))
}

/// A time as `genair watch` shows it: `3m`, `2h`.
pub(crate) fn rounded(seconds: f64) -> String {
    // A number that is none, or too large, becomes the nearest that a duration can be.
    let whole = Duration::from_secs(seconds.max(0.0).round() as u64);
    format!("{:#}", HumanDuration(whole))
}

/// What a bar says of the time to go.
pub(crate) fn to_go(seconds: Option<f64>) -> String {
    match about(seconds) {
        Some(about) => format!("{about} to go"),
        None => "time to go not known yet".to_owned(),
    }
}

/// Seconds that the rest of a row of equal parts takes, of which `done` took `gone`; `None` before the first.
pub(crate) fn seconds_of_rest(done: usize, left: usize, gone: Duration) -> Option<f64> {
    (done > 0).then(|| gone.as_secs_f64() * left as f64 / done as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_of_the_time_to_go_before_something_has_finished() {
        assert_eq!(
            to_go(Remaining::default().seconds()),
            "time to go not known yet"
        );
        assert_eq!(seconds_of_rest(0, 1_000_000, Duration::from_secs(5)), None);
        let half = seconds_of_rest(10, 30, Duration::from_secs(60));
        assert_eq!(to_go(half), "about 3m to go");
        assert_eq!(to_go(Some(0.2)), "about 0s to go");
    }

    #[test]
    fn a_sweep_is_estimated_by_what_its_runs_took() {
        let labels = |backbone: &str, seed| Labels {
            dataset: "d".to_owned(),
            backbone: backbone.to_owned(),
            representation: "id".to_owned(),
            seed,
            ..Labels::default()
        };
        let remaining = Remaining::new(Vec::new());
        (1..=5).for_each(|seed| remaining.add(&labels("sasrec", seed)));
        remaining.started(&labels("sasrec", 1));
        assert_eq!(remaining.seconds(), None, "nothing has finished");
        assert!(remaining.ended(&labels("sasrec", 1), true));
        assert!(
            remaining.seconds().is_some(),
            "the next one is about to start"
        );
        remaining.started(&labels("sasrec", 2));
        assert!(remaining.seconds().unwrap() < 1.0);
        assert!(
            !remaining.ended(&labels("sasrec", 9), false),
            "it was none of these"
        );

        let before = RunTimes {
            dataset: "d".to_owned(),
            backbone: "sasrec".to_owned(),
            runs: 2,
            seconds: 1200.0,
        };
        let remaining = Remaining::new(vec![before]);
        (3..=6).for_each(|seed| remaining.add(&labels("sasrec", seed)));
        (3..=4).for_each(|seed| remaining.started(&labels("sasrec", seed)));
        assert_eq!(to_go(remaining.seconds()), "about 20m to go");
    }

    #[test]
    fn no_number_is_too_large() {
        for seconds in [f64::MAX, f64::INFINITY, f64::NAN, -1.0] {
            assert!(!to_go(Some(seconds)).is_empty());
        }
    }
}
