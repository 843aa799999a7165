//! Opening a database: pragmas, the schema, and what a file must be to be taken for ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, FromRow, Sqlite, SqliteConnection};
use tokio::runtime::Runtime;

use crate::error::{BUSY_SECONDS, StoreError, StoreErrorKind};
use crate::network::{Journal, OpenCopy, PROBE, copy_of};
use crate::place::{Place, companion, create_folder, look};
use crate::presence::FileIdentity;

const SCHEMA: &str = include_str!("../schema.sql");

/// `PRAGMA application_id` of our databases, as the schema sets it.
const APPLICATION_ID: i64 = 0x476E_4152;

/// `PRAGMA user_version` of our databases, as the schema sets it.
pub(crate) const SCHEMA_VERSION: i64 = 5;

/// Immediate: a deferred transaction that reads first cannot wait for the lock when it writes, and fails
/// with "database is locked" instead.
const WRITE: &str = "BEGIN IMMEDIATE";

/// A statement with its parameters.
type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement with its parameters that reads rows as `T`.
type Rows<'q, T> = QueryAs<'q, Sqlite, T, SqliteArguments>;

/// A statement with its parameters that reads one column as `T`.
type Scalars<'q, T> = QueryScalar<'q, Sqlite, T, SqliteArguments>;

/// A results database, open. One handle is one connection; threads that write at the same time each
/// open their own, and so do processes.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// The file that the path led to when it was opened.
    opened: Option<FileIdentity>,
    pub(crate) journal: Journal,
    /// The copy that this store reads in place of the database, if it does.
    pub(crate) copy: Option<OpenCopy>,
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Store {
    /// Opens the database for reading and writing. A missing file is created, with its folder.
    /// Processes may do this at the same moment.
    ///
    /// # Errors
    /// A file that is no database of ours or of another schema, which is left as it is; a file that
    /// cannot be created or opened; one that a sweep [keeps](Self::keep) on a network file system.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Self::open_with(path, Journal::of(path))
    }

    pub(crate) fn open_with(path: &Path, journal: Journal) -> Result<Self, StoreError> {
        let open = |runtime: &Runtime| {
            // Nothing is created for a name that is refused.
            if look(path).is_ok_and(|place| place == Place::Nothing)
                && let Some(folder) = path.parent()
            {
                create_folder(folder).map_err(StoreErrorKind::FolderNotCreated)?;
            }
            let connected = runtime.block_on(connect_with(path, journal));
            Ok((connected.map_err(|kind| journal.told(kind))?, None))
        };
        Self::with(path, journal, open)
    }

    /// Opens an existing database for reading. Sees what other processes have committed so far, and
    /// goes on seeing what they commit later. A database that a sweep [keeps](Self::keep) is read from the copy
    /// that the sweep publishes ([`Self::as_of`]).
    ///
    /// # Errors
    /// As [`Self::open`]; there is no file, or an empty one.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Self::with(path, Journal::of(path), |runtime| {
            runtime.block_on(connect_read_only(path))
        })
    }

    fn with(
        path: &Path,
        journal: Journal,
        open: impl FnOnce(&Runtime) -> Result<(SqliteConnection, Option<OpenCopy>), StoreErrorKind>,
    ) -> Result<Self, StoreError> {
        let open = || {
            let runtime = new_runtime()?;
            let (connection, copy) = open(&runtime)?;
            Ok(Self {
                path: path.to_owned(),
                opened: FileIdentity::of(path),
                journal,
                copy,
                runtime,
                connection,
            })
        };
        open().map_err(|kind| StoreError::new(path, kind))
    }

    /// The database file, as given to `open`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn opened(&self) -> Option<FileIdentity> {
        self.opened
    }

    /// Closes the database and waits until that is done, so that the last process to leave folds
    /// the write-ahead log into the file. Dropping a store closes it as well, without waiting.
    pub fn close(self) -> Result<(), StoreError> {
        let closed = self.runtime.block_on(self.connection.close());
        closed.map_err(|error| StoreError::new(&self.path, error.into()))
    }

    /// Runs `work` in a write transaction: all of it happens, or none.
    pub(crate) fn write<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        self.transaction(WRITE, work)
    }

    /// Runs one statement that writes.
    pub(crate) fn execute(&mut self, statement: Bound<'_>) -> Result<(), StoreError> {
        self.write(async |connection| execute(connection, statement).await)
    }

    /// The rows of one statement.
    pub(crate) fn rows<T>(&mut self, query: Rows<'_, T>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        self.read(async |connection| Ok(query.fetch_all(connection).await?))
    }

    /// The values of one statement of one column.
    pub(crate) fn scalars<T>(&mut self, query: Scalars<'_, T>) -> Result<Vec<T>, StoreError>
    where
        (T,): for<'r> FromRow<'r, SqliteRow>,
        T: Send + Unpin,
    {
        self.read(async |connection| Ok(query.fetch_all(connection).await?))
    }

    /// Runs `work` on one snapshot of the database.
    pub(crate) fn read<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        self.transaction("BEGIN", work)
    }

    fn transaction<T>(
        &mut self,
        begin: &'static str,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        let connection = &mut self.connection;
        let done = self.runtime.block_on(async {
            execute(connection, sqlx::query(begin)).await?;
            let done = match work(connection).await {
                Ok(value) => execute(connection, sqlx::query("COMMIT"))
                    .await
                    .map(|()| value),
                Err(kind) => Err(kind),
            };
            if done.is_err() {
                // In vain where SQLite has undone the transaction already, as on a full disk.
                let _ = execute(connection, sqlx::query("ROLLBACK")).await;
            }
            done
        });
        done.map_err(|kind| self.error(kind))
    }

    /// `kind`, of this database.
    pub(crate) fn error(&self, kind: StoreErrorKind) -> StoreError {
        StoreError::new(&self.path, kind)
    }

    /// Runs `work` in a write transaction of a connection of its own, to which the database file `theirs`
    /// is attached under that name.
    pub(crate) fn write_beside<T>(
        &mut self,
        theirs: &Path,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        let done = self.runtime.block_on(async {
            let mut connection = connect_with(&self.path, self.journal).await?;
            let theirs = std::path::absolute(theirs).map_err(sqlx::Error::Io)?;
            sqlx::query("ATTACH ? AS theirs")
                .bind(theirs.to_string_lossy())
                .execute(&mut connection)
                .await?;
            let mut transaction = connection.begin_with(WRITE).await?;
            let value = work(&mut transaction).await?;
            transaction.commit().await?;
            connection.close().await?;
            Ok(value)
        });
        done.map_err(|kind| self.error(kind))
    }

    /// Runs `work` without a transaction around it: SQLite refuses to do it in one, or it changes something by a
    /// single statement, if at all.
    pub(crate) fn outside_of_transactions<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        let done = self.runtime.block_on(work(&mut self.connection));
        done.map_err(|kind| self.error(kind))
    }

    /// Runs `work` on a connection of its own that cannot write, whatever this store may do.
    pub(crate) fn read_only<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        let Self { path, runtime, .. } = self;
        let done = runtime.block_on(async {
            let (mut connection, _) = connect_read_only(path).await?;
            let value = work(&mut connection).await;
            connection.close().await?;
            value
        });
        done.map_err(|kind| StoreError::new(path, kind))
    }
}

/// Runs a statement whose rows, if any, nobody wants.
pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    statement: Bound<'_>,
) -> Result<(), StoreErrorKind> {
    statement.execute(connection).await?;
    Ok(())
}

/// What drives the connections of one store.
pub(crate) fn new_runtime() -> Result<Runtime, StoreErrorKind> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Ok(runtime.map_err(sqlx::Error::Io)?)
}

fn options(path: &Path, patience: Duration) -> Result<SqliteConnectOptions, StoreErrorKind> {
    if look(path)? == Place::File {
        // SQLite says no more than that it cannot. Not by opening it: closing it would end SQLite's locks.
        rustix::fs::access(path, rustix::fs::Access::READ_OK)
            .map_err(|error| StoreErrorKind::Unreadable(error.into()))?;
    }
    // Absolute, so that SQLite never takes the name for a URI.
    let path = std::path::absolute(path)
        .map_err(|error| StoreErrorKind::CannotOpen(sqlx::Error::Io(error)))?;
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(patience)
        .disable_statement_logging())
}

async fn connect_with(path: &Path, journal: Journal) -> Result<SqliteConnection, StoreErrorKind> {
    let options = options(path, Duration::from_secs(BUSY_SECONDS))?.create_if_missing(true);
    let options = match journal {
        Journal::WriteAhead => options,
        // A rollback journal is safe only when all of it is on the disk.
        Journal::Rollback(_) => options.synchronous(SqliteSynchronous::Full),
    };
    let mut connection = options.connect().await?;
    // One transaction for the look and the change: of two processes that open a new database at
    // once, the second waits here and finds it made.
    let mut transaction = connection.begin_with(WRITE).await?;
    match schema_version(&mut transaction).await? {
        None => {
            sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        }
        Some(found) => require_current(found)?,
    }
    transaction.commit().await?;
    // Only now, since it changes the file for good and it is certain whose file it is.
    journal.enable(&mut connection).await?;
    Ok(connection)
}

/// The version of the schema; none of a file without tables.
///
/// Fails on a database that has tables, but not ours.
async fn schema_version(connection: &mut SqliteConnection) -> Result<Option<i64>, StoreErrorKind> {
    // One statement sees one moment, also while another process makes the tables.
    let look = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
                FROM pragma_application_id, pragma_user_version";
    let (application, version, tables): (i64, i64, i64) =
        sqlx::query_as(look).fetch_one(connection).await?;
    match (application, tables) {
        (0 | APPLICATION_ID, 0) => Ok(None),
        (APPLICATION_ID, _) => Ok(Some(version)),
        _ => Err(StoreErrorKind::Foreign),
    }
}

/// Fails unless the tables are those this program knows.
fn require_current(found: i64) -> Result<(), StoreErrorKind> {
    match found {
        SCHEMA_VERSION => Ok(()),
        found => Err(StoreErrorKind::OtherSchema {
            found,
            known: SCHEMA_VERSION,
        }),
    }
}

async fn connect_read_only(
    path: &Path,
) -> Result<(SqliteConnection, Option<OpenCopy>), StoreErrorKind> {
    let (mut connection, copy) = connect_to_any_version(path).await?;
    let found = schema_version(&mut connection).await?;
    require_current(found.ok_or(StoreErrorKind::NoTables)?)?;
    Ok((connection, copy))
}

/// Connects for reading to a database of ours, whatever the version of its schema, or to the copy of one that a sweep
/// keeps.
pub(crate) async fn connect_to_any_version(
    path: &Path,
) -> Result<(SqliteConnection, Option<OpenCopy>), StoreErrorKind> {
    let patience = Duration::from_secs(BUSY_SECONDS);
    let copy = copy_of(path);
    if !copy.exists() {
        return Ok((connect_for_reading(path, patience).await?, None));
    }
    match connect_for_reading(path, PROBE).await {
        Err(StoreErrorKind::Busy { .. }) => {
            let open = OpenCopy::of(&copy);
            Ok((connect_for_reading(&copy, patience).await?, open))
        }
        connected => {
            let mut connection = connected?;
            execute(
                &mut connection,
                sqlx::query(sqlx::AssertSqlSafe(format!(
                    "PRAGMA busy_timeout = {}",
                    patience.as_millis()
                ))),
            )
            .await?;
            Ok((connection, None))
        }
    }
}

async fn connect_for_reading(
    path: &Path,
    patience: Duration,
) -> Result<SqliteConnection, StoreErrorKind> {
    if look(path)? == Place::Nothing {
        return Err(StoreErrorKind::Missing);
    }
    let writable = options(path, patience)?;
    let options = writable.clone().read_only(true);
    match connect_if_ours(&options).await {
        // A program died within a transaction before the write-ahead log was switched on. Only who may
        // write can undo the transaction, and does so by reading.
        Err(StoreErrorKind::CannotOpen(_) | StoreErrorKind::ReadOnly(_))
            if has_content(path, "-journal") =>
        {
            connect_if_ours(&writable).await?.close().await?;
            connect_if_ours(&options).await
        }
        // Reading through a write-ahead log takes a writable folder. Where there is none and no
        // log either, nothing can change under us and the file may be read as it is.
        Err(StoreErrorKind::CannotOpen(_) | StoreErrorKind::ReadOnly(_))
            if !has_content(path, "-wal") =>
        {
            connect_if_ours(&options.immutable(true)).await
        }
        result => result,
    }
}

async fn connect_if_ours(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, StoreErrorKind> {
    let mut connection = options.connect().await?;
    schema_version(&mut connection).await?;
    Ok(connection)
}

/// Whether SQLite's companion of the file is there and not empty.
pub(crate) fn has_content(path: &Path, suffix: &str) -> bool {
    companion(path, suffix)
        .metadata()
        .is_ok_and(|file| file.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_undoes_the_transaction_and_with_room_the_store_works_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("results.db")).unwrap();
        let limit_pages = |store: &mut Store, pages: &'static str| {
            let limit = store.outside_of_transactions(async |connection| {
                execute(connection, sqlx::query(pages)).await
            });
            limit.unwrap();
        };
        let names = |store: &mut Store| store.query("SELECT name FROM sweeps").unwrap().rows;
        limit_pages(&mut store, "PRAGMA max_page_count = 1"); // As many as there are.
        let error = store.begin_sweep("large", "", &"x".repeat(1_000_000));
        let error = error.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the disk is full; free some space and run the same command again")
        );
        assert!(matches!(error.kind, StoreErrorKind::DiskFull(_)));
        assert!(names(&mut store).is_empty(), "nothing of it is left");

        limit_pages(&mut store, "PRAGMA max_page_count = 100000");
        store.begin_sweep("late", "", "").unwrap();
        assert_eq!(names(&mut store), [["late"]]);
    }
}
