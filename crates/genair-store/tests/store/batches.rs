//! Orders that are committed together, alone and under load.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use genair_protocol::RunEvent;
use genair_store::{Claim, FailedRuns, Order, Owner, RunId, StoreErrorKind};

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

static OWNER: LazyLock<Owner> = LazyLock::new(owner);

fn record(
    run: RunId,
    event: RunEvent,
) -> (
    Order,
    std::sync::mpsc::Receiver<Result<(), genair_store::StoreError>>,
) {
    Order::new(move |store| store.record(run, &OWNER, &event))
}

#[test]
fn each_order_of_a_batch_learns_of_its_own_failure() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    let (queue, orders) = channel();
    let (first, first_answer) = record(run, epoch(1));
    let answers: Vec<_> = [epoch(2), epoch(2), events(0.5).pop().unwrap(), epoch(3)]
        .into_iter()
        .map(|event| {
            let (order, answer) = record(run, event);
            queue.send(order).unwrap();
            answer
        })
        .collect();
    let (order, claimed) = Order::new(move |store| store.claim(run, &owner(), FailedRuns::Keep));
    queue.send(order).unwrap();
    assert!(first_answer.try_recv().is_err(), "nothing is done yet");
    lab.store.carry_out(first, &orders);

    assert!(first_answer.recv().unwrap().is_ok());
    let kinds: Vec<_> = answers
        .iter()
        .map(|answer| answer.recv().unwrap().map_err(|error| error.kind))
        .collect();
    assert!(
        matches!(
            kinds[..],
            [
                Ok(()),
                Err(StoreErrorKind::Sqlite(_)), // the epoch is there already
                Err(StoreErrorKind::NothingMeasured { .. }),
                Ok(())
            ]
        ),
        "{kinds:?}"
    );
    assert!(matches!(claimed.recv().unwrap(), Ok(Claim::HeldBy(_))));
    let epochs = lab.reader().show_run(run).unwrap().epochs;
    assert_eq!(
        epochs.iter().map(|e| e.epoch).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[test]
fn a_store_works_on_after_a_batch() {
    let mut lab = Lab::new();
    let run = lab.claimed_run();
    let (_queue, orders) = channel();
    for number in 1..=3 {
        let (order, answer) = record(run, epoch(number));
        lab.store.carry_out(order, &orders);
        answer.recv().unwrap().unwrap();
        let another = lab.another_store().show_run(run).unwrap();
        assert_eq!(another.epochs.len(), number, "the lock is free again");
    }
    lab.store.release(run, &owner()).unwrap();
}

/// The load of issue E: 8 workers that send as fast as they can, one writer, and a reader all the while.
#[test]
fn mlflow_5917_database_is_locked() {
    const WORKERS: usize = 8;
    const EVENTS: usize = 12_500;
    /// Events a worker sends before it waits for the first one's answer.
    const AHEAD: usize = 64;
    let mut lab = Lab::new();
    let runs: Vec<_> = (0..WORKERS)
        .map(|at| new_run(&format!("run {at}"), at as u64))
        .collect();
    let numbers = lab.register(&runs);
    for &run in &numbers {
        lab.store.claim(run, &owner(), FailedRuns::Keep).unwrap();
    }
    let (mut reader, mut another) = (lab.reader(), lab.another_store());
    let (queue, orders) = channel();
    let done = AtomicBool::new(false);
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
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        for &run in &numbers {
            let queue = queue.clone();
            scope.spawn(move || {
                let mut waiting = VecDeque::new();
                for number in 1..=EVENTS {
                    let (order, answer) = record(run, epoch(number));
                    queue.send(order).unwrap();
                    waiting.push_back(answer);
                    if waiting.len() == AHEAD {
                        waiting.pop_front().unwrap().recv().unwrap().unwrap();
                    }
                }
                for answer in waiting {
                    answer.recv().unwrap().unwrap();
                }
            });
        }
        drop(queue);
        while let Ok(first) = orders.recv() {
            lab.store.carry_out(first, &orders);
        }
        done.store(true, Ordering::Relaxed);
    });
    let rows = lab
        .store
        .query("SELECT count(*), min(n), max(n), min(last) FROM (SELECT count(*) AS n, max(epoch) AS last FROM epochs GROUP BY run_id)")
        .unwrap()
        .rows;
    assert_eq!(rows, [[WORKERS, EVENTS, EVENTS, EVENTS]]);
}
