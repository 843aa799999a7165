//! What runs told while they trained: epochs, judgements, diagnostics, item spaces.

use sqlx::FromRow;

use super::ByRun;
use crate::json::{Json, json_text};
use crate::{DiagnosticRecord, EpochRecord, RunId, Store, StoreError};

/// An item in a picture of a run's item space.
#[derive(Clone, Copy, Debug, PartialEq, FromRow)]
pub struct ItemRecord {
    /// 0 before training, else the best epoch.
    pub epoch: u64,
    /// Its number in the filtered dataset, from 1.
    pub item: u64,
    /// On the first principal axis.
    pub x: f64,
    /// On the second principal axis.
    pub y: f64,
    /// Its interactions in the training part.
    pub interactions: u64,
}

/// An early-stopping metric, such as `ndcg@10`, and its runs; `None` is of specs without.
pub type StopMetric = (Option<String>, Vec<RunId>);

/// Epoch, loss, calibration term and validation; `None` where one was not measured or is not finite.
pub type CurvePoint = (u64, Option<f64>, Option<f64>, Option<f64>);

impl Store {
    /// The epochs of runs.
    pub fn epochs_of(&mut self, runs: &[RunId]) -> Result<ByRun<EpochRecord>, StoreError> {
        self.rows_by_run(
            "SELECT run_id, epoch, loss, calibration, train_seconds, valid, best FROM epochs
             WHERE run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id, epoch",
            runs,
        )
    }

    /// The curves of all runs that have any, of about `points` epochs each at the most. A thinned curve keeps its
    /// first, its best and its last epoch.
    pub fn thinned_curves(
        &mut self,
        points: u32,
    ) -> Result<Vec<(RunId, Vec<CurvePoint>)>, StoreError> {
        // A row a run instead of one an epoch.
        let curves = "WITH sizes AS (
                     SELECT run_id, max(epoch) AS last, (max(epoch) + ?1 - 1) / ?1 AS step FROM epochs GROUP BY run_id
                 )
                 SELECT run_id, json_group_array(
                     json_array(epoch, iif(abs(loss) < 1e300, loss, NULL),
                         iif(abs(calibration) < 1e300, calibration, NULL), valid)
                     ORDER BY epoch)
                 FROM sizes JOIN epochs USING (run_id) JOIN runs USING (run_id)
                 WHERE epoch % step = 0 OR epoch = 1 OR epoch = last OR epoch = best_epoch
                 GROUP BY run_id";
        let curves: Vec<(RunId, Json<Vec<CurvePoint>>)> =
            self.rows(sqlx::query_as(curves).bind(points))?;
        Ok(curves
            .into_iter()
            .map(|(run, Json(points))| (run, points))
            .collect())
    }

    /// The early-stopping metrics of runs.
    pub fn stop_metrics(&mut self, runs: &[RunId]) -> Result<Vec<StopMetric>, StoreError> {
        let metrics = "SELECT json_extract(spec, '$.train.stop.metric'), json_group_array(run_id ORDER BY run_id)
                 FROM runs WHERE run_id IN (SELECT value FROM json_each(?)) GROUP BY 1";
        let metrics: Vec<(Option<String>, Json<Vec<RunId>>)> =
            self.rows(sqlx::query_as(metrics).bind(json_text(runs)))?;
        Ok(metrics
            .into_iter()
            .map(|(metric, Json(runs))| (metric, runs))
            .collect())
    }

    /// By epoch of a judgement, the threshold that the last of these runs to be judged there was held against.
    pub fn prune_thresholds(&mut self, runs: &[RunId]) -> Result<Vec<(u64, f64)>, StoreError> {
        // Columns beside max() are those of the row that has it.
        let thresholds = "SELECT epoch, threshold, max(decided_at) FROM prune_decisions
                 WHERE run_id IN (SELECT value FROM json_each(?)) AND threshold IS NOT NULL
                 GROUP BY epoch ORDER BY epoch";
        let thresholds: Vec<(u64, f64, String)> =
            self.rows(sqlx::query_as(thresholds).bind(json_text(runs)))?;
        Ok(thresholds
            .into_iter()
            .map(|(epoch, threshold, _)| (epoch, threshold))
            .collect())
    }

    /// The pictures of the item spaces of runs, epoch by epoch.
    pub fn item_spaces(&mut self, runs: &[RunId]) -> Result<ByRun<ItemRecord>, StoreError> {
        self.rows_by_run(
            "SELECT run_id, epoch, item, x, y, interactions FROM item_space
             WHERE run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id, epoch, item",
            runs,
        )
    }

    /// Measures of the item spaces of runs, name by name.
    pub fn diagnostics_of(
        &mut self,
        runs: &[RunId],
    ) -> Result<ByRun<DiagnosticRecord>, StoreError> {
        self.rows_by_run(
            "SELECT run_id, epoch, name, value FROM diagnostics
             WHERE run_id IN (SELECT value FROM json_each(?1)) ORDER BY run_id, name, epoch",
            runs,
        )
    }
}
