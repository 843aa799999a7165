use std::path::PathBuf;

use genair_archetype::{ArchetypeSpec, VectorsForm};
use genair_protocol::DatasetSpec;
use genair_spec::{Schedule, Sweep, VectorsStage};
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
        members: Vec::new(),
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
    let installation = Installation::new("no-cache");
    Queue::new(plan, 0..open, room, measured.collect(), &installation)
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
fn of_stages_that_write_the_same_records_one_goes_at_a_time_and_runs_pass() {
    let vectors = |components| {
        let mut archetypes = stage(&[]);
        let settings = ArchetypeSpec::default();
        let form = VectorsForm::components(components);
        archetypes.kind = StageKind::Vectors(VectorsStage::Archetype {
            settings: Box::new(settings),
            form,
        });
        archetypes
    };
    let mut plan = plan((0..3).map(|_| run("a", 0)).collect());
    plan.stages = vec![vectors(64), vectors(32)];
    plan.sweep.runs[0].vectors = Some(0);
    plan.sweep.runs[1].vectors = Some(1);
    let queue = queue(&plan, 3, 9, u64::MAX / 2, &[]);
    assert_eq!(jobs_now(&queue), [Job::Stage(0), Job::Run(2)]);
    queue.done(Job::Stage(0));
    assert_eq!(jobs_now(&queue), [Job::Run(0), Job::Stage(1)]);
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

#[test]
fn a_combination_waits_for_its_members_whoever_has_them() {
    let mut plan = plan((0..3).map(|_| run("a", 0)).collect());
    let member = |run| crate::plan::Member { run, vectors: None };
    // First in the plan's order, so that it would go first.
    plan.sweep.runs[0].members = vec![member(1), member(2)];
    let queue = queue(&plan, 3, 9, u64::MAX / 2, &[]);
    assert_eq!(now(&queue), [1, 2]);
    queue.done(Job::Run(1));
    assert_eq!(
        queue.put_back(2, Duration::ZERO),
        Some(2),
        "another process has it"
    );
    assert_eq!(now(&queue), [2]);
    queue.done(Job::Run(2));
    assert_eq!(now(&queue), [0]);
}
