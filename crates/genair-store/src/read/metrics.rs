//! Results, run by run and measure by measure.

use genair_protocol::{Cohort, Metric, Protocol, Split};
use serde::Serialize;
use sqlx::FromRow;

use super::ByRun;
use crate::{MetricRecord, RunId, Store, StoreError};

/// A metric of one epoch's weights.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct EpochMetric {
    /// From 1.
    pub epoch: u64,
    /// What was measured.
    #[sqlx(flatten)]
    pub metric: MetricRecord,
}

/// What was measured, of whom, and among which candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct Measure {
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
}

/// A measure and what each run came to by it.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasureResults {
    /// What was measured.
    pub measure: Measure,
    /// Runs and their results, in [0, 1]; finished runs have some, and those that run may.
    pub results: Vec<(RunId, f64)>,
}

/// The users of a cohort, of runs with this data and these thresholds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct CohortUsers {
    /// SHA-256 of the id sequences, or `raw ` and that of the raw data where no run has told of them.
    pub data: String,
    /// Training interactions a head item has at least.
    pub head_item: Option<u64>,
    /// Length of the test input that a long user has at least.
    pub long_user: Option<u64>,
    /// Validation or test.
    #[sqlx(try_from = "String")]
    pub split: Split,
    /// The cohort.
    #[sqlx(try_from = "String")]
    pub cohort: Cohort,
    /// How many they are.
    pub users: u64,
}

impl Store {
    /// Results of runs on the test split.
    pub fn test_results(&mut self, runs: &[RunId]) -> Result<ByRun<MetricRecord>, StoreError> {
        self.rows_by_run(
            "SELECT run_id, split, protocol, cohort, metric, k, value, users FROM metrics
             WHERE run_id IN (SELECT value FROM json_each(?1)) AND epoch IS NULL AND split = 'test'",
            runs,
        )
    }

    /// Metrics of a run's epochs, as they were told.
    pub fn epoch_metrics(&mut self, run: RunId) -> Result<Vec<EpochMetric>, StoreError> {
        let metrics = "SELECT epoch, split, protocol, cohort, metric, k, value, users FROM metrics
             WHERE run_id = ? AND epoch IS NOT NULL ORDER BY rowid";
        let metrics = sqlx::query_as(metrics).bind(run);
        self.rows(metrics)
    }

    /// The results of all runs, measure by measure.
    pub fn results_by_measure(&mut self) -> Result<Vec<MeasureResults>, StoreError> {
        /// A row a measure: a row a result would be built and torn down a million times.
        #[derive(FromRow)]
        struct Packed {
            #[sqlx(flatten)]
            measure: Measure,
            results: String,
        }
        // 17 digits say which double it was.
        let packed = "SELECT split, protocol, cohort, metric, k,
                    group_concat(run_id || ' ' || printf('%!.17g', value)) AS results
                 FROM metrics WHERE epoch IS NULL
                 GROUP BY metric, k, split, protocol, cohort";
        let packed: Vec<Packed> = self.rows(sqlx::query_as(packed))?;
        let result = |result: &str| {
            let (run, value) = result.split_once(' ')?;
            Some((RunId(run.parse().ok()?), value.parse().ok()?))
        };
        let measures = packed.into_iter().map(|of| MeasureResults {
            measure: of.measure,
            results: of.results.split(',').filter_map(result).collect(),
        });
        Ok(measures.collect())
    }

    /// How many users each cohort has, where one metric was measured by one protocol: they are the same for every
    /// other.
    pub fn cohort_users(&mut self, measure: &Measure) -> Result<Vec<CohortUsers>, StoreError> {
        let users =
            "SELECT DISTINCT coalesce(sequences_sha256, 'raw ' || data_sha256) AS data, head_item,
                long_user, split, cohort, metrics.users AS users
             FROM metrics JOIN runs USING (run_id)
             WHERE epoch IS NULL AND protocol = ? AND metric = ? AND k = ?
             ORDER BY data, head_item, long_user, split, cohort";
        let users = sqlx::query_as(users)
            .bind(measure.protocol.as_str())
            .bind(measure.metric.as_str())
            .bind(measure.k);
        self.rows(users)
    }
}
