//! Whether a database that is being written to is still there, and saving what is left of one that is not.
//!
//! SQLite goes on in a file that was deleted or replaced, and does not look at what lies below its caches: all
//! of it would be lost in silence.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sqlx::SqliteConnection;

use crate::backup::vacuum_into;
use crate::json::json_text;
use crate::place::companion;
use crate::{RunId, Store, StoreError, StoreErrorKind};

/// Copies beside one database at the most.
const COPIES: usize = 100;

/// Which file a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|file| Self {
            device: file.dev(),
            inode: file.ino(),
        })
    }
}

impl Store {
    /// Whether the path still leads to the file that was opened, and that has something in it. Costs a look at
    /// the folder.
    ///
    /// # Errors
    /// The file was deleted, replaced or emptied.
    pub fn still_there(&self) -> Result<(), StoreError> {
        let kind = match self.path().metadata() {
            Err(_) => StoreErrorKind::Deleted,
            Ok(_) if FileIdentity::of(self.path()) != self.opened() => StoreErrorKind::Replaced,
            // By its name only: closing a file takes SQLite's locks on it away.
            Ok(file) if file.len() == 0 => StoreErrorKind::Damaged {
                found: "the file is empty".to_owned(),
            },
            Ok(_) => return Ok(()),
        };
        Err(self.error(kind))
    }

    /// Reads the file through a new connection, which knows nothing of what this one remembers: its structure as
    /// a whole, and that `finished` are there with results.
    ///
    /// # Errors
    /// The file is damaged, or does not have them.
    pub fn read_back(&mut self, finished: &[RunId]) -> Result<(), StoreError> {
        self.read_only(async |connection| {
            let found: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(1)")
                .fetch_all(&mut *connection)
                .await?;
            if found != ["ok"] {
                return Err(StoreErrorKind::Damaged {
                    found: found.join("; "),
                });
            }
            let missing: Vec<RunId> = sqlx::query_scalar(
                "SELECT wanted.value FROM json_each(?) AS wanted
                 WHERE NOT EXISTS (SELECT 1 FROM runs WHERE run_id = wanted.value AND state = 'finished')
                    OR NOT EXISTS (SELECT 1 FROM metrics WHERE run_id = wanted.value AND epoch IS NULL)
                 ORDER BY wanted.value",
            )
            .bind(json_text(finished))
            .fetch_all(connection)
            .await?;
            match missing.first() {
                None => Ok(()),
                Some(&run) => Err(StoreErrorKind::NotRecorded {
                    run,
                    runs: missing.len(),
                }),
            }
        })
    }

    /// For an error that says that the database is lost: copies what this handle still sees of it to a new file
    /// beside it, and adds to the error where that is. Any other error stays as it is.
    pub fn rescued(&mut self, error: StoreError) -> StoreError {
        if !error.kind.is_lost() {
            return error;
        }
        let what = Box::new(error.kind);
        let kind = match self.rescue() {
            Ok(copy) => StoreErrorKind::Rescued { what, copy },
            Err(reason) => StoreErrorKind::NotRescued {
                what,
                reason: reason.to_string(),
            },
        };
        StoreError { kind, ..error }
    }

    fn rescue(&mut self) -> Result<PathBuf, StoreErrorKind> {
        let beside = genair_files::folder_of(self.path()).to_owned();
        let stem = self.path().file_stem().unwrap_or_default();
        let stem = stem.to_string_lossy().into_owned();
        // Its folder may be gone as well.
        let copy = self
            .rescue_into(&beside, &stem)
            .or_else(|_| self.rescue_into(&std::env::temp_dir(), &stem))?;
        if !self.path().exists() {
            // Beside a copy that is given the database's name, its old log would be taken for the copy's.
            for suffix in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(companion(self.path(), suffix));
            }
        }
        Ok(copy)
    }

    fn rescue_into(&mut self, folder: &Path, stem: &str) -> Result<PathBuf, StoreErrorKind> {
        let not_written = |source| StoreErrorKind::CopyNotWritten {
            path: folder.to_owned(),
            source,
        };
        let mut copy = tempfile::Builder::new()
            .prefix(".rescued-")
            .suffix(".db")
            .tempfile_in(folder)
            .map_err(not_written)?;
        let write = async |own: &mut SqliteConnection| vacuum_into(own, copy.path()).await;
        let written = self.outside_of_transactions(write);
        written.map_err(|error| error.kind)?;
        copy.as_file().sync_all().map_err(not_written)?;
        let mut number = 1;
        loop {
            let name = match number {
                1 => format!("{stem}-rescued.db"),
                _ => format!("{stem}-rescued-{number}.db"),
            };
            let name = folder.join(name);
            match copy.persist_noclobber(&name) {
                Ok(_) => return Ok(name),
                Err(error) if number < COPIES && name.exists() => copy = error.file,
                Err(error) => return Err(not_written(error.error)),
            }
            number += 1;
        }
    }
}
