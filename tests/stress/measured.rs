//! Everything a sweep measured, for comparing two of them bit by bit.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

use genair_test_support::lab::Lab;
use serde_json::{Value, json};

/// What a table says of a run, in an order of its own; nothing that time, place or attempt decides.
const MEASURED: [&str; 6] = [
    "SELECT identity, state, sequences_sha256, users, items, interactions, parameters, best_epoch, epochs
     FROM runs ORDER BY 1",
    "SELECT identity, epoch, loss, calibration, valid, best FROM epochs JOIN runs USING (run_id) ORDER BY 1, 2",
    "SELECT identity, epoch, split, protocol, cohort, metric, k, value, metrics.users
     FROM metrics JOIN runs USING (run_id) ORDER BY 1, 2, 3, 4, 5, 6, 7",
    "SELECT identity, split, protocol, user, rank FROM ranks JOIN runs USING (run_id) ORDER BY 1, 2, 3, 4",
    "SELECT identity, epoch, name, value FROM diagnostics JOIN runs USING (run_id) ORDER BY 1, 2, 3",
    "SELECT identity, kind, sha256, bytes FROM artefacts JOIN runs USING (run_id) ORDER BY 1, 2",
];

/// Every row of every table of measurements.
pub(crate) fn measured(lab: &Lab) -> Vec<Vec<Vec<Value>>> {
    MEASURED.iter().map(|sql| lab.rows(sql)).collect()
}

/// Two sweeps measured the same, and something.
#[track_caller]
pub(crate) fn assert_same(one: &Lab, other: &Lab) {
    for (sql, (one, other)) in MEASURED
        .iter()
        .zip(measured(one).iter().zip(&measured(other)))
    {
        assert!(!one.is_empty(), "{sql}");
        assert_eq!(one.len(), other.len(), "{sql}");
        let different = one.iter().zip(other).find(|(one, other)| one != other);
        assert_eq!(different, None, "{sql}");
    }
}

/// The database is consistent, nobody holds or does anything, and finished runs keep only what they need.
#[track_caller]
pub(crate) fn assert_whole(lab: &Lab) {
    assert_eq!(lab.lines("PRAGMA integrity_check"), "ok");
    assert!(lab.rows("PRAGMA foreign_key_check").is_empty());
    assert_eq!(lab.rows("SELECT count(*) FROM owners"), [[json!(0)]]);
    assert_eq!(lab.workers(), Vec::<u32>::new());
    let kept = ["attempt", "best.safetensors", "request.json", "run.json"];
    let finished = lab.lines("SELECT substr(identity, 1, 16) FROM runs WHERE state = 'finished'");
    for run in finished.lines() {
        let attempt = std::fs::read_to_string(lab.artefacts().join(run).join("attempt")).unwrap();
        for file in lab.artefacts().join(run).read_dir().unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let is_log = name.starts_with("log.") && name.ends_with(".txt");
            let is_kept =
                kept.contains(&name.as_str()) || name == format!("events.{attempt}.jsonl");
            assert!(is_kept || is_log, "{name} of {run}");
        }
    }
}
