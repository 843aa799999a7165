//! Opening a database: pragmas, migrations, and what a file must be to be taken for ours.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::runtime::Runtime;

use crate::error::{BUSY_SECONDS, SQLITE_BUSY, StoreError, StoreErrorKind, sqlite_code};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// `PRAGMA application_id` of our databases, as the first migration sets it.
const APPLICATION_ID: i64 = 0x476E_4152;

/// A results database, open. One handle is one connection; threads that write at the same time each
/// open their own, and so do processes.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Store {
    /// Opens the database for reading and writing. A missing file is created, with its folder; an
    /// older one is brought up to date. Processes may do this at the same moment.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let open = |runtime: &Runtime| {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(StoreErrorKind::FolderNotCreated)?;
            }
            runtime.block_on(connect(path))
        };
        Self::with(path, open)
    }

    /// Opens an existing database for reading. Sees what other processes have committed so far, and
    /// goes on seeing what they commit later.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Self::with(path, |runtime| runtime.block_on(connect_read_only(path)))
    }

    fn with(
        path: &Path,
        open: impl FnOnce(&Runtime) -> Result<SqliteConnection, StoreErrorKind>,
    ) -> Result<Self, StoreError> {
        let opened = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| StoreErrorKind::Sqlite(sqlx::Error::Io(error)))
            .and_then(|runtime| open(&runtime).map(|connection| (runtime, connection)));
        match opened {
            Ok((runtime, connection)) => Ok(Self {
                path: path.to_owned(),
                runtime,
                connection,
            }),
            Err(kind) => Err(StoreError {
                path: path.to_owned(),
                kind,
            }),
        }
    }

    /// The database file, as given to `open`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the database and waits until that is done, so that the last process to leave folds
    /// the write-ahead log into the file. Dropping a store closes it as well, without waiting.
    pub fn close(self) -> Result<(), StoreError> {
        let Self {
            path,
            runtime,
            connection,
        } = self;
        runtime
            .block_on(connection.close())
            .map_err(|error| StoreError {
                path,
                kind: error.into(),
            })
    }

    /// Runs `work` in a write transaction: all of it happens, or none.
    pub(crate) fn write<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        // Immediate: a deferred transaction that reads first cannot wait for the lock when it
        // writes, and fails with "database is locked" instead.
        self.transaction("BEGIN IMMEDIATE", work)
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
        let Self {
            path,
            runtime,
            connection,
        } = self;
        let done = runtime.block_on(async {
            let mut transaction = connection.begin_with(begin).await?;
            let value = work(&mut transaction).await?; // On an error, dropping it rolls back.
            transaction.commit().await?;
            Ok(value)
        });
        done.map_err(|kind| StoreError {
            path: path.clone(),
            kind,
        })
    }

    /// Runs `work` on a connection of its own that cannot write, whatever this store may do.
    pub(crate) fn read_only<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        let Self { path, runtime, .. } = self;
        let done = runtime.block_on(async {
            let mut connection = connect_read_only(path).await?;
            let value = work(&mut connection).await;
            connection.close().await?;
            value
        });
        done.map_err(|kind| StoreError {
            path: path.clone(),
            kind,
        })
    }
}

fn options(path: &Path) -> Result<SqliteConnectOptions, StoreErrorKind> {
    if path.is_dir() {
        return Err(StoreErrorKind::IsAFolder);
    }
    // Absolute, so that SQLite never takes the name for a URI.
    let path = std::path::absolute(path)
        .map_err(|error| StoreErrorKind::CannotOpen(sqlx::Error::Io(error)))?;
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(BUSY_SECONDS))
        .disable_statement_logging())
}

async fn connect(path: &Path) -> Result<SqliteConnection, StoreErrorKind> {
    let mut connection = options(path)?.create_if_missing(true).connect().await?;
    // One transaction for the look and the change: of two processes that open a new database at
    // once, the second waits here and finds it made.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    refuse_foreign(&mut transaction).await?;
    MIGRATIONS.run(&mut *transaction).await?;
    transaction.commit().await?;
    // Only now, since it changes the file for good and it is certain whose file it is.
    enable_write_ahead_log(&mut connection).await?;
    Ok(connection)
}

/// Fails on a database that has tables, but not ours.
async fn refuse_foreign(connection: &mut SqliteConnection) -> Result<(), StoreErrorKind> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(connection)
        .await?;
    let new = application == 0 && tables == 0;
    if new || application == APPLICATION_ID {
        Ok(())
    } else {
        Err(StoreErrorKind::Foreign)
    }
}

/// Switches to the write-ahead log, in which readers and the writer do not block each other. Does
/// nothing where that is so already.
async fn enable_write_ahead_log(connection: &mut SqliteConnection) -> Result<(), StoreErrorKind> {
    let deadline = Instant::now() + Duration::from_secs(BUSY_SECONDS);
    loop {
        // SQLite's own time-out does not cover this statement.
        match sqlx::query("PRAGMA journal_mode = WAL")
            .execute(&mut *connection)
            .await
        {
            Err(error) if sqlite_code(&error) == Some(SQLITE_BUSY) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return Ok(result.map(drop)?),
        }
    }
}

async fn connect_read_only(path: &Path) -> Result<SqliteConnection, StoreErrorKind> {
    if !path.exists() {
        return Err(StoreErrorKind::Missing);
    }
    let options = options(path)?.read_only(true);
    match connect_and_check(&options).await {
        // Reading through a write-ahead log takes a writable folder. Where there is none and no
        // log either, nothing can change under us and the file may be read as it is.
        Err(StoreErrorKind::CannotOpen(_) | StoreErrorKind::ReadOnly(_)) if !has_log(path) => {
            connect_and_check(&options.immutable(true)).await
        }
        result => result,
    }
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// Connects and makes sure that the tables are those this program knows.
async fn connect_and_check(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, StoreErrorKind> {
    let mut connection = options.connect().await?;
    refuse_foreign(&mut connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut connection)
        .await?;
    let applied: Vec<i64> = if tables == 0 {
        Vec::new()
    } else {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
            .fetch_all(&mut connection)
            .await?
    };
    let known: Vec<i64> = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .collect();
    if let Some(&migration) = applied.iter().find(|version| !known.contains(version)) {
        return Err(StoreErrorKind::NewerSchema { migration });
    }
    if let Some(&migration) = known.iter().find(|version| !applied.contains(version)) {
        return Err(StoreErrorKind::OlderSchema { migration });
    }
    Ok(connection)
}
