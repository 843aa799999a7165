//! A results database made through the store's own API.

use std::path::{Path, PathBuf};

use genair_eval::{Membership, RankedTarget, evaluate};
use genair_protocol::{
    DataFacts, Diagnostic, EvalSpec, ItemPlace, Labels, MachineFacts, Protocol, RunEvent,
    RunTotals, Split,
};
use genair_report::{Format, Lacking, Report, ReportError, ReportSpec, Table, make_report, render};
use genair_store::{Claim, CodeRevision, FailedRuns, NewRun, Owner, RunId, Store};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

pub(crate) const USERS: usize = 120;

/// A run that is to be in a database. The default is a finished run of `sasrec id` on `beauty`.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) sweep: &'static str,
    pub(crate) dataset: &'static str,
    pub(crate) backbone: &'static str,
    pub(crate) representation: &'static str,
    pub(crate) axes: &'static [(&'static str, &'static str)],
    pub(crate) seed: u64,
    pub(crate) max_len: u64,
    pub(crate) sequences: &'static str,
    pub(crate) head_item: u64,
    pub(crate) host: &'static str,
    /// Mean rank of the targets; smaller is better.
    pub(crate) mean_rank: f64,
    /// The same on the validation split, where it is another.
    pub(crate) valid_rank: Option<f64>,
    pub(crate) end: End,
}

/// What becomes of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    /// After its first epoch.
    Pruned,
    /// It is never started.
    Pending,
}

pub(crate) const RUN: Run = Run {
    sweep: "main",
    dataset: "beauty",
    backbone: "sasrec",
    representation: "id",
    axes: &[],
    seed: 44,
    max_len: 50,
    sequences: "5e95e95e95e95e95",
    head_item: 4,
    host: "bench",
    mean_rank: 40.0,
    valid_rank: None,
    end: End::Finished,
};

impl Run {
    /// Ranks of all users, from 0. Users differ alike in all runs, so that pairing matters.
    pub(crate) fn ranks(&self, split: Split) -> Vec<u32> {
        let mut users = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut noise =
            Xoshiro256PlusPlus::seed_from_u64(self.seed + u64::from(split == Split::Test));
        let valid_rank = self.valid_rank.filter(|_| split == Split::Valid);
        let mean_rank = valid_rank.unwrap_or(self.mean_rank);
        (0..USERS)
            .map(|_| {
                let user = -users.random::<f64>().ln();
                let noise = 0.8 + 0.4 * noise.random::<f64>();
                (mean_rank * user * noise) as u32
            })
            .collect()
    }

    fn spec(&self) -> String {
        format!(
            r#"{{"dataset": {{"max_len": {}}}, "backbone": {{"params": {{"causal": {}}}}}, "representation": {{"calibration": {{"alpha": 0.0, "gamma": 4.0}}}}, "train": {{"stop": {{"metric": "ndcg@10"}}}}, "seed": {}}}"#,
            self.max_len,
            !self.axes.contains(&("causal", "false")),
            self.seed
        )
    }

    pub(crate) fn planned(&self) -> NewRun {
        let labels = Labels {
            dataset: self.dataset.to_owned(),
            backbone: self.backbone.to_owned(),
            representation: self.representation.to_owned(),
            axes: self.axes.iter().copied().collect(),
            seed: self.seed,
        };
        let configuration = format!(
            "{} {} {} {} {} {}",
            self.dataset,
            self.backbone,
            self.representation,
            labels.axes,
            self.max_len,
            self.sequences
        );
        NewRun {
            identity: format!("{configuration} {} {}", self.seed, self.mean_rank),
            configuration: hash(&configuration),
            spec: self.spec(),
            spec_sha256: "5ec".to_owned(),
            labels,
            data_sha256: "da7a".to_owned(),
            plugin_sha256: (self.backbone != "popularity").then(|| "911".to_owned()),
            results_version: 1,
        }
    }

    /// A run of several sweeps is done once.
    fn take_to_its_end(&self, store: &mut Store, id: RunId, owner: &Owner) {
        if self.end == End::Pending
            || store.claim(id, owner, FailedRuns::Keep).unwrap() != Claim::Claimed
        {
            return;
        }
        let events = self.events();
        let told = match self.end {
            End::Pruned => &events[..3],
            _ => &events[..],
        };
        for event in told {
            store.record(id, owner, event).unwrap();
        }
        if self.end == End::Pruned {
            store.prune(id, owner, 1).unwrap();
        }
    }

    fn events(&self) -> Vec<RunEvent> {
        let mut events = vec![
            RunEvent::Started {
                machine: MachineFacts {
                    host: self.host.to_owned(),
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
                    users: USERS as u64,
                    items: 300,
                    interactions: 1500,
                    cold_items: 0,
                    sequences_sha256: self.sequences.to_owned(),
                    head_item: self.head_item,
                    long_user: 9,
                    counts: Vec::new(),
                }),
                parameters: 12_345,
            },
            item_space(Some(0)),
            epoch(1, 0.75, 2.0 / self.mean_rank),
            epoch(2, 0.5, 3.0 / self.mean_rank),
        ];
        let membership = |user| Membership {
            long_user: user % 3 == 0,
            head_item: user % 2 == 0,
            cold_item: None,
        };
        for split in [Split::Valid, Split::Test] {
            for (protocol, divisor) in [(Protocol::Full, 1), (Protocol::Sampled100, 3)] {
                let ranks = self.ranks(split).into_iter();
                let ranks: Vec<Vec<u32>> = ranks.map(|rank| vec![rank / divisor]).collect();
                let target = |(user, ranks): (usize, &Vec<u32>)| {
                    let (rank, membership) = (ranks[0], membership(user));
                    vec![RankedTarget { rank, membership }]
                };
                let users: Vec<_> = ranks.iter().enumerate().map(target).collect();
                let rows = evaluate(&users, &EvalSpec::default());
                events.push(RunEvent::Metrics {
                    epoch: None,
                    split,
                    protocol,
                    rows,
                });
                if split == Split::Test {
                    events.push(RunEvent::Ranks {
                        split,
                        protocol,
                        ranks,
                    });
                }
            }
        }
        let uniformity = Diagnostic {
            name: "uniformity".to_owned(),
            value: -2.5,
        };
        events.push(RunEvent::Diagnostics {
            epoch: None,
            rows: vec![uniformity],
        });
        events.push(item_space(None));
        events.push(RunEvent::Finished(RunTotals {
            best_epoch: 2,
            epochs: 2,
            seconds: 5.0,
            train_seconds: 3.0,
            cpu_seconds: Some(4.25),
            peak_memory_bytes: Some(200 << 20),
        }));
        events
    }
}

/// As long as a part of a real hash that is told apart.
fn hash(text: &str) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(text, &mut hasher);
    format!("{:016x}", std::hash::Hasher::finish(&hasher))
}

fn epoch(epoch: usize, loss: f64, valid: f64) -> RunEvent {
    RunEvent::Epoch {
        epoch,
        max_epochs: 2,
        loss,
        calibration: None,
        train_seconds: 1.5,
        valid: Some(valid),
        best: true,
    }
}

/// Twenty items around a circle.
fn item_space(epoch: Option<usize>) -> RunEvent {
    let items = (1..=20).map(|item| {
        let angle = f64::from(item) * 0.3;
        ItemPlace {
            item: item as u64,
            x: angle.cos(),
            y: angle.sin(),
            interactions: 40 - item as u64,
        }
    });
    RunEvent::ItemSpace {
        epoch,
        items: items.collect(),
    }
}

/// A database in a folder that goes away with it.
pub(crate) struct Database {
    folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Database {
    pub(crate) fn of(runs: &[Run]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("results.db")).unwrap();
        let owner = Owner::this_process(CodeRevision {
            revision: "4b825dc".to_owned(),
            dirty: false,
            diff: None,
        });
        let mut sweeps: Vec<&str> = runs.iter().map(|run| run.sweep).collect();
        sweeps.dedup();
        for name in sweeps {
            let sweep = store.begin_sweep(name, "main.toml", "[sweep]").unwrap();
            let own: Vec<&Run> = runs.iter().filter(|run| run.sweep == name).collect();
            let new: Vec<NewRun> = own.iter().map(|run| run.planned()).collect();
            let numbers = store.register(sweep, &new).unwrap().runs;
            for (run, id) in std::iter::zip(own, numbers) {
                run.take_to_its_end(&mut store, id, &owner);
            }
        }
        Self { folder, store }
    }

    /// Makes each sweep a search of these axes.
    pub(crate) fn searching(mut self, searched: &[&str]) -> Self {
        let searched: Vec<String> = searched.iter().map(|&axis| axis.to_owned()).collect();
        for sweep in self.store.sweeps().unwrap() {
            self.store.note_search(sweep.sweep_id, &searched).unwrap();
        }
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn report(&mut self, spec: &str, lacking: Lacking) -> Result<Report, ReportError> {
        let spec = ReportSpec::parse(Path::new("report.toml"), spec)?;
        make_report(&mut self.store, &spec, &[], lacking)
    }

    pub(crate) fn tables(&mut self, spec: &str) -> Result<Vec<Table>, ReportError> {
        Ok(self.report(spec, Lacking::Refuse)?.tables)
    }

    /// The one table of a report.
    pub(crate) fn table(&mut self, spec: &str) -> Table {
        let mut tables = self.tables(spec).unwrap();
        assert_eq!(tables.len(), 1);
        tables.remove(0)
    }

    pub(crate) fn text(&mut self, spec: &str, format: Format) -> String {
        render(&self.table(spec), format)
    }

    /// What is said when a report cannot be made; without the database's folder.
    pub(crate) fn refusal(&mut self, spec: &str) -> String {
        let message = self.tables(spec).unwrap_err().to_string();
        message.replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

/// Two backbones with ids and archetypes, three seeds each, and popularity.
pub(crate) fn main_sweep() -> Vec<Run> {
    let mut runs = Vec::new();
    for seed in [44, 45, 46] {
        for (backbone, representation, mean_rank) in [
            ("popularity", "none", 90.0),
            ("sasrec", "id", 40.0),
            ("sasrec", "archetype", 25.0),
            ("gru4rec", "id", 60.0),
            ("gru4rec", "archetype", 58.0),
        ] {
            runs.push(Run {
                backbone,
                representation,
                mean_rank,
                seed,
                ..RUN
            });
        }
    }
    runs
}
