//! Sweeps and the runs they describe, before anything is executed.

use genair_protocol::Labels;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use crate::connection::execute;
use crate::json::json_text;
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRun {
    /// Hash of everything that decides the run's numbers. Equal identity means the same run.
    pub identity: String,
    /// Hash of the same without the seed. Runs of equal configuration may be averaged.
    pub configuration: String,
    /// The resolved spec as JSON.
    pub spec: String,
    /// Hash of `spec`.
    pub spec_sha256: String,
    /// What tells it from the sweep's other runs. Its seed is at most `i64::MAX`.
    pub labels: Labels,
    /// Fingerprint of the raw data.
    pub data_sha256: String,
    /// Hash of the plugin's file; `None` for a built-in backbone.
    pub plugin_sha256: Option<String>,
    /// `genair_protocol::RESULTS_VERSION` of the program that planned it.
    pub results_version: u32,
}

/// What became of a sweep's runs when they were registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Their numbers, in the order in which they were given.
    pub runs: Vec<RunId>,
    /// Runs of the sweep before that are not among them, and which left it now.
    pub left_out: u64,
    /// Runs whose dataset had another name so far.
    pub renamed: u64,
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
            let text = sqlx::query(
                "INSERT INTO sweep_specs (sweep_id, spec_text, spec_path) VALUES (?, ?, ?)
                 ON CONFLICT (sweep_id, spec_text) DO NOTHING",
            );
            let text = text.bind(sweep).bind(spec_text).bind(spec_path);
            execute(connection, text).await?;
            Ok(sweep)
        })
    }

    /// Notes which axes the sweep's search draws or lists points of; none for a grid.
    pub fn note_search(&mut self, sweep: SweepId, searched: &[String]) -> Result<(), StoreError> {
        self.write(async |connection| {
            let note = sqlx::query("UPDATE sweeps SET searched = ? WHERE sweep_id = ?");
            execute(connection, note.bind(json_text(searched)).bind(sweep)).await
        })
    }

    /// Makes `runs` the runs of the sweep, all or none.
    ///
    /// A run the database knows by its identity keeps its state and results; its dataset gets the name that it has here. Every other run of the sweep
    /// is superseded there: it stays in the database, but no list, leaderboard or estimate has it, until it
    /// is registered again.
    ///
    /// # Errors
    /// A seed above `i64::MAX`; a database that cannot be written.
    pub fn register(&mut self, sweep: SweepId, runs: &[NewRun]) -> Result<Registered, StoreError> {
        self.write(async |connection| {
            let mut numbers = Vec::with_capacity(runs.len());
            let mut renamed = 0;
            for run in runs {
                renamed += rename_dataset(connection, run).await?;
                let number = enter_run(connection, run).await?;
                add_to_sweep(connection, sweep, number, run).await?;
                numbers.push(number);
            }
            let left_out = supersede_all_but(connection, sweep, &numbers).await?;
            let runs = numbers;
            Ok(Registered {
                runs,
                left_out,
                renamed,
            })
        })
    }

    /// How many of these runs the sweep does not have any more: another spec of its name was swept meanwhile.
    pub fn left_out(&mut self, sweep: SweepId, runs: &[RunId]) -> Result<u64, StoreError> {
        self.read(async |connection| {
            let left_out = sqlx::query_scalar(
                "SELECT count(*) FROM json_each(?) AS wanted WHERE NOT EXISTS (
                     SELECT 1 FROM sweep_runs WHERE sweep_id = ? AND run_id = wanted.value AND NOT superseded
                 )",
            );
            let left_out = left_out.bind(json_text(runs)).bind(sweep);
            Ok(left_out.fetch_one(connection).await?)
        })
    }
}

/// Gives the runs of a configuration the name that their dataset has now; returns how many had another one.
async fn rename_dataset(
    connection: &mut SqliteConnection,
    run: &NewRun,
) -> Result<u64, StoreErrorKind> {
    let (configuration, dataset) = (&run.configuration, &run.labels.dataset);
    let others = sqlx::query_as(
        "SELECT run_id, json_set(spec, '$.dataset_name', ?2) FROM runs WHERE configuration = ?1 AND dataset <> ?2",
    );
    let others = others.bind(configuration).bind(dataset);
    let others: Vec<(RunId, String)> = others.fetch_all(&mut *connection).await?;
    for (number, spec) in &others {
        let rename = sqlx::query(
            "UPDATE runs SET dataset = ?2, spec = ?3, spec_sha256 = ?4 WHERE run_id = ?1",
        );
        let sha256 = genair_files::sha256(spec);
        let rename = rename.bind(number).bind(dataset).bind(spec).bind(sha256);
        execute(connection, rename).await?;
    }
    if !others.is_empty() {
        let rename = sqlx::query("UPDATE configurations SET dataset = ?2 WHERE configuration = ?1");
        execute(connection, rename.bind(configuration).bind(dataset)).await?;
    }
    Ok(others.len() as u64)
}

async fn enter_run(
    connection: &mut SqliteConnection,
    run: &NewRun,
) -> Result<RunId, StoreErrorKind> {
    let enter = sqlx::query(
        "INSERT INTO runs (identity, configuration, spec, spec_sha256, dataset, backbone, representation, seed,
                           data_sha256, plugin_sha256, results_version)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (identity) DO NOTHING",
    )
    .bind(&run.identity)
    .bind(&run.configuration)
    .bind(&run.spec)
    .bind(&run.spec_sha256)
    .bind(&run.labels.dataset)
    .bind(&run.labels.backbone)
    .bind(&run.labels.representation)
    .bind(integer("seed", run.labels.seed)?)
    .bind(&run.data_sha256)
    .bind(&run.plugin_sha256)
    .bind(run.results_version);
    execute(connection, enter).await?;
    let number = sqlx::query_scalar("SELECT run_id FROM runs WHERE identity = ?");
    Ok(number.bind(&run.identity).fetch_one(connection).await?)
}

async fn add_to_sweep(
    connection: &mut SqliteConnection,
    sweep: SweepId,
    number: RunId,
    run: &NewRun,
) -> Result<(), StoreErrorKind> {
    let add = sqlx::query(
        "INSERT INTO sweep_runs (sweep_id, run_id, axes, variant) VALUES (?, ?, ?, ?)
         ON CONFLICT (sweep_id, run_id)
         DO UPDATE SET axes = excluded.axes, variant = excluded.variant, superseded = 0",
    );
    let axes = &run.labels.axes;
    let add = add
        .bind(sweep)
        .bind(number)
        .bind(axes.to_json())
        .bind(axes.to_string());
    execute(connection, add).await
}

/// Takes every other run off the sweep's leaderboard; returns how many were on it.
async fn supersede_all_but(
    connection: &mut SqliteConnection,
    sweep: SweepId,
    runs: &[RunId],
) -> Result<u64, StoreErrorKind> {
    let superseded = sqlx::query(
        "UPDATE sweep_runs SET superseded = 1
         WHERE sweep_id = ? AND NOT superseded AND run_id NOT IN (SELECT value FROM json_each(?))",
    );
    let superseded = superseded.bind(sweep).bind(json_text(runs));
    Ok(superseded.execute(connection).await?.rows_affected())
}

/// A number as SQLite stores it.
pub(crate) fn integer(what: &'static str, value: u64) -> Result<i64, StoreErrorKind> {
    i64::try_from(value).map_err(|_| StoreErrorKind::TooLarge { what, value })
}
