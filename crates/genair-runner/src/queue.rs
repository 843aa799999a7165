//! Which job of a sweep goes next: a run, or a stage that runs share. A free thread takes the first one whose stages
//! have ended and whose memory fits beside the jobs at work; there are no batches, and nobody waits for anybody but
//! for room, for what it reads, and, where two stages add records to one folder, for the other.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use genair_archetype::Installation;
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
    /// The folders of records that each stage writes into.
    folders: Vec<Vec<PathBuf>>,
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
    /// Runs that wait or are at work.
    left: HashSet<usize>,
    /// Runs that went on, and from which rung.
    promoted: HashMap<usize, u64>,
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
    /// runs took.
    pub(crate) fn new(
        plan: &'p Plan,
        open: impl Iterator<Item = usize>,
        room: Room,
        measured: Vec<PeakMemory>,
        installation: &Installation,
    ) -> Self {
        let mut peaks = Peaks::default();
        for of in measured {
            let alike = [of.dataset, of.backbone, of.representation];
            learn(&mut peaks, alike, of.bytes);
        }
        let widest = plan.widest_run();
        let stages = plan.stages.iter().map(|stage| Need {
            memory: UNKNOWN + stage.model_bytes(installation),
            jobs: stage
                .engine()
                .and_then(|settings| settings.threads)
                .map_or(1, |threads| threads.div_ceil(widest)),
        });
        let free = || Some((memory::free()? as f64 * SHARE) as u64);
        let queue = Self {
            plan,
            stages: stages.collect(),
            folders: plan
                .stages
                .iter()
                .map(|stage| stage.record_folders(installation))
                .collect(),
            room: Room {
                memory: room.memory.or_else(free),
                ..room
            },
            state: Mutex::new(State {
                open: Vec::new(),
                at_work: HashMap::new(),
                entered: HashSet::new(),
                ended: HashSet::new(),
                left: HashSet::new(),
                promoted: HashMap::new(),
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
        if let Job::Run(at) = entry.job {
            state.left.insert(at);
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

    /// The runs that a job waits for.
    fn members(&self, job: Job) -> impl Iterator<Item = usize> + '_ {
        let run = match job {
            Job::Stage(_) => None,
            Job::Run(at) => Some(&self.plan.sweep.runs[at]),
        };
        run.into_iter()
            .flat_map(|run| &run.members)
            .map(|member| member.run)
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
                && self.members(entry.job).all(|at| !state.left.contains(&at))
                && !self.shares_a_folder(state, entry.job)
        };
        let mut open = state.open.iter().enumerate();
        let (place, entry) =
            open.find(|(_, entry)| ready(entry) && fits(self.need(state, entry.job)))?;
        Some((place, self.need(state, entry.job)))
    }

    /// Whether a stage at work writes into a folder that this one writes into, too. It would take a thread only to
    /// wait, and then find most of its records made.
    fn shares_a_folder(&self, state: &State, job: Job) -> bool {
        let folders = |job: &Job| match job {
            Job::Stage(at) => self.folders[*at].as_slice(),
            Job::Run(_) => &[],
        };
        let own = folders(&job);
        state
            .at_work
            .keys()
            .any(|other| folders(other).iter().any(|folder| own.contains(folder)))
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

    /// Where a run was stopped that goes on; none of a run that begins.
    pub(crate) fn goes_on(&self, run: usize) -> Option<u64> {
        self.lock().promoted.get(&run).copied()
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
        match job {
            Job::Stage(at) => drop(state.ended.insert(at)),
            Job::Run(at) => drop(state.left.remove(&at)),
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A run that was stopped at a rung is to go on.
    pub(crate) fn promote(&self, run: usize, rung: u64) {
        let mut state = self.lock();
        let job = Job::Run(run);
        state.promoted.insert(run, rung);
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
        let of_others = |entry: &Entry| {
            let mut members = self.members(entry.job);
            entry.held_until.is_some() || members.any(|at| state.left.contains(&at))
        };
        let only_held = state.open.iter().all(of_others);
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
mod tests;
