//! A run by the real worker, and the same run again from its checkpoint instead of training.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use genair_protocol::{RunEvent, RunFailure};
use serde_json::{Value, json};

fn plugin(name: &str) -> PathBuf {
    let file = format!(
        "libgenair_backbone_{name}.{}",
        std::env::consts::DLL_EXTENSION
    );
    let tests = std::env::current_exe().unwrap();
    let built = tests
        .ancestors()
        .map(|folder| folder.join(&file))
        .find(|path| path.exists());
    built.unwrap_or_else(|| panic!("{file} is not built: run `just build` first"))
}

/// Writes the request of a small run.
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
        "plugin": plugin("sasrec"),
        "plugin_sha256": null,
        "artefacts": folder,
    })
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
fn refusal(request: &Value, checkpoint: &Path) -> RunFailure {
    match work(request, Some(checkpoint)).as_slice() {
        [RunEvent::Failed(failure)] => failure.clone(),
        events => panic!("{events:?}"),
    }
}

#[test]
fn a_checkpoint_gives_the_events_of_its_run_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let request = request(folder.path(), 8);
    let trained = work(&request, None);
    let evaluated = work(&request, Some(&folder.path().join("best.safetensors")));

    let results = |events: &[RunEvent]| -> Vec<RunEvent> {
        let is_result = |event: &&RunEvent| {
            matches!(
                event,
                RunEvent::Started { .. } | RunEvent::Metrics { .. } | RunEvent::Ranks { .. }
            )
        };
        events.iter().filter(is_result).cloned().collect()
    };
    assert_eq!(results(&evaluated), results(&trained));
    assert_eq!(results(&evaluated).len() + 1, evaluated.len());
    let Some(RunEvent::Finished(totals)) = evaluated.last() else {
        panic!("{evaluated:?}")
    };
    assert_eq!((totals.epochs, totals.best_epoch), (0, 0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_not_the_models_checkpoint_is_refused_before_anything_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let right = request(folder.path(), 8);
    work(&right, None);
    let file = folder.path().join("best.safetensors");

    let failure = refusal(&request(folder.path(), 16), &file);
    let expected = "[10, 8] does not fit the model's `backbone.positions` [10, 16]";
    assert!(failure.message.contains(expected), "{failure:?}");

    let failure = refusal(&right, &folder.path().join("missing.safetensors"));
    assert!(
        failure.message.contains("missing.safetensors"),
        "{failure:?}"
    );

    let mut popularity = right;
    popularity["plugin"] = Value::Null;
    popularity["run"]["backbone"] = json!({"name": "popularity"});
    let failure = refusal(&popularity, &file);
    assert!(
        failure
            .message
            .contains("no model to load a checkpoint into"),
        "{failure:?}"
    );
}
