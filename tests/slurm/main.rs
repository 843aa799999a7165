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

/// One that goes on while Slurm takes its time.
const LONG: &str = "[train]\nbatch_size = 16\nstop = { max_epochs = 400, patience = 400 }\n";

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
    sweep.outcome().expect(0);
    // A node that tells of itself is up again by itself (ReturnToService), unless it has had no time to.
    let mut resume = Command::new("scontrol");
    resume
        .args(["update", &node, "state=resume"])
        .output()
        .unwrap();
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
    let here = local(&["sasrec"], "[1]", LONG);
    let lab = lab(&["sasrec"], "[1]", LONG);
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

/// The time of a job is over: that of its run is not, and another job resumes.
#[test]
fn a_job_whose_time_is_over_goes_on_in_another_one() {
    // The controller looks every 30 s whose time is over.
    let longer = LONG.replace("400", "1000");
    let [here, lab] = [(); 2].map(|()| lab(&["sasrec"], "[1]", &longer));
    let at_home = here.start(["sweep", "s.toml"]);
    let sweep = lab.start(SWEEP);
    let job = format!("jobid={}", job(&lab));
    // In whole minutes at least otherwise.
    let end = slurm("date", &["-d", "+1 sec", "+EndTime=%FT%T"]);
    slurm("scontrol", &["update", &job, &end]);
    at_home.outcome().expect(0);
    sweep.outcome().expect(0);
    assert_same(&here, &lab);
    assert_eq!(logs(&lab), 2);
    let states = slurm("squeue", &["-h", "-t", "all", "-o", "%T"]);
    assert!(states.contains("TIMEOUT"), "{states}");
}

/// A stage is a job as well; what it leaves out is told as on this machine.
#[test]
fn an_archetype_stage_is_a_job_and_its_runs_follow() {
    let more = "[archetype]\nengine = \"fake\"\n[representation.genair]\nkind = \"archetype\"\ncomponents = 4\n[train.stop]\nmax_epochs = 2\n";
    let labs = [(); 2]
        .map(|()| lab(&["sasrec"], "[1, 2]", more).with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1"));
    let genair = ["--set", "sweep.representation=[\"genair\"]"];
    let here = ["sweep", "s.toml"].into_iter().chain(genair);
    labs[0].genair(here).expect(0);
    let swept = labs[1].genair(SWEEP.into_iter().chain(genair)).expect(0);
    assert_same(&labs[0], &labs[1]);
    assert!(swept.stderr.contains("items: "), "{swept}");
    let tasks = labs[1].artefacts().join("submissions").read_dir().unwrap();
    let tasks = tasks.flatten().map(|folder| folder.path().join("tasks"));
    let tasks = tasks.filter_map(|tasks| std::fs::read_to_string(tasks).ok());
    assert_eq!(tasks.filter(|tasks| tasks.contains("'stage'")).count(), 1);
}

/// ray#6978, covalent#1755: jobs on one node have a GPU each, what `setup` says, and nothing of the caller's environment.
#[test]
fn jobs_have_a_gpu_and_an_environment_of_their_own() {
    let seen = tempfile::tempdir().unwrap();
    let more = format!(
        "gres = \"gpu:1\"\nextra = [\"--nodelist=node1\"]\nsetup = \"echo $CUDA_VISIBLE_DEVICES ${{OF_THE_CALLER-nothing}} >{}/$SLURM_ARRAY_TASK_ID; sleep 3\"\n",
        seen.path().display()
    );
    let lab = lab(&["popularity"], "[1, 2]", &more).with_variable("OF_THE_CALLER", "something");
    lab.genair(SWEEP).expect(0);
    let seen = ["0", "1"].map(|task| std::fs::read_to_string(seen.path().join(task)).unwrap());
    let seen: std::collections::BTreeSet<&str> = seen.iter().map(|line| line.trim()).collect();
    assert_eq!(Vec::from_iter(seen), ["0 nothing", "1 nothing"]);
}

/// sisyphus#108, snakemake-executor-plugin-slurm#467, submitit#1624: a real controller takes a thousand runs as arrays.
#[test]
fn a_thousand_runs_take_a_call_a_second() {
    let mut lab = lab(&["popularity"], "[1]", "extra = [\"--hold\"]\n");
    for program in ["sbatch", "squeue", "scancel", "scontrol"] {
        let script = "date +%s%N >>$here/calls; exec $real \"$@\"";
        lab = wrapped(lab, program, script);
    }
    let seeds: Vec<String> = (1..=1000).map(|seed| seed.to_string()).collect();
    let seeds = format!("sweep.seeds=[{}]", seeds.join(","));
    let sweep = SWEEP
        .into_iter()
        .chain(["--detach", "-j", "250", "--set", &seeds]);
    let swept = lab.genair(sweep).expect(0);
    assert!(swept.stderr.contains("1000 runs submitted"), "{swept}");
    let name = slurm("squeue", &["-h", "-o", "%j"]);
    let name = name.lines().next().unwrap().to_owned();
    let held = slurm("squeue", &["-h", "-r", "-o", "%i"]);
    slurm("scancel", &[&format!("--name={name}")]);
    assert_eq!(held.lines().count(), 1000);
    let calls = std::fs::read_to_string(lab.path("wrapped/calls")).unwrap();
    let calls: Vec<u64> = calls.lines().map(|at| at.parse().unwrap()).collect();
    let least = calls.windows(2).map(|pair| pair[1] - pair[0]).min();
    assert!(least.unwrap() > 900_000_000, "{calls:?}");
    assert_eq!(logs(&lab), 0);
}

/// Many workers in one allocation, each a step of srun: a sweep that is killed, or that kills its workers, leaves no
/// step that would keep the next one waiting.
#[test]
fn a_launcher_of_steps_leaves_none_behind() {
    let here = local(&["sasrec"], "[1, 2]", SECONDS);
    let salloc = [
        "--no-shell",
        "--nodes=1",
        "--ntasks=2",
        "--job-name=allocation",
    ];
    slurm("salloc", &salloc);
    let job = slurm("squeue", &["-h", "-n", "allocation", "-o", "%i"]);
    let launcher = "launcher = [\"srun\", \"--exact\", \"-N1\", \"-n1\"]\n";
    let lab = lab(&["sasrec"], "[1, 2]", SECONDS).with_variable("SLURM_JOB_ID", &job);
    let spec = std::fs::read_to_string(lab.path("s.toml")).unwrap();
    lab.write(
        "s.toml",
        spec.replace("[schedule]\n", &format!("[schedule]\n{launcher}")),
    );
    let sweep = ["sweep", "s.toml", "-j", "2"];
    let steps = |lab: &Lab| {
        lab.wait_for("the end of all steps", |lab| {
            let steps = slurm("squeue", &["-h", "-s", "-j", &job, "-o", "%i"]);
            (steps.is_empty() && lab.workers().is_empty()).then_some(())
        });
    };
    let killed = lab.start(sweep);
    lab.wait_for_training();
    kill(killed);
    steps(&lab);
    let stopped = lab.start(sweep);
    lab.wait_for_training();
    let begin = Instant::now();
    send(Signal::INT, stopped.id());
    send_if_there(Signal::INT, stopped.id());
    stopped.outcome();
    steps(&lab);
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    lab.genair(sweep).expect(0);
    slurm("scancel", &[&job]);
    assert_same(&here, &lab);
    assert_whole(&lab);
}

/// A database on a file system that several machines share: while a sweep goes on, others read its copy, and none
/// writes (optuna#815, optuna#6036).
#[test]
fn a_database_on_a_shared_file_system_has_one_writer_and_a_copy_for_readers() {
    let endless = "[train]\nbatch_size = 16\nstop = { max_epochs = 100000, patience = 100000 }\n";
    let short = ["--set", "train.stop.max_epochs=3"];
    let here = lab(&["sasrec"], "[1]", endless);
    here.genair(["sweep", "s.toml"].into_iter().chain(short))
        .expect(0);
    let lab = lab(&["sasrec"], "[1]", endless).with_database("shared/genair.db");
    std::fs::create_dir_all(lab.path("disk")).unwrap();
    std::fs::create_dir_all(lab.path("shared")).unwrap();
    let [disk, shared] = ["disk", "shared"].map(|name| lab.path(name).display().to_string());
    slurm("bindfs", &[&disk, &shared]);
    let sweep = lab.start(SWEEP);
    lab.wait_for("a worker and a copy", |lab| {
        let copied = lab.path("shared/genair.db-published").exists();
        (copied && lab.artefacts().exists() && logs(lab) == 1).then_some(())
    });
    let watched = lab.genair(["watch", "--once"]).expect(0);
    let listed = lab.genair(["results", "list"]).expect(0);
    for read in [&watched, &listed] {
        assert!(read.stderr.contains("from the sweep's copy of"), "{read}");
    }
    let delete = ["results", "delete", "--sweep", "cluster", "--yes"];
    let other = lab.genair(delete).expect(2);
    assert!(
        other.stderr.contains("one process at a time writes"),
        "{other}"
    );
    kill(sweep);
    let listed = lab.genair(["results", "list"]).expect(0);
    assert!(!listed.stderr.contains("copy"), "{listed}");
    let job = slurm("squeue", &["-h", "-t", "R", "-o", "%i"]);
    slurm("scancel", &[&job]);
    lab.genair(delete).expect(0);
    lab.genair(SWEEP.into_iter().chain(short)).expect(0);
    assert_same(&here, &lab);
    let left = lab.path("shared").read_dir().unwrap().flatten();
    let left = left.map(|file| file.file_name().into_string().unwrap());
    let mut left: Vec<String> = left.collect();
    left.sort();
    slurm("fusermount3", &["-u", &shared]);
    assert_eq!(left, ["genair-artefacts", "genair.db"]);
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
    lab.wait_for("the end of all jobs", |lab| {
        lab.workers().is_empty().then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    lab.genair(SWEEP).expect(0);
    assert_eq!(lab.rows("SELECT count(*) FROM submissions"), [[json!(0)]]);
}

/// What a job would wait for without end is said (reframe#303).
#[test]
fn a_job_that_can_never_start_is_told_of() {
    let lab = lab(&["popularity"], "[1]", "time = \"5h\"\n");
    let sweep = lab.start(SWEEP);
    lab.wait_for("a reason", |lab| {
        let told = "SELECT 1 FROM submissions WHERE reason LIKE '%PartitionTimeLimit%'";
        (lab.count(told) > 0).then_some(())
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
