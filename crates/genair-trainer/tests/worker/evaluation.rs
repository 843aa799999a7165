//! The same run again from its checkpoint instead of training.

use std::path::Path;

use genair_protocol::{FailureKind, RunEvent, RunFailure};
use serde_json::{Value, json};

use crate::{genair_request, request, work};

/// The failure that is all a worker says.
fn refusal(request: &Value, checkpoint: Option<&Path>) -> RunFailure {
    match work(request, checkpoint).as_slice() {
        [RunEvent::Failed(failure)] => failure.clone(),
        events => panic!("{events:?}"),
    }
}

/// What a run finds, whether it trains or not.
fn results(events: &[RunEvent]) -> Vec<RunEvent> {
    let is_result = |event: &&RunEvent| {
        matches!(
            event,
            RunEvent::Started { .. }
                | RunEvent::Ids { .. }
                | RunEvent::Metrics { .. }
                | RunEvent::Ranks { .. }
                | RunEvent::Diagnostics { epoch: None, .. }
                | RunEvent::ItemSpace { epoch: None, .. }
        )
    };
    events.iter().filter(is_result).cloned().collect()
}

#[test]
fn a_checkpoint_gives_the_events_of_its_run_without_training() {
    for of in [|folder: &Path| request(folder, 8), genair_request] {
        let folder = tempfile::tempdir().unwrap();
        let request = of(folder.path());
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        let before = files();
        let trained = work(&request, None);
        // The weights, the attempt's name and its events.
        assert_eq!(files(), before + 3);
        let evaluated = work(&request, Some(&folder.path().join("best.safetensors")));
        assert_eq!(files(), before + 3);
        assert_eq!(results(&evaluated), results(&trained));
        assert_eq!(results(&evaluated).len() + 1, evaluated.len());
        let Some(RunEvent::Finished(totals)) = evaluated.last() else {
            panic!("{evaluated:?}")
        };
        assert_eq!((totals.epochs, totals.best_epoch), (0, 0));
    }
}

#[test]
fn a_calibrated_run_says_its_term_and_the_shape_of_its_item_space() {
    let folder = tempfile::tempdir().unwrap();
    let events = work(&genair_request(folder.path()), None);
    let terms: Vec<Option<f64>> = events
        .iter()
        .filter_map(|event| match event {
            RunEvent::Epoch { calibration, .. } => Some(*calibration),
            _ => None,
        })
        .collect();
    assert_eq!(terms.len(), 3);
    assert!(
        terms
            .iter()
            .flatten()
            .all(|term| (-4.0..0.0).contains(term))
    );
    // It is minimised, and weighs enough here to fall.
    assert!(terms[2] < terms[0], "{terms:?}");
    let diagnostics: Vec<(Option<usize>, Vec<&str>)> = events
        .iter()
        .filter_map(|event| match event {
            RunEvent::Diagnostics { epoch, rows } => {
                Some((*epoch, rows.iter().map(|row| row.name.as_str()).collect()))
            }
            _ => None,
        })
        .collect();
    let names = [
        "norm",
        "uniformity",
        "alignment",
        "association_pearson",
        "association_spearman",
    ];
    assert_eq!(
        diagnostics,
        [(Some(0), names.to_vec()), (None, names.to_vec())]
    );
}

#[test]
fn inputs_that_are_missing_or_changed_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let right = genair_request(folder.path());
    for (key, what) in [
        ("vectors", "item vectors"),
        ("associations", "association scores"),
    ] {
        let mut missing = right.clone();
        missing[key] = Value::Null;
        let mut changed = right.clone();
        changed[key]["sha256"] = "0".repeat(64).into();
        for (request, why) in [
            (missing, "the request names none"),
            (changed, "has changed"),
        ] {
            let failure = refusal(&request, None);
            assert_eq!(failure.kind, FailureKind::InvalidData);
            assert!(failure.message.contains(what), "{failure:?}");
            assert!(failure.message.contains(why), "{failure:?}");
        }
    }

    let mut other = right.clone();
    other["run"]["dataset"]["users"] = 31.into();
    let failure = refusal(&other, None);
    assert_eq!(failure.kind, FailureKind::InvalidData);
    assert!(
        failure.message.contains("counted on sequences"),
        "{failure:?}"
    );
}

#[test]
fn a_checkpoint_of_other_item_vectors_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let request = genair_request(folder.path());
    work(&request, None);
    let mut other = request;
    other["run"]["representation"]["frozen"]["source"] = json!({"gaussian": {"width": 5}});
    let failure = refusal(&other, Some(&folder.path().join("best.safetensors")));
    assert!(
        failure
            .message
            .contains("it was trained on frozen item vectors"),
        "{failure:?}"
    );
}

#[test]
fn what_is_not_the_models_checkpoint_is_refused_before_anything_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let right = request(folder.path(), 8);
    work(&right, None);
    let file = folder.path().join("best.safetensors");

    let failure = refusal(&request(folder.path(), 16), Some(&file));
    let expected = "[10, 8] does not fit the model's `backbone.positions` [10, 16]";
    assert!(failure.message.contains(expected), "{failure:?}");

    let failure = refusal(&right, Some(&folder.path().join("missing.safetensors")));
    assert!(
        failure.message.contains("missing.safetensors"),
        "{failure:?}"
    );

    let mut popularity = right;
    popularity["plugin"] = Value::Null;
    popularity["run"]["backbone"] = json!({"name": "popularity"});
    let failure = refusal(&popularity, Some(&file));
    assert!(
        failure
            .message
            .contains("no model to load a checkpoint into"),
        "{failure:?}"
    );
}
