//! Everything about one run, read back.

use genair_protocol::{Axes, Cohort, Metric, Protocol, Split};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, SqliteConnection};

use crate::claim::{failure, holder};
use crate::json::Json;
use crate::owner::decompressed;
use crate::submissions::SUBMISSION;
use crate::{
    Failure, Machine, OwnerInfo, RunId, RunState, Store, StoreError, StoreErrorKind, Submission,
};

/// Everything about one run but its ranks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunDetails {
    /// Its row of the `runs` table.
    pub run: RunRecord,
    /// The sweeps it belongs to, by name.
    pub sweeps: Vec<SweepMembership>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The process that holds it.
    pub owner: Option<OwnerInfo>,
    /// The machine it ran on.
    pub machine: Option<Machine>,
    /// Its job in a batch system, if it has one.
    pub job: Option<Submission>,
    /// Its results: metrics of the best epoch's weights.
    pub metrics: Vec<MetricRecord>,
    /// Its epochs, in order.
    pub epochs: Vec<EpochRecord>,
    /// Measures of its item space, before training and of the best epoch's weights.
    pub diagnostics: Vec<DiagnosticRecord>,
    /// Artefacts of earlier stages that it read.
    pub inputs: Vec<InputRecord>,
    /// What its data and vectors had to begin with, and what each rule left out.
    pub counts: Vec<CountRecord>,
    /// Files it wrote.
    pub artefacts: Vec<ArtefactRecord>,
}

/// A row of the `runs` table. What only an execution can tell is `None` until then.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct RunRecord {
    /// The run's number.
    pub run_id: RunId,
    /// Hash of everything that decides its numbers.
    pub identity: String,
    /// The same without the seed: runs that share it may be averaged.
    pub configuration: String,
    /// Where it stands.
    pub state: RunState,
    /// The resolved spec, JSON.
    pub spec: String,
    /// SHA-256 of `spec`.
    pub spec_sha256: String,
    /// The dataset's name.
    pub dataset: String,
    /// The backbone's name.
    pub backbone: String,
    /// The representation's name.
    pub representation: String,
    /// The run's seed.
    pub seed: u64,
    /// Fingerprint of the raw data.
    pub data_sha256: String,
    /// SHA-256 of the plugin's file; `None` for a built-in backbone.
    pub plugin_sha256: Option<String>,
    /// Version of the trainer's numbers.
    pub results_version: u32,
    /// Git commit of the program that ran it.
    pub code_revision: Option<String>,
    /// Whether that program differed from the commit.
    pub code_dirty: Option<bool>,
    /// SHA-256 of how it differed, where that was kept; see [`Store::code_diff`].
    pub code_diff: Option<String>,
    /// Version of the trainer.
    pub trainer_version: Option<String>,
    /// Version of libtorch.
    pub libtorch: Option<String>,
    /// The machine it ran on.
    pub host: Option<String>,
    /// `cpu` or `cuda:N`.
    pub device: Option<String>,
    /// Threads of the worker.
    pub threads: Option<u64>,
    /// Trainable parameters.
    pub parameters: Option<u64>,
    /// Users after filters.
    pub users: Option<u64>,
    /// Items after filters.
    pub items: Option<u64>,
    /// Interactions after filters.
    pub interactions: Option<u64>,
    /// Items that training never sees, of a split that has such items.
    pub cold_items: Option<u64>,
    /// SHA-256 of the id sequences and of the split.
    pub sequences_sha256: Option<String>,
    /// SHA-256 of the data's own ids of users and items, in order.
    pub ids_sha256: Option<String>,
    /// Training interactions a head item has at least.
    pub head_item: Option<u64>,
    /// Length of the test input that a long user has at least.
    pub long_user: Option<u64>,
    /// From 1; 0 where nothing is trained.
    pub best_epoch: Option<u64>,
    /// Epochs trained.
    pub epochs: Option<u64>,
    /// Wall-clock seconds of the worker.
    pub seconds: Option<f64>,
    /// Wall-clock seconds of training alone.
    pub train_seconds: Option<f64>,
    /// Processor seconds of the worker.
    pub cpu_seconds: Option<f64>,
    /// Peak memory of the worker.
    pub peak_memory_bytes: Option<u64>,
    /// The last epoch trained before it was pruned.
    pub pruned_at_epoch: Option<u64>,
    /// How often it was claimed.
    pub attempts: u32,
    /// Name of the last attempt, as its files have it.
    pub attempt: Option<String>,
    /// Epoch of the checkpoint the last attempt began with.
    pub resumed_from_epoch: Option<u64>,
    /// When it was first planned, RFC 3339.
    pub created_at: String,
    /// When the last attempt began, RFC 3339.
    pub started_at: Option<String>,
    /// When it finished, failed or was pruned, RFC 3339.
    pub finished_at: Option<String>,
}

/// A run's place in one sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct SweepMembership {
    /// The sweep's name.
    pub sweep: String,
    /// The axes as they are shown; often empty.
    pub variant: String,
    /// Values of the swept axes beyond the named ones.
    #[sqlx(try_from = "Json<Axes>")]
    pub axes: Axes,
    /// Whether the sweep's present spec does not describe it any more.
    pub superseded: bool,
}

/// One result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct MetricRecord {
    /// Validation or test.
    #[sqlx(try_from = "String")]
    pub split: Split,
    /// The candidates ranked.
    #[sqlx(try_from = "String")]
    pub protocol: Protocol,
    /// The users averaged over.
    #[sqlx(try_from = "String")]
    pub cohort: Cohort,
    /// What was measured.
    #[sqlx(try_from = "String")]
    pub metric: Metric,
    /// Cut-off.
    pub k: u32,
    /// Mean over the users, in [0, 1].
    pub value: f64,
    /// Users behind the value.
    pub users: u64,
}

/// One epoch of training.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u64,
    /// The recommendation loss alone, mean over the epoch's steps.
    pub loss: f64,
    /// The calibration term before its weight, mean over the epoch's steps.
    pub calibration: Option<f64>,
    /// Wall-clock seconds.
    pub train_seconds: f64,
    /// The early-stopping metric, where the epoch was validated.
    pub valid: Option<f64>,
    /// Whether it was the best so far when it ended.
    pub best: bool,
}

/// One measure of a run's item space.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow)]
pub struct DiagnosticRecord {
    /// 0 before training, else the best epoch.
    pub epoch: u64,
    /// Such as `uniformity`.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// Ranks of users' targets, from 0, in the order of the users and of their targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RankList {
    /// `valid` or `test`.
    pub split: String,
    /// The candidates ranked, such as `full`.
    pub protocol: String,
    /// The ranks.
    pub ranks: Vec<u32>,
    /// The user of each, from 1.
    pub users: Vec<u64>,
}

impl RankList {
    /// The ranks of each user, with the user's number.
    pub fn by_user(&self) -> impl Iterator<Item = (u64, &[u32])> {
        by_user(&self.users, &self.ranks)
    }
}

/// The ranks of each user. `users` has the user of each rank.
pub(crate) fn by_user<'a>(
    users: &'a [u64],
    mut ranks: &'a [u32],
) -> impl Iterator<Item = (u64, &'a [u32])> {
    users.chunk_by(|a, b| a == b).map(move |user| {
        let (own, rest) = ranks.split_at(user.len());
        ranks = rest;
        (user[0], own)
    })
}

/// An artefact of an earlier stage that a run read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct InputRecord {
    /// `vectors` or `associations`.
    pub kind: String,
    /// Where it was.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// A count of what a run was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct CountRecord {
    /// `data` or `vectors`.
    pub input: String,
    /// What is counted, such as `rows_read` or `k_core`.
    pub what: String,
    /// How many.
    pub count: u64,
}

/// A file a run wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct ArtefactRecord {
    /// Such as `checkpoint`.
    pub kind: String,
    /// Where it is.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

impl Store {
    /// Everything about one run but its ranks.
    pub fn show_run(&mut self, run_id: RunId) -> Result<RunDetails, StoreError> {
        self.read(async |connection| {
            // A run that is not there is said to be so.
            let (_, owner) = holder(connection, run_id).await?;
            let run = sqlx::query_as("SELECT * FROM runs WHERE run_id = ?").bind(run_id);
            let run: RunRecord = run.fetch_one(&mut *connection).await?;
            let owner = match owner {
                Some(owner) => Some(OwnerInfo::load(connection, &owner).await?),
                None => None,
            };
            let failure = match run.state {
                RunState::Failed => Some(failure(connection, run_id).await?),
                _ => None,
            };
            let machine = "SELECT machines.* FROM machines JOIN runs USING (machine) WHERE run_id = ?";
            let machine = sqlx::query_as(machine).bind(run_id);
            let machine = machine.fetch_optional(&mut *connection).await?;
            let job = format!("SELECT {SUBMISSION} FROM submissions WHERE run_id = ?");
            let job = sqlx::query_as(sqlx::AssertSqlSafe(job)).bind(run_id);
            let job = job.fetch_optional(&mut *connection).await?;
            let sweeps = "SELECT name AS sweep, variant, axes, superseded FROM sweep_runs JOIN sweeps USING (sweep_id)
                 WHERE run_id = ? ORDER BY name";
            let metrics = "SELECT split, protocol, cohort, metric, k, value, users FROM metrics
                 WHERE run_id = ? AND epoch IS NULL ORDER BY rowid";
            let epochs = "SELECT epoch, loss, calibration, train_seconds, valid, best FROM epochs
                 WHERE run_id = ? ORDER BY epoch";
            let diagnostics = "SELECT epoch, name, value FROM diagnostics WHERE run_id = ? ORDER BY epoch, name";
            let counts = "SELECT input, what, count FROM input_counts WHERE run_id = ? ORDER BY input, what";
            let inputs = "SELECT kind, path, sha256 FROM run_inputs WHERE run_id = ? ORDER BY kind";
            let artefacts = "SELECT kind, path, sha256, bytes FROM artefacts WHERE run_id = ? ORDER BY kind, path";
            Ok(RunDetails {
                run,
                sweeps: of_run(connection, run_id, sweeps).await?,
                failure,
                owner,
                machine,
                job,
                metrics: of_run(connection, run_id, metrics).await?,
                epochs: of_run(connection, run_id, epochs).await?,
                diagnostics: of_run(connection, run_id, diagnostics).await?,
                inputs: of_run(connection, run_id, inputs).await?,
                counts: of_run(connection, run_id, counts).await?,
                artefacts: of_run(connection, run_id, artefacts).await?,
            })
        })
    }

    /// How the source of the program that ran `run` differed from its commit, where that was kept.
    pub fn code_diff(&mut self, run: RunId) -> Result<Option<String>, StoreError> {
        self.read(async |connection| {
            let diff = sqlx::query_scalar(
                "SELECT gzip FROM runs LEFT JOIN code_diffs ON sha256 = code_diff WHERE run_id = ?",
            );
            let diff: Option<Option<Vec<u8>>> = diff.bind(run).fetch_optional(connection).await?;
            let diff = diff.ok_or(StoreErrorKind::UnknownRun { run })?;
            let text = diff.map(|gzip| decompressed(&gzip)).transpose();
            Ok(text.map_err(sqlx::Error::Io)?)
        })
    }

    /// The ranks of one run, split by split and protocol by protocol, users and targets in order.
    pub fn ranks(&mut self, run: RunId) -> Result<Vec<RankList>, StoreError> {
        type Row = (String, String, u64, u32);
        let rows = "SELECT split, protocol, user, rank FROM ranks WHERE run_id = ?
             ORDER BY split, protocol, user, target";
        let rows: Vec<Row> = self.rows(sqlx::query_as(rows).bind(run))?;
        let of_list = |a: &Row, b: &Row| (&a.0, &a.1) == (&b.0, &b.1);
        let lists = rows.chunk_by(of_list).map(|rows| RankList {
            split: rows[0].0.clone(),
            protocol: rows[0].1.clone(),
            ranks: rows.iter().map(|row| row.3).collect(),
            users: rows.iter().map(|row| row.2).collect(),
        });
        Ok(lists.collect())
    }
}

/// The rows of a run.
async fn of_run<T>(
    connection: &mut SqliteConnection,
    run: RunId,
    sql: &'static str,
) -> Result<Vec<T>, StoreErrorKind>
where
    T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    Ok(sqlx::query_as(sql).bind(run).fetch_all(connection).await?)
}
