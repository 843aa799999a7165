//! Workers without a lease: they outlive whoever started them, and what they say is in the run's folder.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use genair_protocol::{ATTEMPT_FILE, STOP_FILE};

use super::*;

/// A worker that nobody holds, with `epochs` epochs before it, and its run's folder.
fn start_without_lease(epochs: usize) -> (Child, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(folder.path(), 8);
    request["run"]["train"]["stop"] = json!({"max_epochs": epochs, "patience": epochs});
    request["resume"] = json!({"identity": "1d", "every_seconds": 0.0});
    let file = folder.path().join("request.json");
    std::fs::write(&file, request.to_string()).unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_genair-trainer"));
    worker
        .args(["run", "--no-lease"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    (worker.spawn().unwrap(), folder)
}

fn attempt(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join(ATTEMPT_FILE)).unwrap_or_default()
}

fn file_of(folder: &TempDir, attempt: &str, kind: &str, end: &str) -> PathBuf {
    folder.path().join(format!("{kind}.{attempt}.{end}"))
}

fn events(folder: &TempDir, attempt: &str) -> Vec<RunEvent> {
    let text = std::fs::read_to_string(file_of(folder, attempt, "events", "jsonl"));
    let text = text.unwrap_or_default();
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Waits until the worker has told of an epoch, and returns its attempt.
fn wait_for_epoch(folder: &TempDir) -> String {
    let begin = Instant::now();
    loop {
        let attempt = attempt(folder);
        let said = events(folder, &attempt);
        if said
            .iter()
            .any(|event| matches!(event, RunEvent::Epoch { .. }))
        {
            return attempt;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "{said:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_worker_without_a_lease_needs_nobody_and_leaves_all_in_its_folder() {
    let (mut worker, folder) = start_without_lease(2);
    assert!(worker.wait().unwrap().success());
    let attempt = attempt(&folder);
    let said = events(&folder, &attempt);
    assert!(matches!(said[0], RunEvent::Started { .. }), "{said:?}");
    assert!(matches!(said.last(), Some(RunEvent::Finished(_))));
    assert!(file_of(&folder, &attempt, "log", "txt").is_file());
    let mut printed = String::new();
    std::io::Read::read_to_string(&mut worker.stdout.take().unwrap(), &mut printed).unwrap();
    assert_eq!(printed, "");
}

/// A node that did not answer comes back, and its run has begun elsewhere.
#[test]
fn a_worker_ends_once_another_attempt_counts_and_leaves_its_files_alone() {
    let (mut worker, folder) = start_without_lease(100_000);
    let attempt = wait_for_epoch(&folder);
    std::fs::write(folder.path().join(ATTEMPT_FILE), "another-1-1").unwrap();
    assert!(worker.wait().unwrap().success());
    let said = events(&folder, &attempt);
    assert!(
        matches!(said.last(), Some(RunEvent::Epoch { .. })),
        "no last word: {said:?}"
    );
    let log = std::fs::read_to_string(file_of(&folder, &attempt, "log", "txt")).unwrap();
    assert!(log.contains("another attempt at this run counts"), "{log}");
}

#[test]
fn a_worker_that_is_stopped_ends_after_its_epoch_and_goes_on_later() {
    let (mut worker, folder) = start_without_lease(100_000);
    let attempt = wait_for_epoch(&folder);
    // A stop of an earlier attempt is none of this one.
    std::fs::write(folder.path().join(STOP_FILE), "earlier-1-1").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(worker.try_wait().unwrap().is_none());
    std::fs::write(folder.path().join(STOP_FILE), &attempt).unwrap();
    assert!(worker.wait().unwrap().success());
    assert!(folder.path().join("resume.safetensors").is_file());
}
