//! A results database as large as asked for, made without training: what the speed of queries and
//! reports is measured on. Labels and shapes are those of real sweeps, the numbers are made up.

use std::path::Path;

use genair_protocol::Labels;
use genair_store::{NewRun, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

/// How much there is to be of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Finished runs.
    pub(crate) runs: u64,
    /// Epochs of each run.
    pub(crate) epochs: u64,
    /// Rows of `metrics` for each epoch, 0 to 120. The 240 results of each run come on top.
    pub(crate) metrics: u64,
    /// Users of each run, with a rank by both protocols.
    pub(crate) users: u64,
}

/// Runs of a sweep; the last one may have fewer.
const RUNS_OF_SWEEP: u64 = 600;

/// Runs whose rows are written in one transaction.
const RUNS_OF_BATCH: u64 = 50;

const DATASETS: [&str; 2] = ["beauty", "yelp"];
const BACKBONES: [&str; 4] = ["sasrec", "bert4rec", "gru4rec", "caser"];
const REPRESENTATIONS: [&str; 3] = ["id", "text", "genair"];
const ALPHAS: [&str; 5] = ["0", "1e-5", "1e-4", "1e-3", "1e-2"];
const SEEDS: u64 = 5;

/// The splits, protocols, cohorts, metrics and cut-offs of a run's results, 240 in all, validation
/// first; `factor` is how their values relate to the run's NDCG@10.
const CELLS: &str = "
    CREATE TEMP TABLE cells AS
    WITH splits (split) AS (VALUES ('valid'), ('test')),
        protocols (protocol, easier) AS (VALUES ('full', 1.0), ('sampled-100', 3.0)),
        cohorts (cohort, gain) AS (
            VALUES ('all', 1.0), ('tail-item', 0.3), ('head-item', 1.4), ('short-user', 0.9), ('long-user', 1.1)
        ),
        measures (metric, level) AS (VALUES ('hr', 1.8), ('mrr', 0.8), ('ndcg', 1.0)),
        cuts (k, share) AS (VALUES (5, 0.8), (10, 1.0), (20, 1.2), (50, 1.5))
    SELECT row_number() OVER () - 1 AS cell, split, protocol, cohort, metric, k, easier * gain * level * share AS factor
    FROM splits CROSS JOIN protocols CROSS JOIN cohorts CROSS JOIN measures CROSS JOIN cuts";

/// Makes the database; `progress` hears how many runs are in it.
pub(crate) fn generate(
    path: &Path,
    size: Size,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut store = Store::open(path)?;
    for first in (0..size.runs).step_by(RUNS_OF_SWEEP as usize) {
        let sweep = first / RUNS_OF_SWEEP;
        let name = format!("sweep-{sweep:02}");
        let id = store.begin_sweep(&name, &format!("{name}.toml"), "[sweep]")?;
        let last = (first + RUNS_OF_SWEEP).min(size.runs);
        let runs: Vec<NewRun> = (first..last).map(new_run).collect();
        store.register(id, &runs)?;
    }
    store.close()?;
    runtime.block_on(fill(path, size, progress))
}

fn new_run(number: u64) -> NewRun {
    let at = number % RUNS_OF_SWEEP;
    let pick = |list: &[&'static str], place: u64| list[(place % list.len() as u64) as usize];
    let alpha = pick(&ALPHAS, at / SEEDS);
    let representation = pick(&REPRESENTATIONS, at / 25);
    let seed = 44 + at % SEEDS;
    NewRun {
        identity: format!("{number:064x}"),
        configuration: format!("{:064x}", number / SEEDS),
        spec: format!(
            r#"{{"dataset": {{"max_len": 50}}, "representation": {{"calibration": {{"alpha": {alpha}, "gamma": 4.0}}}}, "backbone": {{"params": {{"hidden_size": 64}}}}, "seed": {seed}}}"#
        ),
        spec_sha256: format!("{number:064x}"),
        labels: Labels {
            dataset: pick(&DATASETS, at / 300).to_owned(),
            backbone: pick(&BACKBONES, at / 75).to_owned(),
            representation: representation.to_owned(),
            axes: [("alpha", alpha)].into_iter().collect(),
            seed,
        },
        data_sha256: "da7a".to_owned(),
        plugin_sha256: Some("911".to_owned()),
        results_version: 1,
    }
}

async fn fill(
    path: &Path,
    size: Size,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Box<dyn std::error::Error>> {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.foreign_keys(true).connect().await?;
    for statement in [
        "PRAGMA synchronous = OFF",
        "PRAGMA temp_store = MEMORY",
        CELLS,
    ] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    for first in (1..=size.runs).step_by(RUNS_OF_BATCH as usize) {
        let last = (first + RUNS_OF_BATCH - 1).min(size.runs);
        fill_batch(&mut connection, first as i64, last as i64, size).await?;
        progress(last);
    }
    // As `Store::vacuum` would: what the planner of queries knows of the tables.
    sqlx::query("ANALYZE").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// The rows of runs `first..=last`. What looks like chance is arithmetic on a run's number, so that the
/// same size gives the same database.
async fn fill_batch(
    connection: &mut SqliteConnection,
    first: i64,
    last: i64,
    size: Size,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let numbers = [size.epochs, size.metrics, size.users].map(|number| number as i64);
    let [epochs, metrics, users] = numbers;
    let statements = [
        // A run's NDCG@10, between .03 and .1, is never stored: every statement computes it again.
        "INSERT INTO metrics (run_id, epoch, split, protocol, cohort, metric, k, value, users)
         SELECT run_id, NULL, split, protocol, cohort, metric, k,
             min(1.0, factor * (0.03 + 0.01 * (run_id / 25 % 7) + 0.0001 * ((run_id * 7919 + cell * 31) % 97))),
             max(1, ?5)
         FROM runs CROSS JOIN temp.cells WHERE run_id BETWEEN ?1 AND ?2 ORDER BY run_id, cell",
        "WITH RECURSIVE steps (epoch) AS (SELECT 1 UNION ALL SELECT epoch + 1 FROM steps WHERE epoch < ?3)
         INSERT INTO epochs (run_id, epoch, loss, train_seconds, valid, best)
         SELECT run_id, epoch, 0.2 + 1.0 / (1 + epoch / 10.0), 0.5 + 0.001 * (run_id % 100),
             (0.03 + 0.01 * (run_id / 25 % 7)) * epoch / (epoch + 12.0), 1
         FROM runs CROSS JOIN steps WHERE run_id BETWEEN ?1 AND ?2 AND ?3 > 0 ORDER BY run_id, epoch",
        "WITH RECURSIVE steps (epoch) AS (SELECT 1 UNION ALL SELECT epoch + 1 FROM steps WHERE epoch < ?3)
         INSERT INTO metrics (run_id, epoch, split, protocol, cohort, metric, k, value, users)
         SELECT run_id, epoch, split, protocol, cohort, metric, k,
             min(1.0, factor * (0.03 + 0.01 * (run_id / 25 % 7)) * epoch / (epoch + 12.0)), max(1, ?5)
         FROM runs CROSS JOIN steps CROSS JOIN temp.cells
         WHERE run_id BETWEEN ?1 AND ?2 AND cell < ?4 AND ?3 > 0",
        "WITH RECURSIVE people (user) AS (SELECT 1 UNION ALL SELECT user + 1 FROM people WHERE user < ?5)
         INSERT INTO ranks (run_id, split, protocol, user, target, rank)
         SELECT run_id, 'test', protocol, user, 1, (user * 7919 + run_id * 104729) % (width - 10 * (run_id / 25 % 7))
         FROM runs CROSS JOIN (SELECT 'full' AS protocol, 400 AS width UNION ALL SELECT 'sampled-100', 101)
         CROSS JOIN people WHERE run_id BETWEEN ?1 AND ?2 AND ?5 > 0 ORDER BY run_id, protocol, user",
        "INSERT INTO diagnostics (run_id, epoch, name, value)
         SELECT run_id, step, 'uniformity', -2.0 - 0.01 * (run_id % 7) - step
         FROM runs CROSS JOIN (SELECT 0 AS step UNION ALL SELECT 1) WHERE run_id BETWEEN ?1 AND ?2",
        "UPDATE runs SET state = 'finished', code_revision = '4b825dc', code_dirty = 0, trainer_version = '0.1.0',
             libtorch = '2.13.0', host = 'generated', device = 'cpu', threads = 1,
             parameters = 100000 + 10000 * (run_id / 75 % 4), users = max(1, ?5), items = 12101,
             interactions = 198502, sequences_sha256 = dataset, head_item = 4, long_user = 9,
             best_epoch = ?3, epochs = ?3, seconds = 60.0 + run_id % 40, train_seconds = 50.0 + run_id % 40,
             cpu_seconds = 55.0 + run_id % 40, peak_memory_bytes = (200 + run_id / 75 % 4 * 50) << 20,
             attempts = 1, started_at = created_at, finished_at = strftime('%Y-%m-%dT%H:%M:%fZ')
         WHERE run_id BETWEEN ?1 AND ?2",
    ];
    for statement in statements {
        sqlx::query(statement)
            .bind(first)
            .bind(last)
            .bind(epochs)
            .bind(metrics)
            .bind(users)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
