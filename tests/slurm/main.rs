//! Sweeps on a real Slurm of three nodes on this machine, which `just test-slurm` brings up. Each test is one thing
//! that happens on clusters. A test that needs no real Slurm is in `tests/cli/clusters.rs`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../stress/measured.rs"]
mod measured;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use genair_test_support::lab::{Lab, Running, Signal, send, send_if_there, tiny_spec};
use serde_json::json;

use crate::measured::{assert_same, assert_whole};

const SWEEP: [&str; 4] = ["sweep", "s.toml", "--executor", "slurm"];

/// A lab on the cluster. Runs keep a checkpoint after every epoch.
fn lab(backbones: &[&str], seeds: &str, more: &str) -> Lab {
    let lab = Lab::new();
    let more =
        format!("[schedule]\nmemory_limit = \"600 MB\"\n[schedule.slurm]\npoll = \"1s\"\n{more}");
    let seeds = format!("seeds = {seeds}\ncheckpoint_seconds = 0");
    lab.write(
        "s.toml",
        tiny_spec("cluster", backbones, &more).replace("seeds = [1]", &seeds),
    );
    lab
}

/// A run of some seconds.
const SECONDS: &str = "[train]\nbatch_size = 16\nstop = { max_epochs = 150, patience = 150 }\n";

fn slurm(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The job of the only run in training, once it trains.
fn job(lab: &Lab) -> String {
    lab.wait_for_training();
    lab.wait_for("a job that is known", |lab| {
        let job =
            lab.lines("SELECT job FROM submissions WHERE job IS NOT NULL AND state = 'running'");
        job.lines().next().map(str::to_owned)
    })
}

fn node(lab: &Lab) -> String {
    lab.lines("SELECT node FROM submissions WHERE node IS NOT NULL")
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

fn logs(lab: &Lab) -> usize {
    let runs = lab.artefacts().read_dir().unwrap().flatten();
    let files = runs.flat_map(|run| run.path().read_dir().into_iter().flatten().flatten());
    let names = files.map(|file| file.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("log.")).count()
}

/// The same spec, swept on this machine.
fn local(backbones: &[&str], seeds: &str, more: &str) -> Lab {
    let lab = lab(backbones, seeds, more);
    lab.genair(["sweep", "s.toml"]).expect(0);
    lab
}

fn kill(sweep: Running) {
    send(Signal::KILL, sweep.id());
    assert_eq!(sweep.outcome().code, None);
}

/// Wraps a command of Slurm for the processes of a lab.
fn wrapped(lab: Lab, program: &str, script: &str) -> Lab {
    let real = slurm("sh", &["-c", &format!("command -v {program}")]);
    let file = format!("wrapped/{program}");
    lab.write(
        &file,
        format!("#!/bin/bash\nhere=$(dirname \"$0\")\nreal={real}\n{script}\n"),
    );
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(lab.path(&file), mode).unwrap();
    let path = lab.path("wrapped").to_string_lossy().into_owned();
    lab.with_variable("PATH", format!("{path}:/usr/local/bin:/usr/bin:/bin"))
}

#[test]
fn twelve_runs_on_three_nodes_are_those_of_a_local_sweep() {
    let backbones = ["popularity", "sasrec", "gru4rec"];
    let more = "[train.stop]\nmax_epochs = 3\n";
    let here = local(&backbones, "[1, 2, 3, 4]", more);
    let cluster = lab(&backbones, "[1, 2, 3, 4]", more);
    cluster.genair(SWEEP).expect(0);
    assert_same(&here, &cluster);
    assert_whole(&cluster);
    assert_eq!(logs(&cluster), 12);
    let nodes = slurm("squeue", &["-h", "-t", "all", "-o", "%N"]);
    let nodes: std::collections::BTreeSet<_> = nodes.lines().collect();
    assert!(nodes.len() >= 3, "{nodes:?}");
}

/// toil#5459, submitit#1660: killed just before and just after sbatch, no run has two jobs.
#[test]
fn a_coordinator_that_dies_around_sbatch_submits_nothing_twice() {
    for script in [
        "[ -e $here/died ] && exec $real \"$@\"; touch $here/died; kill -9 $PPID; exit 1",
        "[ -e $here/died ] && exec $real \"$@\"; touch $here/died; $real \"$@\"; kill -9 $PPID",
    ] {
        let lab = wrapped(lab(&["popularity"], "[1, 2]", ""), "sbatch", script);
        assert_eq!(lab.genair(SWEEP).code, None);
        lab.genair(SWEEP).expect(0);
        assert_eq!(logs(&lab), 2, "{script}");
    }
}

/// hydra#2703, toil#4849: the submitter dies midway, and the same command reads what was done meanwhile.
#[test]
fn a_coordinator_that_dies_midway_loses_nothing() {
    let here = local(&["sasrec"], "[1, 2]", SECONDS);
    let lab = lab(&["sasrec"], "[1, 2]", SECONDS);
    let sweep = lab.start(SWEEP);
    lab.wait_for_training();
    kill(sweep);
    lab.wait_for("the jobs' end", |lab| {
        lab.workers().is_empty().then_some(())
    });
    lab.genair(SWEEP).expect(0);
    assert_same(&here, &lab);
    assert_eq!(logs(&lab), 2);
}

#[test]
fn scancel_by_hand_fails_the_run() {
    let lab = lab(
        &["sasrec"],
        "[1]",
        "[train]\nbatch_size = 16\nstop = { max_epochs = 100000, patience = 100000 }\n",
    );
    let sweep = lab.start(SWEEP);
    slurm("scancel", &[&job(&lab)]);
    let outcome = sweep.outcome().expect(3);
    assert!(outcome.stderr.contains("failed (cancelled)"), "{outcome}");
}

/// Requeued, by whoever: a new attempt resumes, with a log of its own (pyxis#129, lightning#21406).
#[test]
fn a_requeued_job_resumes_and_keeps_the_first_log() {
    let here = local(&["sasrec"], "[1]", SECONDS);
    let lab = lab(&["sasrec"], "[1]", SECONDS);
    let sweep = lab.start(SWEEP);
    slurm("scontrol", &["requeue", &job(&lab)]);
    sweep.outcome().expect(0);
    assert_same(&here, &lab);
    assert_eq!(logs(&lab), 2);
    assert_eq!(
        lab.rows("SELECT resumed_from_epoch > 0 FROM runs"),
        [[json!(1)]]
    );
}

#[test]
fn a_node_that_goes_down_costs_its_jobs_nothing() {
    let here = local(&["sasrec"], "[1]", SECONDS);
    let lab = lab(&["sasrec"], "[1]", SECONDS);
    let sweep = lab.start(SWEEP);
    job(&lab);
    let node = format!("nodename={}", node(&lab));
    slurm("scontrol", &["update", &node, "state=down", "reason=test"]);
    let outcome = sweep.outcome();
    slurm("scontrol", &["update", &node, "state=resume"]);
    outcome.expect(0);
    assert_same(&here, &lab);
    assert_eq!(logs(&lab), 2);
}

/// A job with priority takes the place of ours (submitit PR#1603, PR#1615).
#[test]
fn a_preempted_job_resumes() {
    let here = local(&["sasrec"], "[1]", SECONDS);
    let lab = lab(&["sasrec"], "[1]", SECONDS);
    let sweep = lab.start(SWEEP);
    job(&lab);
    let urgent = slurm(
        "sbatch",
        &[
            "--parsable",
            "--partition=urgent",
            "--nodes=3",
            "--exclusive",
            "--time=1",
            "--output=/dev/null",
            "--wrap=sleep 5",
        ],
    );
    sweep.outcome().expect(0);
    assert_same(&here, &lab);
    assert_eq!(logs(&lab), 2, "job {urgent} took its place");
}

/// A node freezes, its job begins elsewhere, and it comes back: two attempts live, and one counts.
#[test]
fn a_frozen_node_that_comes_back_changes_nothing() {
    let long = "[train]\nbatch_size = 16\nstop = { max_epochs = 400, patience = 400 }\n";
    let here = local(&["sasrec"], "[1]", long);
    let lab = lab(&["sasrec"], "[1]", long);
    let sweep = lab.start(SWEEP);
    job(&lab);
    let (frozen, node) = (lab.workers(), node(&lab));
    let daemon = slurm("pgrep", &["-f", &format!("slurmd .*-N {node}$")]);
    let daemon: u32 = daemon.lines().next().unwrap().parse().unwrap();
    let steps = slurm("sh", &["-c", "pgrep slurmstepd || true"]);
    let steps: Vec<u32> = steps.lines().map(|pid| pid.parse().unwrap()).collect();
    let all: Vec<u32> = frozen
        .iter()
        .chain([&daemon])
        .chain(&steps)
        .copied()
        .collect();
    all.iter().for_each(|pid| {
        send_if_there(Signal::STOP, *pid);
    });
    lab.wait_for("a second attempt", |lab| (logs(lab) == 2).then_some(()));
    all.iter().for_each(|pid| {
        send_if_there(Signal::CONT, *pid);
    });
    sweep.outcome().expect(0);
    assert_same(&here, &lab);
    lab.wait_for("the zombie's end", |lab| {
        lab.workers().is_empty().then_some(())
    });
}

/// The controller is away: nothing is known, and nothing is lost (Parsl#1588).
#[test]
fn a_controller_that_is_away_for_a_while_costs_nothing() {
    let here = local(&["sasrec"], "[1]", SECONDS);
    let lab = lab(&["sasrec"], "[1]", SECONDS);
    let sweep = lab.start(SWEEP);
    job(&lab);
    let folder = std::path::PathBuf::from(std::env::var_os("SLURM_CONF").unwrap());
    let folder = folder.parent().unwrap().to_owned();
    let pid = std::fs::read_to_string(folder.join("run/slurmctld.pid")).unwrap();
    send(Signal::TERM, pid.trim().parse().unwrap());
    std::thread::sleep(Duration::from_secs(8));
    let conf = folder.join("slurm.conf");
    slurm(
        "sh",
        &[
            "-c",
            &format!("PATH=$PATH:/usr/sbin slurmctld -f {}", conf.display()),
        ],
    );
    sweep.outcome().expect(0);
    assert_same(&here, &lab);
    assert_eq!(logs(&lab), 1);
}

/// Runs that are stopped early, and one that is promoted.
#[test]
fn asha_prunes_on_a_cluster() {
    let more = "[prune]\nkind = \"asha\"\nreduction = 2\ngrace = 2\nacross = [\"seed\"]\n[train]\nbatch_size = 16\nstop = { max_epochs = 16, patience = 16 }\n";
    let lab = lab(&["sasrec"], "[1, 2, 3, 4]", more);
    lab.genair(SWEEP.into_iter().chain(["-j", "4"])).expect(0);
    let states = lab.lines("SELECT state FROM runs ORDER BY state");
    assert!(
        states.contains("finished") && states.contains("pruned"),
        "{states}"
    );
    let begin = Instant::now();
    while !lab.workers().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What a job would wait for without end is said (reframe#303).
#[test]
fn a_job_that_can_never_start_is_told_of() {
    let lab = lab(&["popularity"], "[1]", "time = \"5h\"\n");
    let sweep = lab.start(SWEEP);
    lab.wait_for("a reason", |lab| {
        let reason = lab.lines("SELECT reason FROM submissions WHERE reason IS NOT NULL");
        reason.contains("PartitionTimeLimit").then_some(())
    });
    let watched = lab.genair(["watch", "--once"]).expect(0);
    assert!(
        watched.stdout.contains("pending (PartitionTimeLimit)"),
        "{watched}"
    );
    send(Signal::INT, sweep.id());
    std::thread::sleep(Duration::from_secs(1));
    send(Signal::INT, sweep.id());
    let outcome = sweep.outcome().expect(130);
    assert!(
        outcome
            .stderr
            .contains("jobs wait for `PartitionTimeLimit`"),
        "{outcome}"
    );
    let left = slurm("squeue", &["-h", "-t", "PENDING", "-o", "%i"]);
    assert_eq!(left, "", "a second Ctrl-C cancels");
    assert_eq!(lab.rows("SELECT count(*) FROM submissions"), [[json!(0)]]);
}

#[test]
fn doctor_tries_the_cluster() {
    let lab = lab(&["popularity"], "[1]", "");
    let doctor = lab.genair(["doctor", "--executor", "slurm", "--spec", "s.toml"]);
    assert!(doctor.stdout.contains("ran on node"), "{doctor}");
}
