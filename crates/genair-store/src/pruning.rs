//! What pruning asks the database and tells it. Judging is the runner's business.

use serde::Serialize;
use sqlx::FromRow;

use crate::connection::execute;
use crate::json::json_text;
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
    /// The value that was just good enough; none where there were too few to compare with.
    pub threshold: Option<f64>,
    /// Other runs it was compared with.
    pub compared: u64,
    /// Whether it was stopped.
    pub pruned: bool,
    /// Why it went on after it was stopped; none if it did not.
    pub continued: Option<Continued>,
}

/// Why a run that was stopped goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "kebab-case")]
#[sqlx(rename_all = "kebab-case")]
pub enum Continued {
    /// It has come to be among the best of its rung.
    Promoted,
    /// Somebody asked for it: it is not judged again.
    Asked,
    /// Its configuration is the best of its search and lacks this seed: it is not judged again.
    Best,
}

/// Where a run stands at one rung.
#[derive(Clone, Copy, Debug, PartialEq, FromRow)]
pub struct Standing {
    /// The run.
    pub run_id: RunId,
    /// Its best validation by the rung's epoch.
    pub value: f64,
    /// Whether it was stopped there and has not gone on.
    pub waits: bool,
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
        let runs = json_text(runs);
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

    /// Where those of `runs` stand that `rule` has judged at `rung`, or that have finished without. Beside each
    /// run is the epoch, from 1, at which that rung is judged. A new attempt does not take a run's standing
    /// away; a failure does.
    pub fn standings(
        &mut self,
        rule: &str,
        rung: u64,
        runs: &[(RunId, u64)],
    ) -> Result<Vec<Standing>, StoreError> {
        let runs = json_text(runs);
        self.read(async |connection| {
            let standings = "WITH asked AS MATERIALIZED (
                     SELECT value ->> 0 AS run_id, value ->> 1 AS due FROM json_each(?1)
                 )
                 SELECT run_id, value, state = 'pruned' AND pruned AND continued IS NULL AS waits
                 FROM asked CROSS JOIN prune_decisions USING (run_id) JOIN runs USING (run_id)
                 WHERE rung = ?2 AND rule = ?3 AND epoch = due AND state NOT IN ('failed', 'finished')
                 UNION ALL
                 SELECT run_id, max(valid), FALSE
                 FROM asked CROSS JOIN runs USING (run_id) JOIN epochs USING (run_id)
                 WHERE state = 'finished' AND epoch <= due AND valid IS NOT NULL
                 GROUP BY run_id
                 ORDER BY run_id";
            let standings = sqlx::query_as(standings)
                .bind(runs)
                .bind(integer("rung", rung)?)
                .bind(rule);
            Ok(standings.fetch_all(connection).await?)
        })
    }

    /// How a run was judged so far, rung by rung.
    pub fn prune_decisions(&mut self, run: RunId) -> Result<Vec<PruneDecision>, StoreError> {
        let decisions = "SELECT rule, rung, epoch, value, threshold, compared, pruned, continued
             FROM prune_decisions WHERE run_id = ? ORDER BY rung";
        self.rows(sqlx::query_as(decisions).bind(run))
    }

    /// Records how a run that `owner` holds was judged, in the place of an earlier judgement at that rung, by
    /// another rule or after another epoch.
    pub fn record_prune_decision(
        &mut self,
        run: RunId,
        owner: &Owner,
        decision: &PruneDecision,
    ) -> Result<(), StoreError> {
        self.write_held(run, owner, async |connection| {
            let note = sqlx::query(
                "INSERT OR REPLACE INTO prune_decisions (run_id, rung, epoch, rule, value, threshold, compared, pruned)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(run)
            .bind(integer("rung", decision.rung)?)
            .bind(integer("epoch", decision.epoch)?)
            .bind(&decision.rule)
            .bind(decision.value)
            .bind(decision.threshold)
            .bind(integer("number of runs", decision.compared)?)
            .bind(decision.pruned);
            execute(connection, note).await
        })
    }

    /// The best validation of those of `runs` that have finished.
    pub fn best_of_finished(&mut self, runs: &[RunId]) -> Result<Vec<(RunId, f64)>, StoreError> {
        let runs = json_text(runs);
        self.read(async |connection| {
            let best = "SELECT run_id, max(valid) AS highest FROM epochs JOIN runs USING (run_id)
                 WHERE run_id IN (SELECT value FROM json_each(?1)) AND state = 'finished'
                 GROUP BY run_id HAVING highest IS NOT NULL";
            Ok(sqlx::query_as(best)
                .bind(runs)
                .fetch_all(connection)
                .await?)
        })
    }

    /// Makes a run that was stopped pending again, to be claimed and to go on. Says whether it was pruned.
    pub fn unprune(&mut self, run: RunId, why: Continued) -> Result<bool, StoreError> {
        self.write(async |connection| {
            let change =
                "UPDATE runs SET state = 'pending', pruned_at_epoch = NULL, finished_at = NULL
                          WHERE run_id = ? AND state = 'pruned'";
            let changed = sqlx::query(change).bind(run);
            let changed = changed.execute(&mut *connection).await?;
            let was_pruned = changed.rows_affected() == 1;
            if was_pruned {
                let note = "UPDATE prune_decisions SET continued = ?
                            WHERE run_id = ? AND pruned AND continued IS NULL";
                execute(connection, sqlx::query(note).bind(why).bind(run)).await?;
            }
            Ok(was_pruned)
        })
    }

    /// The most memory that finished runs took, by what makes them alike.
    pub fn peak_memory(&mut self) -> Result<Vec<PeakMemory>, StoreError> {
        let peaks =
            "SELECT dataset, backbone, representation, max(peak_memory_bytes) AS bytes FROM runs
             WHERE peak_memory_bytes > 0 GROUP BY dataset, backbone, representation";
        self.rows(sqlx::query_as(peaks))
    }
}
