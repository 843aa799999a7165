//! Workers that the system refuses a process or a thread: no failure of a run.

use genair_runner::SweepError;

use super::*;

/// What a worker does that is refused a thread: says so itself, or dies in a library.
const REFUSALS: [&str; 2] = [
    r#"echo '{"event":"failed","kind":"process-limit","phase":"starting","message":"no thread","hint":null}'"#,
    "echo 'libgomp: Thread creation failed: Resource temporarily unavailable' >&2; exit 1",
];

#[test]
fn a_refused_worker_is_started_again_and_no_failure_is_recorded() {
    for refusal in REFUSALS {
        // The first two, which are at once.
        let scripted = ScriptedSweep::new(&format!(
            "echo x >> $here/starts\n[ $(wc -l < $here/starts) -gt 2 ] && exec cat $events\n{refusal}"
        ));
        let report = scripted.sweep(3, FailedRuns::Keep, &Interrupt::default());
        let all = report.runs.iter();
        assert_eq!(
            all.filter(|(_, _, outcome)| *outcome == Outcome::Finished)
                .count(),
            3,
            "{report:?}"
        );
        assert_eq!(scripted.starts(), 5);
        let mut store = Store::open_read_only(scripted.database()).unwrap();
        let failures = store
            .query("SELECT 1 FROM runs WHERE failure_kind IS NOT NULL")
            .unwrap();
        assert_eq!(failures.rows.len(), 0);
    }
}

#[test]
fn where_no_worker_starts_the_sweep_says_so_and_leaves_its_runs_open() {
    for refusal in REFUSALS {
        let scripted = ScriptedSweep::new(&format!("echo x >> $here/starts\n{refusal}"));
        let store = Store::open(scripted.database()).unwrap();
        let installation = Installation::new(scripted.folder.path().join("cache"));
        let how = Execution {
            installation: &installation,
            trainer: &scripted.trainer,
            jobs: 2,
            failed: FailedRuns::Retry,
            continue_pruned: false,
            fail_fast: false,
            executor: ExecutorKind::Local,
            detach: false,
            second_thoughts: Duration::ZERO,
            observer: &(),
            interrupt: &Interrupt::default(),
        };
        let error = sweep(&plan(3), store, &how).unwrap_err();
        assert!(matches!(error, SweepError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("`ulimit -u`"), "{error}");
        assert_eq!(scripted.state(), RunState::Pending);
        assert!(scripted.starts() < 12, "it gives up: {}", scripted.starts());
    }
}
