//! Reading runs back: their states, lists of them, and everything about one.

use genair_eval::{Cohort, Metric, Protocol, Split};
use serde::Serialize;
use sqlx::FromRow;

use crate::claim::failure;
use crate::{Failure, OwnerInfo, RunId, Store, StoreError, StoreErrorKind};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum RunState {
    /// Nobody works on it.
    Pending,
    /// A process holds it.
    Running,
    /// It has results.
    Finished,
    /// It has a reason why it has none.
    Failed,
}

impl RunState {
    /// The state's name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Number of runs by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromRow)]
pub struct RunCounts {
    /// Runs nobody works on.
    pub pending: u64,
    /// Runs in the hands of a process.
    pub running: u64,
    /// Runs with results.
    pub finished: u64,
    /// Runs without.
    pub failed: u64,
}

/// Which runs to list; the default is all that are not superseded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only those of the sweep with this name.
    pub sweep: Option<String>,
    /// Only those in this state.
    pub state: Option<RunState>,
    /// Also those whose labels a newer run of the sweep has.
    pub superseded: bool,
}

/// A run in a list, once for every sweep it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct RunSummary {
    /// The sweep's name.
    pub sweep: String,
    /// The run's number.
    pub run_id: RunId,
    /// Where it stands.
    pub state: RunState,
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// Swept axes beyond the named ones; often empty.
    pub variant: String,
    /// The run's seed.
    pub seed: u64,
    /// Whether a newer run of the sweep has its labels.
    pub superseded: bool,
    /// NDCG@10 of everyone on the validation split, full ranking.
    pub valid_ndcg_10: Option<f64>,
    /// NDCG@10 of everyone on the test split, full ranking.
    pub test_ndcg_10: Option<f64>,
    /// From 1; 0 where nothing is trained.
    pub best_epoch: Option<u64>,
    /// Wall-clock seconds of the worker.
    pub seconds: Option<f64>,
    /// Code of the failure, such as `plugin-failed`.
    pub failure_kind: Option<String>,
    /// What went wrong.
    pub failure_message: Option<String>,
    /// When it finished or failed, RFC 3339.
    pub finished_at: Option<String>,
}

/// Everything about one run but its ranks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunDetails {
    /// Its row of the `runs` table.
    pub run: RunRecord,
    /// The sweeps it belongs to, by name.
    pub sweeps: Vec<SweepMembership>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The process that holds it.
    pub owner: Option<OwnerInfo>,
    /// Its results: metrics of the best epoch's weights.
    pub metrics: Vec<MetricRecord>,
    /// Its epochs, in order.
    pub epochs: Vec<EpochRecord>,
    /// Files it wrote.
    pub artefacts: Vec<ArtefactRecord>,
}

/// A row of the `runs` table. What only an execution can tell is `None` until then.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct RunRecord {
    /// The run's number.
    pub run_id: RunId,
    /// Hash of everything that decides its numbers.
    pub identity: String,
    /// Where it stands.
    pub state: RunState,
    /// The resolved spec, JSON.
    pub spec: String,
    /// SHA-256 of `spec`.
    pub spec_sha256: String,
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// The run's seed.
    pub seed: u64,
    /// Fingerprint of the raw data.
    pub data_sha256: String,
    /// SHA-256 of the plugin's file; `None` for a built-in backbone.
    pub plugin_sha256: Option<String>,
    /// Version of the trainer's numbers.
    pub results_version: u32,
    /// Git commit of the program that ran it.
    pub code_revision: Option<String>,
    /// Whether that program differed from the commit.
    pub code_dirty: Option<bool>,
    /// Version of the trainer.
    pub trainer_version: Option<String>,
    /// Version of libtorch.
    pub libtorch: Option<String>,
    /// The machine it ran on.
    pub host: Option<String>,
    /// `cpu` or `cuda:N`.
    pub device: Option<String>,
    /// Threads of the worker.
    pub threads: Option<u64>,
    /// Trainable parameters.
    pub parameters: Option<u64>,
    /// Users after filters.
    pub users: Option<u64>,
    /// Items after filters.
    pub items: Option<u64>,
    /// Interactions after filters.
    pub interactions: Option<u64>,
    /// SHA-256 of the id sequences.
    pub sequences_sha256: Option<String>,
    /// Training interactions a head item has at least.
    pub head_item: Option<u64>,
    /// Input length a long user has at least.
    pub long_user: Option<u64>,
    /// From 1; 0 where nothing is trained.
    pub best_epoch: Option<u64>,
    /// Epochs trained.
    pub epochs: Option<u64>,
    /// Wall-clock seconds of the worker.
    pub seconds: Option<f64>,
    /// Wall-clock seconds of training alone.
    pub train_seconds: Option<f64>,
    /// Processor seconds of the worker.
    pub cpu_seconds: Option<f64>,
    /// Peak memory of the worker.
    pub peak_memory_bytes: Option<u64>,
    /// How often it was claimed.
    pub attempts: u32,
    /// When it was first planned, RFC 3339.
    pub created_at: String,
    /// When the last attempt began, RFC 3339.
    pub started_at: Option<String>,
    /// When it finished or failed, RFC 3339.
    pub finished_at: Option<String>,
}

/// A run's place in one sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct SweepMembership {
    /// The sweep's name.
    pub sweep: String,
    /// Swept axes beyond the named ones; often empty.
    pub variant: String,
    /// Whether a newer run of the sweep has its labels.
    pub superseded: bool,
}

/// One result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct MetricRecord {
    /// Validation or test.
    #[sqlx(try_from = "String")]
    pub split: Split,
    /// The candidates ranked.
    #[sqlx(try_from = "String")]
    pub protocol: Protocol,
    /// The users averaged over.
    #[sqlx(try_from = "String")]
    pub cohort: Cohort,
    /// What was measured.
    #[sqlx(try_from = "String")]
    pub metric: Metric,
    /// Cut-off.
    pub k: u32,
    /// Mean over the users, in [0, 1].
    pub value: f64,
    /// Users behind the value.
    pub users: u64,
}

/// One epoch of training.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u64,
    /// Mean over the epoch's steps.
    pub loss: f64,
    /// Wall-clock seconds.
    pub train_seconds: f64,
    /// The early-stopping metric, where the epoch was validated.
    pub valid: Option<f64>,
    /// Whether it was the best so far when it ended.
    pub best: bool,
}

/// A file a run wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct ArtefactRecord {
    /// Such as `checkpoint`.
    pub kind: String,
    /// Where it is.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

impl Store {
    /// The state of each identity, in the same order; `None` for one the database does not know.
    pub fn run_states(
        &mut self,
        identities: &[String],
    ) -> Result<Vec<Option<RunState>>, StoreError> {
        self.read(async |connection| {
            let states = sqlx::query_scalar(
                "SELECT runs.state FROM json_each(?) AS wanted
                 LEFT JOIN runs ON runs.identity = wanted.value
                 ORDER BY wanted.key",
            )
            .bind(serde_json::Value::from(identities).to_string())
            .fetch_all(connection)
            .await?;
            Ok(states)
        })
    }

    /// How many runs there are in each state.
    pub fn run_counts(&mut self) -> Result<RunCounts, StoreError> {
        self.read(async |connection| {
            let counts = sqlx::query_as(
                "SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
                        count(*) FILTER (WHERE state = 'running') AS running,
                        count(*) FILTER (WHERE state = 'finished') AS finished,
                        count(*) FILTER (WHERE state = 'failed') AS failed
                 FROM runs",
            )
            .fetch_one(connection)
            .await?;
            Ok(counts)
        })
    }

    /// Number of the last migration the database has.
    pub fn schema_version(&mut self) -> Result<i64, StoreError> {
        self.read(async |connection| {
            Ok(
                sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
                    .fetch_one(connection)
                    .await?,
            )
        })
    }

    /// The runs that pass `filter`, sweep by sweep, as they were planned.
    pub fn list_runs(&mut self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        self.read(async |connection| {
            let runs = sqlx::query_as(
                "SELECT sweeps.name AS sweep, runs.run_id, state, dataset, backbone, representation, variant, seed,
                        superseded, best_epoch, seconds, failure_kind, failure_message, finished_at,
                        (SELECT value FROM metrics
                         WHERE metrics.run_id = runs.run_id AND epoch IS NULL AND split = 'valid'
                           AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10) AS valid_ndcg_10,
                        (SELECT value FROM metrics
                         WHERE metrics.run_id = runs.run_id AND epoch IS NULL AND split = 'test'
                           AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10) AS test_ndcg_10
                 FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
                 WHERE (?1 IS NULL OR sweeps.name = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 OR NOT superseded)
                 ORDER BY sweep_id, run_id",
            )
            .bind(&filter.sweep)
            .bind(filter.state)
            .bind(filter.superseded)
            .fetch_all(connection)
            .await?;
            Ok(runs)
        })
    }

    /// Everything about one run but its ranks.
    pub fn show_run(&mut self, run_id: RunId) -> Result<RunDetails, StoreError> {
        self.read(async |connection| {
            let run: RunRecord = sqlx::query_as("SELECT * FROM runs WHERE run_id = ?")
                .bind(run_id)
                .fetch_optional(&mut *connection)
                .await?
                .ok_or(StoreErrorKind::UnknownRun { run: run_id })?;
            let owner: Option<String> = sqlx::query_scalar("SELECT owner FROM runs WHERE run_id = ?")
                .bind(run_id)
                .fetch_one(&mut *connection)
                .await?;
            let owner = match owner {
                Some(owner) => Some(OwnerInfo::load(connection, &owner).await?),
                None => None,
            };
            let failure = match run.state {
                RunState::Failed => Some(failure(connection, run_id).await?),
                _ => None,
            };
            let sweeps = sqlx::query_as(
                "SELECT name AS sweep, variant, superseded FROM sweep_runs JOIN sweeps USING (sweep_id)
                 WHERE run_id = ? ORDER BY name",
            );
            let metrics = sqlx::query_as(
                "SELECT split, protocol, cohort, metric, k, value, users FROM metrics
                 WHERE run_id = ? AND epoch IS NULL ORDER BY rowid",
            );
            let epochs = sqlx::query_as(
                "SELECT epoch, loss, train_seconds, valid, best FROM epochs WHERE run_id = ? ORDER BY epoch",
            );
            let artefacts = sqlx::query_as(
                "SELECT kind, path, sha256, bytes FROM artefacts WHERE run_id = ? ORDER BY kind, path",
            );
            Ok(RunDetails {
                run,
                sweeps: sweeps.bind(run_id).fetch_all(&mut *connection).await?,
                failure,
                owner,
                metrics: metrics.bind(run_id).fetch_all(&mut *connection).await?,
                epochs: epochs.bind(run_id).fetch_all(&mut *connection).await?,
                artefacts: artefacts.bind(run_id).fetch_all(&mut *connection).await?,
            })
        })
    }
}
