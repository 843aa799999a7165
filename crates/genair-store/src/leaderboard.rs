//! The views `leaderboard`, one row per sweep, finished run and result, and `leaderboard_mean`, over seeds.

use genair_eval::{Cohort, Metric, Protocol, Split};
use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow};

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

/// A row of the `leaderboard_mean` view, of some split and cohort.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct LeaderboardMean {
    /// The sweep's name.
    pub sweep: String,
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// Swept axes beyond the named ones; often empty.
    pub variant: String,
    /// The candidates ranked.
    #[sqlx(try_from = "String")]
    pub protocol: Protocol,
    /// What was measured.
    #[sqlx(try_from = "String")]
    pub metric: Metric,
    /// Cut-off.
    pub k: u32,
    /// Mean over the seeds, in [0, 1].
    pub mean: f64,
    /// Their standard deviation (n - 1); none for a single seed.
    pub std: Option<f64>,
    /// Seeds.
    pub n: u64,
}

impl Store {
    /// Results over seeds of one split and cohort, of one sweep or of all, at one cut-off or at all, the
    /// rows of a configuration one after another.
    pub fn leaderboard_mean(
        &mut self,
        sweep: Option<&str>,
        split: Split,
        cohort: Cohort,
        k: Option<u32>,
    ) -> Result<Vec<LeaderboardMean>, StoreError> {
        // The conditions spell out the beginning of the primary key, which one on split and cohort alone
        // would not reach.
        let at_k = if k.is_some() {
            "AND results.k = ?4"
        } else {
            ""
        };
        let sql = format!(
            "SELECT sweeps.name AS sweep, own.dataset, own.backbone, own.representation, own.variant,
                 results.protocol, results.metric, results.k, results.mean, results.std, results.n
             FROM configuration_metrics AS results
             JOIN configurations AS own ON own.configuration_id = results.configuration_id
             JOIN sweeps ON sweeps.sweep_id = own.sweep_id
             WHERE results.metric IN ('hr', 'mrr', 'ndcg') {at_k}
               AND results.split = ?2 AND results.protocol IN ('full', 'sampled-100') AND results.cohort = ?3
               AND (?1 IS NULL OR sweeps.name = ?1)
             ORDER BY sweeps.name, results.configuration_id, results.protocol, results.metric, results.k"
        );
        self.read(async |connection| {
            // Of our own words alone.
            let rows = sqlx::query_as(AssertSqlSafe(sql.as_str()))
                .bind(sweep)
                .bind(split.as_str())
                .bind(cohort.as_str())
                .bind(k)
                .fetch_all(connection)
                .await?;
            Ok(rows)
        })
    }

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
