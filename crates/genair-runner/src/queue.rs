//! Which job of a sweep goes next: a run, or a stage that runs share. A free thread takes the first one whose stages
//! have ended and whose memory fits beside the jobs at work; there are no batches, and nobody waits for anybody but
//! for room and for what it reads.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use genair_store::PeakMemory;

use crate::memory;
use crate::plan::Plan;
use genair_protocol::Labels;

/// How often a waiting thread looks whether it is asked to stop.
const TICK: Duration = Duration::from_millis(50);

/// Bytes that a job is taken to need when nothing like it was ever measured.
const UNKNOWN: u64 = 1 << 30;

/// The share of free memory that jobs get.
const SHARE: f64 = 0.9;

/// A piece of a sweep's work, by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Job {
    /// Of [`Plan::stages`].
    Stage(usize),
    /// Of the runs of [`Plan::sweep`].
    Run(usize),
}

/// What the jobs of a sweep may take together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Jobs at once, at least 1.
    pub(crate) jobs: usize,
    /// Bytes of all jobs; by default most of what is free now.
    pub(crate) memory: Option<u64>,
    /// Bytes that one run may use.
    pub(crate) memory_limit: Option<u64>,
}

/// The jobs of a sweep that wait for a thread.
pub(crate) struct Queue<'p> {
    plan: &'p Plan,
    /// What each stage takes.
    stages: Vec<Need>,
    room: Room,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// In the order they go.
    open: Vec<Entry>,
    /// What each job at work is taken to need.
    at_work: HashMap<Job, Need>,
    /// Stages that were ever put into the queue.
    entered: HashSet<usize>,
    /// Stages that are over, whatever came of them.
    ended: HashSet<usize>,
    peaks: Peaks,
}

/// A job that waits.
struct Entry {
    job: Job,
    /// Where a run was stopped, if it goes on: higher ones go first, and all of them before new ones.
    rung: Option<u64>,
    /// In another process's hands; asked about again from then on.
    held_until: Option<Instant>,
}

impl Entry {
    fn new(job: Job, rung: Option<u64>) -> Self {
        Self {
            job,
            rung,
            held_until: None,
        }
    }
}

/// What a job takes of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Bytes in memory.
    pub(crate) memory: u64,
    /// Jobs that it counts as, by its threads.
    pub(crate) jobs: usize,
}

/// What makes runs alike in the memory they need: dataset, backbone and representation.
type Alike = [String; 3];

fn alike(labels: &Labels) -> Alike {
    [&labels.dataset, &labels.backbone, &labels.representation].map(String::clone)
}

/// The largest peak measured of each kind of run.
type Peaks = HashMap<Alike, u64>;

fn learn(peaks: &mut Peaks, alike: Alike, bytes: u64) {
    let known = peaks.entry(alike).or_default();
    *known = bytes.max(*known);
}

impl<'p> Queue<'p> {
    /// A queue of the runs at these places of the plan, with the stages that they need. `measured` is what earlier
    /// runs took, `model` the bytes of the model that a stage loads.
    pub(crate) fn new(
        plan: &'p Plan,
        open: impl Iterator<Item = usize>,
        room: Room,
        measured: Vec<PeakMemory>,
        model: impl Fn(usize) -> u64,
    ) -> Self {
        let mut peaks = Peaks::default();
        for of in measured {
            let alike = [of.dataset, of.backbone, of.representation];
            learn(&mut peaks, alike, of.bytes);
        }
        let widest = plan.widest_run();
        let stages = plan.stages.iter().enumerate().map(|(at, stage)| Need {
            memory: UNKNOWN + model(at),
            jobs: stage
                .engine()
                .and_then(|settings| settings.threads)
                .map_or(1, |threads| threads.div_ceil(widest)),
        });
        let free = || Some((memory::free()? as f64 * SHARE) as u64);
        let queue = Self {
            plan,
            stages: stages.collect(),
            room: Room {
                memory: room.memory.or_else(free),
                ..room
            },
            state: Mutex::new(State {
                open: Vec::new(),
                at_work: HashMap::new(),
                entered: HashSet::new(),
                ended: HashSet::new(),
                peaks,
            }),
            changed: Condvar::new(),
        };
        let mut open: Vec<usize> = open.collect();
        open.sort_by_key(|at| (plan.sweep.runs[*at].priority, *at));
        let mut state = queue.lock();
        for at in open {
            let end = state.open.len();
            queue.insert(&mut state, end, Entry::new(Job::Run(at), None));
        }
        drop(state);
        queue
    }

    /// Puts a job into the queue, and before it the stages that it needs and that never were there.
    fn insert(&self, state: &mut State, mut place: usize, entry: Entry) {
        for stage in self.needs(entry.job) {
            if state.entered.insert(stage) {
                let before = state.open.len();
                self.insert(state, place, Entry::new(Job::Stage(stage), entry.rung));
                place += state.open.len() - before;
            }
        }
        state.open.insert(place, entry);
    }

    /// The stages that a job waits for.
    fn needs(&self, job: Job) -> Vec<usize> {
        match job {
            Job::Stage(at) => self.plan.stages[at].needs.clone(),
            Job::Run(at) => self.plan.sweep.runs[at].stages().collect(),
        }
    }

    /// The next job, which the caller has to give back to [`Queue::done`] or [`Queue::put_back`]; none once
    /// `stopped`, or when nothing is left: a job at work may yet bring others back.
    pub(crate) fn next(&self, stopped: impl Fn() -> bool) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if stopped() || state.open.is_empty() && state.at_work.is_empty() {
                return None;
            }
            if let Some((place, need)) = self.fitting(&state) {
                let entry = state.open.remove(place);
                state.at_work.insert(entry.job, need);
                return Some(entry.job);
            }
            let waited = self.changed.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The first job that may go now, by its place in the queue, and what it is taken to need.
    fn fitting(&self, state: &State) -> Option<(usize, Need)> {
        let used: u64 = state.at_work.values().map(|need| need.memory).sum();
        let jobs: usize = state.at_work.values().map(|need| need.jobs).sum();
        let now = Instant::now();
        let fits = |need: Need| {
            let memory = self.room.memory;
            // Whatever it needs: a job that fits beside nothing must go alone.
            state.at_work.is_empty()
                || jobs + need.jobs <= self.room.jobs
                    && memory.is_none_or(|memory| used + need.memory <= memory)
        };
        let ready = |entry: &Entry| {
            entry.held_until.is_none_or(|until| until <= now)
                && self
                    .needs(entry.job)
                    .iter()
                    .all(|at| state.ended.contains(at))
        };
        let mut open = state.open.iter().enumerate();
        let (place, entry) =
            open.find(|(_, entry)| ready(entry) && fits(self.need(state, entry.job)))?;
        Some((place, self.need(state, entry.job)))
    }

    fn need(&self, state: &State, job: Job) -> Need {
        match job {
            Job::Stage(at) => self.stages[at],
            Job::Run(at) => {
                let measured = state.peaks.get(&alike(&self.plan.sweep.runs[at].labels));
                let measured = measured.copied().filter(|bytes| *bytes > 0);
                Need {
                    memory: measured.or(self.room.memory_limit).unwrap_or(UNKNOWN),
                    jobs: 1,
                }
            }
        }
    }

    /// A run's worker was seen to have had this many bytes in memory, which says what runs like it need.
    pub(crate) fn uses(&self, run: usize, bytes: u64) {
        let mut state = self.lock();
        if let Some(need) = state.at_work.get_mut(&Job::Run(run)) {
            need.memory = bytes.max(need.memory);
        }
        let alike = alike(&self.plan.sweep.runs[run].labels);
        learn(&mut state.peaks, alike, bytes);
    }

    /// A job has ended.
    pub(crate) fn done(&self, job: Job) {
        let mut state = self.lock();
        state.at_work.remove(&job);
        if let Job::Stage(at) = job {
            state.ended.insert(at);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A run that was stopped at a rung is to go on.
    pub(crate) fn promote(&self, run: usize, rung: u64) {
        let mut state = self.lock();
        let job = Job::Run(run);
        // It may have been asked about while another process had it.
        state.open.retain(|entry| entry.job != job);
        let place = state.open.partition_point(|entry| entry.rung >= Some(rung));
        self.insert(&mut state, place, Entry::new(job, Some(rung)));
        drop(state);
        self.changed.notify_all();
    }

    /// Another process has the run: it is asked about again after a while. Returns how many runs are waited
    /// for if no job that is left is for this process.
    pub(crate) fn put_back(&self, run: usize, wait: Duration) -> Option<usize> {
        let mut state = self.lock();
        state.at_work.remove(&Job::Run(run));
        state.open.push(Entry {
            held_until: Some(Instant::now() + wait),
            ..Entry::new(Job::Run(run), None)
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
    use std::path::PathBuf;

    use genair_protocol::DatasetSpec;
    use genair_spec::{Schedule, Sweep};
    use genair_test_support::{labels, run_spec};

    use super::*;
    use crate::plan::PlannedRun;
    use crate::stage::{Stage, StageKind};

    const MIB: u64 = 1 << 20;

    fn run(backbone: &str, priority: usize) -> PlannedRun {
        let spec = run_spec(backbone, 1);
        PlannedRun {
            labels: labels(&spec),
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

    fn stage(needs: &[usize]) -> Stage {
        Stage {
            kind: StageKind::Data,
            dataset: "made".to_owned(),
            data: DatasetSpec::default(),
            recipe_sha256: String::new(),
            path: PathBuf::new(),
            needs: needs.to_vec(),
        }
    }

    fn plan(runs: Vec<PlannedRun>) -> Plan {
        Plan {
            sweep: Sweep {
                description: None,
                name: String::new(),
                spec_path: PathBuf::new(),
                spec_text: String::new(),
                checkpoint_seconds: 0.0,
                searched: Vec::new(),
                runs,
                schedule: Schedule::default(),
                pruning: None,
                warnings: Vec::new(),
            },
            stages: Vec::new(),
        }
    }

    /// A queue of the first `open` runs of a plan, for `jobs` at once.
    fn queue<'p>(
        plan: &'p Plan,
        open: usize,
        jobs: usize,
        memory: u64,
        peaks: &[(&str, u64)],
    ) -> Queue<'p> {
        let measured = peaks.iter().map(|(backbone, bytes)| PeakMemory {
            dataset: "made".to_owned(),
            backbone: (*backbone).to_owned(),
            representation: "id".to_owned(),
            bytes: *bytes,
        });
        let room = Room {
            jobs,
            memory: Some(memory),
            memory_limit: None,
        };
        Queue::new(plan, 0..open, room, measured.collect(), |_| 0)
    }

    /// What goes now, without waiting.
    fn jobs_now(queue: &Queue<'_>) -> Vec<Job> {
        let looks = std::cell::Cell::new(0);
        let mut taken = Vec::new();
        loop {
            looks.set(0);
            // The first look is before anything is chosen; by the second, nothing fitted.
            let stopped = || looks.replace(looks.get() + 1) > 0;
            match queue.next(stopped) {
                Some(job) => taken.push(job),
                None => return taken,
            }
        }
    }

    /// The same where all jobs are runs.
    fn now(queue: &Queue<'_>) -> Vec<usize> {
        let run = |job| match job {
            Job::Run(at) => at,
            Job::Stage(_) => panic!("{job:?}"),
        };
        jobs_now(queue).into_iter().map(run).collect()
    }

    #[test]
    fn a_run_waits_for_its_stages_alone_and_they_go_just_before_it() {
        let mut plan = plan((0..4).map(|_| run("a", 0)).collect());
        plan.stages = vec![stage(&[]), stage(&[0]), stage(&[])];
        plan.sweep.runs[0].data = Some(0);
        plan.sweep.runs[1].data = Some(0);
        plan.sweep.runs[1].associations = Some(1);
        plan.sweep.runs[2].vectors = Some(2);
        let queue = queue(&plan, 4, 9, u64::MAX / 2, &[]);
        let first = [Job::Stage(0), Job::Stage(2), Job::Run(3)];
        assert_eq!(jobs_now(&queue), first);
        queue.done(Job::Stage(0));
        assert_eq!(jobs_now(&queue), [Job::Run(0), Job::Stage(1)]);
        queue.done(Job::Stage(2));
        queue.done(Job::Stage(1));
        assert_eq!(jobs_now(&queue), [Job::Run(1), Job::Run(2)]);
    }

    #[test]
    fn a_run_that_goes_on_brings_the_stages_that_nobody_needed_so_far() {
        let mut plan = plan(vec![run("a", 0), run("a", 0)]);
        plan.stages = vec![stage(&[]), stage(&[0])];
        plan.sweep.runs[1].associations = Some(1);
        let queue = queue(&plan, 1, 9, u64::MAX / 2, &[]);
        queue.promote(1, 0);
        assert_eq!(jobs_now(&queue), [Job::Stage(0), Job::Run(0)]);
        queue.done(Job::Stage(0));
        assert_eq!(jobs_now(&queue), [Job::Stage(1)]);
        queue.done(Job::Stage(1));
        assert_eq!(jobs_now(&queue), [Job::Run(1)]);
    }

    #[test]
    fn a_stage_counts_as_a_job_and_its_memory_as_that_of_one() {
        let mut plan = plan(vec![run("a", 0), run("a", 0)]);
        plan.stages = vec![stage(&[])];
        plan.sweep.runs[1].data = Some(0);
        let of_jobs = queue(&plan, 2, 1, u64::MAX / 2, &[]);
        assert_eq!(jobs_now(&of_jobs), [Job::Run(0)]);
        of_jobs.done(Job::Run(0));
        assert_eq!(jobs_now(&of_jobs), [Job::Stage(0)]);
        let of_memory = queue(&plan, 2, 9, UNKNOWN + MIB, &[]);
        assert_eq!(jobs_now(&of_memory), [Job::Run(0)]);
        of_memory.done(Job::Run(0));
        assert_eq!(jobs_now(&of_memory), [Job::Stage(0)]);
    }

    #[test]
    fn runs_go_by_priority_and_then_as_planned() {
        let plan = plan([1, 0, 1, 0].map(|priority| run("a", priority)).to_vec());
        assert_eq!(now(&queue(&plan, 4, 9, u64::MAX / 2, &[])), [1, 3, 0, 2]);
    }

    #[test]
    fn runs_that_go_on_go_before_new_ones_the_farthest_first() {
        let plan = plan((0..4).map(|_| run("a", 0)).collect());
        let queue = queue(&plan, 1, 9, u64::MAX / 2, &[]);
        for (at, rung) in [(1, 0), (2, 1), (3, 0)] {
            queue.promote(at, rung);
        }
        assert_eq!(now(&queue), [2, 1, 3, 0]);
        queue.put_back(2, Duration::ZERO);
        queue.promote(2, 2);
        assert_eq!(now(&queue), [2], "once");
    }

    #[test]
    fn a_thread_waits_for_what_those_at_work_may_bring_back() {
        let plan = plan(vec![run("a", 0), run("a", 0)]);
        let queue = queue(&plan, 1, 9, u64::MAX / 2, &[]);
        assert_eq!(queue.next(|| false), Some(Job::Run(0)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.next(|| false));
            std::thread::sleep(2 * TICK);
            assert!(!waiting.is_finished());
            queue.promote(1, 0);
            queue.done(Job::Run(0));
            assert_eq!(waiting.join().unwrap(), Some(Job::Run(1)));
        });
        queue.done(Job::Run(1));
        assert_eq!(queue.next(|| false), None);
    }

    #[test]
    fn what_was_measured_decides_how_many_fit() {
        let plan = plan(
            ["large", "large", "small", "small"]
                .map(|name| run(name, 0))
                .to_vec(),
        );
        let queue = queue(
            &plan,
            4,
            9,
            700 * MIB,
            &[("large", 500 * MIB), ("small", 100 * MIB)],
        );
        assert_eq!(now(&queue), [0, 2, 3], "smaller ones pass");
        queue.done(Job::Run(2));
        assert_eq!(now(&queue), [0; 0]);
        queue.done(Job::Run(0));
        assert_eq!(now(&queue), [1]);
    }

    #[test]
    fn one_that_fits_nowhere_runs_alone() {
        let plan = plan(vec![run("huge", 0), run("small", 0)]);
        let queue = queue(
            &plan,
            2,
            9,
            200 * MIB,
            &[("huge", 500 * MIB), ("small", 100 * MIB)],
        );
        assert_eq!(now(&queue), [0]);
        queue.done(Job::Run(0));
        assert_eq!(now(&queue), [1]);
    }

    #[test]
    fn what_is_seen_at_work_counts_at_once() {
        let plan = plan((0..3).map(|_| run("new", 0)).collect());
        let queue = queue(&plan, 3, 9, 2 * UNKNOWN + MIB, &[]);
        assert_eq!(now(&queue), [0, 1], "a gibibyte each, as nothing is known");
        queue.uses(0, 3 * UNKNOWN);
        queue.done(Job::Run(1));
        assert_eq!(now(&queue), [0; 0], "the first one fills it all");
        queue.done(Job::Run(0));
        assert_eq!(now(&queue), [2], "alone, whatever it needs");
    }

    #[test]
    fn runs_of_other_processes_are_asked_about_again() {
        let plan = plan(vec![run("a", 0), run("a", 0)]);
        let queue = queue(&plan, 2, 9, u64::MAX / 2, &[]);
        assert_eq!(now(&queue), [0, 1]);
        let wait = Duration::from_millis(20);
        assert_eq!(queue.put_back(0, wait), None, "another one is at work");
        queue.done(Job::Run(1));
        assert_eq!(now(&queue), [0; 0]);
        std::thread::sleep(wait);
        assert_eq!(now(&queue), [0]);
        assert_eq!(queue.put_back(0, wait), Some(1));
    }
}
