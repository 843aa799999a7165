//! Whoever dies, the database stays consistent and the same command goes on.

use genair_test_support::lab::{Lab, Signal, send, tiny_spec};
use serde_json::json;

use crate::measured::assert_whole;

/// Two runs of two or three seconds each.
fn lab() -> Lab {
    let lab = Lab::new();
    let settings = "[backbone.sasrec]\nhidden_size = 32\n[train]\nbatch_size = 16\nstop = { max_epochs = 80, patience = 80 }\n";
    let spec = tiny_spec("mortal", &["sasrec"], settings);
    lab.write(
        "s.toml",
        spec.replace("seeds = [1]", "seeds = [1, 2]")
            .replace("users = 80", "users = 200"),
    );
    lab
}

fn states(lab: &Lab) -> String {
    lab.lines("SELECT state || ' ' || attempts FROM runs ORDER BY run_id")
}

#[test]
fn a_killed_worker_is_replaced() {
    let lab = lab();
    let sweep = lab.start(["sweep", "s.toml", "-j", "1"]);
    let worker = lab.wait_for_training();
    send(Signal::KILL, worker);
    let outcome = sweep.outcome().expect(0);
    let told = "crashed and is tried again: the worker was ended by SIGKILL";
    assert!(outcome.stderr.contains(told), "{outcome}");
    assert_eq!(states(&lab), "finished 2\nfinished 1");
    assert_whole(&lab);
}

/// A run that dies each time, by a plugin that ends its process.
#[test]
fn a_run_that_always_crashes_is_tried_three_times() {
    let lab = Lab::new();
    lab.install_plugin("libgenair_misbehaving.so", "misbehaving");
    let settings = "[backbone.misbehaving]\nfault = \"abort\"\n";
    lab.write("s.toml", tiny_spec("dying", &["misbehaving"], settings));
    let sweep = |arguments: &[&str]| {
        let all = ["sweep", "s.toml", "--plugin-dir", "plugins"];
        lab.genair(all.iter().chain(arguments).copied()).expect(3)
    };
    insta::assert_snapshot!(sweep(&[]), @r"
    exit: 3
    --- stdout
    no finished runs
    --- stderr
    1 run: 0 finished before, 1 to run, [cores] at once
    run 1 (tiny misbehaving id seed 1): starting
    run 1 (tiny misbehaving id seed 1): crashed and is tried again: the worker was ended by SIGABRT without a result; it said nothing
    run 1 (tiny misbehaving id seed 1): starting
    run 1 (tiny misbehaving id seed 1): crashed and is tried again: the worker was ended by SIGABRT without a result; it said nothing
    run 1 (tiny misbehaving id seed 1): starting
    [1/1] run 1 (tiny misbehaving id seed 1): failed (worker-died) after [time]
    error: run 1 (tiny misbehaving id seed 1) failed while training: the worker was ended by SIGABRT without a result; it said nothing
    hint: its log is [lab]/genair-artefacts/[run]/log.[attempt].txt
    ");
    assert_eq!(states(&lab), "failed 3");
    assert_eq!(
        lab.lines("SELECT failure_kind || ' while ' || failure_phase FROM runs"),
        "worker-died while training"
    );
    let kept = sweep(&["--retry", "none"]);
    assert!(
        kept.stderr.contains("`--retry failed` tries runs again"),
        "{kept}"
    );
    assert_eq!(states(&lab), "failed 3");
    sweep(&[]);
    assert_eq!(states(&lab), "failed 6", "the same command tries again");
}

/// Parameters that cannot work are tried again and again
/// (<https://github.com/optuna/optuna/issues/566>).
#[test]
fn optuna_566_retry_of_failing_parameters() {
    let lab = Lab::new();
    lab.install_plugin("libgenair_misbehaving.so", "misbehaving");
    let settings = "[backbone.misbehaving]\nfault = \"nan\"\n";
    lab.write("s.toml", tiny_spec("hopeless", &["misbehaving"], settings));
    let all = ["sweep", "s.toml", "--plugin-dir", "plugins"];
    for attempts in [1, 1] {
        lab.genair(all).expect(3);
        assert_eq!(states(&lab), format!("failed {attempts}"));
    }
    lab.genair(all.into_iter().chain(["--retry", "failed"]))
        .expect(3);
    assert_eq!(states(&lab), "failed 2");
}

#[test]
fn a_killed_sweep_takes_its_workers_along_and_the_same_command_goes_on() {
    let lab = lab();
    let sweep = lab.start(["sweep", "s.toml", "-j", "2"]);
    lab.wait_for_training();
    send(Signal::KILL, sweep.id());
    assert_eq!(sweep.outcome().code, None);
    lab.wait_for("the workers' end", |lab| {
        lab.workers().is_empty().then_some(())
    });
    assert_eq!(lab.lines("PRAGMA integrity_check"), "ok");

    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    assert_eq!(lab.lines("SELECT DISTINCT state FROM runs"), "finished");
    let epochs = "SELECT run_id, count(*), min(epoch), max(epoch) FROM epochs GROUP BY run_id";
    assert_eq!(
        lab.rows(epochs),
        [
            [json!(1), json!(80), json!(1), json!(80)],
            [json!(2), json!(80), json!(1), json!(80)]
        ],
        "nothing of the first attempt is left"
    );
    assert_whole(&lab);
}

#[test]
fn ctrl_c_gives_unfinished_runs_back() {
    let lab = lab();
    let sweep = lab.start(["sweep", "s.toml", "-j", "1"]);
    lab.wait_for_training();
    send(Signal::INT, sweep.id());
    let outcome = sweep.outcome().expect(130);
    assert!(
        outcome
            .stderr
            .ends_with("interrupted: 2 runs left; the same command continues\n"),
        "{outcome}"
    );
    assert_eq!(states(&lab), "pending 1\npending 0");
    assert_eq!(lab.rows("SELECT count(*) FROM epochs"), [[json!(0)]]);
    assert_whole(&lab);
    lab.genair(["sweep", "s.toml"]).expect(0);
    assert_eq!(states(&lab), "finished 2\nfinished 1");
}

#[test]
fn ctrl_c_ends_even_a_worker_that_never_comes_back() {
    let lab = Lab::new();
    lab.install_plugin("libgenair_misbehaving.so", "misbehaving");
    lab.write(
        "s.toml",
        tiny_spec(
            "stuck",
            &["misbehaving"],
            "[backbone.misbehaving]\nfault = \"hang\"\n",
        ),
    );
    let sweep = lab.start(["sweep", "s.toml", "--plugin-dir", "plugins"]);
    // Ready for training: it has said so, and nothing will follow.
    lab.wait_for("a run that has begun", |lab| {
        let begun = !lab.workers().is_empty()
            && lab.count("SELECT 1 FROM runs WHERE parameters IS NOT NULL") > 0;
        begun.then_some(())
    });
    send(Signal::INT, sweep.id());
    insta::assert_snapshot!(sweep.outcome(), @r"
    exit: 130
    --- stdout
    no finished runs
    --- stderr
    1 run: 0 finished before, 1 to run, [cores] at once
    run 1 (tiny misbehaving id seed 1): starting
    stopping; once more kills the workers at once
    [1/1] run 1 (tiny misbehaving id seed 1): stopped after [time]
    interrupted: 1 run left; the same command continues
    ");
    assert_eq!(states(&lab), "pending 1");
    assert_whole(&lab);
}
