//! What can go wrong with a results database: the outer error says where, the kind says what.

use std::path::PathBuf;
use std::sync::Arc;

use crate::RunId;

/// A failure of one database file.
#[derive(Debug)]
pub struct StoreError {
    /// The database file, as the caller named it.
    pub path: PathBuf,
    /// What is wrong with it, or with the request.
    pub kind: StoreErrorKind,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "database {}: {}", self.path.display(), self.kind)
    }
}

impl std::error::Error for StoreError {
    // The kind is in the message already, so the chain goes on below it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}

/// Why a request to the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Opened for reading, and not there.
    #[error("there is no such file; `genair sweep` creates it, `--db` names another")]
    Missing,
    /// A folder where a file should be.
    #[error("this is a folder; name a file in it")]
    IsAFolder,
    /// A name that only a folder can have.
    #[error("a name that ends with `/` is a folder's; name a file")]
    NamesAFolder,
    /// A link to a file that is not there.
    #[error("{reason}; remove the link, or name another file with `--db`")]
    Dangling {
        /// Which link, and where it leads.
        reason: String,
    },
    /// A path that the system does not let this program look at.
    #[error(
        "it cannot be looked at{}; correct that, or name another file with `--db`",
        beside(reason)
    )]
    Unseen {
        /// What is in the way, if that is known.
        reason: Option<String>,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A file that the system does not let this program read.
    #[error("the file cannot be read; change its permissions, or name another with `--db`")]
    Unreadable(#[source] std::io::Error),
    /// The folder of a new database cannot be made.
    #[error("its folder cannot be created; choose another place with `--db`")]
    FolderNotCreated(#[source] std::io::Error),
    /// SQLite cannot open or create the file.
    #[error("the file cannot be opened; check that its folder may be written to")]
    CannotOpen(#[source] sqlx::Error),
    /// The file may be read only.
    #[error(
        "the file is read-only, or its folder is; make both writable or choose another with `--db`"
    )]
    ReadOnly(#[source] sqlx::Error),
    /// Some other kind of file.
    #[error("the file is not an SQLite database; choose another with `--db`")]
    NotADatabase(#[source] sqlx::Error),
    /// An SQLite database that another program made.
    #[error("the file is an SQLite database of another program; choose another with `--db`")]
    Foreign,
    /// The database has a migration this program does not know.
    #[error(
        "the file was written by a newer genair (migration {migration}); update this one or choose another with `--db`"
    )]
    NewerSchema {
        /// Number of the unknown migration.
        migration: i64,
    },
    /// The database has no tables yet, and is open for reading only.
    #[error(
        "the file is empty (before migration {migration}); any `genair sweep` into it fills it"
    )]
    OlderSchema {
        /// Number of the migration it lacks.
        migration: i64,
    },
    /// A migration failed, or was edited after this database had it.
    #[error("its tables cannot be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Another process kept the database locked for longer than the time-out.
    #[error(
        "another process has kept it locked for more than {seconds} s; end that process or try again"
    )]
    Busy {
        /// How long this process waited.
        seconds: u64,
        /// SQLite's own words.
        #[source]
        source: sqlx::Error,
    },
    /// There is no room for what was to be written.
    #[error("the disk is full; free some space and run the same command again")]
    DiskFull(#[source] sqlx::Error),
    /// Something else in the same transaction failed in a way that undid all of it.
    #[error(transparent)]
    BatchLost(Arc<StoreErrorKind>),
    /// An order that builds on one that failed.
    #[error("what came before it was not recorded")]
    ChainBroken,
    /// A backup is to be written where something is.
    #[error("there is such a file already; name one that does not exist")]
    Exists,
    /// A database to be merged into itself.
    #[error("this is the database itself; name another one to merge into it")]
    SameFile,
    /// A copy of the database cannot be written.
    #[error("its copy {} cannot be written; check that its folder may be written to", path.display())]
    CopyNotWritten {
        /// The copy.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// No run has this number.
    #[error("there is no run {run}; `genair results list` shows those there are")]
    UnknownRun {
        /// The number asked for.
        run: RunId,
    },
    /// The run was taken over by another process, released or ended.
    #[error("run {run} is not held by this process any more; its results are not recorded here")]
    NotHeld {
        /// The run that was to be recorded or released.
        run: RunId,
    },
    /// A run said it finished before it sent a result.
    #[error("run {run} finished without a single result; this is a bug of its worker")]
    NothingMeasured {
        /// The run in question.
        run: RunId,
    },
    /// A number that SQLite's 64-bit signed integers cannot hold.
    #[error("{what} {value} is too large; the largest is {}", i64::MAX)]
    TooLarge {
        /// What the number is, such as `seed`.
        what: &'static str,
        /// The number.
        value: u64,
    },
    /// A user's statement that SQLite refuses.
    #[error("the statement failed: {message}")]
    Query {
        /// SQLite's own words.
        message: String,
    },
    /// A user's statement that is not a pure reading one.
    #[error("the statement writes; queries may only read")]
    QueryWrites,
    /// Several statements where there should be one.
    #[error("there is more than one statement; send them one at a time")]
    SeveralQueries,
    /// Anything else SQLite or its driver reports.
    #[error(transparent)]
    Sqlite(sqlx::Error),
}

fn beside(reason: &Option<String>) -> String {
    let reason = reason.as_ref();
    reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default()
}

/// Seconds a statement waits for another process's transaction.
pub(crate) const BUSY_SECONDS: u64 = 60;

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
pub(crate) const SQLITE_BUSY: i32 = 5;
const SQLITE_NOMEM: i32 = 7;
pub(crate) const SQLITE_READONLY: i32 = 8;
const SQLITE_IOERR: i32 = 10;
const SQLITE_FULL: i32 = 13;
pub(crate) const SQLITE_CANTOPEN: i32 = 14;
pub(crate) const SQLITE_NOTADB: i32 = 26;

/// The primary result code of an error that came from SQLite itself.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

impl StoreErrorKind {
    /// Whether SQLite may have undone the transaction by itself,
    /// <https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>.
    pub(crate) fn ends_transactions(&self) -> bool {
        match self {
            Self::DiskFull(_) => true,
            Self::Sqlite(error) => matches!(sqlite_code(error), Some(SQLITE_NOMEM | SQLITE_IOERR)),
            _ => false,
        }
    }
}

impl From<sqlx::Error> for StoreErrorKind {
    fn from(error: sqlx::Error) -> Self {
        match sqlite_code(&error) {
            Some(SQLITE_BUSY) => Self::Busy {
                seconds: BUSY_SECONDS,
                source: error,
            },
            Some(SQLITE_READONLY) => Self::ReadOnly(error),
            Some(SQLITE_FULL) => Self::DiskFull(error),
            Some(SQLITE_CANTOPEN) => Self::CannotOpen(error),
            Some(SQLITE_NOTADB) => Self::NotADatabase(error),
            _ => Self::Sqlite(error),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreErrorKind {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError;
        match error {
            MigrateError::VersionMissing(migration) => Self::NewerSchema { migration },
            MigrateError::Execute(error) => error.into(),
            other => Self::Migration(other),
        }
    }
}
