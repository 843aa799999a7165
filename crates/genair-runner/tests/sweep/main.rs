//! Sweeps through the public API, with a shell script in the trainer's place: what happens to a run
//! whose worker crashes, babbles, refuses to end, or is interrupted.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod leftovers;
mod pruning;
mod refused;
mod scheduling;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use genair_archetype::Installation;
use genair_protocol::{
    Cohort, DataFacts, FailureKind, MachineFacts, Metric, MetricRow, Protocol, RunEvent,
    RunFailure, RunPhase, RunTotals, Split,
};
use genair_runner::{
    Execution, Interrupt, Outcome, Plan, PlannedRun, SweepReport, Trainer, configuration, identity,
    sweep,
};
use genair_spec::{ExecutorKind, Schedule, Sweep};
use genair_store::{CodeRevision, FailedRuns, Owner, RunId, RunState, Store};
use genair_test_support::{labels, run_spec};
use tempfile::TempDir;

/// A folder with a database and a script as trainer.
struct ScriptedSweep {
    folder: TempDir,
    trainer: Trainer,
}

impl ScriptedSweep {
    /// `script` is the body of `run REQUEST`; `$events` holds the events of a good run.
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let events = folder.path().join("events");
        let lines: Vec<String> = good_run()
            .iter()
            .map(|event| serde_json::to_string(event).unwrap())
            .collect();
        std::fs::write(&events, lines.join("\n") + "\n").unwrap();
        let trainer = folder.path().join("trainer");
        let text = format!(
            "#!/bin/sh\nevents={}\nhere={}\n{script}\n",
            events.display(),
            folder.path().display()
        );
        std::fs::write(&trainer, text).unwrap();
        std::fs::set_permissions(&trainer, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            folder,
            trainer: Trainer::find(Some(trainer)).unwrap(),
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("genair.db")
    }

    fn sweep(&self, runs: u64, failed: FailedRuns, interrupt: &Interrupt) -> SweepReport {
        self.execute(&plan(runs), interrupt, |how| how.failed = failed)
    }

    /// Two runs at once and no second tries, but for what is changed.
    fn execute(
        &self,
        plan: &Plan,
        interrupt: &Interrupt,
        change: impl FnOnce(&mut Execution<'_>),
    ) -> SweepReport {
        let store = Store::open(self.database()).unwrap();
        let installation = Installation::new(self.folder.path().join("cache"));
        let mut how = Execution {
            installation: &installation,
            trainer: &self.trainer,
            jobs: 2,
            failed: FailedRuns::Keep,
            continue_pruned: false,
            fail_fast: false,
            executor: ExecutorKind::Local,
            detach: false,
            second_thoughts: Duration::ZERO,
            observer: &(),
            interrupt,
        };
        change(&mut how);
        sweep(plan, store, &how).unwrap().1
    }

    /// The outcome of a single run.
    fn outcome(&self) -> Outcome {
        self.sweep(1, FailedRuns::Keep, &Interrupt::default())
            .runs
            .remove(0)
            .2
    }

    fn failure(&self) -> RunFailure {
        match self.outcome() {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn state(&self) -> RunState {
        let mut store = Store::open_read_only(self.database()).unwrap();
        store
            .run_states(&[plan(1).sweep.runs[0].identity.clone()])
            .unwrap()[0]
            .unwrap()
    }

    /// Rows of a reading SQL statement, one text a line.
    fn lines(&self, sql: &str) -> String {
        let mut store = Store::open_read_only(self.database()).unwrap();
        let rows = store.query(sql).unwrap().rows;
        let text = |row: Vec<serde_json::Value>| row[0].as_str().unwrap().to_owned();
        rows.into_iter().map(text).collect::<Vec<_>>().join("\n")
    }

    /// How often the script was started, if it counts.
    fn starts(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("starts"))
            .unwrap_or_default()
            .lines()
            .count()
    }
}

fn good_run() -> Vec<RunEvent> {
    let row = MetricRow {
        cohort: Cohort::All,
        metric: Metric::Ndcg,
        k: 10,
        value: 0.25,
        users: 2,
    };
    vec![
        RunEvent::Started {
            machine: MachineFacts {
                host: "here".to_owned(),
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
                users: 2,
                items: 3,
                interactions: 8,
                cold_items: 0,
                sequences_sha256: "00".repeat(32),
                head_item: 2,
                long_user: 3,
                counts: Vec::new(),
            }),
            parameters: 0,
        },
        RunEvent::Metrics {
            epoch: None,
            split: Split::Test,
            protocol: Protocol::Full,
            rows: vec![row],
        },
        RunEvent::Ranks {
            split: Split::Test,
            protocol: Protocol::Full,
            ranks: vec![vec![0], vec![1]],
        },
        RunEvent::Finished(RunTotals {
            best_epoch: 0,
            epochs: 0,
            seconds: 0.5,
            train_seconds: 0.0,
            cpu_seconds: None,
            peak_memory_bytes: None,
        }),
    ]
}

fn plan(runs: u64) -> Plan {
    let planned = |seed| {
        let spec = run_spec("popularity", seed);
        let configuration = configuration(&spec, "d", None);
        let identity = identity(&spec, "d", None);
        PlannedRun {
            labels: labels(&spec),
            spec,
            plugin: None,
            data_sha256: "d".to_owned(),
            data: None,
            vectors: None,
            associations: None,
            identity,
            configuration,
            priority: 0,
            members: Vec::new(),
            refused: None,
        }
    };
    Plan {
        sweep: Sweep {
            name: "t".to_owned(),
            description: None,
            spec_path: Path::new("s.toml").to_owned(),
            spec_text: String::new(),
            checkpoint_seconds: 30.0,
            searched: Vec::new(),
            runs: (1..=runs).map(planned).collect(),
            schedule: Schedule::default(),
            pruning: None,
            warnings: Vec::new(),
        },
        stages: Vec::new(),
    }
}

#[test]
fn finished_runs_are_not_done_again() {
    let scripted = ScriptedSweep::new("echo x >> $here/starts\ncat $events");
    let first = scripted.sweep(3, FailedRuns::Keep, &Interrupt::default());
    assert!(
        first
            .runs
            .iter()
            .all(|(_, _, outcome)| *outcome == Outcome::Finished),
        "{first:?}"
    );
    let again = scripted.sweep(4, FailedRuns::Keep, &Interrupt::default());
    let outcomes: Vec<_> = again
        .runs
        .into_iter()
        .map(|(_, _, outcome)| outcome)
        .collect();
    assert_eq!(
        outcomes[..3],
        [
            Outcome::FinishedBefore,
            Outcome::FinishedBefore,
            Outcome::FinishedBefore
        ]
    );
    assert_eq!(outcomes[3], Outcome::Finished);
    assert_eq!(scripted.starts(), 4);
}

#[test]
fn a_worker_gets_its_request_its_threads_and_an_open_input() {
    let script = r#"
        [ "$1" = run ] && grep -q '"seed": 1' "$2" || exit 9
        [ "$OMP_NUM_THREADS $MKL_NUM_THREADS $OMP_WAIT_POLICY" = "1 1 passive" ] || exit 8
        timeout 0.2 cat; [ $? = 124 ] || exit 7
        cat $events"#;
    assert_eq!(ScriptedSweep::new(script).outcome(), Outcome::Finished);
}

#[test]
fn a_crash_is_a_failure_with_its_signal_and_last_words() {
    let scripted = ScriptedSweep::new(
        "head -n 1 $events; echo 'corrupted size vs. prev_size' >&2; kill -SEGV $$",
    );
    let failure = scripted.failure();
    let filters = vec![
        (r"/\S+/genair-artefacts/[0-9a-f]{16}/", "[run]/"),
        (r"log\.\S+-\d+-\d+\.txt", "log.[attempt].txt"),
    ];
    insta::with_settings!({filters => filters}, {
        insta::assert_json_snapshot!(failure, @r#"
        {
          "kind": "worker-died",
          "phase": "training",
          "message": "the worker was ended by SIGSEGV without a result; it last said:\ncorrupted size vs. prev_size",
          "hint": "its log is [run]/log.[attempt].txt"
        }
        "#);
    });
    assert_eq!(scripted.state(), RunState::Failed);
}

#[test]
fn a_killed_worker_may_have_run_out_of_memory() {
    let failure = ScriptedSweep::new("kill -KILL $$").failure();
    insta::assert_json_snapshot!(failure, @r#"
    {
      "kind": "worker-died",
      "phase": "starting",
      "message": "the worker was ended by SIGKILL without a result; it said nothing",
      "hint": "if nobody killed it, memory ran out: lower `train.batch_size` or run fewer at once (`-j`)"
    }
    "#);
}

#[test]
fn ending_without_a_word_is_a_failure() {
    let failure = ScriptedSweep::new("exit 3").failure();
    assert_eq!(
        failure.message,
        "the worker ended with exit code 3 without a result; it said nothing"
    );
}

/// srun says by its exit code that a signal ended the worker, and its own memory is not the worker's.
#[test]
fn a_launcher_starts_each_worker_and_its_exit_code_may_be_a_signal() {
    let scripted = ScriptedSweep::new("echo \"$LAUNCHED\" >> $here/starts\ncat $events");
    let launched = |script: &str| {
        let mut plan = plan(1);
        let words = ["sh", "-c", script, "launcher"];
        plan.sweep.schedule.launcher = words.map(str::to_owned).to_vec();
        plan.sweep.schedule.memory_limit = Some(1);
        scripted.execute(&plan, &Interrupt::default(), |_| {})
    };
    let report = launched("exit 137");
    let Outcome::Failed(failure) = &report.runs[0].2 else {
        panic!("{report:?}")
    };
    assert_eq!(failure.kind, FailureKind::WorkerDied);
    assert!(
        failure.message.contains("was ended by SIGKILL"),
        "{failure:?}"
    );
    let report = scripted.execute(&plan(1), &Interrupt::default(), |_| {});
    assert!(matches!(report.runs[0].2, Outcome::FailedBefore(_)));
    let mut plan = plan(1);
    let words = ["sh", "-c", "LAUNCHED=yes exec \"$@\"", "launcher"];
    plan.sweep.schedule.launcher = words.map(str::to_owned).to_vec();
    let report = scripted.execute(&plan, &Interrupt::default(), |how| {
        how.failed = FailedRuns::Retry;
    });
    assert_eq!(report.runs[0].2, Outcome::Finished, "{report:?}");
    let starts = std::fs::read_to_string(scripted.folder.path().join("starts")).unwrap();
    assert_eq!(starts, "yes\n");
}

#[test]
fn output_that_is_no_event_ends_the_worker() {
    let begin = Instant::now();
    let failure = ScriptedSweep::new("echo hello world; exec sleep 600").failure();
    insta::assert_json_snapshot!(failure, @r#"
    {
      "kind": "internal",
      "phase": "starting",
      "message": "the worker's output is no event: \"hello world\" (expected value at line 1 column 1)",
      "hint": null
    }
    "#);
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn bytes_that_are_no_text_end_the_worker() {
    let failure = ScriptedSweep::new(r"printf '\377\376\n'; exec sleep 600").failure();
    assert!(failure.message.contains("valid UTF-8"), "{failure:?}");
}

#[test]
fn results_without_numbers_are_none() {
    let failure = ScriptedSweep::new("head -n 1 $events; tail -n 1 $events").failure();
    assert!(
        failure.message.contains("without a single result"),
        "{failure:?}"
    );
}

#[test]
fn a_trainer_that_is_gone_fails_the_run() {
    let scripted = ScriptedSweep::new("");
    std::fs::remove_file(scripted.trainer.path()).unwrap();
    let failure = scripted.failure();
    assert!(failure.message.starts_with("cannot start "), "{failure:?}");
}

#[test]
fn failed_runs_are_tried_again_only_on_request() {
    let failed = r#"{"event":"failed","kind":"non-finite","phase":"training","message":"loss became NaN","hint":null}"#;
    let scripted = ScriptedSweep::new(&format!("echo x >> $here/starts\necho '{failed}'\nexit 1"));
    assert_eq!(scripted.failure().message, "loss became NaN");
    let again = scripted.outcome();
    assert!(
        matches!(&again, Outcome::FailedBefore(failure) if failure.message == "loss became NaN"),
        "{again:?}"
    );
    let retried = scripted.sweep(1, FailedRuns::Retry, &Interrupt::default());
    assert!(matches!(retried.runs[0].2, Outcome::Failed(_)));
    assert_eq!(retried.failed().count(), 1);
    assert_eq!(scripted.starts(), 2);
}

/// Sweeps three runs, two at once, asks to stop `times` times once both are at work, and says how
/// long it took from then on.
fn interrupted(scripted: &ScriptedSweep, times: usize) -> (SweepReport, Duration) {
    let interrupt = Interrupt::default();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            while scripted.starts() < 2 {
                std::thread::sleep(Duration::from_millis(10));
            }
            (0..times).for_each(|_| interrupt.request());
            Instant::now()
        });
        let report = scripted.sweep(3, FailedRuns::Keep, &interrupt);
        (report, asked.join().unwrap().elapsed())
    })
}

#[test]
fn a_stop_ends_workers_by_closing_their_input() {
    let scripted = ScriptedSweep::new(
        "echo x >> $here/starts\nhead -n 1 $events\ncat > /dev/null\necho ended >> $here/ended",
    );
    let (report, took) = interrupted(&scripted, 1);
    assert_eq!((report.left(), report.interrupted), (3, true));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(
        std::fs::read_to_string(scripted.folder.path().join("ended"))
            .unwrap()
            .lines()
            .count(),
        2
    );
    assert_eq!(scripted.state(), RunState::Pending);
    let mut store = Store::open_read_only(scripted.database()).unwrap();
    assert_eq!(store.query("SELECT * FROM owners").unwrap().rows.len(), 0);
}

/// What is left when a sweep is stopped is neither what another process has done meanwhile nor what failed before.
#[test]
fn what_is_done_elsewhere_is_not_left() {
    let scripted = ScriptedSweep::new("echo x >> $here/starts\nhead -n 1 $events\ncat > /dev/null");
    let interrupt = Interrupt::default();
    let elsewhere = || {
        while scripted.starts() < 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let owner = Owner::this_process(CodeRevision {
            revision: "unknown".to_owned(),
            dirty: false,
            diff: None,
        });
        let mut store = Store::open(scripted.database()).unwrap();
        let failed = RunEvent::Failed(RunFailure {
            kind: FailureKind::NonFinite,
            phase: RunPhase::Training,
            message: "loss became NaN".to_owned(),
            hint: None,
        });
        for (run, events) in [(RunId(3), good_run()), (RunId(4), vec![failed])] {
            store.claim(run, &owner, FailedRuns::Keep).unwrap();
            for event in events {
                store.record(run, &owner, &event).unwrap();
            }
        }
        interrupt.request();
    };
    let report = std::thread::scope(|scope| {
        scope.spawn(elsewhere);
        scripted.sweep(5, FailedRuns::Keep, &interrupt)
    });
    assert_eq!((report.left(), report.failed().count()), (3, 1));
    assert_eq!(report.runs[2].2, Outcome::FinishedBefore);
}

#[test]
fn what_a_stopped_worker_complains_about_is_no_failure() {
    let failed = r#"{"event":"failed","kind":"internal","phase":"training","message":"torn down","hint":null}"#;
    let scripted = ScriptedSweep::new(&format!(
        "echo x >> $here/starts\ncat > /dev/null\necho '{failed}'\nkill -SEGV $$"
    ));
    let (report, _) = interrupted(&scripted, 1);
    assert_eq!((report.left(), report.failed().count()), (3, 0));
    assert_eq!(scripted.state(), RunState::Pending);
}

#[test]
fn a_second_stop_kills_workers_that_do_not_listen() {
    let scripted =
        ScriptedSweep::new("trap '' TERM INT\necho x >> $here/starts\nwhile :; do sleep 1; done");
    let (report, took) = interrupted(&scripted, 2);
    assert_eq!(report.left(), 3);
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(scripted.state(), RunState::Pending);
}
