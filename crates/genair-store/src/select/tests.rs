use genair_protocol::Labels;

use super::*;
use crate::{RunId, RunState};

/// A finished run by its searched value, its seed and its validation; a run without validation is pruned.
fn run(lr: &str, seed: u64, valid: Option<f64>) -> SweptRun {
    SweptRun {
        run_id: RunId(1),
        state: match valid {
            Some(_) => RunState::Finished,
            None => RunState::Pruned,
        },
        sweep: "s".to_owned(),
        labels: Labels {
            dataset: "d".to_owned(),
            backbone: "b".to_owned(),
            representation: "id".to_owned(),
            axes: [("lr", lr), ("loss", "bce")].into_iter().collect(),
            seed,
        },
        configuration: format!("c{lr}"),
        differences: None,
        stop_metric: Some("ndcg@10".to_owned()),
        valid,
        built_in: false,
        users: None,
        results_version: 1,
        sequences_sha256: valid.map(|_| "5e9".to_owned()),
        max_len: None,
        head_item: None,
        long_user: None,
        host: None,
        device: None,
        threads: None,
        parameters: None,
        epochs: None,
        train_seconds: None,
        cpu_seconds: None,
        peak_memory_bytes: None,
    }
}

fn selected(runs: &[SweptRun], select: Select) -> Selected {
    let searched = ["lr".to_owned()];
    choose(
        runs.iter()
            .map(|run| (run, Standpoint::of(run, select.kept(run, &searched)))),
    )
}

fn chosen(runs: &[SweptRun], select: Select) -> Vec<Choice> {
    selected(runs, select).choices
}

#[test]
fn the_best_mean_over_all_seeds_stands_for_the_others() {
    let runs = [
        run("1", 44, Some(0.2)),
        run("1", 45, Some(0.4)),
        run("2", 44, Some(0.3)),
        run("2", 45, Some(0.32)),
        run("3", 44, Some(0.9)),
        run("3", 45, None),
        run("4", 44, None),
        run("4", 45, None),
    ];
    let choices = chosen(&runs, Select::Auto);
    let [choice] = choices.as_slice() else {
        panic!("{choices:?}")
    };
    assert_eq!(choice.axes.get("lr"), Some("2"), "not the lucky one");
    assert_eq!(choice.of.axes.to_string(), "loss=bce");
    assert!((choice.valid.unwrap() - 0.31).abs() < 1e-12);
    assert_eq!((choice.configurations, choice.competed), (4, 2));
    assert_eq!((choice.left_out(), choice.lacking()), (3, 2));
    assert_eq!(choice.seeds, [44, 45]);
    let is_chosen = selected(&runs, Select::Auto).is_chosen;
    let expected = [false, false, true, true, false, false, false, false];
    assert_eq!(is_chosen, expected);
    assert_eq!(chosen(&runs, Select::Valid)[0].of.axes, Axes::default());
    assert_eq!(chosen(&runs, Select::None).len(), 3, "each is its own");
}

#[test]
fn what_labels_do_not_tell_apart_is_not_chosen_among() {
    let mut runs = [run("1", 44, Some(0.5)), run("1", 44, Some(0.9))];
    runs[1].configuration = "other".to_owned();
    let Selected { choices, is_chosen } = selected(&runs, Select::Auto);
    assert_eq!(is_chosen, [true, true]);
    assert_eq!((choices.len(), choices[0].hashes.len()), (1, 2));
}

#[test]
fn of_equal_ones_the_first_by_name_is_chosen_in_any_order() {
    let mut runs = [run("2", 44, Some(0.5)), run("1", 44, Some(0.5))];
    for _ in 0..2 {
        let choices = chosen(&runs, Select::Auto);
        assert_eq!(choices[0].axes.get("lr"), Some("1"));
        runs.reverse();
    }
}

#[test]
fn where_none_has_all_seeds_those_with_the_same_seeds_compete() {
    let runs = [
        run("1", 44, Some(0.9)),
        run("1", 45, None),
        run("2", 44, None),
        run("2", 45, Some(0.3)),
        run("3", 44, None),
        run("3", 45, Some(0.4)),
    ];
    let choices = chosen(&runs, Select::Auto);
    assert_eq!(choices[0].axes.get("lr"), Some("3"));
    assert_eq!(
        (&*choices[0].seeds, choices[0].planned_seeds),
        (&[45][..], 2)
    );
}

#[test]
fn values_of_other_sequences_or_metrics_do_not_compete() {
    let mut runs = [
        run("1", 44, Some(0.9)),
        run("2", 44, Some(0.3)),
        run("3", 44, Some(0.2)),
    ];
    runs[1].sequences_sha256 = Some("other".to_owned());
    runs[2].stop_metric = Some("hr@10".to_owned());
    assert_eq!(chosen(&runs, Select::Auto).len(), 3);
    assert_eq!("valid".parse(), Ok(Select::Valid));
    assert!("best".parse::<Select>().is_err());
}
