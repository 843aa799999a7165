//! Deleting runs for good.

use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};

use crate::register::json_list;
use crate::{OwnerInfo, RunId, RunState, Store, StoreError, StoreErrorKind};

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
    /// There is no such run or sweep; a process that is there holds one of the runs.
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
                    sqlx::query(delete).bind(name).execute(&mut *connection).await?;
                }
            }
            let runs: Vec<RunId> = deletion.runs.iter().map(|run| run.run_id).collect();
            sqlx::query("DELETE FROM runs WHERE run_id IN (SELECT value FROM json_each(?))")
                .bind(json_list(&runs))
                .execute(connection)
                .await?;
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
    .bind(json_list(&runs))
    .fetch_all(&mut *connection)
    .await?;
    if let Some(&run) = runs
        .iter()
        .find(|run| !known.iter().any(|known| known.run_id == **run))
    {
        return Err(StoreErrorKind::UnknownRun { run });
    }
    for run in &known {
        require_not_held(connection, run.run_id).await?;
    }
    if matches!(doomed, Doomed::Runs(_)) {
        return Ok(Deletion {
            runs: known,
            kept: 0,
        });
    }
    let shared: Vec<RunId> = sqlx::query_scalar(
        "SELECT run_id FROM sweep_runs WHERE run_id IN (SELECT value FROM json_each(?))
         GROUP BY run_id HAVING count(*) > 1",
    )
    .bind(json_list(&runs))
    .fetch_all(connection)
    .await?;
    Ok(Deletion {
        kept: shared.len() as u64,
        runs: known
            .into_iter()
            .filter(|run| !shared.contains(&run.run_id))
            .collect(),
    })
}

async fn runs_of(
    connection: &mut SqliteConnection,
    sweep: &str,
) -> Result<Vec<RunId>, StoreErrorKind> {
    let number: Option<i64> = sqlx::query_scalar("SELECT sweep_id FROM sweeps WHERE name = ?")
        .bind(sweep)
        .fetch_optional(&mut *connection)
        .await?;
    let number = number.ok_or_else(|| StoreErrorKind::UnknownSweep {
        name: sweep.to_owned(),
    })?;
    let runs = sqlx::query_scalar("SELECT run_id FROM sweep_runs WHERE sweep_id = ?");
    Ok(runs.bind(number).fetch_all(connection).await?)
}

/// Fails on a run in the hands of a process that is there.
async fn require_not_held(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<(), StoreErrorKind> {
    let owner: Option<String> = sqlx::query_scalar("SELECT owner FROM runs WHERE run_id = ?")
        .bind(run)
        .fetch_one(&mut *connection)
        .await?;
    let Some(owner) = owner else {
        return Ok(());
    };
    let owner = OwnerInfo::load(connection, &owner).await?;
    if owner.is_stale() {
        return Ok(());
    }
    Err(StoreErrorKind::InTraining {
        run,
        pid: owner.pid,
        host: owner.host,
    })
}
