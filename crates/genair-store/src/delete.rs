//! Deleting runs for good.

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

use crate::connection::execute;
use crate::json::json_text;
use crate::{OwnerInfo, RunId, RunState, Store, StoreError, StoreErrorKind, SweepId};

/// What is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doomed {
    /// These runs, in whatever sweeps they are.
    Runs(Vec<RunId>),
    /// The sweep of this name, with the runs that no other sweep has.
    Sweep(String),
}

/// A run that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct DoomedRun {
    /// Its number.
    pub run_id: RunId,
    /// Hash of everything that decides its numbers; its files are kept under it.
    pub identity: String,
    /// Where it stands.
    pub state: RunState,
}

/// What goes, or has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// The runs.
    pub runs: Vec<DoomedRun>,
    /// Runs of the sweep that stay, since other sweeps have them, too.
    pub kept: u64,
}

impl Store {
    /// What [`Self::delete`] would delete.
    ///
    /// # Errors
    /// There is no such run or sweep; a process that is there trains a run of one of their sweeps.
    pub fn deletion(&mut self, doomed: &Doomed) -> Result<Deletion, StoreError> {
        self.read(async |connection| deletion(connection, doomed).await)
    }

    /// Deletes runs with everything measured of them, all or none. Their files are the caller's.
    ///
    /// # Errors
    /// As [`Self::deletion`]; a database that cannot be written.
    pub fn delete(&mut self, doomed: &Doomed) -> Result<Deletion, StoreError> {
        self.write(async |connection| {
            let deletion = deletion(connection, doomed).await?;
            if let Doomed::Sweep(name) = doomed {
                // Before the sweep itself: what is kept of its configurations refers to it.
                for delete in [
                    "DELETE FROM sweep_runs WHERE sweep_id = (SELECT sweep_id FROM sweeps WHERE name = ?)",
                    "DELETE FROM sweeps WHERE name = ?",
                ] {
                    execute(connection, sqlx::query(delete).bind(name)).await?;
                }
            }
            let runs: Vec<RunId> = deletion.runs.iter().map(|run| run.run_id).collect();
            let delete = "DELETE FROM runs WHERE run_id IN (SELECT value FROM json_each(?))";
            execute(connection, sqlx::query(delete).bind(json_text(&runs))).await?;
            let unused = "DELETE FROM id_sets WHERE sha256 NOT IN
                 (SELECT ids_sha256 FROM runs WHERE ids_sha256 IS NOT NULL)";
            execute(connection, sqlx::query(unused)).await?;
            Ok(deletion)
        })
    }
}

async fn deletion(
    connection: &mut SqliteConnection,
    doomed: &Doomed,
) -> Result<Deletion, StoreErrorKind> {
    let runs = match doomed {
        Doomed::Runs(runs) => runs.clone(),
        Doomed::Sweep(name) => runs_of(connection, name).await?,
    };
    let known: Vec<DoomedRun> = sqlx::query_as(
        "SELECT run_id, identity, state FROM runs
         WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id",
    )
    .bind(json_text(&runs))
    .fetch_all(&mut *connection)
    .await?;
    let is_unknown = |run: &&RunId| !known.iter().any(|known| known.run_id == **run);
    if let Some(&run) = runs.iter().find(is_unknown) {
        return Err(StoreErrorKind::UnknownRun { run });
    }
    require_idle(connection, &runs).await?;
    let mut deletion = Deletion {
        runs: known,
        kept: 0,
    };
    if matches!(doomed, Doomed::Runs(_)) {
        return Ok(deletion);
    }
    let shared: Vec<RunId> = sqlx::query_scalar(
        "SELECT run_id FROM sweep_runs WHERE run_id IN (SELECT value FROM json_each(?))
         GROUP BY run_id HAVING count(*) > 1",
    )
    .bind(json_text(&runs))
    .fetch_all(connection)
    .await?;
    deletion.kept = shared.len() as u64;
    deletion.runs.retain(|run| !shared.contains(&run.run_id));
    Ok(deletion)
}

async fn runs_of(
    connection: &mut SqliteConnection,
    sweep: &str,
) -> Result<Vec<RunId>, StoreErrorKind> {
    let number = sqlx::query_scalar("SELECT sweep_id FROM sweeps WHERE name = ?").bind(sweep);
    let number: Option<SweepId> = number.fetch_optional(&mut *connection).await?;
    let number = number.ok_or_else(|| StoreErrorKind::UnknownSweep {
        name: sweep.to_owned(),
        hint: None,
    })?;
    let runs = sqlx::query_scalar("SELECT run_id FROM sweep_runs WHERE sweep_id = ?");
    Ok(runs.bind(number).fetch_all(connection).await?)
}

/// Fails on runs of a sweep that a process is at: that process wants all of them, in training or not.
async fn require_idle(
    connection: &mut SqliteConnection,
    runs: &[RunId],
) -> Result<(), StoreErrorKind> {
    let held: Vec<(RunId, String)> = sqlx::query_as(
        "SELECT DISTINCT held.run_id, held.owner
         FROM sweep_runs AS own
         JOIN sweep_runs AS beside ON beside.sweep_id = own.sweep_id
         JOIN runs AS held ON held.run_id = beside.run_id
         WHERE own.run_id IN (SELECT value FROM json_each(?)) AND held.owner IS NOT NULL
         ORDER BY held.run_id",
    )
    .bind(json_text(runs))
    .fetch_all(&mut *connection)
    .await?;
    for (run, owner) in held {
        let owner = OwnerInfo::load(connection, &owner).await?;
        if !owner.is_stale() {
            return Err(StoreErrorKind::InTraining {
                run,
                pid: owner.pid,
                host: owner.host,
            });
        }
    }
    Ok(())
}
