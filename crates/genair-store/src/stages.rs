//! Stages at work: what runs of a sweep share, while a process makes it.

use serde::Serialize;
use sqlx::FromRow;

use crate::owner::STALE_SECONDS;
use crate::{Owner, Store, StoreError, SweepId};

/// A stage that a process begins to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStage {
    /// SHA-256 of what decides its outcome, lower-case hex.
    pub recipe_sha256: String,
    /// What it makes, such as `archetypes`.
    pub stage: String,
    /// Name of the dataset in the spec.
    pub dataset: String,
}

/// A stage at work, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct StageProgress {
    /// What it makes, such as `archetypes`.
    pub stage: String,
    /// Name of the dataset in the spec.
    pub dataset: String,
    /// Items that are done; none where they are not counted.
    pub done: Option<u64>,
    /// Items in all.
    pub total: Option<u64>,
    /// Seconds since it began.
    pub seconds: f64,
}

impl Store {
    /// Notes that a process makes a stage from now on.
    ///
    /// # Errors
    /// The database cannot be written to.
    pub fn begin_stage(
        &mut self,
        sweep: SweepId,
        owner: &Owner,
        stage: &NewStage,
    ) -> Result<(), StoreError> {
        self.write(async |connection| {
            owner.beat(connection).await?;
            sqlx::query(
                "INSERT OR REPLACE INTO stages (sweep_id, recipe_sha256, owner, stage, dataset) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(sweep)
            .bind(&stage.recipe_sha256)
            .bind(&owner.owner)
            .bind(&stage.stage)
            .bind(&stage.dataset)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    /// Notes how many items of a stage are done, of how many.
    ///
    /// # Errors
    /// The database cannot be written to.
    pub fn stage_advanced(
        &mut self,
        owner: &Owner,
        recipe_sha256: &str,
        done: usize,
        total: usize,
    ) -> Result<(), StoreError> {
        let (done, total) = (done as i64, total as i64);
        self.write(async |connection| {
            sqlx::query(
                "UPDATE stages SET done = ?, total = ? WHERE owner = ? AND recipe_sha256 = ?",
            )
            .bind(done)
            .bind(total)
            .bind(&owner.owner)
            .bind(recipe_sha256)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    /// Notes that a stage has ended, however.
    ///
    /// # Errors
    /// The database cannot be written to.
    pub fn end_stage(&mut self, owner: &Owner, recipe_sha256: &str) -> Result<(), StoreError> {
        self.write(async |connection| {
            sqlx::query("DELETE FROM stages WHERE owner = ? AND recipe_sha256 = ?")
                .bind(&owner.owner)
                .bind(recipe_sha256)
                .execute(connection)
                .await?;
            Ok(())
        })
    }

    /// The stages of a sweep that are at work, the first to begin first. Those of a process without a sign of life
    /// for a minute are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn stage_progress(&mut self, sweep: &str) -> Result<Vec<StageProgress>, StoreError> {
        self.read(async |connection| {
            let stages = "SELECT stage, dataset, done, total,
                    unixepoch('now', 'subsec') - unixepoch(stages.started_at, 'subsec') AS seconds
                 FROM stages JOIN sweeps USING (sweep_id) JOIN owners USING (owner)
                 WHERE name = ? AND abs(unixepoch('now', 'subsec') - unixepoch(heartbeat_at, 'subsec')) <= ?
                 ORDER BY stages.started_at, stage, dataset";
            let stages = sqlx::query_as(stages).bind(sweep).bind(STALE_SECONDS);
            Ok(stages.fetch_all(connection).await?)
        })
    }
}
