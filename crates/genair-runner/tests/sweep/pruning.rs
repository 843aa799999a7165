//! Runs that are stopped early, judged by what their workers say while they train.

use std::collections::BTreeMap;

use genair_spec::{Pruning, Rule};
use genair_store::{CodeRevision, Owner, PruneDecision, RunId, RunState};

use super::*;

/// Trains six epochs, each validated: at .81, .82, ... for variant 1, .71, .72, ... for variant 2, and so on.
const TRAINS: &str = r#"
    n=$(sed -n 's/.*"batch_size": \([0-9]*\).*/\1/p' "$2")
    head -n 1 $events
    for epoch in 1 2 3 4 5 6; do
        echo '{"event":"epoch","epoch":'$epoch',"max_epochs":6,"loss":1.0,"train_seconds":0.1,"valid":0.'$((9 - n))$epoch',"best":true}'
        echo "$n $epoch" >> $here/told
        sleep 0.1
    done
    tail -n 3 $events"#;

/// Runs of one seed that differ in their batch size, one after another.
fn variants(datasets: &[&str], each: usize, rule: Rule) -> Plan {
    let mut plan = plan((datasets.len() * each) as u64);
    for (at, run) in plan.sweep.runs.iter_mut().enumerate() {
        run.labels.dataset = datasets[at / each].to_owned();
        run.spec.dataset_name = run.labels.dataset.clone();
        run.spec.train.batch_size = at + 1;
        run.labels.axes = [("batch_size", (at + 1).to_string())].into_iter().collect();
        (run.spec.seed, run.labels.seed) = (1, 1);
        run.identity = identity(&run.spec, "d", None);
        run.configuration = configuration(&run.spec, "d", None);
    }
    plan.sweep.pruning = Some(Pruning {
        rule,
        grace: 2,
        grace_of: BTreeMap::new(),
        across: Vec::new(),
    });
    plan
}

const ASHA: Rule = Rule::Asha { reduction: 3 };

fn outcomes(report: SweepReport) -> Vec<Outcome> {
    let outcomes = report.runs.into_iter();
    outcomes.map(|(_, _, outcome)| outcome).collect()
}

fn sweep_one_by_one(scripted: &ScriptedSweep, plan: &Plan) -> Vec<Outcome> {
    outcomes(scripted.execute(plan, &Interrupt::default(), |how| how.jobs = 1))
}

/// How the workers of runs came one after another, by variant.
fn starts(scripted: &ScriptedSweep) -> Vec<String> {
    let told = std::fs::read_to_string(scripted.folder.path().join("told")).unwrap();
    let begins = told.lines().filter_map(|line| line.strip_suffix(" 1"));
    begins.map(str::to_owned).collect()
}

/// Hydra #1954: every job of a sweep ran to its end, however hopeless.
/// RecBole #1819: ASHA was wired, but metrics came only at the end of each run.
#[test]
fn hydra_1954_recbole_1819_hopeless_runs_are_stopped_while_they_train() {
    let scripted = ScriptedSweep::new(TRAINS);
    let plan = variants(&["made"], 3, ASHA);
    let pruned = Outcome::Pruned { epoch: 2 };
    let expected = [Outcome::Finished, pruned.clone(), pruned];
    assert_eq!(sweep_one_by_one(&scripted, &plan), expected);
    assert_eq!(
        starts(&scripted),
        ["1", "2", "3", "1"],
        "the best third goes on as soon as it is known"
    );
    let told = std::fs::read_to_string(scripted.folder.path().join("told")).unwrap();
    assert!(
        told.contains("1 6") && !told.contains("2 6"),
        "its worker was ended: {told}"
    );
    insta::assert_snapshot!(
        scripted.lines("SELECT concat_ws(' ', run_id, rule, rung, epoch, value, coalesce(threshold, '-'), compared, pruned, continued)
            FROM prune_decisions ORDER BY run_id, rung"),
        @r"
    1 asha 0 2 0.82 - 0 1 promoted
    2 asha 0 2 0.72 - 1 1
    3 asha 0 2 0.62 0.82 2 1
    "
    );
    assert_eq!(
        scripted.lines("SELECT state || ' ' || pruned_at_epoch || ' ' || (SELECT count(*) FROM epochs WHERE epochs.run_id = runs.run_id) FROM runs WHERE state = 'pruned'"),
        "pruned 2 2\npruned 2 2",
        "its epochs stay, and none after the judgement"
    );

    // They are left alone, until they are asked to go on.
    let before = [
        Outcome::FinishedBefore,
        Outcome::PrunedBefore,
        Outcome::PrunedBefore,
    ];
    assert_eq!(sweep_one_by_one(&scripted, &plan), before);
    let report = scripted.execute(&plan, &Interrupt::default(), |how| {
        how.continue_pruned = true
    });
    let expected = [
        Outcome::FinishedBefore,
        Outcome::Finished,
        Outcome::Finished,
    ];
    assert_eq!(outcomes(report), expected);
    assert_eq!(
        scripted.lines("SELECT group_concat(continued, ' ') FROM prune_decisions"),
        "promoted asked asked"
    );
}

#[test]
fn a_run_goes_on_rung_by_rung_before_new_ones_begin() {
    let scripted = ScriptedSweep::new(TRAINS);
    let plan = variants(&["made"], 4, Rule::Asha { reduction: 2 });
    let pruned = |epoch| Outcome::Pruned { epoch };
    let expected = [Outcome::Finished, pruned(4), pruned(2), pruned(2)];
    assert_eq!(sweep_one_by_one(&scripted, &plan), expected);
    assert_eq!(starts(&scripted), ["1", "2", "1", "3", "4", "2", "1"]);
    assert_eq!(
        scripted.lines("SELECT attempts || '' FROM runs ORDER BY run_id"),
        "3\n2\n1\n1"
    );
}

#[test]
fn several_workers_come_to_the_same_rungs() {
    let scripted = ScriptedSweep::new(TRAINS);
    let plan = variants(&["made"], 6, ASHA);
    let report = scripted.execute(&plan, &Interrupt::default(), |how| how.jobs = 3);
    let outcomes = outcomes(report);
    let finished = outcomes.iter().filter(|own| **own == Outcome::Finished);
    assert!(finished.count() >= 2, "two of six: {outcomes:?}");
    assert_eq!(outcomes[0], Outcome::Finished, "the best is one of them");
    let waiting = "SELECT count(*) || '' FROM runs WHERE state NOT IN ('finished', 'pruned')";
    assert_eq!(scripted.lines(waiting), "0");
}

/// A sweep that was killed after it had judged a run and before it stopped it, and one killed before the
/// run that was to go on did.
#[test]
fn judgements_hold_for_who_comes_after_a_kill() {
    let scripted = ScriptedSweep::new(TRAINS);
    let plan = variants(&["made"], 3, ASHA);
    let stopped = Interrupt::default();
    stopped.request();
    scripted.execute(&plan, &stopped, |_| {});
    let owner = Owner::this_process(CodeRevision {
        revision: "4b825dc".to_owned(),
        dirty: false,
        diff: None,
    });
    let mut store = Store::open(scripted.database()).unwrap();
    for (run, value, threshold) in [(1, 0.82, None), (2, 0.72, None), (3, 0.62, Some(0.82))] {
        let run = RunId(run);
        let decision = PruneDecision {
            rule: "asha".to_owned(),
            rung: 0,
            epoch: 2,
            value,
            threshold,
            compared: 2,
            pruned: true,
            continued: None,
        };
        store.claim(run, &owner, FailedRuns::Keep).unwrap();
        store.record_prune_decision(run, &owner, &decision).unwrap();
        match threshold {
            None => store.prune(run, &owner, 2).unwrap(),
            Some(_) => store.release(run, &owner).unwrap(),
        }
    }
    drop(store);
    let expected = [
        Outcome::Finished,
        Outcome::PrunedBefore,
        Outcome::Pruned { epoch: 2 },
    ];
    assert_eq!(sweep_one_by_one(&scripted, &plan), expected);
    assert_eq!(starts(&scripted), ["1", "3"]);
}

#[test]
fn datasets_are_never_compared() {
    let scripted = ScriptedSweep::new(TRAINS);
    let outcomes = sweep_one_by_one(&scripted, &variants(&["one", "other"], 2, ASHA));
    let pruned = Outcome::Pruned { epoch: 2 };
    let expected = [Outcome::Finished, pruned.clone(), Outcome::Finished, pruned];
    assert_eq!(
        outcomes, expected,
        "a third of two is none, so the best of each goes on at the end"
    );
}

#[test]
fn the_median_rule_stops_what_is_worse_than_most() {
    let scripted = ScriptedSweep::new(TRAINS);
    let plan = variants(&["made"], 4, Rule::Median { min_runs: 2 });
    let outcomes = sweep_one_by_one(&scripted, &plan);
    assert_eq!(outcomes[..2], [Outcome::Finished, Outcome::Finished]);
    assert_eq!(
        outcomes[2..],
        [Outcome::Pruned { epoch: 2 }, Outcome::Pruned { epoch: 2 }]
    );
    let mut store = Store::open_read_only(scripted.database()).unwrap();
    let identities: Vec<String> = plan
        .sweep
        .runs
        .iter()
        .map(|run| run.identity.clone())
        .collect();
    let states = store.run_states(&identities).unwrap();
    assert_eq!(states[3], Some(RunState::Pruned));
}

/// Each seed has another best configuration: the first, and the last.
#[test]
fn the_best_configuration_of_a_search_gets_all_seeds() {
    let by_seed = r#"
    seed=$(sed -n 's/.*"seed": \([0-9]*\).*/\1/p' "$2" | tail -n 1)
    [ "$seed" = 2 ] && n=$((4 - n))
    head -n 1 $events"#;
    let scripted = ScriptedSweep::new(&TRAINS.replacen("\n    head -n 1 $events", by_seed, 1));
    let mut plan = variants(&["made"], 6, ASHA);
    plan.sweep.runs[3..].iter_mut().for_each(|run| {
        run.spec.train.batch_size -= 3;
        let batch_size = run.spec.train.batch_size.to_string();
        run.labels.axes = [("batch_size", batch_size)].into_iter().collect();
        run.labels.dataset = "made".to_owned();
        (run.spec.seed, run.labels.seed) = (2, 2);
        run.identity = identity(&run.spec, "d", None);
        run.configuration = configuration(&run.spec, "d", None);
    });
    let (finished, pruned) = (Outcome::Finished, Outcome::Pruned { epoch: 2 });
    let alone = [&finished, &pruned, &pruned, &pruned, &pruned, &finished].map(Clone::clone);
    assert_eq!(sweep_one_by_one(&scripted, &plan), alone);

    plan.sweep.searched = vec!["batch_size".to_owned()];
    let report = scripted.execute(&plan, &Interrupt::default(), |how| how.jobs = 1);
    assert_eq!(
        outcomes(report)[3],
        Outcome::Finished,
        "of equal ones the first"
    );
    let sql = "SELECT run_id || ' ' || continued FROM prune_decisions WHERE continued IS NOT NULL ORDER BY run_id";
    assert_eq!(scripted.lines(sql), "1 promoted\n4 best");
    let states = "SELECT group_concat(state, ' ') FROM (SELECT state FROM runs ORDER BY run_id)";
    let expected = "finished pruned pruned finished pruned finished";
    assert_eq!(scripted.lines(states), expected);
    scripted.execute(&plan, &Interrupt::default(), |how| how.jobs = 1);
    assert_eq!(scripted.lines(states), expected, "one is enough");
    let searched = "SELECT searched FROM sweeps";
    assert_eq!(scripted.lines(searched), r#"["batch_size"]"#);
}
