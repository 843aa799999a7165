//! Reading runs back: their states, and lists of them.

use serde::Serialize;
use sqlx::FromRow;

use crate::{RunId, Store, StoreError};

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
    /// It was stopped for being worse than others, and can be taken up again.
    Pruned,
}

impl RunState {
    /// The state's name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Pruned => "pruned",
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
    /// Runs stopped early for being worse than others.
    pub pruned: u64,
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
    /// When it finished, failed or was pruned, RFC 3339.
    pub finished_at: Option<String>,
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
                        count(*) FILTER (WHERE state = 'failed') AS failed,
                        count(*) FILTER (WHERE state = 'pruned') AS pruned
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
}
