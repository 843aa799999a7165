//! Sweeps and the runs they describe, before anything is executed.

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use crate::{Store, StoreError, StoreErrorKind};

/// Number of a sweep in one database.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type,
)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct SweepId(pub i64);

/// Number of a run in one database, from 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type,
)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct RunId(pub i64);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A run as planned. Hashes are SHA-256, lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Hash of everything that decides the run's numbers. Equal identity means the same run.
    pub identity: String,
    /// The resolved spec as JSON.
    pub spec: String,
    /// Hash of `spec`.
    pub spec_sha256: String,
    /// The dataset's name in the spec.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name in the spec.
    pub representation: String,
    /// Swept axes beyond the named ones, such as `alpha=1e-4`; empty where there are none.
    pub variant: String,
    /// At most `i64::MAX`.
    pub seed: u64,
    /// Fingerprint of the raw data.
    pub data_sha256: String,
    /// Hash of the plugin's file; `None` for a built-in backbone.
    pub plugin_sha256: Option<String>,
    /// `genair_protocol::RESULTS_VERSION` of the program that planned it.
    pub results_version: u32,
}

impl Store {
    /// Enters the sweep called `name`, or updates its spec's path and text if it exists. Texts it had
    /// before stay in `sweep_specs`.
    pub fn begin_sweep(
        &mut self,
        name: &str,
        spec_path: &str,
        spec_text: &str,
    ) -> Result<SweepId, StoreError> {
        self.write(async |connection| {
            let sweep: SweepId = sqlx::query_scalar(
                "INSERT INTO sweeps (name, spec_path, spec_text) VALUES (?, ?, ?)
                 ON CONFLICT (name) DO UPDATE SET spec_path = excluded.spec_path, spec_text = excluded.spec_text,
                     updated_at = strftime('%Y-%m-%dT%H:%M:%fZ')
                 RETURNING sweep_id",
            )
            .bind(name)
            .bind(spec_path)
            .bind(spec_text)
            .fetch_one(&mut *connection)
            .await?;
            sqlx::query(
                "INSERT INTO sweep_specs (sweep_id, spec_text, spec_path) VALUES (?, ?, ?)
                 ON CONFLICT (sweep_id, spec_text) DO NOTHING",
            )
            .bind(sweep)
            .bind(spec_text)
            .bind(spec_path)
            .execute(connection)
            .await?;
            Ok(sweep)
        })
    }

    /// Makes `runs` part of the sweep, all or none, and returns their numbers in the same order.
    ///
    /// A run the database knows by its identity keeps its state and results. A run that has the
    /// labels (dataset, backbone, representation, variant, seed) of another one in the sweep
    /// supersedes it there: the other stays in the database, but leaves the leaderboard.
    pub fn register(&mut self, sweep: SweepId, runs: &[NewRun]) -> Result<Vec<RunId>, StoreError> {
        self.write(async |connection| {
            let mut numbers = Vec::with_capacity(runs.len());
            for run in runs {
                let number = enter_run(connection, run).await?;
                add_to_sweep(connection, sweep, number, run).await?;
                numbers.push(number);
            }
            Ok(numbers)
        })
    }
}

async fn enter_run(
    connection: &mut SqliteConnection,
    run: &NewRun,
) -> Result<RunId, StoreErrorKind> {
    sqlx::query(
        "INSERT INTO runs (identity, spec, spec_sha256, dataset, backbone, representation, seed,
                           data_sha256, plugin_sha256, results_version)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (identity) DO NOTHING",
    )
    .bind(&run.identity)
    .bind(&run.spec)
    .bind(&run.spec_sha256)
    .bind(&run.dataset)
    .bind(&run.backbone)
    .bind(&run.representation)
    .bind(integer("seed", run.seed)?)
    .bind(&run.data_sha256)
    .bind(&run.plugin_sha256)
    .bind(run.results_version)
    .execute(&mut *connection)
    .await?;
    let number = sqlx::query_scalar("SELECT run_id FROM runs WHERE identity = ?")
        .bind(&run.identity)
        .fetch_one(connection)
        .await?;
    Ok(number)
}

async fn add_to_sweep(
    connection: &mut SqliteConnection,
    sweep: SweepId,
    number: RunId,
    run: &NewRun,
) -> Result<(), StoreErrorKind> {
    sqlx::query(
        "INSERT INTO sweep_runs (sweep_id, run_id, variant) VALUES (?, ?, ?)
         ON CONFLICT (sweep_id, run_id) DO UPDATE SET variant = excluded.variant, superseded = 0",
    )
    .bind(sweep)
    .bind(number)
    .bind(&run.variant)
    .execute(&mut *connection)
    .await?;
    for rival in rivals(connection, sweep, number).await? {
        supersede(connection, sweep, rival).await?;
    }
    Ok(())
}

/// The other runs on a sweep's leaderboard that have the labels of `run` there.
pub(crate) async fn rivals(
    connection: &mut SqliteConnection,
    sweep: SweepId,
    run: RunId,
) -> Result<Vec<RunId>, StoreErrorKind> {
    let rivals = sqlx::query_scalar(
        "SELECT other.run_id
         FROM sweep_runs AS place
         JOIN runs AS own ON own.run_id = place.run_id
         JOIN sweep_runs AS other_place ON other_place.sweep_id = place.sweep_id
              AND other_place.variant = place.variant AND NOT other_place.superseded
         JOIN runs AS other ON other.run_id = other_place.run_id AND other.run_id <> own.run_id
              AND (other.dataset, other.backbone, other.representation, other.seed)
                = (own.dataset, own.backbone, own.representation, own.seed)
         WHERE place.sweep_id = ? AND place.run_id = ?",
    );
    Ok(rivals.bind(sweep).bind(run).fetch_all(connection).await?)
}

/// Takes a run off a sweep's leaderboard.
pub(crate) async fn supersede(
    connection: &mut SqliteConnection,
    sweep: SweepId,
    run: RunId,
) -> Result<(), StoreErrorKind> {
    sqlx::query("UPDATE sweep_runs SET superseded = 1 WHERE sweep_id = ? AND run_id = ?")
        .bind(sweep)
        .bind(run)
        .execute(connection)
        .await?;
    Ok(())
}

/// A number as SQLite stores it.
pub(crate) fn integer(what: &'static str, value: u64) -> Result<i64, StoreErrorKind> {
    i64::try_from(value).map_err(|_| StoreErrorKind::TooLarge { what, value })
}
