//! What the page knows of every run from the start, in its own form, and the files of runs.

use genair_protocol::InputFile;
use serde::Serialize;
use sqlx::FromRow;

use super::ByRun;
use crate::json::json_text;
use crate::{ArtefactRecord, InputRecord, Machine, RunId, RunState, Store, StoreError};

/// A run, once, whatever sweeps describe it. What only an execution can tell is `None` until then.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct PageRun {
    /// Its number.
    pub run_id: RunId,
    /// Where it stands.
    pub state: RunState,
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// Its seed.
    pub seed: u64,
    /// The beginning of the hash of all that decides its numbers but the seed.
    pub configuration: String,
    /// What its numbers are of: the hash of the sequences, or where no run has told of them, of the raw data.
    pub data: String,
    /// Version of the trainer's numbers.
    pub results_version: u32,
    /// `dataset.max_len` of its spec.
    pub max_len: Option<u64>,
    /// The metric of early stopping.
    pub monitor: Option<String>,
    /// Training interactions a head item has at least.
    pub head_item: Option<u64>,
    /// Length of the test input that a long user has at least.
    pub long_user: Option<u64>,
    /// Users after filters.
    pub users: Option<u64>,
    /// Items after filters.
    pub items: Option<u64>,
    /// Interactions after filters.
    pub interactions: Option<u64>,
    /// Trainable parameters.
    pub parameters: Option<u64>,
    /// Epochs trained.
    pub epochs: Option<u64>,
    /// From 1; 0 where nothing is trained.
    pub best_epoch: Option<u64>,
    /// Wall-clock seconds of the worker.
    pub seconds: Option<f64>,
    /// Wall-clock seconds of training alone.
    pub train_seconds: Option<f64>,
    /// Processor seconds of the worker.
    pub cpu_seconds: Option<f64>,
    /// Peak memory of the worker.
    pub peak_memory_bytes: Option<u64>,
    /// Host, device and threads: times of one machine may be compared.
    pub machine: Option<String>,
    /// The last epoch trained before it was pruned.
    pub pruned_at_epoch: Option<u64>,
    /// Code of the failure, such as `plugin-failed`.
    pub failure_kind: Option<String>,
    /// What it was doing.
    pub failure_phase: Option<String>,
    /// What went wrong.
    pub failure_message: Option<String>,
    /// What to do about it.
    pub failure_hint: Option<String>,
    /// When it finished, failed or was pruned, RFC 3339.
    pub finished_at: Option<String>,
}

impl Store {
    /// The runs of the sweeps with these names, or of all if there are no names, by number.
    pub fn page_runs(&mut self, sweeps: &[String]) -> Result<Vec<PageRun>, StoreError> {
        let runs = "SELECT run_id, state, dataset, backbone, representation, seed,
                substr(configuration, 1, 16) AS configuration,
                coalesce(sequences_sha256, 'raw ' || data_sha256) AS data, results_version,
                spec ->> '$.dataset.max_len' AS max_len, spec ->> '$.train.stop.metric' AS monitor,
                head_item, long_user, users, items, interactions, parameters, epochs, best_epoch,
                seconds, train_seconds, cpu_seconds, peak_memory_bytes,
                host || ', ' || device || ', threads ' || threads AS machine, pruned_at_epoch,
                failure_kind, failure_phase, failure_message, failure_hint, finished_at
             FROM runs
             WHERE run_id IN (
                 SELECT run_id FROM sweep_runs JOIN sweeps USING (sweep_id)
                 WHERE (?1 = '[]' OR name IN (SELECT value FROM json_each(?1))) AND NOT superseded
             )
             ORDER BY run_id";
        let runs = sqlx::query_as(runs).bind(json_text(sweeps));
        self.rows(runs)
    }

    /// The machines that runs ran on, one each.
    pub fn machines_of(&mut self, runs: &[RunId]) -> Result<ByRun<Machine>, StoreError> {
        self.rows_by_run(
            "SELECT run_id, machines.* FROM runs JOIN machines USING (machine)
             WHERE run_id IN (SELECT value FROM json_each(?1))",
            runs,
        )
    }

    /// The artefacts of earlier stages that runs read, by kind.
    pub fn inputs_of(&mut self, runs: &[RunId]) -> Result<ByRun<InputRecord>, StoreError> {
        self.rows_by_run(
            "SELECT run_id, kind, path, sha256 FROM run_inputs
             WHERE run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id, kind",
            runs,
        )
    }

    /// The number of the run of this identity, in any state.
    pub fn run_of(&mut self, identity: &str) -> Result<Option<RunId>, StoreError> {
        self.read(async |connection| {
            let run = sqlx::query_scalar("SELECT run_id FROM runs WHERE identity = ?");
            Ok(run.bind(identity).fetch_optional(connection).await?)
        })
    }

    /// The weights that the finished run of this identity wrote.
    pub fn checkpoint_of(&mut self, identity: &str) -> Result<Option<InputFile>, StoreError> {
        self.read(async |connection| {
            let file = "SELECT path, sha256 FROM artefacts JOIN runs USING (run_id)
                 WHERE identity = ? AND state = 'finished' AND kind = 'checkpoint'";
            let file: Option<(String, String)> = sqlx::query_as(file)
                .bind(identity)
                .fetch_optional(connection)
                .await?;
            Ok(file.map(|(path, sha256)| InputFile {
                path: path.into(),
                sha256,
            }))
        })
    }

    /// The files that runs wrote, by kind and path.
    pub fn artefacts_of(&mut self, runs: &[RunId]) -> Result<ByRun<ArtefactRecord>, StoreError> {
        self.rows_by_run(
            "SELECT run_id, kind, path, sha256, bytes FROM artefacts
             WHERE run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id, kind, path",
            runs,
        )
    }
}
