//! Who executes a run: claiming, releasing, and staying alive. At most one process holds a run.

use genair_protocol::FailureKind;
use serde::Serialize;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::connection::execute;
use crate::{Owner, OwnerInfo, RunId, RunState, Store, StoreError, StoreErrorKind};

/// What to do with a run that failed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedRuns {
    /// Leave it failed and say so.
    Keep,
    /// Try it again if it crashed, or if what it needs could not be made; leave it if trying again would
    /// change nothing. See [`FailureKind::RETRIED`].
    RetryCrashed,
    /// Try it again.
    Retry,
}

impl FailedRuns {
    /// Whether a run that failed with the code `kind` is to be tried again.
    fn retries(self, kind: &str) -> bool {
        match self {
            Self::Keep => false,
            Self::RetryCrashed => FailureKind::RETRIED.iter().any(|own| own.as_str() == kind),
            Self::Retry => true,
        }
    }
}

/// What became of an attempt to claim a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// The caller holds the run and must execute or release it. Nothing of an earlier attempt is left.
    Claimed,
    /// It has its results.
    Finished,
    /// It failed before, and was not to be tried again.
    Failed(Failure),
    /// It was stopped for being worse than others; [`Store::unprune`] makes it pending again.
    Pruned {
        /// The last epoch trained.
        epoch: u64,
    },
    /// Another process that is still there holds it.
    HeldBy(OwnerInfo),
}

/// Why a run failed, as stored; see `genair_protocol::RunFailure`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Failure {
    /// Code such as `plugin-failed`.
    #[sqlx(rename = "failure_kind")]
    pub kind: String,
    /// What it was doing, such as `training`.
    #[sqlx(rename = "failure_phase")]
    pub phase: String,
    /// What went wrong.
    #[sqlx(rename = "failure_message")]
    pub message: String,
    /// What to do about it.
    #[sqlx(rename = "failure_hint")]
    pub hint: Option<String>,
}

impl Store {
    /// Claims a run for `owner`, unless it is done or in other hands. A run held by a process that
    /// is gone is taken over; see [`OwnerInfo::is_stale`].
    pub fn claim(
        &mut self,
        run: RunId,
        owner: &Owner,
        failed: FailedRuns,
    ) -> Result<Claim, StoreError> {
        self.write(async |connection| {
            let previous = match holder(connection, run).await? {
                (RunState::Finished, _) => return Ok(Claim::Finished),
                (RunState::Failed, _) => {
                    let failure = failure(connection, run).await?;
                    if !failed.retries(&failure.kind) {
                        return Ok(Claim::Failed(failure));
                    }
                    None
                }
                (RunState::Pruned, _) => {
                    return Ok(Claim::Pruned { epoch: pruned_at(connection, run).await? });
                }
                (RunState::Running, Some(name)) => {
                    let previous = OwnerInfo::load(connection, &name).await?;
                    if !previous.is_stale() {
                        return Ok(Claim::HeldBy(previous));
                    }
                    tracing::info!(%run, pid = previous.pid, host = %previous.host, "taking over from a process that is gone");
                    Some(name)
                }
                (RunState::Pending | RunState::Running, _) => None,
            };
            reset(connection, run).await?;
            owner.beat(connection).await?;
            let code_diff = owner.code.enter_diff(connection).await?;
            let claim = sqlx::query(
                "UPDATE runs SET state = 'running', owner = ?, attempts = attempts + 1, code_revision = ?,
                     code_dirty = ?, code_diff = ?, started_at = strftime('%Y-%m-%dT%H:%M:%fZ')
                 WHERE run_id = ?",
            );
            let claim = claim.bind(&owner.owner).bind(&owner.code.revision).bind(owner.code.dirty);
            execute(connection, claim.bind(code_diff).bind(run)).await?;
            if let Some(previous) = previous {
                forget_if_idle(connection, &previous).await?;
            }
            Ok(Claim::Claimed)
        })
    }

    /// Makes those of `runs` pending that failed and are to be tried again; returns how many that were.
    pub fn reopen(&mut self, runs: &[RunId], failed: FailedRuns) -> Result<u64, StoreError> {
        self.write(async |connection| {
            let mut reopened = 0;
            for &run in runs {
                if let (RunState::Failed, _) = holder(connection, run).await?
                    && failed.retries(&failure(connection, run).await?.kind)
                {
                    reset(connection, run).await?;
                    reopened += 1;
                }
            }
            Ok(reopened)
        })
    }

    /// Notes that a worker begins an attempt at a run that `owner` holds. Nothing of an earlier attempt is left but
    /// the inputs, which are those of the claim; so an attempt may be told again from its beginning.
    pub fn begin_attempt(
        &mut self,
        run: RunId,
        owner: &Owner,
        attempt: &str,
    ) -> Result<(), StoreError> {
        self.write_held(run, owner, async |connection| {
            for table in RESULTS.iter().filter(|table| **table != "run_inputs") {
                // A name of our own.
                let delete = AssertSqlSafe(format!("DELETE FROM {table} WHERE run_id = ?"));
                execute(connection, sqlx::query(delete).bind(run)).await?;
            }
            let begin = sqlx::query(
                "UPDATE runs SET attempt = ?, started_at = strftime('%Y-%m-%dT%H:%M:%fZ'), resumed_from_epoch = NULL,
                     host = NULL, machine = NULL
                 WHERE run_id = ?",
            );
            execute(connection, begin.bind(attempt).bind(run)).await
        })
    }

    /// Gives a run back unfinished: it is pending again and nothing of the attempt is left but its count.
    pub fn release(&mut self, run: RunId, owner: &Owner) -> Result<(), StoreError> {
        self.write_held(run, owner, async |connection| reset(connection, run).await)
    }

    /// Tells other machines that `owner` is still at work. Due well within 60 s while it holds runs.
    pub fn heartbeat(&mut self, owner: &Owner) -> Result<(), StoreError> {
        self.write(async |connection| owner.beat(connection).await)
    }

    /// Makes every run pending that a process holds which is gone, and forgets such processes. Returns
    /// how many runs that were. A claim takes over by itself; this is for runs that nobody claims.
    pub fn release_stale(&mut self) -> Result<u64, StoreError> {
        self.write(async |connection| {
            let owners: Vec<String> = sqlx::query_scalar("SELECT owner FROM owners ORDER BY owner")
                .fetch_all(&mut *connection)
                .await?;
            let mut released = 0;
            for owner in owners {
                if OwnerInfo::load(connection, &owner).await?.is_stale() {
                    released += release_all(connection, &owner).await?;
                }
            }
            Ok(released)
        })
    }

    /// Takes `owner` off the list of processes and releases what it still holds.
    pub fn remove_owner(&mut self, owner: &Owner) -> Result<(), StoreError> {
        self.write(async |connection| release_all(connection, &owner.owner).await.map(drop))
    }
}

/// Releases what an owner holds and forgets it; returns how many runs that were.
async fn release_all(
    connection: &mut SqliteConnection,
    owner: &str,
) -> Result<u64, StoreErrorKind> {
    let held: Vec<RunId> = sqlx::query_scalar("SELECT run_id FROM runs WHERE owner = ?")
        .bind(owner)
        .fetch_all(&mut *connection)
        .await?;
    for &run in &held {
        reset(connection, run).await?;
    }
    forget_if_idle(connection, owner).await?;
    Ok(held.len() as u64)
}

/// Where a run stands, and who holds it; an error where there is no such run.
pub(crate) async fn holder(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<(RunState, Option<String>), StoreErrorKind> {
    sqlx::query_as("SELECT state, owner FROM runs WHERE run_id = ?")
        .bind(run)
        .fetch_optional(connection)
        .await?
        .ok_or(StoreErrorKind::UnknownRun { run })
}

async fn pruned_at(connection: &mut SqliteConnection, run: RunId) -> Result<u64, StoreErrorKind> {
    let epoch = sqlx::query_scalar("SELECT pruned_at_epoch FROM runs WHERE run_id = ?");
    Ok(epoch.bind(run).fetch_one(connection).await?)
}

pub(crate) async fn failure(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<Failure, StoreErrorKind> {
    let failure = sqlx::query_as(
        "SELECT failure_kind, failure_phase, failure_message, failure_hint FROM runs WHERE run_id = ?",
    );
    Ok(failure.bind(run).fetch_one(connection).await?)
}

/// Fails unless `owner` holds the run: whoever lost it must not write any more.
pub(crate) async fn require_held(
    connection: &mut SqliteConnection,
    run: RunId,
    owner: &Owner,
) -> Result<(), StoreErrorKind> {
    match holder(connection, run).await? {
        (RunState::Running, Some(name)) if name == owner.owner => Ok(()),
        _ => Err(StoreErrorKind::NotHeld { run }),
    }
}

/// Tables of what was measured of a run; each has a column `run_id`.
pub(crate) const RESULTS: [&str; 8] = [
    "epochs",
    "metrics",
    "ranks",
    "diagnostics",
    "item_space",
    "run_inputs",
    "input_counts",
    "artefacts",
];

/// Makes a run pending, with nothing of an attempt left.
pub(crate) async fn reset(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<(), StoreErrorKind> {
    for table in RESULTS {
        // A name of our own.
        let delete = AssertSqlSafe(format!("DELETE FROM main.{table} WHERE run_id = ?"));
        execute(connection, sqlx::query(delete).bind(run)).await?;
    }
    let clear = sqlx::query(
        "UPDATE runs SET state = 'pending', owner = NULL, started_at = NULL, finished_at = NULL,
             code_revision = NULL, code_dirty = NULL, code_diff = NULL, trainer_version = NULL,
             libtorch = NULL, machine = NULL, host = NULL, device = NULL, threads = NULL, parameters = NULL,
             users = NULL, items = NULL, interactions = NULL, cold_items = NULL, sequences_sha256 = NULL,
             ids_sha256 = NULL, head_item = NULL,
             long_user = NULL,
             best_epoch = NULL, epochs = NULL, seconds = NULL, train_seconds = NULL, cpu_seconds = NULL,
             peak_memory_bytes = NULL, pruned_at_epoch = NULL, resumed_from_epoch = NULL, attempt = NULL,
             failure_kind = NULL, failure_phase = NULL, failure_message = NULL, failure_hint = NULL
         WHERE run_id = ?",
    );
    execute(connection, clear.bind(run)).await
}

async fn forget_if_idle(
    connection: &mut SqliteConnection,
    owner: &str,
) -> Result<(), StoreErrorKind> {
    let forget = "DELETE FROM owners WHERE owner = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.owner = ?1)";
    execute(connection, sqlx::query(forget).bind(owner)).await
}

#[cfg(test)]
mod tests;
