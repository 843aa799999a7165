//! What the page shows of one run: resolved spec, provenance, diagnostics, files.

use genair_store::{RunId, Store};
use serde_json::{Value, json};

use super::blocks::Blocks;
use super::index::{CHUNK, Index};
use crate::ReportError;

/// What the page says of where a run's numbers come from, of its row.
const PROVENANCE: [&str; 20] = [
    "identity",
    "spec_sha256",
    "data_sha256",
    "sequences_sha256",
    "ids_sha256",
    "plugin_sha256",
    "results_version",
    "code_revision",
    "code_dirty",
    "code_diff",
    "trainer_version",
    "libtorch",
    "host",
    "device",
    "threads",
    "attempts",
    "resumed_from_epoch",
    "created_at",
    "started_at",
    "finished_at",
];

/// Adds the blocks `details-N`.
pub(super) fn add(
    store: &mut Store,
    index: &Index,
    blocks: &mut Blocks,
) -> Result<(), ReportError> {
    for (number, runs) in index.runs.chunks(CHUNK).enumerate() {
        let runs: Vec<RunId> = runs.iter().map(|run| run.run_id).collect();
        let mut diagnostics = store.diagnostics_of(&runs)?;
        let mut inputs = store.inputs_of(&runs)?;
        let mut artefacts = store.artefacts_of(&runs)?;
        let mut machines = store.machines_of(&runs)?;
        let mut chunk = Vec::with_capacity(runs.len());
        for record in store.run_records(&runs)? {
            let run = record.run_id;
            let mut provenance = json!(record);
            let machine = machines.remove(&run).unwrap_or_default().pop();
            if let Some(facts) = provenance.as_object_mut() {
                // The run's own row says the host.
                facts.retain(|key, _| PROVENANCE.contains(&key.as_str()));
                if let Value::Object(machine) = json!(machine) {
                    facts.extend(machine.into_iter().filter(|(name, _)| name != "host"));
                }
                facts.retain(|_, value| !value.is_null());
            }
            let diagnostics = diagnostics.remove(&run).unwrap_or_default().into_iter();
            let inputs = inputs.remove(&run).unwrap_or_default().into_iter();
            let artefacts = artefacts.remove(&run).unwrap_or_default().into_iter();
            let files = artefacts.map(|own| (own.kind, own.path, own.bytes, own.sha256));
            chunk.push(json!({
                "spec": serde_json::from_str(&record.spec).unwrap_or(Value::String(record.spec)),
                "provenance": provenance,
                "diagnostics": diagnostics.map(|own| (own.epoch, own.name, own.value)).collect::<Vec<_>>(),
                "inputs": inputs.map(|own| (own.kind, own.path, own.sha256)).collect::<Vec<_>>(),
                "artefacts": files.collect::<Vec<_>>(),
            }));
        }
        blocks.add_json(&format!("details-{number}"), &chunk);
    }
    Ok(())
}
