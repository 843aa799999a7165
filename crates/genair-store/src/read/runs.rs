//! Sweeps and their runs, with what says whether runs may stand side by side.

use genair_protocol::{Axes, Labels, suggestion};
use serde::Serialize;
use sqlx::FromRow;

use crate::json::{Json, json_text};
use crate::labels::LabelColumns;
use crate::{RunId, RunRecord, RunState, Store, StoreError, StoreErrorKind, SweepId};

/// A sweep as it was last swept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct SweepRecord {
    /// Its number.
    pub sweep_id: SweepId,
    /// Its name.
    pub name: String,
    /// Its spec's file.
    pub spec_path: String,
    /// Its spec.
    pub spec_text: String,
    /// Axes that its search draws or lists points of; none for a grid.
    #[sqlx(try_from = "Json<Vec<String>>")]
    pub searched: Vec<String>,
    /// When it was last swept, RFC 3339.
    pub updated_at: String,
}

/// A run that a sweep describes now, whatever became of it. What only an execution can tell is `None` until then.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct SweptRun {
    /// Its number.
    pub run_id: RunId,
    /// Where it stands.
    pub state: RunState,
    /// The sweep's name.
    pub sweep: String,
    /// What tells it from the sweep's other runs.
    #[sqlx(flatten, try_from = "LabelColumns")]
    pub labels: Labels,
    /// Hash of all that decides its numbers but the seed.
    pub configuration: String,
    /// What tells its configuration from others of the same labels in the sweep; none where there are no such.
    #[sqlx(try_from = "Json<Option<Axes>>")]
    pub differences: Option<Axes>,
    /// The metric of early stopping, such as `ndcg@10`.
    pub stop_metric: Option<String>,
    /// The validation split by that metric, among all items: the result, or else the best epoch's; in [0, 1].
    pub valid: Option<f64>,
    /// Whether its backbone is no plugin.
    pub built_in: bool,
    /// Users after filters.
    pub users: Option<u64>,
    /// Version of the trainer's numbers.
    pub results_version: u32,
    /// SHA-256 of the id sequences.
    pub sequences_sha256: Option<String>,
    /// `dataset.max_len` of its spec.
    pub max_len: Option<u64>,
    /// Training interactions a head item has at least.
    pub head_item: Option<u64>,
    /// Length of the test input that a long user has at least.
    pub long_user: Option<u64>,
    /// The machine it ran on.
    pub host: Option<String>,
    /// `cpu` or `cuda:N`.
    pub device: Option<String>,
    /// Threads of the worker.
    pub threads: Option<u64>,
    /// Trainable parameters.
    pub parameters: Option<u64>,
    /// Epochs trained.
    pub epochs: Option<u64>,
    /// Wall-clock seconds of training alone.
    pub train_seconds: Option<f64>,
    /// Processor seconds of the worker.
    pub cpu_seconds: Option<f64>,
    /// Peak memory of the worker.
    pub peak_memory_bytes: Option<u64>,
}

impl Store {
    /// All sweeps, the first that was swept first.
    pub fn sweeps(&mut self) -> Result<Vec<SweepRecord>, StoreError> {
        self.rows(sqlx::query_as(
            "SELECT sweep_id, name, spec_path, spec_text, searched, updated_at FROM sweeps ORDER BY sweep_id",
        ))
    }

    /// Fails unless the database has a sweep, and one of this name where one is wanted.
    ///
    /// # Errors
    /// As said, with the nearest name; a database that cannot be read.
    pub fn require_sweep(&mut self, wanted: Option<&str>) -> Result<(), StoreError> {
        let sweeps = self.sweeps()?;
        let kind = match wanted {
            _ if sweeps.is_empty() => StoreErrorKind::NoSweeps,
            Some(name) if !sweeps.iter().any(|sweep| sweep.name == name) => {
                let hint = suggestion(name, sweeps.iter().map(|sweep| &sweep.name));
                let name = name.to_owned();
                StoreErrorKind::UnknownSweep { name, hint }
            }
            _ => return Ok(()),
        };
        let path = self.path().to_owned();
        Err(StoreError { path, kind })
    }

    /// The runs that a sweep describes now, as they were planned.
    pub fn runs_of_sweep(&mut self, sweep: SweepId) -> Result<Vec<SweptRun>, StoreError> {
        let runs = "SELECT runs.run_id, state, sweeps.name AS sweep, runs.dataset, runs.backbone,
                runs.representation, sweep_runs.axes, runs.configuration, differences, seed,
                spec ->> '$.train.stop.metric' AS stop_metric,
                coalesce(
                    (SELECT value FROM metrics WHERE metrics.run_id = runs.run_id AND metrics.epoch IS NULL
                        AND split = 'valid' AND protocol = 'full' AND cohort = 'all'
                        AND metric || '@' || k = spec ->> '$.train.stop.metric'),
                    (SELECT max(valid) FROM epochs WHERE epochs.run_id = runs.run_id)
                ) AS valid,
                plugin_sha256 IS NULL AS built_in, users, results_version, sequences_sha256,
                json_extract(spec, '$.dataset.max_len') AS max_len, head_item, long_user, host, device, threads,
                parameters, epochs, train_seconds, cpu_seconds, peak_memory_bytes
             FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
             LEFT JOIN configurations AS own ON own.sweep_id = sweep_runs.sweep_id
                  AND own.configuration = runs.configuration AND own.axes = sweep_runs.axes
             LEFT JOIN configuration_differences AS apart ON apart.configuration_id = own.configuration_id
             WHERE sweep_runs.sweep_id = ? AND NOT superseded
             ORDER BY runs.run_id";
        let runs = sqlx::query_as(runs).bind(sweep);
        self.rows(runs)
    }

    /// The backbone of a run.
    ///
    /// # Errors
    /// No such run; a database that cannot be read.
    pub fn backbone_of(&mut self, run: RunId) -> Result<String, StoreError> {
        self.read(async |connection| {
            let backbone = sqlx::query_scalar("SELECT backbone FROM runs WHERE run_id = ?");
            let backbone = backbone.bind(run).fetch_optional(connection).await?;
            backbone.ok_or(StoreErrorKind::UnknownRun { run })
        })
    }

    /// All backbones, first planned first; built-in ones, which train no representation, at the end.
    pub fn backbones(&mut self) -> Result<Vec<String>, StoreError> {
        self.scalars(sqlx::query_scalar(
            "SELECT backbone FROM runs GROUP BY backbone ORDER BY min(plugin_sha256 IS NULL), min(run_id)",
        ))
    }

    /// All representations, first planned first; that of built-in backbones at the end.
    pub fn representations(&mut self) -> Result<Vec<String>, StoreError> {
        self.scalars(sqlx::query_scalar(
            "SELECT representation FROM runs GROUP BY representation
             ORDER BY min(plugin_sha256 IS NULL), min(run_id)",
        ))
    }

    /// Rows of the `runs` table, by number.
    pub fn run_records(&mut self, runs: &[RunId]) -> Result<Vec<RunRecord>, StoreError> {
        let records =
            "SELECT * FROM runs WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id";
        let records = sqlx::query_as(records).bind(json_text(runs));
        self.rows(records)
    }
}
