//! What the page shows of one run: resolved spec, provenance, diagnostics, files.

use std::collections::HashMap;

use genair_store::Store;
use serde_json::{Map, Value, json};

use super::blocks::Blocks;
use super::index::{CHUNK, Index};
use crate::ReportError;

/// Adds the blocks `details-N`.
pub(super) fn add(
    store: &mut Store,
    index: &Index,
    blocks: &mut Blocks,
) -> Result<(), ReportError> {
    let places = index.run_places();
    let mut diagnostics = by_run(
        store,
        "SELECT run_id, epoch, name, value FROM diagnostics ORDER BY run_id, name, epoch",
        &places,
    )?;
    let mut inputs = by_run(
        store,
        "SELECT run_id, kind, path, sha256 FROM run_inputs ORDER BY run_id, kind",
        &places,
    )?;
    let mut artefacts = by_run(
        store,
        "SELECT run_id, kind, path, bytes, sha256 FROM artefacts ORDER BY run_id, kind, path",
        &places,
    )?;
    for (number, runs) in index.runs.chunks(CHUNK).enumerate() {
        let sql = format!(
            "SELECT run_id, spec, identity, spec_sha256, data_sha256, sequences_sha256, plugin_sha256, results_version,
                    code_revision, code_dirty, code_diff, trainer_version, libtorch, runs.host, machines.cpu,
                    machines.cores, machines.memory_bytes, machines.system, device, threads, attempts,
                    resumed_from_epoch, created_at, started_at, finished_at
             FROM runs LEFT JOIN machines USING (machine)
             WHERE run_id BETWEEN {} AND {} ORDER BY run_id",
            runs[0].run_id,
            runs[runs.len() - 1].run_id
        );
        let result = store.query(&sql)?;
        let mut chunk = Vec::with_capacity(runs.len());
        for row in result.rows {
            let mut facts: Map<String, Value> = result.columns.iter().cloned().zip(row).collect();
            let run = facts.remove("run_id").and_then(|run| run.as_i64());
            // One of another sweep may lie between them.
            let Some(&place) = run.and_then(|run| places.get(&run)) else {
                continue;
            };
            let spec = facts.remove("spec").unwrap_or_default();
            let spec = serde_json::from_str(spec.as_str().unwrap_or_default()).unwrap_or(spec);
            facts.retain(|_, value| !value.is_null());
            chunk.push(json!({
                "spec": spec,
                "provenance": facts,
                "diagnostics": diagnostics.remove(&place).unwrap_or_default(),
                "inputs": inputs.remove(&place).unwrap_or_default(),
                "artefacts": artefacts.remove(&place).unwrap_or_default(),
            }));
        }
        blocks.add_json(&format!("details-{number}"), &chunk);
    }
    Ok(())
}

/// Rows of a query by the run in their first column, without it.
fn by_run(
    store: &mut Store,
    sql: &str,
    places: &HashMap<i64, usize>,
) -> Result<HashMap<usize, Vec<Vec<Value>>>, ReportError> {
    let mut found: HashMap<usize, Vec<Vec<Value>>> = HashMap::new();
    store.query_each::<ReportError>(sql, |mut row| {
        let run = row.remove(0);
        if let Some(&place) = run.as_i64().and_then(|run| places.get(&run)) {
            found.entry(place).or_default().push(row);
        }
        Ok(())
    })?;
    Ok(found)
}
