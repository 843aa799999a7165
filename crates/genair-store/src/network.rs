//! A database on a file system that several machines share. While a sweep goes on, its process alone has the database;
//! who reads meanwhile, on any machine, gets a copy that the sweep publishes now and then.
//!
//! SQLite's write-ahead log needs memory that all processes share, so there is a rollback journal in its place. Its
//! locks are those of the file system: one that is taken once and kept asks the least of them
//! (<https://www.sqlite.org/lockingv3.html>, section 6).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use sqlx::SqliteConnection;

use crate::backup::vacuum_into;
use crate::connection::execute;
use crate::error::{BUSY_SECONDS, SQLITE_BUSY, sqlite_code};
use crate::place::{companion, network_file_system};
use crate::presence::FileIdentity;
use crate::{Store, StoreError, StoreErrorKind};

/// How long a reader waits for a database of which there is a copy.
pub(crate) const PROBE: Duration = Duration::from_millis(500);

/// How long a reader trusts a copy that nobody renews. Then it looks for the database again.
const TRUST: Duration = Duration::from_secs(60);

/// How the names of copies begin while they are written.
const UNFINISHED: &str = ".published-";

/// How a database keeps its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journal {
    /// The write-ahead log, in which readers and the writer do not block each other. It needs memory that all processes
    /// share, so all must be on one machine.
    WriteAhead,
    /// A rollback journal, for file systems that several machines share. Readers and the writer wait for each other, by
    /// the locks of the file system, which is named.
    Rollback(&'static str),
}

impl Journal {
    /// The one for a database's place.
    pub(crate) fn of(path: &Path) -> Self {
        network_file_system(path).map_or(Self::WriteAhead, Self::Rollback)
    }

    fn statement(self) -> &'static str {
        match self {
            Self::WriteAhead => "PRAGMA journal_mode = WAL",
            Self::Rollback(_) => "PRAGMA journal_mode = DELETE",
        }
    }

    /// Switches to it. Does nothing where that is so already.
    pub(crate) async fn enable(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreErrorKind> {
        let deadline = Instant::now() + Duration::from_secs(BUSY_SECONDS);
        loop {
            // SQLite's own time-out does not cover this statement.
            match sqlx::query(self.statement())
                .execute(&mut *connection)
                .await
            {
                Err(error)
                    if sqlite_code(&error) == Some(SQLITE_BUSY) && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(10));
                }
                result => return Ok(result.map(drop)?),
            }
        }
    }

    /// An error of somebody who wants to write, in the words of the database's place.
    pub(crate) fn told(self, kind: StoreErrorKind) -> StoreErrorKind {
        match (self, kind) {
            (Self::Rollback(file_system), StoreErrorKind::Busy { seconds, source }) => {
                StoreErrorKind::Kept {
                    file_system,
                    seconds,
                    source,
                }
            }
            (_, kind) => kind,
        }
    }
}

/// Where the copy of a database is that a sweep keeps.
pub(crate) fn copy_of(path: &Path) -> PathBuf {
    companion(path, "-published")
}

/// A copy that is read in place of its database.
#[derive(Debug)]
pub(crate) struct OpenCopy {
    identity: Option<FileIdentity>,
    as_of: SystemTime,
    since: Instant,
}

impl OpenCopy {
    pub(crate) fn of(copy: &Path) -> Option<Self> {
        Some(Self {
            identity: FileIdentity::of(copy),
            as_of: copy.metadata().ok()?.modified().ok()?,
            since: Instant::now(),
        })
    }
}

impl Store {
    /// Keeps a database on a network file system for this process alone, until [`Self::share`], and publishes a copy
    /// of it for those who read. Elsewhere, this does nothing. Says whether the database is kept.
    ///
    /// # Errors
    /// Another process has the database for longer than 60 s; the copy cannot be written.
    pub fn keep(&mut self) -> Result<bool, StoreError> {
        let journal = self.journal;
        if journal == Journal::WriteAhead {
            return Ok(false);
        }
        let keep = [
            "PRAGMA locking_mode = EXCLUSIVE",
            "BEGIN EXCLUSIVE",
            "COMMIT",
        ];
        self.outside_of_transactions(async |connection| {
            for statement in keep {
                let kept = execute(connection, sqlx::query(statement)).await;
                kept.map_err(|kind| journal.told(kind))?;
            }
            Ok(())
        })?;
        remove_unfinished(self.path());
        self.publish()?;
        Ok(true)
    }

    /// Publishes a copy of a database that this process [keeps](Self::keep), in the place of an earlier one.
    ///
    /// # Errors
    /// The copy cannot be written.
    pub fn publish(&mut self) -> Result<(), StoreError> {
        let to = copy_of(self.path());
        let not_written = |source| StoreErrorKind::CopyNotWritten {
            path: to.clone(),
            source,
        };
        let copy = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .suffix(".db")
            // Whoever may read the database may read its copy.
            .permissions(self.path().metadata().map_or_else(
                |_| std::os::unix::fs::PermissionsExt::from_mode(0o644),
                |file| file.permissions(),
            ))
            .tempfile_in(genair_files::folder_of(self.path()));
        let copy = copy.map_err(|error| self.error(not_written(error)))?;
        let write = async |own: &mut SqliteConnection| vacuum_into(own, copy.path()).await;
        self.outside_of_transactions(write)?;
        let kept = copy.persist(&to);
        kept.map_err(|error| self.error(not_written(error.error)))?;
        Ok(())
    }

    /// Lets other processes have a database again that this one [keeps](Self::keep).
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn share(&mut self) -> Result<(), StoreError> {
        if self.journal == Journal::WriteAhead {
            return Ok(());
        }
        self.outside_of_transactions(async |connection| {
            execute(connection, sqlx::query("PRAGMA locking_mode = NORMAL")).await?;
            // The lock goes with the next statement that reads.
            execute(
                connection,
                sqlx::query("SELECT count(*) FROM sqlite_schema"),
            )
            .await
        })?;
        // Only now: until then, readers have nothing else.
        let _ = std::fs::remove_file(copy_of(self.path()));
        Ok(())
    }

    /// The moment that this store shows, if it reads a copy because a sweep [keeps](Self::keep) the database.
    pub fn as_of(&self) -> Option<SystemTime> {
        self.copy.as_ref().map(|copy| copy.as_of)
    }

    /// Reads on, for somebody who has had this store open for reading for a while: where a sweep keeps the database,
    /// from its newest copy.
    ///
    /// # Errors
    /// As [`Self::open_read_only`].
    pub fn read_on(&mut self) -> Result<(), StoreError> {
        let newest = FileIdentity::of(&copy_of(self.path()));
        let is_current = match &self.copy {
            Some(copy) => copy.identity == newest && copy.since.elapsed() < TRUST,
            None => newest.is_none(),
        };
        if !is_current {
            *self = Self::open_read_only(self.path())?;
        }
        Ok(())
    }
}

/// Removes what processes were publishing when they were killed. The database is kept, so nobody publishes now.
fn remove_unfinished(database: &Path) {
    let folder = genair_files::folder_of(database);
    for file in folder.read_dir().into_iter().flatten().flatten() {
        if file
            .file_name()
            .as_encoded_bytes()
            .starts_with(UNFINISHED.as_bytes())
        {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::has_content;

    const NETWORK: Journal = Journal::Rollback("NFS");

    fn names(store: &mut Store) -> Vec<Vec<serde_json::Value>> {
        store.query("SELECT name FROM sweeps").unwrap().rows
    }

    /// SQLite on NFS loses what a write-ahead log has (<https://github.com/optuna/optuna/issues/815>,
    /// <https://github.com/optuna/optuna/issues/6036>).
    #[test]
    fn optuna_815_no_write_ahead_log_on_a_network_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.db");
        let mode = |store: &mut Store| -> Vec<String> {
            store
                .scalars(sqlx::query_scalar("PRAGMA journal_mode"))
                .unwrap()
        };
        // One that was made on a local disk, and moved.
        let mut local = Store::open_with(&path, Journal::WriteAhead).unwrap();
        local.begin_sweep("a", "", "").unwrap();
        assert_eq!(mode(&mut local), ["wal"]);
        assert!(!local.keep().unwrap(), "nothing is kept on a local disk");
        local.close().unwrap();
        let mut store = Store::open_with(&path, NETWORK).unwrap();
        assert_eq!(mode(&mut store), ["delete"]);
        store.begin_sweep("b", "", "").unwrap();
        let mut reader = Store::open_read_only(&path).unwrap();
        assert_eq!(names(&mut reader), [["a"], ["b"]]);
        store.begin_sweep("c", "", "").unwrap();
        assert!(!has_content(&path, "-wal"));
    }

    #[test]
    fn who_reads_a_database_that_is_kept_gets_its_newest_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.db");
        let mut store = Store::open_with(&path, NETWORK).unwrap();
        store.begin_sweep("a", "", "").unwrap();
        let mut early = Store::open_read_only(&path).unwrap();
        assert_eq!(early.as_of(), None);
        std::fs::write(folder.path().join(".published-dead.db"), "").unwrap();
        assert!(store.keep().unwrap());
        store.begin_sweep("b", "", "").unwrap();
        let mut reader = Store::open_read_only(&path).unwrap();
        assert!(reader.as_of().is_some());
        for reader in [&mut early, &mut reader] {
            reader.read_on().unwrap();
            assert_eq!(names(reader), [["a"]]);
        }
        Store::backup(&path, folder.path().join("backup.db")).unwrap();
        store.publish().unwrap();
        reader.read_on().unwrap();
        assert_eq!(names(&mut reader), [["a"], ["b"]]);
        store.begin_sweep("c", "", "").unwrap();
        store.share().unwrap();
        reader.read_on().unwrap();
        assert_eq!(reader.as_of(), None);
        assert_eq!(names(&mut reader), [["a"], ["b"], ["c"]]);
        // Others write again, and nothing is left behind.
        let mut other = Store::open_with(&path, NETWORK).unwrap();
        other.begin_sweep("d", "", "").unwrap();
        assert_eq!(names(&mut store).len(), 4);
        drop((store, other));
        let mut left: Vec<_> = folder.path().read_dir().unwrap().flatten().collect();
        left.sort_by_key(|file| file.file_name());
        let left: Vec<_> = left.iter().map(|file| file.file_name()).collect();
        assert_eq!(left, ["backup.db", "results.db"]);
    }

    /// Whoever is killed leaves its copy behind; the database is what counts.
    #[test]
    fn a_copy_of_somebody_who_is_gone_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.db");
        let mut store = Store::open_with(&path, NETWORK).unwrap();
        store.keep().unwrap();
        store.begin_sweep("a", "", "").unwrap();
        drop(store);
        assert!(copy_of(&path).exists());
        let mut reader = Store::open_read_only(&path).unwrap();
        assert_eq!(
            (reader.as_of(), names(&mut reader)),
            (None, vec![vec!["a".into()]])
        );
    }

    #[test]
    fn a_writer_is_told_that_one_at_a_time_writes() {
        let busy = StoreErrorKind::Busy {
            seconds: 60,
            source: sqlx::Error::PoolClosed,
        };
        let said = NETWORK.told(busy).to_string();
        assert!(
            said.contains("NFS") && said.contains("one process at a time"),
            "{said}"
        );
        let other = NETWORK.told(StoreErrorKind::Missing);
        assert!(matches!(other, StoreErrorKind::Missing));
    }
}
