//! A run over 10^6 items stays within a stated memory, and ranks among all of them.
//!
//! With `T` the bytes of the item table, a worker holds `T` four times (values, two moments, the best
//! epoch's copy), whatever the batch. On top of that come, never together, a block of scores, 64 MiB
//! whatever the number of users, and the checkpoint while it is written.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use genair_protocol::RunEvent;
use genair_trainer::harness::built_plugin_file;
use serde_json::json;

const ITEMS: u64 = 1_000_000;
const USERS: u64 = 500;
const WIDTH: u64 = 32;
const MIB: u64 = 1 << 20;

/// Copies of the item table: values, two moments, the best epoch's.
const TABLES: u64 = 4;
/// A checkpoint being written: the table's numbers, and their bytes.
const CHECKPOINT_TABLES: u64 = 2;
/// A block of scores as libtorch made it and as it is ranked.
const SCORES: u64 = 2 * 64 * MIB;
/// Raw ids, sequences and popularity: about 150 bytes for each of 10^6 items with short ids.
const DATA: u64 = ITEMS * 150;
/// The process with libtorch and a plugin, before there is any data.
const PROCESS: u64 = 250 * MIB;

/// Every item once: users have equal shares of the catalogue, far apart.
fn write_interactions(folder: &Path) {
    let mut out = BufWriter::new(File::create(folder.join("interactions.tsv")).unwrap());
    writeln!(out, "user_id\titem_id\torder").unwrap();
    for user in 0..USERS {
        for order in 0..ITEMS / USERS {
            writeln!(out, "{user}\t{}\t{order}", order * USERS + user).unwrap();
        }
    }
    out.into_inner().unwrap();
}

#[test]
fn a_million_items_take_the_memory_they_are_said_to_take() {
    let folder = tempfile::tempdir().unwrap();
    write_interactions(folder.path());
    let request = json!({
        "run": {
            "dataset_name": "large",
            "dataset": {"kind": "table", "path": folder.path(), "max_len": 5},
            "backbone": {"name": "gru4rec", "params": {"hidden_size": WIDTH}},
            "representation": {"name": "id", "kind": "id"},
            "train": {"device": "cpu", "stop": {"max_epochs": 1}},
            "seed": 5,
        },
        "plugin": built_plugin_file("gru4rec"),
        "plugin_sha256": null,
        "artefacts": folder.path().join("run"),
    });
    let file = folder.path().join("request.json");
    std::fs::write(&file, request.to_string()).unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_genair-trainer"));
    worker
        .arg("run")
        .arg(file)
        .envs([("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "passive")]);
    worker.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut worker = worker.spawn().unwrap();
    // Held until the end: a worker whose standard input is closed stops.
    let stdin = worker.stdin.take();
    let output = worker.wait_with_output().unwrap();
    drop(stdin);
    let said = String::from_utf8(output.stdout).unwrap();
    let events: Vec<RunEvent> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();

    let ranks = events.iter().find_map(|event| match event {
        RunEvent::Ranks { ranks, .. } => Some(ranks),
        _ => None,
    });
    let ranks = ranks.unwrap_or_else(|| panic!("no ranks: {:?}", events.last()));
    assert_eq!(ranks.len() as u64, USERS);
    // The target was never trained on: its rank among 998,001 candidates is anything.
    let mean = ranks
        .iter()
        .flatten()
        .map(|&rank| f64::from(rank))
        .sum::<f64>()
        / USERS as f64;
    assert!(
        (0.3..0.7).contains(&(mean / ITEMS as f64)),
        "mean rank {mean}"
    );

    let Some(RunEvent::Finished(totals)) = events.last() else {
        panic!("the run did not finish: {:?}", events.last())
    };
    let table = (ITEMS + 1) * WIDTH * 4;
    let bound = TABLES * table + SCORES.max(CHECKPOINT_TABLES * table) + DATA + PROCESS;
    let peak = totals.peak_memory_bytes.unwrap();
    assert!(
        peak <= bound,
        "{} MiB, more than {} MiB",
        peak / MIB,
        bound / MIB
    );
}
