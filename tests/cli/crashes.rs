//! Whoever dies, the database stays consistent and the same command goes on.

use genair_test_support::lab::{Lab, Signal, send, tiny_spec};
use serde_json::json;

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

fn assert_whole(lab: &Lab) {
    assert_eq!(lab.lines("PRAGMA integrity_check"), "ok");
    assert!(lab.rows("PRAGMA foreign_key_check").is_empty());
    assert_eq!(lab.rows("SELECT count(*) FROM owners"), [[json!(0)]]);
    assert_eq!(lab.workers(), Vec::<u32>::new());
}

#[test]
fn a_killed_worker_is_a_failed_run_that_can_be_tried_again() {
    let lab = lab();
    let sweep = lab.start(["sweep", "s.toml", "-j", "1"]);
    let worker = lab.wait_for_training();
    send(Signal::KILL, worker);
    insta::assert_snapshot!(sweep.outcome().expect(3), @r#"
    exit: 3
    --- stdout
    dataset  backbone  representation  variant  seeds  NDCG@10   HR@10  NDCG@10 of 100  HR@10 of 100
    tiny     sasrec    id              -            1   [....]  [....]          [....]        [....]

    Test split, all users; "of 100": against 100 sampled negatives, otherwise among all items.
    --- stderr
    2 runs: 0 finished before, 2 to run, 1 at once
    run 1 (tiny sasrec id seed 1): starting
    [1/2] run 1 (tiny sasrec id seed 1): failed (worker-died) after [time]
    run 2 (tiny sasrec id seed 2): starting
    [2/2] run 2 (tiny sasrec id seed 2): finished after [time]
    error: run 1 (tiny sasrec id seed 1) failed while training: the worker was ended by SIGKILL without a result; it said nothing
    hint: if nobody killed it, memory ran out: lower `train.batch_size` or run fewer at once (`-j`)
    "#);
    assert_eq!(states(&lab), "failed 1\nfinished 1");
    assert_eq!(
        lab.lines(
            "SELECT failure_kind || ' while ' || failure_phase FROM runs WHERE state = 'failed'"
        ),
        "worker-died while training"
    );
    assert_eq!(
        lab.rows("SELECT count(*) FROM leaderboard WHERE run_id = 1"),
        [[json!(0)]]
    );

    let kept = lab.genair(["sweep", "s.toml"]).expect(3);
    assert!(
        kept.stderr.contains("`--retry-failed` tries runs again"),
        "{kept}"
    );
    assert_eq!(states(&lab), "failed 1\nfinished 1");

    lab.genair(["sweep", "s.toml", "--retry-failed"]).expect(0);
    assert_eq!(states(&lab), "finished 2\nfinished 1");
    assert_whole(&lab);
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
    1 run: 0 finished before, 1 to run, 2 at once
    run 1 (tiny misbehaving id seed 1): starting
    stopping; once more kills the workers at once
    [1/1] run 1 (tiny misbehaving id seed 1): stopped after [time]
    interrupted: 1 run left; the same command continues
    ");
    assert_eq!(states(&lab), "pending 1");
    assert_whole(&lab);
}
