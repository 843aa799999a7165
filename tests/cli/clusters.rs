//! Sweeps on a batch system: a Slurm of shell scripts, whose answers a test can lose, delay and make up. `just
//! test-slurm` has the real one.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use genair_test_support::lab::{Lab, Running, Signal, send, tiny_spec};
use serde_json::json;

/// Takes an array and runs its tasks at once, unless the file `pending` is there.
const SBATCH: &str = r#"#!/bin/bash
here=$(dirname "$0")
echo "$(date +%s%N) sbatch $*" >>"$here/calls"
if [ -e "$here/refusal" ]; then cat "$here/refusal" >&2; exit 1; fi
for word in "$@"; do
    case $word in
    --array=*) last=${word#--array=0-}; last=${last%\%*} ;;
    --comment=*) token=${word#*=} ;;
    --output=*) output=${word#*=} ;;
    --exclude=node1) elsewhere=yes ;;
    esac
    script=$word
done
number=1
while ! mkdir "$here/jobs/$number" 2>/dev/null; do number=$((number + 1)); done
[ -e "$here/pending" ] || for task in $(seq 0 "$last"); do
    job=$here/jobs/$number/$task
    echo RUNNING >"$job.state"
    setsid "$here/task" "$job" "$task" "$script" "${output//%a/$task}" "$elsewhere" &
    # Whoever started this ends its group with it.
    while [ ! -e "$job.began" ]; do sleep 0.01; done
done
echo "$token $last" >"$here/jobs/$number/array"
if [ -e "$here/lost" ]; then rm "$here/lost"; echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1; fi
echo "$number"
"#;

const TASK: &str = r#"#!/bin/bash
exec </dev/null >>"$4" 2>&1
: >"$1.began"
if [ -e "$(dirname "$0")/broken" ] && [ -z "$5" ]; then sleep 0.2; echo FAILED >"$1.state"; exit; fi
SLURM_ARRAY_TASK_ID=$2 setsid env -i PATH="$PATH" SLURM_ARRAY_TASK_ID="$2" bash "$3" &
echo $! >"$1.pid"
wait $!
code=$?
read -r state <"$1.state"
if [ "$state" = RUNNING ]; then [ $code = 0 ] && echo COMPLETED >"$1.state" || echo FAILED >"$1.state"; fi
"#;

const SQUEUE: &str = r#"#!/bin/bash
here=$(dirname "$0")
echo "$(date +%s%N) squeue $*" >>"$here/calls"
[ ! -e "$here/mute" ] || { echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }
for array in "$here"/jobs/*/array; do
    [ -e "$array" ] || continue
    folder=${array%/array}
    read -r token last <"$array"
    for task in $(seq 0 "$last"); do
        state=PENDING
        [ ! -e "$folder/$task.state" ] || read -r state <"$folder/$task.state"
        echo "$token|$task|${folder##*/}_$task|$state|node1|Priority"
    done
done
"#;

const SCANCEL: &str = r#"#!/bin/bash
here=$(dirname "$0")
echo "$(date +%s%N) scancel $*" >>"$here/calls"
for job in "$@"; do
    file=$here/jobs/${job%_*}/${job#*_}
    [ -e "$here/jobs/${job%_*}" ] || continue
    echo CANCELLED >"$file.state"
    [ ! -e "$file.pid" ] || kill -KILL -- "-$(cat "$file.pid")" 2>/dev/null
done
"#;

const SCONTROL: &str = "#!/bin/bash\necho 'MaxArraySize            = 1001'\n";

/// A lab beside such a Slurm, and a spec for both executors.
fn lab(backbones: &[&str], more: &str) -> Lab {
    let lab = Lab::new();
    for (name, script) in [
        ("sbatch", SBATCH),
        ("task", TASK),
        ("squeue", SQUEUE),
        ("scancel", SCANCEL),
        ("scontrol", SCONTROL),
    ] {
        let file = format!("slurm/{name}");
        lab.write(&file, script);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(lab.path(&file), mode).unwrap();
    }
    std::fs::create_dir(lab.path("slurm/jobs")).unwrap();
    let more = format!("[schedule.slurm]\npoll = \"1s\"\n{more}");
    lab.write("s.toml", tiny_spec("cluster", backbones, &more));
    let path = lab.path("slurm").to_string_lossy().into_owned();
    lab.with_variable("PATH", format!("{path}:/usr/local/bin:/usr/bin:/bin"))
}

const SWEEP: [&str; 4] = ["sweep", "s.toml", "--executor", "slurm"];

/// Everything that was measured.
fn content(lab: &Lab) -> Vec<Vec<serde_json::Value>> {
    [
        "SELECT identity, state, best_epoch, epochs FROM runs ORDER BY 1",
        "SELECT identity, epoch, loss, valid FROM epochs JOIN runs USING (run_id) ORDER BY 1, 2",
        "SELECT identity, split, protocol, cohort, metric, k, value FROM metrics JOIN runs USING (run_id) ORDER BY 1, 2, 3, 4, 5, 6",
        "SELECT identity, split, protocol, user, rank FROM ranks JOIN runs USING (run_id) ORDER BY 1, 2, 3, 4",
        "SELECT identity, kind, sha256 FROM artefacts JOIN runs USING (run_id) ORDER BY 1",
    ]
    .iter()
    .flat_map(|sql| lab.rows(sql))
    .collect()
}

/// The calls of the controller: nanoseconds and words.
fn calls(lab: &Lab) -> Vec<(u128, String)> {
    let text = std::fs::read_to_string(lab.path("slurm/calls")).unwrap_or_default();
    let calls = text.lines().map(|line| line.split_once(' ').unwrap());
    calls
        .map(|(at, words)| (at.parse().unwrap(), words.to_owned()))
        .collect()
}

fn count(lab: &Lab, command: &str) -> usize {
    let calls = calls(lab).into_iter();
    calls
        .filter(|(_, words)| words.starts_with(command))
        .count()
}

/// Logs of attempts, one for each worker that ever began.
fn logs(lab: &Lab) -> usize {
    let runs = lab.artefacts().read_dir().unwrap().flatten();
    let files = runs.flat_map(|run| run.path().read_dir().into_iter().flatten().flatten());
    let names = files.map(|file| file.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("log.")).count()
}

fn wait_for_submission(lab: &Lab) {
    lab.wait_for("a submitted job", |lab| {
        (lab.count("SELECT 1 FROM submissions WHERE job IS NOT NULL") > 0).then_some(())
    });
}

fn kill(sweep: Running) {
    send(Signal::KILL, sweep.id());
    assert_eq!(sweep.outcome().code, None);
}

/// Memory, cores, GPUs (<https://github.com/ray-project/ray/issues/6978>) and what the site wants are the job's; nothing
/// of the caller's environment is (<https://github.com/AgnostiqHQ/covalent/issues/1755>). The numbers are those of this machine.
#[test]
fn jobs_give_the_numbers_of_a_local_sweep() {
    let more = "partition = \"gpu\"\ngres = \"gpu:1\"\ntime = \"90m\"\nsetup = \"export GREETING=hello\"\nextra = [\"--exclude=n7\"]\n[schedule]\nmemory_limit = \"2 GiB\"\n[train.stop]\nmax_epochs = 2\n";
    let lab = lab(&["popularity", "sasrec", "gru4rec"], more);
    lab.genair(["sweep", "s.toml", "--db", "local.db"])
        .expect(0);
    lab.genair(SWEEP).expect(0);
    let cluster = content(&lab);
    std::fs::rename(lab.path("genair.db"), lab.path("cluster.db")).unwrap();
    std::fs::rename(lab.path("local.db"), lab.path("genair.db")).unwrap();
    assert_eq!(content(&lab), cluster);
    assert_eq!(count(&lab, "sbatch"), 1, "what waits at once goes at once");
    let (_, sbatch) = calls(&lab)
        .into_iter()
        .find(|(_, words)| words.starts_with("sbatch"))
        .unwrap();
    for option in [
        "--array=0-2",
        "--requeue",
        "--export=NONE",
        "--mem=2048",
        "--cpus-per-task=1",
        "--partition=gpu",
        "--time=90",
        "--exclude=n7",
        "--gres=gpu:1",
    ] {
        assert!(
            sbatch.split(' ').any(|word| word == option),
            "no {option} in {sbatch}"
        );
    }
}

/// Whoever submits need not live (<https://github.com/facebookresearch/hydra/issues/2479>,
/// <https://github.com/facebookresearch/hydra/issues/2703>), and a restart finds its jobs
/// (<https://github.com/DataBiosphere/toil/issues/4849>).
#[test]
fn jobs_go_on_without_their_coordinator_and_the_same_command_follows_them() {
    let lab = lab(&["popularity", "sasrec"], "[train.stop]\nmax_epochs = 2\n");
    let detached = lab.genair(SWEEP.into_iter().chain(["--detach"])).expect(0);
    assert!(
        detached
            .stderr
            .contains("2 runs submitted; the same command follows them"),
        "{detached}"
    );
    assert_eq!(lab.lines("SELECT DISTINCT state FROM runs"), "pending");
    let shown = lab.genair(["results", "show", "1"]).expect(0);
    assert!(shown.stdout.contains("pending: job 1_"), "{shown}");
    lab.wait_for("the jobs' end", |lab| {
        lab.workers().is_empty().then_some(())
    });
    lab.genair(SWEEP).expect(0);
    assert_eq!(lab.lines("SELECT DISTINCT state FROM runs"), "finished");
    assert_eq!(
        (count(&lab, "sbatch"), logs(&lab)),
        (1, 2),
        "none was submitted again"
    );
    assert_eq!(lab.rows("SELECT count(*) FROM submissions"), [[json!(0)]]);
    // Logs are found (<https://github.com/snakemake/snakemake/issues/2911>).
    let shown = lab.genair(["results", "show", "1", "--format", "json"]);
    let log = shown.expect(0).json()["log"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&log).is_file(), "{log}");
}

/// A broken node takes job after job (<https://github.com/DataBiosphere/toil/issues/5452>): it is avoided, and no run
/// fails for it.
#[test]
fn toil_5452_a_bad_node_does_not_eat_the_retries() {
    let lab = lab(&["popularity"], "");
    lab.write("slurm/broken", "");
    let swept = SWEEP.into_iter().chain(["--set", "sweep.seeds=[1,2]"]);
    let swept = lab.genair(swept).expect(0);
    assert!(
        swept.stderr.contains("node node1 has lost 2 jobs"),
        "{swept}"
    );
    let excluded = calls(&lab)
        .into_iter()
        .any(|(_, words)| words.contains("--exclude=node1"));
    assert!(excluded);
    assert_eq!(lab.rows("SELECT DISTINCT attempts FROM runs"), [[json!(1)]]);
}

/// A coordinator that is killed, and one that Ctrl-C stops, leave their jobs alone.
#[test]
fn toil_5459_restart_does_not_submit_again() {
    let settings = "[train]\nbatch_size = 16\nstop = { max_epochs = 60, patience = 60 }\n";
    let lab = lab(&["sasrec"], settings);
    let sweep = lab.start(SWEEP);
    lab.wait_for_training();
    kill(sweep);
    let sweep = lab.start(SWEEP);
    lab.wait_for("the follower", |lab| {
        (lab.count("SELECT 1 FROM runs WHERE state = 'running' AND attempt IS NOT NULL") > 0)
            .then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    send(Signal::INT, sweep.id());
    sweep.outcome();
    lab.genair(SWEEP).expect(0);
    assert_eq!((count(&lab, "sbatch"), logs(&lab)), (1, 1));
    assert_eq!(
        lab.rows("SELECT state, epochs FROM runs"),
        [[json!("finished"), json!(60)]]
    );
}

/// The answer of sbatch is lost, and the job is there (<https://github.com/facebookincubator/submitit/issues/1660>);
/// or it is not.
#[test]
fn submitit_1660_duplicate_submission() {
    let lab = lab(&["popularity"], "");
    lab.write("slurm/lost", "");
    let swept = lab.genair(SWEEP).expect(0);
    assert!(
        swept
            .stderr
            .contains("it is not known whether jobs were submitted"),
        "{swept}"
    );
    assert_eq!((count(&lab, "sbatch"), logs(&lab)), (1, 1));

    // A coordinator dies after it has noted a submission, and before sbatch has it.
    lab.write(
        "slurm/refusal",
        "sbatch: error: Unable to contact slurm controller (connect failure)\n",
    );
    lab.write("slurm/mute", "");
    let more = ["--set", "sweep.seeds=[2]"];
    let sweep = lab.start(SWEEP.into_iter().chain(more));
    lab.wait_for("a submission in doubt", |lab| {
        (lab.count("SELECT 1 FROM submissions WHERE job IS NULL") > 0).then_some(())
    });
    kill(sweep);
    std::fs::remove_file(lab.path("slurm/refusal")).unwrap();
    std::fs::remove_file(lab.path("slurm/mute")).unwrap();
    lab.genair(SWEEP.into_iter().chain(more)).expect(0);
    assert_eq!(logs(&lab), 2);
}

/// No answer is no news: jobs of a controller that does not answer are not over
/// (<https://github.com/nextflow-io/nextflow/issues/5813>, <https://github.com/Parsl/parsl/issues/1588>).
#[test]
fn nextflow_5813_an_error_of_the_controller_is_not_an_end() {
    let lab = lab(&["sasrec"], "[train.stop]\nmax_epochs = 2\n");
    lab.write("slurm/mute", "");
    let swept = lab.genair(SWEEP).expect(0);
    assert_eq!((count(&lab, "sbatch"), logs(&lab)), (1, 1), "{swept}");
}

#[test]
fn a_job_that_is_cancelled_by_hand_fails_its_run_and_no_other() {
    let settings = "[train]\nbatch_size = 16\nstop = { max_epochs = 100000, patience = 100000 }\n";
    let lab = lab(&["sasrec"], settings);
    let sweep = lab.start(SWEEP);
    lab.wait_for_training();
    let mut scancel = std::process::Command::new(lab.path("slurm/scancel"));
    assert!(scancel.arg("1_0").status().unwrap().success());
    let outcome = sweep.outcome().expect(3);
    assert!(outcome.stderr.contains("failed (cancelled)"), "{outcome}");
    lab.genair(SWEEP).expect(3);
    assert_eq!(
        count(&lab, "sbatch"),
        1,
        "it is not tried again unless somebody asks"
    );
}

/// Bad specs of jobs are told at once, in Slurm's words; nothing is left in doubt.
#[test]
fn what_slurm_refuses_ends_the_sweep() {
    let lab = lab(&["popularity"], "");
    lab.write(
        "slurm/refusal",
        "sbatch: error: invalid partition specified: nope\n",
    );
    let refused = lab.genair(SWEEP).expect(2);
    assert!(
        refused
            .stderr
            .contains("the batch system refuses jobs: sbatch: error: invalid partition"),
        "{refused}"
    );
    assert_eq!(lab.rows("SELECT count(*) FROM submissions"), [[json!(0)]]);
    assert_eq!(lab.lines("SELECT state FROM runs"), "pending");
    let local = Lab::new();
    local.write("s.toml", tiny_spec("local", &["popularity"], ""));
    let detached = local.genair(["sweep", "s.toml", "--detach"]).expect(2);
    assert!(
        detached.stderr.contains("`--detach` is for a batch system"),
        "{detached}"
    );
}

/// A time limit of jobs that no epoch fits in would be tried for ever; one that some fit in is no failure.
#[test]
fn a_job_whose_time_is_over_goes_on_in_another_one_while_it_gains_epochs() {
    let settings = "[train]\nbatch_size = 16\nstop = { max_epochs = 80, patience = 80 }\n";
    let lab = lab(&["sasrec"], settings);
    let spec = std::fs::read_to_string(lab.path("s.toml")).unwrap();
    lab.write(
        "s.toml",
        spec.replace("seeds = [1]", "seeds = [1]\ncheckpoint_seconds = 0"),
    );
    let sweep = lab.start(SWEEP);
    lab.wait_for_training();
    wait_for_submission(&lab);
    let over = |job: &str| {
        lab.write(format!("slurm/jobs/{job}/0.state"), "TIMEOUT\n");
        let pid = std::fs::read_to_string(lab.path(format!("slurm/jobs/{job}/0.pid"))).unwrap();
        send(Signal::KILL, pid.trim().parse().unwrap());
    };
    over("1");
    sweep.outcome().expect(0);
    assert_eq!(count(&lab, "sbatch"), 2);
    let run = lab.rows("SELECT state, epochs, resumed_from_epoch > 0 FROM runs");
    assert_eq!(run, [[json!("finished"), json!(80), json!(1)]]);
}

/// Polling hammers the controller (<https://github.com/rwth-i6/sisyphus/issues/108>,
/// <https://github.com/snakemake/snakemake-executor-plugin-slurm/issues/467>); arrays have limits
/// (<https://github.com/facebookincubator/submitit/issues/1624>).
#[test]
fn sisyphus_108_a_thousand_runs_take_a_call_a_second() {
    let lab = lab(&["popularity"], "");
    let seeds: Vec<String> = (1..=1200).map(|seed| seed.to_string()).collect();
    let seeds = format!("sweep.seeds=[{}]", seeds.join(","));
    lab.write("slurm/pending", "");
    let sweep = SWEEP
        .into_iter()
        .chain(["--detach", "--set", &seeds, "-j", "300"]);
    lab.genair(sweep).expect(0);
    let calls = calls(&lab);
    let least = calls.windows(2).map(|pair| pair[1].0 - pair[0].0).min();
    assert!(least.unwrap() > 900_000_000, "{calls:?}");
    assert!(calls.len() < 100, "{}", calls.len());
    assert_eq!(
        lab.rows("SELECT count(DISTINCT run_id) FROM submissions"),
        [[json!(1200)]]
    );
    assert_eq!(logs(&lab), 0);
}

#[test]
fn an_archetype_stage_is_a_job_and_its_runs_follow() {
    let more = "[archetype]\nengine = \"fake\"\n[representation.genair]\nkind = \"archetype\"\ncomponents = 4\n[train.stop]\nmax_epochs = 1\n";
    let lab = lab(&["sasrec"], more).with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1");
    let sweep = SWEEP
        .into_iter()
        .chain(["--set", "sweep.representation=[\"genair\"]"]);
    lab.genair(sweep).expect(0);
    assert_eq!(lab.lines("SELECT state FROM runs"), "finished");
    assert_eq!(count(&lab, "sbatch"), 2);
    let tasks = std::fs::read_dir(lab.artefacts().join("submissions"))
        .unwrap()
        .flatten();
    let tasks =
        tasks.filter_map(|folder| std::fs::read_to_string(folder.path().join("tasks")).ok());
    assert_eq!(tasks.filter(|tasks| tasks.contains("'stage'")).count(), 1);
}

/// What a stage leaves out is told by whoever sweeps, wherever it is made.
#[test]
fn what_a_data_stage_leaves_out_is_told_as_on_this_machine() {
    let lab = lab(
        &["popularity"],
        "[dataset.mine]\npath = \"data\"\ninteractions = \"log.tsv\"\nk_core = { mode = \"single_pass\", user = 1, item = 2 }\n",
    );
    let spec = std::fs::read_to_string(lab.path("s.toml")).unwrap();
    lab.write(
        "s.toml",
        spec.replace("seeds = [1]", "seeds = [1, 2]\ndataset = [\"mine\"]"),
    );
    let users = (0..9).map(|user| {
        format!("u{user}\ta\t1\nu{user}\tb\t2\nu{user}\tc\t3\nu{user}\tonly{user}\t4\n")
    });
    lab.write(
        "data/log.tsv",
        format!("user_id\titem_id\ttimestamp\n{}", users.collect::<String>()),
    );
    let items = ["a", "b", "c"].map(str::to_owned).into_iter();
    let items = items.chain((0..9).map(|user| format!("only{user}")));
    let items = items.map(|item| format!("{{\"item_id\": \"{item}\"}}\n"));
    lab.write("data/items.jsonl", items.collect::<String>());
    let told = |outcome: &genair_test_support::lab::Outcome| -> Vec<String> {
        let lines = outcome
            .stderr
            .lines()
            .filter(|line| line.contains(" dropped: "));
        lines.map(str::to_owned).collect()
    };
    let local = ["sweep", "s.toml", "--db", "local.db", "--cache", "other"];
    let local = told(&lab.genair(local).expect(0));
    assert_eq!(local, ["data of mine: of 36 rows, dropped: 9 by `k_core`"]);
    let swept = lab.genair(SWEEP).expect(0);
    assert_eq!(told(&swept), local, "{swept}");
    assert_eq!(count(&lab, "sbatch"), 2, "the stage, and the runs");
}

/// Pruning works through files: a job that is not worth its time ends by itself.
#[test]
fn asha_stops_jobs_and_promotes_runs() {
    let more = "[prune]\nkind = \"asha\"\nreduction = 2\ngrace = 1\nacross = [\"seed\"]\n[train]\nbatch_size = 16\nstop = { max_epochs = 8, patience = 8 }\n";
    let lab = lab(&["sasrec"], more);
    let sweep = SWEEP
        .into_iter()
        .chain(["--set", "sweep.seeds=[1,2,3,4]", "-j", "4"]);
    lab.genair(sweep).expect(0);
    let states = lab.lines("SELECT state FROM runs ORDER BY state");
    assert!(
        states.contains("finished") && states.contains("pruned"),
        "{states}"
    );
    let whole = lab.rows("SELECT DISTINCT epochs FROM runs WHERE state = 'finished'");
    assert_eq!(whole, [[json!(8)]]);
    let nice = calls(&lab)
        .into_iter()
        .any(|(_, words)| words.contains("--nice=100"));
    assert!(nice, "first runs let promoted ones go first");
    lab.wait_for("the stopped workers' end", |lab| {
        lab.workers().is_empty().then_some(())
    });
    // What nobody followed to its end is off the list by the next sweep at the latest.
    std::thread::sleep(Duration::from_millis(200));
    lab.genair(SWEEP.into_iter().chain(["--set", "sweep.seeds=[1,2,3,4]"]))
        .expect(0);
    assert_eq!(lab.rows("SELECT count(*) FROM submissions"), [[json!(0)]]);
}

#[test]
fn doctor_tries_the_cluster_with_a_job() {
    let lab = lab(&["popularity"], "");
    let doctor = [
        "doctor",
        "--executor",
        "slurm",
        "--spec",
        "s.toml",
        "--format",
        "json",
    ];
    let found = lab.genair(doctor);
    let slurm = found.json()["findings"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (&slurm["topic"], &slurm["fine"]),
        (&json!("Slurm"), &json!(true)),
        "{found}"
    );
    lab.write("slurm/refusal", "sbatch: error: invalid account\n");
    let found = lab.genair(doctor).expect(2);
    assert!(found.stdout.contains("invalid account"), "{found}");
}
