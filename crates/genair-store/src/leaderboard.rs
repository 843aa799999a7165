//! The view `leaderboard_mean`: results over seeds, with what tells configurations apart.

use genair_protocol::{Axes, Cohort, FEWEST_NEGATIVES, Metric, Protocol, Split};
use itertools::Itertools;
use sqlx::{AssertSqlSafe, FromRow};

use crate::json::Json;
use crate::{Store, StoreError};

/// Which rows of the leaderboard over seeds; `None` means all. By default those of everyone on the test split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeanFilter {
    /// The sweep's name.
    pub sweep: Option<String>,
    /// Validation or test.
    pub split: Split,
    /// The users averaged over.
    pub cohort: Cohort,
    /// The candidates ranked.
    pub protocol: Option<Protocol>,
    /// What was measured.
    pub metric: Option<Metric>,
    /// Cut-off.
    pub k: Option<u32>,
}

impl Default for MeanFilter {
    fn default() -> Self {
        Self {
            sweep: None,
            split: Split::Test,
            cohort: Cohort::All,
            protocol: None,
            metric: None,
            k: None,
        }
    }
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
    /// Values of the swept axes beyond these.
    #[sqlx(try_from = "Json<Axes>")]
    pub axes: Axes,
    /// Hash of all that its runs share: everything but the seed.
    pub configuration: String,
    /// What tells it from other configurations of the same labels in the sweep, such as `train.optimizer.lr`; none
    /// where there are no such.
    #[sqlx(try_from = "Json<Option<Axes>>")]
    pub differences: Option<Axes>,
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
    /// Datasets of finished runs whose sampled rankings have fewer negatives than their names say, and how many there are
    /// for the user with the fewest.
    pub fn fewest_negatives(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        let fewest = sqlx::query_as(
            "SELECT dataset, min(count) FROM input_counts JOIN runs USING (run_id)
             WHERE input = 'data' AND what = ? AND state = 'finished' GROUP BY dataset ORDER BY dataset",
        );
        self.rows(fewest.bind(FEWEST_NEGATIVES))
    }

    /// Results over seeds of one split and cohort, the rows of a configuration one after another.
    pub fn leaderboard_mean(
        &mut self,
        filter: &MeanFilter,
    ) -> Result<Vec<LeaderboardMean>, StoreError> {
        // The conditions spell out the beginning of the primary key, which one on split and cohort alone
        // would not reach.
        let metrics = words(filter.metric, Metric::ALL, Metric::as_str);
        let protocols = words(filter.protocol, Protocol::ALL, Protocol::as_str);
        let at_k = filter.k.map(|k| format!("AND results.k = {k}"));
        let sql = format!(
            "SELECT sweeps.name AS sweep, own.dataset, own.backbone, own.representation, own.axes,
                 own.configuration, apart.differences,
                 results.protocol, results.metric, results.k, results.mean, results.std, results.n
             FROM configuration_metrics AS results
             JOIN configurations AS own ON own.configuration_id = results.configuration_id
             JOIN sweeps ON sweeps.sweep_id = own.sweep_id
             LEFT JOIN configuration_differences AS apart ON apart.configuration_id = own.configuration_id
             WHERE results.metric IN ({metrics}) {}
               AND results.split = ?2 AND results.protocol IN ({protocols}) AND results.cohort = ?3
               AND (?1 IS NULL OR sweeps.name = ?1)
             ORDER BY sweeps.name, results.configuration_id, results.protocol, results.metric, results.k",
            at_k.unwrap_or_default()
        );
        // Of our own words and a number alone.
        let rows = sqlx::query_as(AssertSqlSafe(sql)).bind(&filter.sweep);
        self.rows(
            rows.bind(filter.split.as_str())
                .bind(filter.cohort.as_str()),
        )
    }
}

/// The name of `one`, or of all, as a list for `IN (...)`.
fn words<T: Copy>(one: Option<T>, all: &[T], name: fn(T) -> &'static str) -> String {
    let wanted = one.as_ref().map_or(all, std::slice::from_ref);
    wanted
        .iter()
        .map(|value| format!("'{}'", name(*value)))
        .join(", ")
}
