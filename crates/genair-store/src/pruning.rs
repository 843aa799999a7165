//! What pruning asks the database and tells it. Judging is the runner's business.

use serde::Serialize;
use sqlx::FromRow;

use crate::claim::require_held;
use crate::register::integer;
use crate::{Owner, RunId, Store, StoreError};

/// How a run was judged at one rung.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct PruneDecision {
    /// `asha` or `median`.
    pub rule: String,
    /// From 0; each is judged once.
    pub rung: u64,
    /// The validation it was judged after, from 1.
    pub epoch: u64,
    /// Its best validation so far.
    pub value: f64,
    /// The value that was just good enough; none where there was nothing to compare with.
    pub threshold: Option<f64>,
    /// Other runs it was compared with.
    pub compared: u64,
    /// Whether it was stopped.
    pub pruned: bool,
}

/// The most memory that runs of one kind took.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct PeakMemory {
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// Resident bytes.
    pub bytes: u64,
}

impl Store {
    /// The best validation by `epoch`, from 1, of those of `runs` that have got there or have finished before.
    pub fn best_by_epoch(
        &mut self,
        runs: &[RunId],
        epoch: u64,
    ) -> Result<Vec<(RunId, f64)>, StoreError> {
        let runs: Vec<i64> = runs.iter().map(|run| run.0).collect();
        let runs = serde_json::Value::from(runs).to_string();
        self.read(async |connection| {
            let best = "SELECT run_id, max(valid) FILTER (WHERE epoch <= ?2) AS highest
                 FROM epochs JOIN runs USING (run_id)
                 WHERE run_id IN (SELECT value FROM json_each(?1)) AND valid IS NOT NULL
                 GROUP BY run_id
                 HAVING highest IS NOT NULL AND (max(epoch) >= ?2 OR state = 'finished')";
            let best = sqlx::query_as(best)
                .bind(runs)
                .bind(integer("epoch", epoch)?);
            Ok(best.fetch_all(connection).await?)
        })
    }

    /// How a run was judged so far, rung by rung.
    pub fn prune_decisions(&mut self, run: RunId) -> Result<Vec<PruneDecision>, StoreError> {
        self.read(async |connection| {
            let decisions =
                "SELECT rule, rung, epoch, value, threshold, compared, pruned FROM prune_decisions
                             WHERE run_id = ? ORDER BY rung";
            Ok(sqlx::query_as(decisions)
                .bind(run)
                .fetch_all(connection)
                .await?)
        })
    }

    /// Records how a run that `owner` holds was judged.
    pub fn record_prune_decision(
        &mut self,
        run: RunId,
        owner: &Owner,
        decision: &PruneDecision,
    ) -> Result<(), StoreError> {
        self.write(async |connection| {
            require_held(connection, run, owner).await?;
            sqlx::query(
                "INSERT INTO prune_decisions (run_id, rung, epoch, rule, value, threshold, compared, pruned)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(run)
            .bind(integer("rung", decision.rung)?)
            .bind(integer("epoch", decision.epoch)?)
            .bind(&decision.rule)
            .bind(decision.value)
            .bind(decision.threshold)
            .bind(integer("number of runs", decision.compared)?)
            .bind(decision.pruned)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    /// The most memory that finished runs took, by what makes them alike.
    pub fn peak_memory(&mut self) -> Result<Vec<PeakMemory>, StoreError> {
        self.read(async |connection| {
            let peaks = "SELECT dataset, backbone, representation, max(peak_memory_bytes) AS bytes FROM runs
                         WHERE peak_memory_bytes > 0 GROUP BY dataset, backbone, representation";
            Ok(sqlx::query_as(peaks).fetch_all(connection).await?)
        })
    }
}
