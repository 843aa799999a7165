//! What pruning asks and tells.

use genair_protocol::RunEvent;
use genair_store::{Continued, FailedRuns, PruneDecision, RunId, Standing, Store, StoreErrorKind};

use crate::{Lab, failed, finish, new_run, owner};

fn train(store: &mut Store, run: RunId, valid: &[Option<f64>]) {
    store.claim(run, &owner(), FailedRuns::Keep).unwrap();
    for (at, valid) in valid.iter().enumerate() {
        let epoch = RunEvent::Epoch {
            epoch: at + 1,
            max_epochs: 9,
            loss: 1.0,
            calibration: None,
            train_seconds: 0.5,
            valid: *valid,
            best: false,
        };
        store.record(run, &owner(), &epoch).unwrap();
    }
}

fn decision(rung: u64, epoch: u64, threshold: Option<f64>, pruned: bool) -> PruneDecision {
    PruneDecision {
        rule: "asha".to_owned(),
        rung,
        epoch,
        value: 0.25,
        threshold,
        compared: 3,
        pruned,
        continued: None,
    }
}

#[test]
fn runs_are_compared_by_their_best_so_far_once_they_have_got_there() {
    let mut lab = Lab::new();
    let runs: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|identity| new_run(identity, 1))
        .to_vec();
    let runs = lab.register(&runs);
    let [ahead, behind, ended, crashed, other] = runs[..] else {
        panic!("five runs")
    };
    train(
        &mut lab.store,
        ahead,
        &[Some(0.1), Some(0.3), Some(0.2), Some(0.9)],
    );
    train(&mut lab.store, behind, &[Some(0.1), Some(0.5)]);
    finish(&mut lab.store, ended, 0.5); // After one validation of .125.
    train(&mut lab.store, crashed, &[None, Some(0.4), Some(0.3)]);
    lab.store.record(crashed, &owner(), &failed()).unwrap();
    train(&mut lab.store, other, &[Some(0.7), Some(0.7), Some(0.7)]);
    let mut best = lab
        .store
        .best_by_epoch(&[ahead, behind, ended, crashed], 3)
        .unwrap();
    best.sort_by_key(|(run, _)| run.0);
    assert_eq!(best, [(ahead, 0.3), (ended, 0.125), (crashed, 0.4)]);
    assert_eq!(
        lab.store.best_by_epoch(&[behind], 2).unwrap(),
        [(behind, 0.5)]
    );
    assert_eq!(lab.store.best_by_epoch(&[crashed], 1).unwrap(), []);
}

#[test]
fn decisions_outlive_the_attempts_they_were_made_about() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    let [first, second] = [decision(0, 3, None, false), decision(1, 9, Some(0.5), true)];
    for decision in [&first, &second] {
        lab.store
            .record_prune_decision(run, &owner(), decision)
            .unwrap();
    }
    lab.store.prune(run, &owner(), 9).unwrap();
    lab.store.unprune(run, Continued::Asked).unwrap();
    finish(&mut lab.store, run, 0.5);
    let continued = PruneDecision {
        continued: Some(Continued::Asked),
        ..second.clone()
    };
    assert_eq!(lab.store.prune_decisions(run).unwrap(), [first, continued]);
    let refused = lab
        .store
        .record_prune_decision(run, &owner(), &second)
        .unwrap_err();
    assert!(
        matches!(refused.kind, StoreErrorKind::NotHeld { .. }),
        "{refused}"
    );
}

#[test]
fn runs_stand_at_a_rung_by_how_they_were_judged_there() {
    let mut lab = Lab::new();
    let names = [
        "waits",
        "again",
        "ahead",
        "ended",
        "crashed",
        "other-epoch",
        "median",
    ];
    let runs = lab.register(&names.map(|identity| new_run(identity, 1)));
    let [waits, again, ahead, ended, crashed, other_epoch, median] = runs[..] else {
        panic!("seven runs")
    };
    let judge = |lab: &mut Lab, run, decision: PruneDecision| {
        lab.store.claim(run, &owner(), FailedRuns::Keep).unwrap();
        let decided = lab.store.record_prune_decision(run, &owner(), &decision);
        decided.unwrap();
        if decision.pruned {
            let epoch = decision.epoch as usize;
            lab.store.prune(run, &owner(), epoch).unwrap();
        }
    };
    let stopped = decision(0, 3, Some(0.5), true);
    for run in [waits, again] {
        judge(&mut lab, run, stopped.clone());
    }
    judge(&mut lab, other_epoch, decision(0, 2, Some(0.5), true));
    let rule = "median".to_owned();
    judge(&mut lab, median, PruneDecision { rule, ..stopped });
    for run in [ahead, crashed] {
        judge(&mut lab, run, decision(0, 3, None, false));
    }
    lab.store.record(crashed, &owner(), &failed()).unwrap();
    finish(&mut lab.store, ended, 0.5); // After one validation of .125.
    // Its epochs go with the claim, its standing does not.
    assert!(lab.store.unprune(again, Continued::Promoted).unwrap());
    lab.store.claim(again, &owner(), FailedRuns::Keep).unwrap();

    let due: Vec<_> = runs.iter().map(|run| (*run, 3)).collect();
    let standing = |run_id, value, waits| Standing {
        run_id,
        value,
        waits,
    };
    assert_eq!(
        lab.store.standings("asha", 0, &due).unwrap(),
        [
            standing(waits, 0.25, true),
            standing(again, 0.25, false),
            standing(ahead, 0.25, false),
            standing(ended, 0.125, false),
        ]
    );
    assert_eq!(
        lab.store.standings("asha", 1, &due).unwrap(),
        [standing(ended, 0.125, false)]
    );
}

#[test]
fn a_merge_brings_the_decisions_along() {
    let mut theirs = Lab::new();
    let run = theirs.claimed_run();
    theirs
        .store
        .record_prune_decision(run, &owner(), &decision(0, 3, Some(0.5), true))
        .unwrap();
    theirs.store.prune(run, &owner(), 3).unwrap();
    let mut ours = Lab::new();
    for _ in 0..2 {
        ours.store
            .merge(theirs.folder.path().join("results.db"))
            .unwrap();
    }
    let runs = ours.store.query("SELECT run_id FROM runs").unwrap().rows;
    let ours_of_it = RunId(runs[0][0].as_i64().unwrap());
    assert_eq!(
        ours.store.prune_decisions(ours_of_it).unwrap(),
        [decision(0, 3, Some(0.5), true)]
    );
}

#[test]
fn the_most_memory_of_runs_alike_is_known() {
    let mut lab = Lab::new();
    let runs = lab.register(&[new_run("a", 1), new_run("b", 2)]);
    for (run, bytes) in runs.iter().zip([5 << 20, 7 << 20]) {
        lab.store.claim(*run, &owner(), FailedRuns::Keep).unwrap();
        for mut event in crate::events(0.5) {
            if let RunEvent::Finished(totals) = &mut event {
                totals.peak_memory_bytes = Some(bytes);
            }
            lab.store.record(*run, &owner(), &event).unwrap();
        }
    }
    let peaks = lab.store.peak_memory().unwrap();
    assert_eq!(peaks.len(), 1);
    assert_eq!(
        (peaks[0].backbone.as_str(), peaks[0].bytes),
        ("sasrec", 7 << 20)
    );
}
