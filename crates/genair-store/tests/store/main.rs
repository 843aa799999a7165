//! The store through its public API, on real files.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

mod complaints;
mod copies;
mod load;
mod merging;
mod opening;
mod presence;
mod pruning;
mod queries;
mod runs;
mod summaries;
mod sweeps;

use genair_protocol::{
    ArtefactKind, Cohort, DataFacts, Diagnostic, FailureKind, ItemPlace, Labels, MachineFacts,
    Metric, MetricRow, Protocol, RunEvent, RunFailure, RunPhase, RunTotals, Split,
};
use genair_store::{Claim, CodeRevision, FailedRuns, NewRun, Owner, RunId, Store};

/// A database in a folder that goes away with it.
struct Lab {
    folder: tempfile::TempDir,
    store: Store,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("results.db")).unwrap();
        Self { folder, store }
    }

    fn another_store(&self) -> Store {
        Store::open(self.folder.path().join("results.db")).unwrap()
    }

    fn reader(&self) -> Store {
        Store::open_read_only(self.folder.path().join("results.db")).unwrap()
    }

    /// Makes `runs` the sweep `main`.
    fn register(&mut self, runs: &[NewRun]) -> Vec<RunId> {
        let sweep = self
            .store
            .begin_sweep("main", "main.toml", "[sweep]")
            .unwrap();
        self.store.register(sweep, runs).unwrap().runs
    }

    /// A run that is claimed by this process.
    fn claimed_run(&mut self) -> RunId {
        let run = self.register(&[new_run("a1", 44)])[0];
        assert_eq!(
            self.store.claim(run, &owner(), FailedRuns::Keep).unwrap(),
            Claim::Claimed
        );
        run
    }
}

/// Claims a run and takes it to its end, with every kind of event.
fn finish(store: &mut Store, run: RunId, test_ndcg: f64) {
    assert_eq!(
        store.claim(run, &owner(), FailedRuns::Retry).unwrap(),
        Claim::Claimed
    );
    for event in events(test_ndcg) {
        store.record(run, &owner(), &event).unwrap();
    }
}

fn new_run(identity: &str, seed: u64) -> NewRun {
    NewRun {
        identity: identity.to_owned(),
        configuration: "c0".to_owned(),
        spec: r#"{"seed": 44}"#.to_owned(),
        spec_sha256: "5ec".to_owned(),
        labels: Labels {
            dataset: "tiny".to_owned(),
            backbone: "sasrec".to_owned(),
            representation: "id".to_owned(),
            axes: [("alpha", "1e-4")].into_iter().collect(),
            seed,
        },
        data_sha256: "da7a".to_owned(),
        plugin_sha256: Some("911".to_owned()),
        results_version: 1,
    }
}

fn owner() -> Owner {
    Owner::this_process(CodeRevision {
        revision: "4b825dc".to_owned(),
        dirty: false,
        diff: Some("--- a/lib.rs".to_owned()),
    })
}

fn metric_row(metric: Metric, k: u32, value: f64) -> MetricRow {
    MetricRow {
        cohort: Cohort::All,
        metric,
        k,
        value,
        users: 3,
    }
}

fn diagnostic(name: &str, value: f64) -> Diagnostic {
    Diagnostic {
        name: name.to_owned(),
        value,
    }
}

fn result(split: Split, ndcg: f64) -> RunEvent {
    let rows = vec![
        metric_row(Metric::Hr, 10, 0.5),
        metric_row(Metric::Ndcg, 10, ndcg),
    ];
    RunEvent::Metrics {
        epoch: None,
        split,
        protocol: Protocol::Full,
        rows,
    }
}

fn events(test_ndcg: f64) -> Vec<RunEvent> {
    let rows = vec![metric_row(Metric::Ndcg, 10, 0.125)];
    vec![
        RunEvent::Started {
            machine: MachineFacts {
                host: "bench".to_owned(),
                device: "cpu".to_owned(),
                threads: 1,
                libtorch: "2.13.0".to_owned(),
                trainer: "0.1.0".to_owned(),
                cpu: "AMD EPYC 9R14".to_owned(),
                cores: 4,
                memory_bytes: Some(16 << 30),
                system: "linux 6.1 x86_64".to_owned(),
            },
            data: Box::new(DataFacts {
                users: 3,
                items: 7,
                interactions: 20,
                cold_items: 0,
                sequences_sha256: "5e9".to_owned(),
                head_item: 4,
                long_user: 5,
                counts: Vec::new(),
            }),
            parameters: 1_234,
        },
        RunEvent::Ids {
            sha256: "1d5".to_owned(),
            users: ["u1", "x\u{fc}", "\"3\""].map(str::to_owned).to_vec(),
            items: (1..=7).map(|item| format!("i{item}")).collect(),
        },
        RunEvent::Diagnostics {
            epoch: Some(0),
            rows: vec![diagnostic("alignment", 1.5), diagnostic("uniformity", -2.0)],
        },
        RunEvent::Epoch {
            epoch: 1,
            max_epochs: 2,
            loss: 1.25,
            calibration: Some(2.5),
            train_seconds: 0.5,
            valid: Some(0.125),
            best: true,
        },
        RunEvent::Metrics {
            epoch: Some(1),
            split: Split::Valid,
            protocol: Protocol::Full,
            rows,
        },
        RunEvent::Epoch {
            epoch: 2,
            max_epochs: 2,
            loss: 1.0,
            calibration: None,
            train_seconds: 0.5,
            valid: None,
            best: false,
        },
        result(Split::Valid, 0.25),
        result(Split::Test, test_ndcg),
        RunEvent::Ranks {
            split: Split::Test,
            protocol: Protocol::Full,
            ranks: vec![vec![0], vec![6], vec![2]],
        },
        RunEvent::Diagnostics {
            epoch: None,
            rows: vec![diagnostic("uniformity", -2.5)],
        },
        RunEvent::ItemSpace {
            epoch: None,
            items: vec![ItemPlace {
                item: 7,
                x: 0.5,
                y: -0.25,
                interactions: 3,
            }],
        },
        RunEvent::Artefact {
            kind: ArtefactKind::Checkpoint,
            path: "best.safetensors".to_owned(),
            sha256: "c4e".to_owned(),
            bytes: 4_096,
        },
        RunEvent::Finished(RunTotals {
            best_epoch: 1,
            epochs: 2,
            seconds: 2.5,
            train_seconds: 1.0,
            cpu_seconds: Some(2.0),
            peak_memory_bytes: None,
        }),
    ]
}

fn failed() -> RunEvent {
    RunEvent::Failed(RunFailure {
        kind: FailureKind::PluginFailed,
        phase: RunPhase::Training,
        message: "plugin `sasrec` panicked".to_owned(),
        hint: Some("see its log".to_owned()),
    })
}
