//! What can go wrong with a results database: the outer error says where, the kind says what.

use std::path::{Path, PathBuf};

use crate::RunId;

/// A failure of one database file.
#[derive(Debug)]
pub struct StoreError {
    /// The database file, as the caller named it.
    pub path: PathBuf,
    /// What is wrong with it, or with the request.
    pub kind: StoreErrorKind,
}

impl StoreError {
    pub(crate) fn new(path: &Path, kind: StoreErrorKind) -> Self {
        let path = path.to_owned();
        Self { path, kind }
    }
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
    /// A program of another version made the database.
    #[error(
        "its tables are of schema version {found}, and this genair knows version {known} alone; use the genair that wrote the file, or choose another file with `--db`"
    )]
    OtherSchema {
        /// Version of the file.
        found: i64,
        /// Version of this program.
        known: i64,
    },
    /// The database has no tables yet, and is open for reading only.
    #[error("the file is empty; any `genair sweep` into it fills it")]
    NoTables,
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
    /// Another process has the database, on a network file system.
    #[error(
        "another process has had it for more than {seconds} s, on this machine or another, such as a sweep: on a network file system ({file_system}), one process at a time writes to a database; wait for it, or choose another file with `--db`"
    )]
    Kept {
        /// What the file system is called.
        file_system: &'static str,
        /// How long this process waited.
        seconds: u64,
        /// SQLite's own words.
        #[source]
        source: sqlx::Error,
    },
    /// The file system does not lock files.
    #[error(
        "its file system does not lock files, so two processes could damage the database; choose a folder on another one with `--db`, or have it mounted with locks"
    )]
    NoLocks(#[source] sqlx::Error),
    /// There is no room for what was to be written.
    #[error("the disk is full; free some space and run the same command again")]
    DiskFull(#[source] sqlx::Error),
    /// The system could not read or write the file, with room for it.
    #[error(
        "the file cannot be read or written; check the disk, and the limit on the size of files (`ulimit -f`)"
    )]
    Io(#[source] sqlx::Error),
    /// The file is gone while it is being written to.
    #[error("the file was deleted or moved away while results were written to it")]
    Deleted,
    /// The path leads to another file while the first one is being written to.
    #[error("another file took its place while results were written to it")]
    Replaced,
    /// What the file holds is not what was written to it.
    #[error("the file is damaged ({found})")]
    Damaged {
        /// What SQLite says.
        found: String,
    },
    /// Results that were written are not in the file.
    #[error(
        "run {run}{} finished, and the results are not in the file; if nobody deleted them there, another program \
         has written over it", others(*runs)
    )]
    NotRecorded {
        /// The first such run.
        run: RunId,
        /// How many there are.
        runs: usize,
    },
    /// The database is lost, and what it held is saved.
    #[error(
        "{what}; what it held is saved in {}: `genair results merge {} --db FILE` takes that over into FILE, new or \
         not, and the same command goes on with it",
        copy.display(), copy.display()
    )]
    Rescued {
        /// What happened to it.
        what: Box<StoreErrorKind>,
        /// The saved copy.
        copy: PathBuf,
    },
    /// The database is lost, and what it held cannot be saved.
    #[error(
        "{what}; what it held cannot be saved ({reason}); put a backup in its place, and the same command runs what \
         is missing there"
    )]
    NotRescued {
        /// What happened to it.
        what: Box<StoreErrorKind>,
        /// Why there is no copy.
        reason: String,
    },
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
    /// There is no sweep at all.
    #[error("it holds no sweep yet; `genair sweep` fills it, `--db` names another")]
    NoSweeps,
    /// No sweep has this name.
    #[error("there is no sweep `{name}`{}", hint.as_ref().map_or(String::new(), |hint| format!("\nhint: {hint}")))]
    UnknownSweep {
        /// The name asked for.
        name: String,
        /// The nearest name, or all.
        hint: Option<String>,
    },
    /// Runs that are to be deleted while a process is at their sweep.
    #[error(
        "run {run} is in training, by process {pid} on {host}, which goes on with its sweep; stop that process first"
    )]
    InTraining {
        /// The run.
        run: RunId,
        /// The process.
        pid: u32,
        /// Its machine.
        host: String,
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
    /// No statement at all.
    #[error("there is no statement; write one, such as `SELECT * FROM leaderboard`")]
    EmptyQuery,
    /// A statement that SQLite would read only in part.
    #[error("the statement has a NUL character at line {line}, column {column}; remove it")]
    QueryHasNul {
        /// Its line, from 1.
        line: usize,
        /// Characters from the line's beginning, from 1.
        column: usize,
    },
    /// Several statements where there should be one.
    #[error("there is more than one statement; send them one at a time")]
    SeveralQueries,
    /// Anything else SQLite or its driver reports.
    #[error(transparent)]
    Sqlite(sqlx::Error),
}

/// ` and 2 others`, or nothing for one.
fn others(runs: usize) -> String {
    match runs.saturating_sub(1) {
        0 => String::new(),
        1 => " and another one".to_owned(),
        more => format!(" and {more} others"),
    }
}

fn beside(reason: &Option<String>) -> String {
    let reason = reason.as_ref().map(|reason| format!(": {reason}"));
    reason.unwrap_or_default()
}

/// Seconds a statement waits for another process's transaction.
pub(crate) const BUSY_SECONDS: u64 = 60;

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
pub(crate) const SQLITE_BUSY: i32 = 5;
pub(crate) const SQLITE_READONLY: i32 = 8;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
pub(crate) const SQLITE_CANTOPEN: i32 = 14;
pub(crate) const SQLITE_NOTADB: i32 = 26;

/// Extended result codes of the kind `SQLITE_IOERR` whose file cannot be locked or unlocked: `_UNLOCK`, `_RDLOCK`,
/// `_CHECKRESERVEDLOCK`, `_LOCK`.
const SQLITE_NO_LOCKS: [i32; 4] = [2058, 2314, 3594, 3850];

/// The primary result code of an error that came from SQLite itself.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    Some(extended_code(error)? & 0xff)
}

fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

impl StoreErrorKind {
    /// Whether the database that was opened is not there any more, or not whole.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Deleted | Self::Replaced | Self::Damaged { .. } | Self::NotADatabase(_)
        )
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
            Some(SQLITE_IOERR)
                if extended_code(&error).is_some_and(|code| SQLITE_NO_LOCKS.contains(&code)) =>
            {
                Self::NoLocks(error)
            }
            Some(SQLITE_IOERR) => Self::Io(error),
            Some(SQLITE_CORRUPT) => Self::Damaged {
                found: (error.as_database_error())
                    .map_or_else(|| error.to_string(), |own| own.message().to_owned()),
            },
            Some(SQLITE_CANTOPEN) => Self::CannotOpen(error),
            Some(SQLITE_NOTADB) => Self::NotADatabase(error),
            _ => Self::Sqlite(error),
        }
    }
}
