//! Short events of 8 threads into one store while a reader has the database open.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on panics")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use genair_protocol::{Labels, RunEvent};
use genair_store::{CodeRevision, FailedRuns, NewRun, Owner, RunId, Store};

const WORKERS: u64 = 8;
const EVENTS: usize = 1_250;

fn owner() -> Owner {
    Owner::this_process(CodeRevision {
        revision: "unknown".to_owned(),
        dirty: false,
        diff: None,
    })
}

fn claimed_runs(store: &mut Store) -> Vec<RunId> {
    let run = |seed| NewRun {
        identity: format!("run {seed}"),
        configuration: String::new(),
        spec: "{}".to_owned(),
        spec_sha256: String::new(),
        labels: Labels {
            dataset: "tiny".to_owned(),
            backbone: "sasrec".to_owned(),
            representation: "id".to_owned(),
            seed,
            ..Labels::default()
        },
        data_sha256: String::new(),
        plugin_sha256: None,
        results_version: 1,
    };
    let runs: Vec<NewRun> = (0..WORKERS).map(run).collect();
    let sweep = store.begin_sweep("main", "main.toml", "").unwrap();
    let numbers = store.register(sweep, &runs).unwrap().runs;
    for &number in &numbers {
        store.claim(number, &owner(), FailedRuns::Keep).unwrap();
    }
    numbers
}

/// Records every event and returns how long that took.
fn record_all(store: &mut Store, runs: &[RunId]) -> Duration {
    let owner = owner();
    let store = Mutex::new(store);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for &run in runs {
            let (store, owner) = (&store, &owner);
            scope.spawn(move || {
                for epoch in 1..=EVENTS {
                    let event = RunEvent::Epoch {
                        epoch,
                        max_epochs: EVENTS,
                        loss: 0.5,
                        calibration: None,
                        train_seconds: 0.1,
                        valid: Some(0.1),
                        best: false,
                    };
                    store.lock().unwrap().record(run, owner, &event).unwrap();
                }
            });
        }
    });
    begin.elapsed()
}

fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10);
    group.throughput(Throughput::Elements(WORKERS * EVENTS as u64));
    group.bench_function("events of 8 workers", |bencher| {
        bencher.iter_custom(|times| {
            let sample = |_| {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("results.db");
                let mut store = Store::open(&path).unwrap();
                let runs = claimed_runs(&mut store);
                let mut reader = Store::open_read_only(&path).unwrap();
                reader.run_counts().unwrap();
                let took = record_all(&mut store, &runs);
                let kept = reader.query("SELECT count(*) FROM epochs").unwrap().rows;
                assert_eq!(kept, [[WORKERS * EVENTS as u64]]);
                took
            };
            (0..times).map(sample).sum()
        });
    });
}

criterion_group!(benches, events);
criterion_main!(benches);
