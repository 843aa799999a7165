//! A run by the real worker, and the same run again from its checkpoint instead of training.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;
use std::process::{Command, Stdio};

use genair_calibration::Associations;
use genair_data::{ItemVectors, PartVectors};
use genair_protocol::{AssociationSpec, FailureKind, RunEvent, RunFailure};
use genair_trainer::harness::built_plugin_file;
use serde_json::{Value, json};

/// A small run's request.
fn request(folder: &Path, hidden_size: usize) -> Value {
    json!({
        "run": {
            "dataset_name": "tiny",
            "dataset": {"kind": "synthetic", "users": 30, "catalogue": 40, "max_len": 10},
            "backbone": {"name": "sasrec", "params": {"hidden_size": hidden_size}},
            "representation": {"name": "id", "kind": "id"},
            "train": {"device": "cpu", "stop": {"max_epochs": 3}},
            "seed": 5,
        },
        "plugin": built_plugin_file("sasrec"),
        "plugin_sha256": null,
        "artefacts": folder,
    })
}

/// A small run of GenAIR: vectors in a file, associations in another, both in `folder`.
fn genair_request(folder: &Path) -> Value {
    let mut request = request(folder, 8);
    let spec = serde_json::from_value(request["run"]["dataset"].clone()).unwrap();
    let dataset = genair_data::load(&spec).unwrap();
    let items: Vec<String> = dataset
        .items()
        .map(|item| dataset.raw_item(item).to_owned())
        .collect();
    let part = |name: &str, width: usize| PartVectors {
        name: name.to_owned(),
        width,
        values: (0..items.len() * width)
            .map(|n| (n as f32 * 0.37).sin())
            .collect(),
    };
    let vectors = ItemVectors {
        parts: vec![part("context", 3), part("archetype", 2)],
        items,
        provenance: serde_json::Map::new(),
    };
    let path = folder.join("vectors.safetensors");
    let sha256 = vectors.write(&path).unwrap();
    request["vectors"] = json!({"path": path, "sha256": sha256});
    let counted = AssociationSpec::default();
    let path = folder.join("associations.safetensors");
    let associations = Associations::count(&dataset, &counted);
    let sha256 = associations.write(&path, &dataset, &counted).unwrap();
    request["associations"] = json!({"path": path, "sha256": sha256});
    request["run"]["representation"] = json!({
        "name": "genair", "kind": "archetype",
        "frozen": {"source": {"file": {"recipe_sha256": "0"}}, "part": "both"},
        "calibration": {"alpha": 0.1},
    });
    request
}

/// The worker's events; `checkpoint` makes it evaluate instead of train.
fn work(request: &Value, checkpoint: Option<&Path>) -> Vec<RunEvent> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    std::fs::write(&file, request.to_string()).unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_genair-trainer"));
    match checkpoint {
        None => worker.arg("run").arg(file),
        Some(checkpoint) => worker
            .arg("evaluate")
            .arg(file)
            .arg("--checkpoint")
            .arg(checkpoint),
    };
    worker
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut worker = worker.spawn().unwrap();
    // Held until the end: a worker whose standard input is closed stops.
    let stdin = worker.stdin.take();
    let output = worker.wait_with_output().unwrap();
    drop(stdin);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

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
                | RunEvent::Metrics { .. }
                | RunEvent::Ranks { .. }
                | RunEvent::Diagnostics { epoch: None, .. }
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
        assert_eq!(files(), before + 1);
        let evaluated = work(&request, Some(&folder.path().join("best.safetensors")));
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
