//! A run's events to rows, as they happen.

use genair_eval::{Protocol, Split};
use genair_protocol::{DataFacts, MachineFacts, MetricRow, RunEvent, RunFailure, RunTotals};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::claim::require_held;
use crate::register::integer;
use crate::{Owner, RunId, Store, StoreError, StoreErrorKind};

impl Store {
    /// Records one event of a run that `owner` holds, whole or not at all. `Finished` and `Failed`
    /// end the run, and with it the hold.
    pub fn record(
        &mut self,
        run: RunId,
        owner: &Owner,
        event: &RunEvent,
    ) -> Result<(), StoreError> {
        self.write(async |connection| {
            require_held(connection, run, owner).await?;
            match event {
                RunEvent::Started { machine, data, parameters } => {
                    started(connection, run, machine, data, *parameters).await
                }
                RunEvent::Epoch { epoch, max_epochs: _, loss, train_seconds, valid, best } => {
                    sqlx::query(
                        "INSERT INTO epochs (run_id, epoch, loss, train_seconds, valid, best) VALUES (?, ?, ?, ?, ?, ?)",
                    )
                    .bind(run)
                    .bind(integer("epoch", *epoch as u64)?)
                    .bind(loss)
                    .bind(train_seconds)
                    .bind(valid)
                    .bind(best)
                    .execute(connection)
                    .await?;
                    Ok(())
                }
                RunEvent::Metrics { epoch, split, protocol, rows } => {
                    metrics(connection, run, *epoch, *split, *protocol, rows).await
                }
                RunEvent::Ranks { split, protocol, ranks: of_users } => {
                    ranks(connection, run, *split, *protocol, of_users).await
                }
                RunEvent::Artefact { kind, path, sha256, bytes } => {
                    sqlx::query("INSERT INTO artefacts (run_id, kind, path, sha256, bytes) VALUES (?, ?, ?, ?, ?)")
                        .bind(run)
                        .bind(kind.as_str())
                        .bind(path)
                        .bind(sha256)
                        .bind(integer("size of an artefact", *bytes)?)
                        .execute(connection)
                        .await?;
                    Ok(())
                }
                RunEvent::Finished(totals) => finished(connection, run, totals).await,
                RunEvent::Failed(failure) => failed(connection, run, failure).await,
            }
        })
    }
}

async fn started(
    connection: &mut SqliteConnection,
    run: RunId,
    machine: &MachineFacts,
    data: &DataFacts,
    parameters: u64,
) -> Result<(), StoreErrorKind> {
    sqlx::query(
        "UPDATE runs SET host = ?, device = ?, threads = ?, libtorch = ?, trainer_version = ?, parameters = ?,
             users = ?, items = ?, interactions = ?, sequences_sha256 = ?, head_item = ?, long_user = ?
         WHERE run_id = ?",
    )
    .bind(&machine.host)
    .bind(&machine.device)
    .bind(integer("number of threads", machine.threads as u64)?)
    .bind(&machine.libtorch)
    .bind(&machine.trainer)
    .bind(integer("number of parameters", parameters)?)
    .bind(integer("number of users", data.users)?)
    .bind(integer("number of items", data.items)?)
    .bind(integer("number of interactions", data.interactions)?)
    .bind(&data.sequences_sha256)
    .bind(integer("threshold of head items", data.head_item)?)
    .bind(integer("threshold of long users", data.long_user)?)
    .bind(run)
    .execute(connection)
    .await?;
    Ok(())
}

async fn metrics(
    connection: &mut SqliteConnection,
    run: RunId,
    epoch: Option<usize>,
    split: Split,
    protocol: Protocol,
    rows: &[MetricRow],
) -> Result<(), StoreErrorKind> {
    // SQLite takes 32,766 values a statement. Bound, not passed as JSON like the ranks: SQLite's own
    // reading of decimal numbers may be off in the last bit.
    const ROWS_PER_STATEMENT: usize = 1_000;
    let epoch = epoch
        .map(|epoch| integer("epoch", epoch as u64))
        .transpose()?;
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO metrics (run_id, epoch, split, protocol, cohort, metric, k, value, users) ",
        );
        let mut users = Vec::with_capacity(rows.len());
        for row in rows {
            users.push(integer("number of users", row.users)?);
        }
        insert.push_values(std::iter::zip(rows, users), |mut values, (row, users)| {
            values
                .push_bind(run)
                .push_bind(epoch)
                .push_bind(split.as_str())
                .push_bind(protocol.as_str())
                .push_bind(row.cohort.as_str())
                .push_bind(row.metric.as_str())
                .push_bind(row.k)
                .push_bind(row.value)
                .push_bind(users);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn ranks(
    connection: &mut SqliteConnection,
    run: RunId,
    split: Split,
    protocol: Protocol,
    ranks: &[u32],
) -> Result<(), StoreErrorKind> {
    // One statement and one value for any number of users.
    let list = serde_json::Value::from(ranks).to_string();
    sqlx::query(
        "INSERT INTO ranks (run_id, split, protocol, user, rank)
         SELECT ?1, ?2, ?3, key + 1, value FROM json_each(?4)",
    )
    .bind(run)
    .bind(split.as_str())
    .bind(protocol.as_str())
    .bind(list)
    .execute(connection)
    .await?;
    Ok(())
}

async fn finished(
    connection: &mut SqliteConnection,
    run: RunId,
    totals: &RunTotals,
) -> Result<(), StoreErrorKind> {
    let measured: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM metrics WHERE run_id = ? AND epoch IS NULL)",
    )
    .bind(run)
    .fetch_one(&mut *connection)
    .await?;
    if !measured {
        return Err(StoreErrorKind::NothingMeasured { run });
    }
    let peak_memory_bytes = totals
        .peak_memory_bytes
        .map(|bytes| integer("peak memory", bytes))
        .transpose()?;
    sqlx::query(
        "UPDATE runs SET state = 'finished', owner = NULL, finished_at = strftime('%Y-%m-%dT%H:%M:%fZ'),
             best_epoch = ?, epochs = ?, seconds = ?, train_seconds = ?, cpu_seconds = ?, peak_memory_bytes = ?
         WHERE run_id = ?",
    )
    .bind(integer("epoch", totals.best_epoch as u64)?)
    .bind(integer("epoch", totals.epochs as u64)?)
    .bind(totals.seconds)
    .bind(totals.train_seconds)
    .bind(totals.cpu_seconds)
    .bind(peak_memory_bytes)
    .bind(run)
    .execute(connection)
    .await?;
    Ok(())
}

async fn failed(
    connection: &mut SqliteConnection,
    run: RunId,
    failure: &RunFailure,
) -> Result<(), StoreErrorKind> {
    sqlx::query(
        "UPDATE runs SET state = 'failed', owner = NULL, finished_at = strftime('%Y-%m-%dT%H:%M:%fZ'),
             failure_kind = ?, failure_phase = ?, failure_message = ?, failure_hint = ?
         WHERE run_id = ?",
    )
    .bind(failure.kind.code())
    .bind(failure.phase.as_str())
    .bind(&failure.message)
    .bind(&failure.hint)
    .bind(run)
    .execute(connection)
    .await?;
    Ok(())
}
