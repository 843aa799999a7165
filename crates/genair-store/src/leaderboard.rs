//! The `leaderboard` view: one row per sweep, finished run and result.

use genair_eval::{Cohort, Metric, Protocol, Split};
use serde::Serialize;
use sqlx::FromRow;

use crate::{RunId, Store, StoreError};

/// Which rows of the leaderboard; `None` means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderboardFilter {
    /// The sweep's name.
    pub sweep: Option<String>,
    /// Validation or test.
    pub split: Option<Split>,
    /// The candidates ranked.
    pub protocol: Option<Protocol>,
    /// The users averaged over.
    pub cohort: Option<Cohort>,
}

/// A row of the `leaderboard` view, with its columns in their order.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct LeaderboardRow {
    /// The sweep's name.
    pub sweep: String,
    /// The run's number.
    pub run_id: RunId,
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
}

impl Store {
    /// The rows that pass `filter`, by sweep and run.
    pub fn leaderboard(
        &mut self,
        filter: &LeaderboardFilter,
    ) -> Result<Vec<LeaderboardRow>, StoreError> {
        self.read(async |connection| {
            let rows = sqlx::query_as(
                "SELECT * FROM leaderboard
                 WHERE (?1 IS NULL OR sweep = ?1) AND (?2 IS NULL OR split = ?2)
                   AND (?3 IS NULL OR protocol = ?3) AND (?4 IS NULL OR cohort = ?4)
                 ORDER BY sweep, run_id, split, protocol, cohort, metric, k",
            )
            .bind(&filter.sweep)
            .bind(filter.split.map(Split::as_str))
            .bind(filter.protocol.map(Protocol::as_str))
            .bind(filter.cohort.map(Cohort::as_str))
            .fetch_all(connection)
            .await?;
            Ok(rows)
        })
    }
}
