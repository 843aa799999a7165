//! Whatever is killed, whenever: the same command goes on, and the results are those of a sweep that
//! nobody disturbed, to the last bit.

use std::time::{Duration, Instant};

use genair_test_support::lab::{Lab, Running, Signal, send_if_there, tiny_spec};
use serde_json::json;

use crate::measured::{assert_same, assert_whole};

/// Kills of coordinators and workers together.
const KILLS: usize = 24;

/// The longest that a sweep is left alone by the clock.
const LONGEST: Duration = Duration::from_millis(1_800);

fn lab() -> Lab {
    let lab = Lab::new();
    let settings = r#"
[train]
batch_size = 16
stop = { max_epochs = 30, patience = 8, eval_every = 2 }
"#;
    let spec = tiny_spec(
        "mortal",
        &["popularity", "sasrec", "bert4rec", "gru4rec", "caser"],
        settings,
    );
    lab.write(
        "s.toml",
        spec.replace("seeds = [1]", "seeds = [1]\ncheckpoint_seconds = 0"),
    );
    lab
}

fn start(lab: &Lab) -> Running {
    lab.start(["sweep", "s.toml", "-j", "2"])
}

/// The same sequence each time, so that a failure can be met again.
struct Chance(u64);

impl Chance {
    /// Below `end` (SplitMix64).
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// Leaves a sweep alone: for a while, which may find it anywhere, or until a run has trained some epochs.
fn wait(lab: &Lab, sweep: &mut Running, chance: &mut Chance) {
    let alone = Duration::from_millis(chance.below(LONGEST.as_millis() as u64));
    let epochs = chance.below(2) * (1 + chance.below(12));
    let trained = format!(
        "SELECT 1 FROM epochs JOIN runs USING (run_id) WHERE state = 'running' AND epoch = {epochs}"
    );
    let begin = Instant::now();
    while sweep.is_running() {
        let enough = match epochs {
            0 => begin.elapsed() >= alone,
            _ => begin.elapsed() > 10 * LONGEST || lab.count(&trained) > 0,
        };
        if enough {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Disturbs a sweep until it has ended or `kills` is used up, then lets it end.
fn survive(lab: &Lab, chance: &mut Chance, kills: &mut usize) {
    let mut sweep = start(lab);
    while *kills > 0 {
        wait(lab, &mut sweep, chance);
        let workers = lab.workers();
        if !sweep.is_running() {
            let ended = sweep.outcome();
            if ended.code == Some(0) {
                return;
            }
            // A run of it was killed three times and given up.
            sweep = start(lab);
            assert_eq!(ended.code, Some(3), "{ended}");
        } else if !workers.is_empty() && chance.below(2) == 0 {
            let worker = workers[chance.below(workers.len() as u64) as usize];
            *kills -= usize::from(send_if_there(Signal::KILL, worker));
        } else {
            send_if_there(Signal::KILL, sweep.id());
            *kills -= 1;
            assert_eq!(sweep.outcome().code, None);
            // At once: its workers may still be about to end.
            sweep = start(lab);
        }
    }
    let ended = sweep.outcome();
    if ended.code == Some(3) {
        lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    } else {
        ended.expect(0);
    }
}

/// Nothing survives a crash but what was finished before it
/// (<https://github.com/facebookresearch/hydra/issues/2551>, "fault tolerance").
#[test]
fn hydra_2551_fault_tolerance() {
    let undisturbed = lab();
    undisturbed.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    assert_whole(&undisturbed);

    let mut chance = Chance(20);
    let (mut kills, mut resumed) = (KILLS, 0);
    while kills > 0 {
        let lab = lab();
        survive(&lab, &mut chance, &mut kills);
        assert_same(&undisturbed, &lab);
        assert_whole(&lab);
        resumed += lab.count("SELECT 1 FROM runs WHERE resumed_from_epoch IS NOT NULL");
        assert_eq!(
            lab.rows("SELECT DISTINCT state FROM runs"),
            [[json!("finished")]]
        );
    }
    assert!(resumed > 0, "no run went on from a checkpoint");
}

/// A sweep that was killed begins at its first run again
/// (<https://github.com/facebookresearch/hydra/issues/1407>).
#[test]
fn hydra_1407_no_resume() {
    let lab = lab();
    let sweep = lab.start(["sweep", "s.toml", "-j", "1"]);
    lab.wait_for("a finished run and one in training", |lab| {
        let both = "SELECT 1 FROM runs WHERE state = 'finished' AND backbone != 'popularity'
            AND EXISTS (SELECT 1 FROM epochs JOIN runs USING (run_id) WHERE state = 'running' AND epoch > 1)";
        (lab.count(both) > 0).then_some(())
    });
    send_if_there(Signal::KILL, sweep.id());
    assert_eq!(sweep.outcome().code, None);
    let before = lab.rows("SELECT run_id, finished_at FROM runs WHERE state = 'finished'");
    lab.genair(["sweep", "s.toml", "-j", "1"]).expect(0);
    let attempts = "SELECT run_id, finished_at FROM runs WHERE attempts = 1 ORDER BY run_id";
    let after = lab.rows(attempts);
    assert!(before.iter().all(|run| after.contains(run)), "done once");
    let resumed = lab.rows("SELECT attempts, resumed_from_epoch >= 1 FROM runs WHERE attempts > 1");
    assert_eq!(resumed, [[json!(2), json!(1)]], "the one it was at goes on");
    assert_whole(&lab);
}

/// Trials of a process that was killed are RUNNING for ever
/// (<https://github.com/optuna/optuna/issues/1883>): also those that nobody sweeps again.
#[test]
fn optuna_1883_zombie_running() {
    let lab = lab();
    lab.write("other.toml", tiny_spec("other", &["popularity"], ""));
    let sweep = start(&lab);
    lab.wait_for_training();
    send_if_there(Signal::KILL, sweep.id());
    assert_eq!(sweep.outcome().code, None);
    lab.wait_for("the workers' end", |lab| {
        lab.workers().is_empty().then_some(())
    });
    assert!(lab.count("SELECT 1 FROM runs WHERE state = 'running'") > 0);
    lab.genair(["sweep", "other.toml"]).expect(0);
    assert_eq!(lab.count("SELECT 1 FROM runs WHERE state = 'running'"), 0);
    assert_eq!(lab.rows("SELECT count(*) FROM owners"), [[json!(0)]]);
}

/// The same sweep, started three times at once: each run is done by one of them
/// (<https://github.com/optuna/optuna/issues/2021>, <https://github.com/optuna/optuna/issues/5489>,
/// <https://github.com/optuna/optuna/issues/3256>).
#[test]
fn optuna_2021_duplicate_trials() {
    let alone = lab();
    alone.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    let shared = lab();
    let all = [(); 3].map(|()| shared.start(["sweep", "s.toml", "-j", "1"]));
    for sweep in all {
        sweep.outcome().expect(0);
    }
    assert_eq!(
        shared.rows("SELECT state, attempts, count(*) FROM runs GROUP BY 1, 2"),
        [[json!("finished"), json!(1), json!(5)]]
    );
    assert_same(&alone, &shared);
    assert_whole(&shared);
}
