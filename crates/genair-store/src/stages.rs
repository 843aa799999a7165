//! Stages at work: what runs of a sweep share, while a process makes it.

use serde::Serialize;
use sqlx::FromRow;

use crate::connection::execute;
use crate::owner::STALE_SECONDS;
use crate::register::integer;
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
    pub fn begin_stage(
        &mut self,
        sweep: SweepId,
        owner: &Owner,
        stage: &NewStage,
    ) -> Result<(), StoreError> {
        self.write(async |connection| {
            owner.beat(connection).await?;
            let begin = sqlx::query(
                "INSERT OR REPLACE INTO stages (sweep_id, recipe_sha256, owner, stage, dataset) VALUES (?, ?, ?, ?, ?)",
            );
            let begin = begin.bind(sweep).bind(&stage.recipe_sha256).bind(&owner.owner);
            execute(connection, begin.bind(&stage.stage).bind(&stage.dataset)).await
        })
    }

    /// Notes how many items of a stage are done, of how many.
    pub fn stage_advanced(
        &mut self,
        owner: &Owner,
        recipe_sha256: &str,
        done: usize,
        total: usize,
    ) -> Result<(), StoreError> {
        self.write(async |connection| {
            let items = |number| integer("number of items", number as u64);
            let advance =
                "UPDATE stages SET done = ?, total = ? WHERE owner = ? AND recipe_sha256 = ?";
            let advance = sqlx::query(advance).bind(items(done)?).bind(items(total)?);
            execute(connection, advance.bind(&owner.owner).bind(recipe_sha256)).await
        })
    }

    /// Notes that a stage has ended, however.
    pub fn end_stage(&mut self, owner: &Owner, recipe_sha256: &str) -> Result<(), StoreError> {
        let end = sqlx::query("DELETE FROM stages WHERE owner = ? AND recipe_sha256 = ?");
        self.execute(end.bind(&owner.owner).bind(recipe_sha256))
    }

    /// The stages of a sweep that are at work, the first to begin first. Those of a process without a sign of life
    /// for a minute are left out.
    pub fn stage_progress(&mut self, sweep: &str) -> Result<Vec<StageProgress>, StoreError> {
        let stages = "SELECT stage, dataset, done, total,
                unixepoch('now', 'subsec') - unixepoch(stages.started_at, 'subsec') AS seconds
             FROM stages JOIN sweeps USING (sweep_id) JOIN owners USING (owner)
             WHERE name = ? AND abs(unixepoch('now', 'subsec') - unixepoch(heartbeat_at, 'subsec')) <= ?
             ORDER BY stages.started_at, stage, dataset";
        self.rows(sqlx::query_as(stages).bind(sweep).bind(STALE_SECONDS))
    }
}
