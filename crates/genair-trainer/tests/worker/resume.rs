//! A run whose worker is killed goes on where it was, and ends as if nothing had happened.

use std::path::Path;
use std::time::{Duration, Instant};

use genair_protocol::{FailureKind, RESUME_FILE, RunEvent};
use genair_trainer::harness::built_plugin_file;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{genair_request, listen, request, start, work};

/// Bytes of the digest at the end of a checkpoint.
const DIGEST: usize = 32;

/// A request whose run keeps a resume checkpoint after every epoch.
fn resumable(mut request: Value, epochs: usize) -> Value {
    request["run"]["train"]["stop"] = json!({"max_epochs": epochs, "patience": 3, "eval_every": 2});
    request["resume"] = json!({"identity": "1d", "every_seconds": 0.0});
    request
}

fn of_backbone(folder: &Path, name: &str) -> Value {
    let mut request = request(folder, 8);
    request["run"]["backbone"] = json!({"name": name, "params": {"hidden_size": 8}});
    request["plugin"] = json!(built_plugin_file(name));
    request
}

/// Every event but for what says that the run was resumed; times, which no two runs share, set to 0.
fn timeless(events: &[RunEvent]) -> Vec<RunEvent> {
    let timeless = |event: &RunEvent| {
        let mut event = event.clone();
        match &mut event {
            RunEvent::Resumed { .. } | RunEvent::StartedOver { .. } => return None,
            RunEvent::Epoch { train_seconds, .. } => *train_seconds = 0.0,
            RunEvent::Finished(totals) => {
                totals.seconds = 0.0;
                totals.train_seconds = 0.0;
                totals.cpu_seconds = None;
                totals.peak_memory_bytes = None;
            }
            RunEvent::Artefact { path, .. } => path.clear(),
            _ => {}
        }
        Some(event)
    };
    events.iter().filter_map(timeless).collect()
}

fn resumed_from(events: &[RunEvent]) -> Option<usize> {
    events.iter().find_map(|event| match event {
        RunEvent::Resumed { epoch } => Some(*epoch),
        _ => None,
    })
}

fn started_over(events: &[RunEvent]) -> Option<&str> {
    events.iter().find_map(|event| match event {
        RunEvent::StartedOver { reason } => Some(reason.as_str()),
        _ => None,
    })
}

/// Kills the worker of `request` when it says that `epoch` is over.
fn killed_after(request: &Value, epoch: usize) -> Vec<RunEvent> {
    listen(
        start(request, None),
        |event| matches!(event, RunEvent::Epoch { epoch: at, .. } if *at == epoch),
    )
}

/// Resuming gives other numbers than training through: NDCG .045 became .028
/// (<https://github.com/RUCAIBox/RecBole/issues/2126>).
#[test]
fn recbole_2126_resume_harms_result() {
    let make = |folder: &Path, name: &str| match name {
        "genair" => genair_request(folder),
        backbone => of_backbone(folder, backbone),
    };
    for name in ["sasrec", "bert4rec", "gru4rec", "caser", "genair"] {
        let [whole, killed] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let expected = work(&resumable(make(whole.path(), name), 7), None);
        let request = resumable(make(killed.path(), name), 7);
        let mut last = 0;
        for epoch in [1, 2, 4, 5] {
            let from = resumed_from(&killed_after(&request, epoch)).unwrap_or(0);
            assert!(from >= last, "{name}: {from} after {last}");
            last = from;
        }
        let events = work(&request, None);
        // It says an epoch before it keeps it, and may be further by the time it is killed.
        assert!(resumed_from(&events).unwrap() >= 4, "{name}");
        assert_eq!(timeless(&events), timeless(&expected), "{name}");
        let weights = |folder: &Path| std::fs::read(folder.join("best.safetensors")).unwrap();
        assert!(weights(whole.path()) == weights(killed.path()), "{name}");
    }
}

#[test]
fn what_a_killed_worker_took_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let request = resumable(of_backbone(folder.path(), "sasrec"), 6);
    killed_after(&request, 4);
    let events = work(&request, None);
    let trained: f64 = events
        .iter()
        .map(|event| match event {
            RunEvent::Epoch { train_seconds, .. } => *train_seconds,
            _ => 0.0,
        })
        .sum();
    let Some(RunEvent::Finished(totals)) = events.last() else {
        panic!("{events:?}")
    };
    assert!((totals.train_seconds - trained).abs() < 1e-6, "{totals:?}");
    assert!(totals.seconds >= totals.train_seconds, "{totals:?}");
}

#[test]
fn a_checkpoint_that_cannot_be_used_is_reported_and_the_run_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let request = resumable(of_backbone(folder.path(), "sasrec"), 4);
    let expected = timeless(&work(&request, None));
    let file = folder.path().join(RESUME_FILE);
    let good = std::fs::read(&file).unwrap();
    assert_eq!(resumed_from(&work(&request, None)), Some(4));

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let cut = good[..middle].to_vec();
    // A format in which events had no tag, with a digest of its own.
    let mut older = good[..good.len() - DIGEST].to_vec();
    for (from, to) in [("genair-resume-2", "genair-resume-1"), ("event", "evant")] {
        let mut at = 0;
        while let Some(found) = older[at..]
            .windows(from.len())
            .position(|own| own == from.as_bytes())
        {
            at += found + from.len();
            older[at - from.len()..at].copy_from_slice(to.as_bytes());
        }
    }
    older.extend(Sha256::digest(older.clone()));
    for (bytes, reason) in [
        (
            older,
            "its format is `genair-resume-1`, not `genair-resume-2`",
        ),
        (flipped, "it is damaged"),
        (cut, "it is damaged"),
        (b"short".to_vec(), "it is cut short"),
        (Vec::new(), "it is cut short"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let events = work(&request, None);
        let said = started_over(&events).unwrap();
        assert!(said.contains(reason), "{said}");
        assert!(said.contains(RESUME_FILE), "{said}");
        assert_eq!(timeless(&events), expected, "{reason}");
    }

    let mut other_run = request.clone();
    other_run["resume"]["identity"] = "0ther".into();
    let mut other_data = request.clone();
    other_data["run"]["dataset"]["users"] = 31.into();
    for (request, reason) in [
        (other_run, "its run is 1d, this run's is 0ther"),
        (other_data, "its data is "),
    ] {
        std::fs::write(&file, &good).unwrap();
        let events = work(&request, None);
        let said = started_over(&events).unwrap();
        assert!(said.contains(reason), "{said}");
        assert_eq!(resumed_from(&events), None);
    }
}

#[test]
fn checkpoints_are_as_far_apart_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = resumable(of_backbone(folder.path(), "sasrec"), 4);
    request["resume"]["every_seconds"] = json!(3600.0);
    work(&request, None);
    assert!(!folder.path().join(RESUME_FILE).exists());
    request["resume"] = Value::Null;
    work(&request, None);
    assert!(!folder.path().join(RESUME_FILE).exists());
}

/// Pruning stops a worker as soon as it hears of the epoch.
#[test]
fn a_checkpoint_that_is_asked_for_is_there_before_its_epoch_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = resumable(of_backbone(folder.path(), "sasrec"), 4);
    request["resume"] = json!({"identity": "1d", "every_seconds": 3600.0, "at_epochs": [2]});
    let told = |event: &RunEvent| matches!(event, RunEvent::Epoch { epoch: 2, .. });
    listen(start(&request, None), told);
    let events = work(&request, None);
    assert_eq!(resumed_from(&events), Some(2));
    assert!(matches!(events.last(), Some(RunEvent::Finished(_))));
}

/// A worker that outlives its runner, if only for a moment, and its successor.
#[test]
fn a_second_worker_of_a_run_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let request = resumable(of_backbone(folder.path(), "sasrec"), 4);
    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let begin = Instant::now();
    let waiting = start(&request, None);
    std::thread::sleep(Duration::from_millis(1500));
    drop(lock);
    let events = listen(waiting, |_| false);
    assert!(matches!(events.last(), Some(RunEvent::Finished(_))));
    assert!(begin.elapsed() > Duration::from_millis(1500));

    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let events = work(&request, None);
    let [RunEvent::Failed(failure)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(failure.kind, FailureKind::Io);
    assert!(failure.message.contains("another worker is at this run"));
}

/// Whatever killed the earlier workers: each may have left a file as large as a checkpoint.
#[test]
fn what_earlier_workers_left_half_written_is_gone_when_a_run_starts() {
    let folder = tempfile::tempdir().unwrap();
    let request = resumable(of_backbone(folder.path(), "sasrec"), 1);
    let left = [
        ".resume.safetensors.aB3xYz.partial",
        ".best.safetensors.x1.partial",
    ];
    for file in left {
        std::fs::write(folder.path().join(file), "half").unwrap();
    }
    work(&request, None);
    assert!(left.iter().all(|file| !folder.path().join(file).exists()));
}
