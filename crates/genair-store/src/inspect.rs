//! Reading runs back: their states, and lists of them.

use genair_protocol::{Cohort, Labels, Metric, Protocol};
use serde::Serialize;
use sqlx::FromRow;
use strum::VariantNames;

use crate::json::json_text;
use crate::labels::LabelColumns;
use crate::{RunId, Store, StoreError};

/// Where a run stands.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    sqlx::Type,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
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
    /// The name of every state.
    pub const NAMES: &[&str] = Self::VARIANTS;

    /// The state's name in the database.
    pub fn as_str(self) -> &'static str {
        self.into()
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

/// Which result of a run a list shows; by default, NDCG@10 of everyone by full ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What was measured.
    pub metric: Metric,
    /// Cut-off.
    pub k: u32,
    /// The candidates ranked.
    pub protocol: Protocol,
    /// The users averaged over.
    pub cohort: Cohort,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            metric: Metric::Ndcg,
            k: 10,
            protocol: Protocol::Full,
            cohort: Cohort::All,
        }
    }
}

/// Which runs to list; the default is all that are not superseded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only those of the sweep with this name.
    pub sweep: Option<String>,
    /// Only those in this state.
    pub state: Option<RunState>,
    /// Also those that the sweep's present spec does not describe.
    pub superseded: bool,
    /// The result of them to show.
    pub shown: Shown,
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
    /// What tells it from the sweep's other runs.
    #[serde(flatten)]
    #[sqlx(flatten, try_from = "LabelColumns")]
    pub labels: Labels,
    /// Whether the sweep's present spec does not describe it any more.
    pub superseded: bool,
    /// What [`RunFilter::shown`] asks for, on the validation split.
    pub valid: Option<f64>,
    /// The same on the test split.
    pub test: Option<f64>,
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
        let states = "SELECT runs.state FROM json_each(?) AS wanted
             LEFT JOIN runs ON runs.identity = wanted.value
             ORDER BY wanted.key";
        self.scalars(sqlx::query_scalar(states).bind(json_text(identities)))
    }

    /// How many runs there are in each state.
    pub fn run_counts(&mut self) -> Result<RunCounts, StoreError> {
        self.read(async |connection| {
            let counts = "SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
                    count(*) FILTER (WHERE state = 'running') AS running,
                    count(*) FILTER (WHERE state = 'finished') AS finished,
                    count(*) FILTER (WHERE state = 'failed') AS failed,
                    count(*) FILTER (WHERE state = 'pruned') AS pruned
                 FROM runs";
            Ok(sqlx::query_as(counts).fetch_one(connection).await?)
        })
    }

    /// Version of the database's tables.
    pub fn schema_version(&mut self) -> Result<i64, StoreError> {
        self.read(async |connection| {
            let version = sqlx::query_scalar("PRAGMA user_version");
            Ok(version.fetch_one(connection).await?)
        })
    }

    /// The runs that pass `filter`, sweep by sweep, as they were planned.
    pub fn list_runs(&mut self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        let runs = sqlx::query_as(
            "SELECT sweeps.name AS sweep, runs.run_id, state, dataset, backbone, representation, axes, seed,
                    superseded, best_epoch, seconds, failure_kind, failure_message, finished_at,
                    (SELECT value FROM metrics
                     WHERE metrics.run_id = runs.run_id AND epoch IS NULL AND split = 'valid'
                       AND protocol = ?4 AND cohort = ?5 AND metric = ?6 AND k = ?7) AS valid,
                    (SELECT value FROM metrics
                     WHERE metrics.run_id = runs.run_id AND epoch IS NULL AND split = 'test'
                       AND protocol = ?4 AND cohort = ?5 AND metric = ?6 AND k = ?7) AS test
             FROM sweep_runs JOIN sweeps USING (sweep_id) JOIN runs USING (run_id)
             WHERE (?1 IS NULL OR sweeps.name = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 OR NOT superseded)
             ORDER BY sweep_id, run_id",
        )
        .bind(&filter.sweep)
        .bind(filter.state)
        .bind(filter.superseded)
        .bind(filter.shown.protocol.as_str())
        .bind(filter.shown.cohort.as_str())
        .bind(filter.shown.metric.as_str())
        .bind(filter.shown.k);
        self.rows(runs)
    }
}
