//! A run's events to rows, as they happen.

use genair_protocol::{
    DataFacts, Diagnostic, InputCount, InputFile, ItemPlace, MachineFacts, MetricRow, Protocol,
    RunEvent, RunFailure, RunTotals, Split,
};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::claim::require_held;
use crate::connection::execute;
use crate::json::json_text;
use crate::register::integer;
use crate::submissions::{Work, forget};
use crate::{Machine, Owner, RunId, Store, StoreError, StoreErrorKind};

impl Store {
    /// Records one event of a run that `owner` holds, whole or not at all. `Finished` and `Failed`
    /// end the run, and with it the hold. A claim begins with nothing: the worker of a resumed run says
    /// what happened before its checkpoint once more.
    pub fn record(
        &mut self,
        run: RunId,
        owner: &Owner,
        event: &RunEvent,
    ) -> Result<(), StoreError> {
        // The event there are most of takes one statement, which needs no transaction of its own.
        if let RunEvent::Epoch {
            epoch,
            loss,
            calibration,
            train_seconds,
            valid,
            best,
            max_epochs: _,
        } = event
        {
            return self.outside_of_transactions(async |connection| {
                let added = sqlx::query(
                    "INSERT INTO epochs (run_id, epoch, loss, calibration, train_seconds, valid, best)
                     SELECT run_id, ?, ?, ?, ?, ?, ? FROM runs WHERE run_id = ? AND owner = ?",
                )
                .bind(integer("epoch", *epoch as u64)?)
                .bind(loss)
                .bind(calibration)
                .bind(train_seconds)
                .bind(valid)
                .bind(best)
                .bind(run)
                .bind(&owner.owner)
                .execute(&mut *connection)
                .await?;
                if added.rows_affected() == 1 {
                    return Ok(());
                }
                require_held(connection, run, owner).await?;
                Err(StoreErrorKind::NotHeld { run })
            });
        }
        self.write_held(run, owner, async |connection| match event {
            RunEvent::Started { machine, data, parameters } => {
                started(connection, run, machine, data, *parameters).await
            }
            RunEvent::Ids { sha256, users, items } => {
                ids(connection, run, sha256, users, items).await
            }
            RunEvent::Resumed { epoch } => {
                let resume = sqlx::query("UPDATE runs SET resumed_from_epoch = ? WHERE run_id = ?");
                let epoch = integer("epoch", *epoch as u64)?;
                execute(connection, resume.bind(epoch).bind(run)).await
            }
            // For whoever watches; the claim has cleared the earlier attempt.
            RunEvent::StartedOver { reason: _ } => Ok(()),
            // Recorded above.
            RunEvent::Epoch { .. } => Ok(()),
            RunEvent::Metrics { epoch, split, protocol, rows } => {
                metrics(connection, run, *epoch, *split, *protocol, rows).await
            }
            RunEvent::Diagnostics { epoch, rows } => diagnostics(connection, run, *epoch, rows).await,
            RunEvent::ItemSpace { epoch, items } => item_space(connection, run, *epoch, items).await,
            RunEvent::Ranks { split, protocol, ranks: of_users } => {
                ranks(connection, run, *split, *protocol, of_users).await
            }
            RunEvent::Artefact { kind, path, sha256, bytes } => {
                let add = "INSERT INTO artefacts (run_id, kind, path, sha256, bytes) VALUES (?, ?, ?, ?, ?)";
                let add = sqlx::query(add).bind(run).bind(kind.as_str()).bind(path).bind(sha256);
                execute(connection, add.bind(integer("size of an artefact", *bytes)?)).await
            }
            RunEvent::Finished(totals) => finished(connection, run, totals).await,
            RunEvent::Failed(failure) => failed(connection, run, failure).await,
        })
    }

    /// Ends a run that `owner` holds as pruned after `epoch`, from 1. What is recorded of it stays until
    /// it is claimed again, which [`Store::unprune`] allows.
    pub fn prune(&mut self, run: RunId, owner: &Owner, epoch: usize) -> Result<(), StoreError> {
        self.write_held(run, owner, async |connection| {
            let prune = sqlx::query(
                "UPDATE runs SET state = 'pruned', owner = NULL, pruned_at_epoch = ?,
                     finished_at = strftime('%Y-%m-%dT%H:%M:%fZ')
                 WHERE run_id = ?",
            );
            let prune = prune.bind(integer("epoch", epoch as u64)?).bind(run);
            execute(connection, prune).await
        })
    }

    /// Notes an artefact of an earlier stage that a run of `owner` reads.
    pub fn record_input(
        &mut self,
        run: RunId,
        owner: &Owner,
        kind: InputKind,
        input: &InputFile,
    ) -> Result<(), StoreError> {
        self.write_held(run, owner, async |connection| {
            let add = "INSERT INTO run_inputs (run_id, kind, path, sha256) VALUES (?, ?, ?, ?)";
            let add = sqlx::query(add).bind(run).bind(kind.as_str());
            let add = add.bind(input.path.to_string_lossy()).bind(&input.sha256);
            execute(connection, add).await
        })
    }

    /// Runs `work` in a write transaction, provided that `owner` holds `run`.
    pub(crate) fn write_held(
        &mut self,
        run: RunId,
        owner: &Owner,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<(), StoreErrorKind>,
    ) -> Result<(), StoreError> {
        self.write(async |connection| {
            require_held(connection, run, owner).await?;
            work(connection).await
        })
    }
}

/// What an artefact of an earlier stage holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Item vectors.
    Vectors,
    /// Association scores of the training sequences.
    Associations,
}

impl InputKind {
    /// The kind's name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vectors => "vectors",
            Self::Associations => "associations",
        }
    }
}

async fn started(
    connection: &mut SqliteConnection,
    run: RunId,
    machine: &MachineFacts,
    data: &DataFacts,
    parameters: u64,
) -> Result<(), StoreErrorKind> {
    let machine_key = Machine::from(machine).enter(connection).await?;
    let start = sqlx::query(
        "UPDATE runs SET machine = ?, host = ?, device = ?, threads = ?, libtorch = ?, trainer_version = ?, parameters = ?,
             users = ?, items = ?, interactions = ?, cold_items = ?, sequences_sha256 = ?, head_item = ?, long_user = ?
         WHERE run_id = ?",
    )
    .bind(machine_key)
    .bind(&machine.host)
    .bind(&machine.device)
    .bind(integer("number of threads", machine.threads as u64)?)
    .bind(&machine.libtorch)
    .bind(&machine.trainer)
    .bind(integer("number of parameters", parameters)?)
    .bind(integer("number of users", data.users)?)
    .bind(integer("number of items", data.items)?)
    .bind(integer("number of interactions", data.interactions)?)
    .bind(integer("number of cold items", data.cold_items)?)
    .bind(&data.sequences_sha256)
    .bind(integer("threshold of head items", data.head_item)?)
    .bind(integer("threshold of long users", data.long_user)?)
    .bind(run);
    execute(connection, start).await?;
    for InputCount { input, what, count } in &data.counts {
        let add = "INSERT INTO input_counts (run_id, input, what, count) VALUES (?, ?, ?, ?)
                   ON CONFLICT (run_id, input, what) DO UPDATE SET count = excluded.count";
        let count = integer("count of an input", *count)?;
        let add = sqlx::query(add)
            .bind(run)
            .bind(input)
            .bind(what)
            .bind(count);
        execute(connection, add).await?;
    }
    Ok(())
}

/// Notes the data's own ids of users and items; each set of them is kept once.
async fn ids(
    connection: &mut SqliteConnection,
    run: RunId,
    sha256: &str,
    users: &[String],
    items: &[String],
) -> Result<(), StoreErrorKind> {
    let own = sqlx::query("UPDATE runs SET ids_sha256 = ? WHERE run_id = ?");
    execute(connection, own.bind(sha256).bind(run)).await?;
    let add = "INSERT INTO id_sets (sha256) VALUES (?) ON CONFLICT DO NOTHING RETURNING id_set";
    let add = sqlx::query_scalar(add).bind(sha256);
    let new: Option<i64> = add.fetch_optional(&mut *connection).await?;
    let Some(new) = new else {
        return Ok(());
    };
    for (add, ids) in [
        (
            "INSERT INTO user_ids SELECT ?1, key + 1, value FROM json_each(?2)",
            users,
        ),
        (
            "INSERT INTO item_ids SELECT ?1, key + 1, value FROM json_each(?2)",
            items,
        ),
    ] {
        execute(connection, sqlx::query(add).bind(new).bind(json_text(ids))).await?;
    }
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
        let users = rows.iter().map(|row| integer("number of users", row.users));
        let users: Vec<i64> = users.collect::<Result<_, _>>()?;
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

async fn diagnostics(
    connection: &mut SqliteConnection,
    run: RunId,
    epoch: Option<usize>,
    rows: &[Diagnostic],
) -> Result<(), StoreErrorKind> {
    let epoch = epoch_or_best(connection, run, epoch).await?;
    for row in rows {
        let add = "INSERT INTO diagnostics (run_id, epoch, name, value) VALUES (?, ?, ?, ?)";
        let add = sqlx::query(add)
            .bind(run)
            .bind(epoch)
            .bind(&row.name)
            .bind(row.value);
        execute(connection, add).await?;
    }
    Ok(())
}

async fn item_space(
    connection: &mut SqliteConnection,
    run: RunId,
    epoch: Option<usize>,
    items: &[ItemPlace],
) -> Result<(), StoreErrorKind> {
    // SQLite takes 32,766 values a statement.
    const ROWS_PER_STATEMENT: usize = 5_000;
    let epoch = epoch_or_best(connection, run, epoch).await?;
    for items in items.chunks(ROWS_PER_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO item_space (run_id, epoch, item, x, y, interactions) ",
        );
        let rows = items.iter().map(|place| {
            let interactions = integer("number of interactions", place.interactions)?;
            Ok((place, integer("item", place.item)?, interactions))
        });
        let rows: Vec<_> = rows.collect::<Result<_, StoreErrorKind>>()?;
        insert.push_values(rows, |mut values, (place, item, interactions)| {
            values
                .push_bind(run)
                .push_bind(epoch)
                .push_bind(item)
                .push_bind(place.x)
                .push_bind(place.y)
                .push_bind(interactions);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// The number of an epoch, the best one's for `None`; 0 where nothing is trained.
async fn epoch_or_best(
    connection: &mut SqliteConnection,
    run: RunId,
    epoch: Option<usize>,
) -> Result<i64, StoreErrorKind> {
    if let Some(epoch) = epoch {
        return integer("epoch", epoch as u64);
    }
    // The last epoch to be the best so far is the best of all.
    let best = "SELECT coalesce(max(epoch), 0) FROM epochs WHERE run_id = ? AND best";
    let best = sqlx::query_scalar(best).bind(run);
    Ok(best.fetch_one(connection).await?)
}

async fn ranks(
    connection: &mut SqliteConnection,
    run: RunId,
    split: Split,
    protocol: Protocol,
    ranks: &[Vec<u32>],
) -> Result<(), StoreErrorKind> {
    // One statement and one value for any number of users.
    let add = sqlx::query(
        "INSERT INTO ranks (run_id, split, protocol, user, target, rank)
         SELECT ?1, ?2, ?3, users.key + 1, targets.key + 1, targets.value
         FROM json_each(?4) AS users, json_each(users.value) AS targets",
    );
    let add = add.bind(run).bind(split.as_str()).bind(protocol.as_str());
    execute(connection, add.bind(json_text(ranks))).await
}

async fn finished(
    connection: &mut SqliteConnection,
    run: RunId,
    totals: &RunTotals,
) -> Result<(), StoreErrorKind> {
    forget(connection, &Work::Run(run)).await?;
    let measured = "SELECT EXISTS (SELECT 1 FROM metrics WHERE run_id = ? AND epoch IS NULL)";
    let measured = sqlx::query_scalar(measured).bind(run);
    if !measured.fetch_one(&mut *connection).await? {
        return Err(StoreErrorKind::NothingMeasured { run });
    }
    let peak_memory = totals
        .peak_memory_bytes
        .map(|bytes| integer("peak memory", bytes));
    let finish = sqlx::query(
        "UPDATE runs SET state = 'finished', owner = NULL, finished_at = strftime('%Y-%m-%dT%H:%M:%fZ'),
             best_epoch = ?, epochs = ?, seconds = ?, train_seconds = ?, cpu_seconds = ?, peak_memory_bytes = ?
         WHERE run_id = ?",
    )
    .bind(integer("epoch", totals.best_epoch as u64)?)
    .bind(integer("epoch", totals.epochs as u64)?)
    .bind(totals.seconds)
    .bind(totals.train_seconds)
    .bind(totals.cpu_seconds)
    .bind(peak_memory.transpose()?)
    .bind(run);
    execute(connection, finish).await
}

async fn failed(
    connection: &mut SqliteConnection,
    run: RunId,
    failure: &RunFailure,
) -> Result<(), StoreErrorKind> {
    forget(connection, &Work::Run(run)).await?;
    let fail = sqlx::query(
        "UPDATE runs SET state = 'failed', owner = NULL, finished_at = strftime('%Y-%m-%dT%H:%M:%fZ'),
             failure_kind = ?, failure_phase = ?, failure_message = ?, failure_hint = ?
         WHERE run_id = ?",
    )
    .bind(failure.kind.as_str())
    .bind(failure.phase.as_str())
    .bind(&failure.message)
    .bind(&failure.hint)
    .bind(run);
    execute(connection, fail).await
}
