//! The real worker: a run and its parts again, from the weights or from where it was killed.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod attempts;
mod evaluation;
mod resume;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use genair_calibration::Associations;
use genair_data::{ItemVectors, PartVectors};
use genair_protocol::{AssociationSpec, RunEvent};
use genair_trainer::harness::built_plugin_file;
use serde_json::{Value, json};
use tempfile::TempDir;

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
        groups: None,
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

/// A worker, and where its request is.
struct Worker {
    process: Child,
    _request: TempDir,
}

/// A worker at `request`, its standard input open and its output piped; `checkpoint` makes it evaluate
/// instead of train.
fn start(request: &Value, checkpoint: Option<&Path>) -> Worker {
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
        .stderr(Stdio::null());
    Worker {
        process: worker.spawn().unwrap(),
        _request: folder,
    }
}

/// A worker's events, until `enough` of one or its end; then it is killed, if it lives.
fn listen(mut worker: Worker, enough: impl Fn(&RunEvent) -> bool) -> Vec<RunEvent> {
    let mut events = Vec::new();
    for line in BufReader::new(worker.process.stdout.take().unwrap()).lines() {
        // A killed worker may end in the middle of a line.
        let Ok(event) = serde_json::from_str(&line.unwrap()) else {
            break;
        };
        let last = enough(&event);
        events.push(event);
        if last {
            break;
        }
    }
    worker.process.kill().unwrap();
    worker.process.wait().unwrap();
    events
}

/// A worker's events to its end.
fn work(request: &Value, checkpoint: Option<&Path>) -> Vec<RunEvent> {
    listen(start(request, checkpoint), |_| false)
}
