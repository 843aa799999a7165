//! Runs that are stopped early, judged by what their workers say while they train.

use std::collections::BTreeMap;

use genair_runner::{Pruning, Rule};
use genair_store::RunState;

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
    for (at, run) in plan.runs.iter_mut().enumerate() {
        run.labels.dataset = datasets[at / each].to_owned();
        run.spec.dataset_name = run.labels.dataset.clone();
        run.spec.train.batch_size = at + 1;
        run.labels.variant = format!("batch_size={}", at + 1);
        (run.spec.seed, run.labels.seed) = (1, 1);
        run.identity = identity(&run.spec, "d", None);
    }
    plan.pruning = Some(Pruning {
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

fn sweep_one_by_one(lab: &Lab, plan: &Plan) -> Vec<Outcome> {
    outcomes(lab.execute(plan, &Interrupt::default(), |how| how.jobs = 1))
}

/// Hydra #1954: every job of a sweep ran to its end, however hopeless.
/// RecBole #1819: ASHA was wired, but metrics came only at the end of each run.
#[test]
fn hydra_1954_recbole_1819_hopeless_runs_are_stopped_while_they_train() {
    let lab = Lab::new(TRAINS);
    let plan = variants(&["made"], 3, ASHA);
    let pruned = Outcome::Pruned { epoch: 2 };
    let expected = [Outcome::Finished, pruned.clone(), pruned];
    assert_eq!(sweep_one_by_one(&lab, &plan), expected);
    let told = std::fs::read_to_string(lab.folder.path().join("told")).unwrap();
    assert!(
        told.contains("1 6") && !told.contains("2 6"),
        "its worker was ended: {told}"
    );
    insta::assert_snapshot!(
        lab.lines("SELECT concat_ws(' ', run_id, rule, rung, epoch, value, coalesce(threshold, '-'), compared, pruned)
            FROM prune_decisions ORDER BY run_id, rung"),
        @r"
    1 asha 0 2 0.82 - 0 0
    2 asha 0 2 0.72 0.82 1 1
    3 asha 0 2 0.62 0.82 2 1
    "
    );
    assert_eq!(
        lab.lines("SELECT state || ' ' || pruned_at_epoch || ' ' || (SELECT count(*) FROM epochs WHERE epochs.run_id = runs.run_id) FROM runs WHERE state = 'pruned'"),
        "pruned 2 2\npruned 2 2",
        "its epochs stay, and none after the judgement"
    );

    // They are left alone, until they are asked to go on.
    let before = [
        Outcome::FinishedBefore,
        Outcome::PrunedBefore,
        Outcome::PrunedBefore,
    ];
    assert_eq!(sweep_one_by_one(&lab, &plan), before);
    let report = lab.execute(&plan, &Interrupt::default(), |how| {
        how.continue_pruned = true
    });
    let expected = [
        Outcome::FinishedBefore,
        Outcome::Finished,
        Outcome::Finished,
    ];
    assert_eq!(outcomes(report), expected);
    assert_eq!(
        lab.lines("SELECT count(*) || '' FROM prune_decisions"),
        "3",
        "as it was"
    );
}

#[test]
fn datasets_are_never_compared() {
    let lab = Lab::new(TRAINS);
    let outcomes = sweep_one_by_one(&lab, &variants(&["one", "other"], 2, ASHA));
    let pruned = Outcome::Pruned { epoch: 2 };
    let expected = [Outcome::Finished, pruned.clone(), Outcome::Finished, pruned];
    assert_eq!(outcomes, expected);
}

#[test]
fn the_median_rule_stops_what_is_worse_than_most() {
    let lab = Lab::new(TRAINS);
    let plan = variants(&["made"], 4, Rule::Median { min_runs: 2 });
    let outcomes = sweep_one_by_one(&lab, &plan);
    assert_eq!(outcomes[..2], [Outcome::Finished, Outcome::Finished]);
    assert_eq!(
        outcomes[2..],
        [Outcome::Pruned { epoch: 2 }, Outcome::Pruned { epoch: 2 }]
    );
    let mut store = Store::open_read_only(lab.database()).unwrap();
    let identities: Vec<String> = plan.runs.iter().map(|run| run.identity.clone()).collect();
    let states = store.run_states(&identities).unwrap();
    assert_eq!(states[3], Some(RunState::Pruned));
}
