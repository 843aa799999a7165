//! Which run goes when, and what becomes of one that takes more than it may.

use super::*;

fn outcomes(report: &SweepReport) -> Vec<&Outcome> {
    report.runs.iter().map(|(_, _, outcome)| outcome).collect()
}

/// Number of the run in `$n`, which is its seed.
const NUMBER: &str = r#"n=$(sed -n 's/.*"seed": \([0-9]*\).*/\1/p' "$2" | tail -n 1)"#;

/// Hydra #3091: the next batch of runs did not start before the last run of the one before had ended.
#[test]
fn hydra_3091_a_slow_run_blocks_no_worker() {
    let scripted = ScriptedSweep::new(&format!(
        r#"{NUMBER}
        echo $n >> $here/starts
        # The first run does not end before all the others were started.
        for try in $(seq 200); do
            [ $n != 1 ] || [ $(wc -l < $here/starts) = 5 ] && exec cat $events
            sleep 0.05
        done
        exit 3"#
    ));
    let report = scripted.sweep(5, FailedRuns::Keep, &Interrupt::default());
    assert_eq!(outcomes(&report), [&Outcome::Finished; 5]);
}

#[test]
fn runs_go_by_their_priority() {
    let scripted = ScriptedSweep::new(&format!("{NUMBER}\necho $n >> $here/starts\ncat $events"));
    let mut plan = plan(4);
    for (run, priority) in plan.sweep.runs.iter_mut().zip([2, 0, 1, 0]) {
        run.priority = priority;
    }
    scripted.execute(&plan, &Interrupt::default(), |how| how.jobs = 1);
    let starts = std::fs::read_to_string(scripted.folder.path().join("starts")).unwrap();
    assert_eq!(starts, "2\n4\n3\n1\n");
}

#[test]
fn a_failure_stops_the_rest_only_if_asked_to() {
    let script = format!("{NUMBER}\n[ $n != 2 ] || exit 3\ncat $events");
    for (in_spec, on_request) in [(true, false), (false, true)] {
        let scripted = ScriptedSweep::new(&script);
        let mut plan = plan(4);
        plan.sweep.schedule.fail_fast = in_spec;
        let report = scripted.execute(&plan, &Interrupt::default(), |how| {
            how.fail_fast = on_request;
            how.jobs = 1;
        });
        let found = outcomes(&report);
        assert_eq!(found[0], &Outcome::Finished);
        assert!(matches!(found[1], Outcome::Failed(_)), "{found:?}");
        assert_eq!(found[2..], [&Outcome::Left; 2]);
        assert!(report.failed_fast && !report.interrupted);
        let went_on = scripted.sweep(4, FailedRuns::Keep, &Interrupt::default());
        assert_eq!(outcomes(&went_on)[2..], [&Outcome::Finished; 2]);
        assert!(!went_on.failed_fast);
    }
}

#[test]
fn a_worker_that_takes_too_long_is_ended() {
    let scripted = ScriptedSweep::new("head -n 1 $events\nexec sleep 600");
    let mut plan = plan(1);
    plan.sweep.schedule.time_limit = Some(Duration::from_millis(1500));
    let begin = Instant::now();
    let report = scripted.execute(&plan, &Interrupt::default(), |_| {});
    assert!(begin.elapsed() < Duration::from_secs(60));
    let Outcome::Failed(failure) = outcomes(&report)[0] else {
        panic!("{report:?}")
    };
    insta::assert_json_snapshot!(failure, @r#"
    {
      "kind": "time-limit",
      "phase": "training",
      "message": "the worker took longer than `schedule.time_limit`, 1s 500ms",
      "hint": "raise the limit, or lower `train.stop.max_epochs`"
    }
    "#);
}

#[test]
#[cfg(target_os = "linux")]
fn a_worker_that_takes_too_much_memory_is_ended() {
    let scripted =
        ScriptedSweep::new("x=$(head -c 50000000 /dev/zero | tr '\\0' a)\nsleep 600\necho $x");
    let mut plan = plan(1);
    plan.sweep.schedule.memory_limit = Some(20 << 20);
    let begin = Instant::now();
    let report = scripted.execute(&plan, &Interrupt::default(), |_| {});
    assert!(begin.elapsed() < Duration::from_secs(60));
    let Outcome::Failed(failure) = outcomes(&report)[0] else {
        panic!("{report:?}")
    };
    insta::with_settings!({filters => vec![(r"had \d+\.\d MiB", "had [size]")]}, {
        insta::assert_json_snapshot!(failure, @r#"
        {
          "kind": "memory-limit",
          "phase": "starting",
          "message": "the worker had [size] in memory; `schedule.memory_limit` is 20.0 MiB",
          "hint": "raise the limit, or lower `train.batch_size`"
        }
        "#);
    });
}

/// Optuna #566: a trial whose parameters cannot work was tried again and again.
#[test]
fn optuna_566_a_run_that_its_parameters_fail_is_not_tried_again() {
    let failed =
        r#"{"event":"failed","kind":"invalid-spec","phase":"building","message":"no","hint":null}"#;
    let scripted = ScriptedSweep::new(&format!("echo x >> $here/starts\necho '{failed}'\nexit 1"));
    for _ in 0..2 {
        scripted.sweep(1, FailedRuns::Keep, &Interrupt::default());
    }
    assert_eq!(scripted.starts(), 1);
}
