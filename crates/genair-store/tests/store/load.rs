//! Events of one run after another's, and of several threads that share a store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use genair_protocol::RunEvent;
use genair_store::{Claim, FailedRuns, StoreErrorKind};

use crate::{Lab, events, new_run, owner};

fn epoch(epoch: usize) -> RunEvent {
    RunEvent::Epoch {
        epoch,
        max_epochs: usize::MAX,
        loss: 0.5,
        calibration: None,
        train_seconds: 0.001,
        valid: None,
        best: false,
    }
}

#[test]
fn an_event_that_fails_leaves_the_others_as_they_are() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    let mut another = lab.another_store();
    let finished = events(0.5).pop().unwrap();
    let kinds = [epoch(1), epoch(2), epoch(2), finished, epoch(3)].map(|event| {
        let recorded = lab.store.record(run, &owner(), &event);
        another.heartbeat(&owner()).unwrap(); // The lock is free again.
        recorded.map_err(|error| error.kind)
    });
    assert!(
        matches!(
            kinds,
            [
                Ok(()),
                Ok(()),
                Err(StoreErrorKind::Sqlite(_)), // the epoch is there already
                Err(StoreErrorKind::NothingMeasured { .. }),
                Ok(())
            ]
        ),
        "{kinds:?}"
    );
    let claimed = lab.store.claim(run, &owner(), FailedRuns::Keep);
    assert!(matches!(claimed, Ok(Claim::HeldBy(_))));
    let epochs = lab.reader().show_run(run).unwrap().epochs;
    assert_eq!(
        epochs.iter().map(|e| e.epoch).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    lab.store.release(run, &owner()).unwrap();
}

/// 8 threads record as fast as they can, beside a reader and another connection that writes.
#[test]
fn mlflow_5917_database_is_locked() {
    const WORKERS: usize = 8;
    const EVENTS: usize = 1_250;
    let mut lab = Lab::new();
    let runs: Vec<_> = (0..WORKERS)
        .map(|at| new_run(&format!("run {at}"), at as u64))
        .collect();
    let numbers = lab.register(&runs);
    for &run in &numbers {
        lab.store.claim(run, &owner(), FailedRuns::Keep).unwrap();
    }
    let (mut reader, mut another) = (lab.reader(), lab.another_store());
    let store = Mutex::new(&mut lab.store);
    let done = AtomicBool::new(false);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let rows = reader.query("SELECT count(*) FROM epochs").unwrap().rows;
                let now = rows[0][0].as_u64().unwrap();
                assert!(now >= seen, "what was committed stays");
                seen = now;
                // Another process that writes is not locked out either.
                another.heartbeat(&owner()).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let workers = numbers.iter().map(|&run| {
            scope.spawn({
                let store = &store;
                move || {
                    let owner = owner();
                    for number in 1..=EVENTS {
                        let mut store = store.lock().unwrap();
                        store.record(run, &owner, &epoch(number)).unwrap();
                    }
                }
            })
        });
        // All are started before the first is waited for.
        for worker in workers.collect::<Vec<_>>() {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let rate = (WORKERS * EVENTS) as f64 / begin.elapsed().as_secs_f64();
    eprintln!("{rate:.0} events a second");
    let rows = lab
        .store
        .query("SELECT count(*), min(n), max(n), min(last) FROM (SELECT count(*) AS n, max(epoch) AS last FROM epochs GROUP BY run_id)")
        .unwrap()
        .rows;
    assert_eq!(rows, [[WORKERS, EVENTS, EVENTS, EVENTS]]);
}
