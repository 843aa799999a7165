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
            let machine = owner.machine.enter(connection).await?;
            let code_diff = owner.code.enter_diff(connection).await?;
            let claim = sqlx::query(
                "UPDATE runs SET state = 'running', owner = ?, attempts = attempts + 1, code_revision = ?,
                     code_dirty = ?, code_diff = ?, machine = ?, started_at = strftime('%Y-%m-%dT%H:%M:%fZ')
                 WHERE run_id = ?",
            );
            let claim = claim.bind(&owner.owner).bind(&owner.code.revision).bind(owner.code.dirty);
            execute(connection, claim.bind(code_diff).bind(machine).bind(run)).await?;
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
pub(crate) const RESULTS: [&str; 7] = [
    "epochs",
    "metrics",
    "ranks",
    "diagnostics",
    "item_space",
    "run_inputs",
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
             users = NULL, items = NULL, interactions = NULL, sequences_sha256 = NULL, head_item = NULL,
             long_user = NULL,
             best_epoch = NULL, epochs = NULL, seconds = NULL, train_seconds = NULL, cpu_seconds = NULL,
             peak_memory_bytes = NULL, pruned_at_epoch = NULL, resumed_from_epoch = NULL,
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
mod tests {
    use std::process::{Child, Command};
    use std::sync::Barrier;

    use genair_protocol::{Labels, RunEvent, RunFailure, RunPhase};
    use serde_json::json;

    use super::*;
    use crate::owner::started;
    use crate::{CodeRevision, NewRun};

    struct OneRun {
        folder: tempfile::TempDir,
        store: Store,
        run: RunId,
    }

    fn one_run() -> OneRun {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("results.db")).unwrap();
        let sweep = store.begin_sweep("main", "main.toml", "").unwrap();
        let run = NewRun {
            identity: "a1".to_owned(),
            configuration: "ac".to_owned(),
            spec: "{}".to_owned(),
            spec_sha256: "b2".to_owned(),
            labels: Labels {
                dataset: "tiny".to_owned(),
                backbone: "sasrec".to_owned(),
                representation: "id".to_owned(),
                seed: 44,
                ..Labels::default()
            },
            data_sha256: "c3".to_owned(),
            plugin_sha256: None,
            results_version: 1,
        };
        let run = store.register(sweep, &[run]).unwrap().runs[0];
        OneRun { folder, store, run }
    }

    fn this_process() -> Owner {
        Owner::this_process(CodeRevision {
            revision: "4b825dc".to_owned(),
            dirty: true,
            diff: None,
        })
    }

    fn of_child(child: &Child) -> Owner {
        Owner {
            owner: format!("child {}", child.id()),
            pid: child.id(),
            pid_started: started(child.id()).unwrap(),
            ..this_process()
        }
    }

    #[test]
    fn a_run_is_claimed_once_by_whoever_comes_first() {
        let OneRun { folder, run, .. } = one_run();
        let path = folder.path().join("results.db");
        let barrier = Barrier::new(4);
        let claims: Vec<Claim> = std::thread::scope(|scope| {
            let claim = || {
                let mut store = Store::open(&path).unwrap();
                barrier.wait();
                store.claim(run, &this_process(), FailedRuns::Keep).unwrap()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let count =
            |wanted: fn(&Claim) -> bool| claims.iter().filter(|claim| wanted(claim)).count();
        assert_eq!(count(|claim| matches!(claim, Claim::Claimed)), 1);
        assert_eq!(
            count(|claim| matches!(claim, Claim::HeldBy(by) if by.pid == std::process::id())),
            3
        );
    }

    #[test]
    fn a_run_is_taken_over_once_its_process_ended_and_not_before() {
        let OneRun {
            folder: _folder,
            mut store,
            run,
        } = one_run();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let childs = of_child(&child);
        assert_eq!(
            store.claim(run, &childs, FailedRuns::Keep).unwrap(),
            Claim::Claimed
        );
        let refused = store.claim(run, &this_process(), FailedRuns::Keep).unwrap();
        assert!(matches!(refused, Claim::HeldBy(by) if by.pid == child.id()));
        child.kill().unwrap();
        child.wait().unwrap();

        assert_eq!(
            store.claim(run, &this_process(), FailedRuns::Keep).unwrap(),
            Claim::Claimed
        );
        let details = store.show_run(run).unwrap();
        assert_eq!(details.run.attempts, 2);
        assert_eq!(details.run.code_revision.as_deref(), Some("4b825dc"));
        assert_eq!(details.owner.unwrap().pid, std::process::id());
        let owners = store.query("SELECT count(*) FROM owners").unwrap().rows;
        assert_eq!(
            owners,
            [[json!(1)]],
            "the process that is gone is forgotten"
        );
        let late = store.release(run, &childs).unwrap_err().kind;
        assert!(matches!(late, StoreErrorKind::NotHeld { .. }), "{late}");
    }

    #[test]
    fn a_failed_run_is_tried_again_by_what_it_failed_of() {
        let OneRun {
            folder: _folder,
            mut store,
            run,
        } = one_run();
        let owner = this_process();
        let crashed = [
            FailureKind::WorkerDied,
            FailureKind::Io,
            FailureKind::DiskFull,
        ];
        let invalid = [
            FailureKind::InvalidSpec,
            FailureKind::NonFinite,
            FailureKind::PluginFailed,
        ];
        for kind in crashed.into_iter().chain(invalid) {
            store.claim(run, &owner, FailedRuns::Retry).unwrap();
            let failure = RunFailure {
                kind,
                phase: RunPhase::Training,
                message: "as asked".to_owned(),
                hint: None,
            };
            store
                .record(run, &owner, &RunEvent::Failed(failure))
                .unwrap();
            assert_eq!(store.reopen(&[run], FailedRuns::Keep).unwrap(), 0);
            let reopened = store.reopen(&[run], FailedRuns::RetryCrashed).unwrap() == 1;
            assert_eq!(reopened, crashed.contains(&kind), "{kind:?}");
            let claim = store.claim(run, &owner, FailedRuns::RetryCrashed).unwrap();
            assert_eq!(claim == Claim::Claimed, reopened, "{kind:?}");
            if reopened {
                store.release(run, &owner).unwrap();
            } else {
                assert_eq!(store.reopen(&[run], FailedRuns::Retry).unwrap(), 1);
            }
        }
    }

    #[test]
    fn runs_of_processes_that_are_gone_can_be_released_without_a_claim() {
        let OneRun {
            folder: _folder,
            mut store,
            run,
        } = one_run();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        store
            .claim(run, &of_child(&child), FailedRuns::Keep)
            .unwrap();
        assert_eq!(store.release_stale().unwrap(), 0, "it is there");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(store.release_stale().unwrap(), 1);
        let row = store.show_run(run).unwrap().run;
        assert_eq!((row.state, row.attempts), (RunState::Pending, 1));
        let owners = store.query("SELECT count(*) FROM owners").unwrap().rows;
        assert_eq!(owners, [[json!(0)]]);
    }

    #[test]
    fn a_silent_process_of_another_machine_is_taken_over_after_a_minute() {
        let OneRun {
            folder: _folder,
            mut store,
            run,
        } = one_run();
        let elsewhere = Owner {
            owner: "elsewhere".to_owned(),
            host: "elsewhere".to_owned(),
            pid: 1,
            ..this_process()
        };
        assert_eq!(
            store.claim(run, &elsewhere, FailedRuns::Keep).unwrap(),
            Claim::Claimed
        );
        let mut silent_for = |seconds: u32| {
            let change =
                "UPDATE owners SET heartbeat_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?)";
            store
                .write(async |connection| {
                    let by = format!("-{seconds} seconds");
                    sqlx::query(change).bind(by).execute(connection).await?;
                    Ok(())
                })
                .unwrap();
            store.claim(run, &this_process(), FailedRuns::Keep).unwrap()
        };
        assert!(matches!(silent_for(50), Claim::HeldBy(by) if by.host == "elsewhere"));
        assert_eq!(silent_for(70), Claim::Claimed);
    }

    #[test]
    fn removing_an_owner_releases_its_runs() {
        let OneRun {
            folder: _folder,
            mut store,
            run,
        } = one_run();
        let owner = this_process();
        store.claim(run, &owner, FailedRuns::Keep).unwrap();
        store.heartbeat(&owner).unwrap();
        store.remove_owner(&owner).unwrap();
        assert_eq!(store.show_run(run).unwrap().run.state, RunState::Pending);
        assert_eq!(
            store.query("SELECT count(*) FROM owners").unwrap().rows,
            [[json!(0)]]
        );
    }

    /// How runs were judged outlives the attempt that was judged; configurations are kept by triggers.
    #[test]
    fn every_table_of_results_is_known() {
        let OneRun {
            folder: _folder,
            mut store,
            ..
        } = one_run();
        let tables = store
            .query(
                "SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c
                 WHERE m.type = 'table' AND c.name = 'run_id' AND m.name NOT IN ('runs', 'sweep_runs', 'prune_decisions', 'configurations')
                 ORDER BY m.name",
            )
            .unwrap()
            .rows;
        let mut known = RESULTS;
        known.sort();
        assert_eq!(tables, known.map(|table| [table]));
    }

    #[test]
    fn an_unknown_run_is_named() {
        let OneRun {
            folder: _folder,
            mut store,
            ..
        } = one_run();
        let error = store
            .claim(RunId(99), &this_process(), FailedRuns::Keep)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("there is no run 99; `genair results list` shows those there are")
        );
    }
}
