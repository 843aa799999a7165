//! Processor seconds and memory of one call, as a line of JSON, for `scripts/bench/calibration.py`:
//! `time_calibration loss N WIDTH PERCENT_OBSERVED` or `time_calibration count INTERACTIONS`.

#[path = "../benches/calibration/inputs.rs"]
mod inputs;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use genair_calibration::{Associations, CalibrationLoss};
use genair_protocol::AssociationSpec;
use inputs::{Batch, log};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u32> = words
        .iter()
        .skip(1)
        .map(|word| word.parse())
        .collect::<Result<_, _>>()?;
    let facts = match (words.first().map(String::as_str), numbers.as_slice()) {
        (Some("loss"), &[n, width, percent]) => time_loss(n, width, percent)?,
        (Some("count"), &[interactions]) => time_count(interactions as usize)?,
        _ => {
            return Err("usage: time_calibration loss N WIDTH PERCENT | count INTERACTIONS".into());
        }
    };
    writeln!(std::io::stdout(), "{facts}")?;
    Ok(())
}

fn time_loss(n: u32, width: u32, percent: u32) -> std::io::Result<Value> {
    let batch = Batch::new(n, width, percent);
    let observed = batch.associations.num_pairs();
    let before = start_peak()?;
    let mut loss = CalibrationLoss::new(Arc::new(batch.associations), 4.0);
    // The clock of some kernels moves a few milliseconds at a time, so many calls are timed as one.
    let (started, start) = (Instant::now(), cpu_seconds()?);
    let (mut calls, mut value) = (0, 0.0);
    while calls < 3 || started.elapsed() < Duration::from_secs(1) {
        value = loss
            .value_and_gradient(&batch.embeddings, &batch.ids, &batch.counts)
            .loss;
        calls += 1;
    }
    Ok(json!({
        "seconds": (cpu_seconds()? - start) / f64::from(calls),
        "bytes": peak()?.saturating_sub(before),
        "observed_pairs": observed,
        "loss": value,
    }))
}

fn time_count(interactions: usize) -> std::io::Result<Value> {
    let dataset = log(interactions);
    let before = start_peak()?;
    let start = cpu_seconds()?;
    let counted = Associations::count(&dataset, &AssociationSpec::default());
    let seconds = cpu_seconds()? - start;
    Ok(json!({
        "seconds": seconds,
        "bytes": peak()?.saturating_sub(before),
        "bytes_with_dataset": peak()?,
        "interactions": dataset.num_interactions(),
        "items": dataset.num_items(),
        "pairs": counted.num_pairs(),
        "max_count": counted.max_count(),
    }))
}

/// Forgets the peak so far, and says how much memory the process holds now.
fn start_peak() -> std::io::Result<u64> {
    std::fs::write("/proc/self/clear_refs", "5")?;
    peak()
}

/// Processor time of all threads so far. Linux alone tells.
fn cpu_seconds() -> std::io::Result<f64> {
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let spent = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let spent = spent.split(' ').next().and_then(|spent| spent.parse().ok());
        nanoseconds += spent.unwrap_or(0.0);
    }
    Ok(nanoseconds / 1e9)
}

/// Largest resident size, bytes. Linux alone tells.
fn peak() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(kilobytes.unwrap_or(0_u64) * 1024)
}
