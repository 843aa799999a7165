//! Copies of a whole database, and giving back the room of what was deleted.

use std::path::Path;

use serde::Serialize;
use sqlx::{Connection, SqliteConnection};

use crate::connection::{connect_to_any_version, execute, new_runtime};
use crate::place::companion;
use crate::{Store, StoreError, StoreErrorKind};

/// Size of a database before and after [`Store::vacuum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Vacuumed {
    /// Bytes of the file and its log before.
    pub bytes_before: u64,
    /// Bytes of both after. A reader that is at work keeps the log from being folded in.
    pub bytes_after: u64,
}

impl Store {
    /// Copies the database `from` to the new file `to` and returns the copy's size in bytes.
    ///
    /// The copy is one moment of the database, also while others write to it, and has neither log nor
    /// free pages. It is there whole or not at all. A database of another version is copied, too.
    pub fn backup(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64, StoreError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        if to.exists() {
            return Err(StoreError::new(to, StoreErrorKind::Exists));
        }
        let folder = genair_files::folder_of(to);
        let not_written = |source| StoreErrorKind::CopyNotWritten {
            path: to.to_owned(),
            source,
        };
        let write = || -> Result<u64, StoreErrorKind> {
            let copy = tempfile::Builder::new()
                .prefix(".backup-")
                .suffix(".db")
                .tempfile_in(folder)
                .map_err(not_written)?;
            snapshot(from, copy.path())?;
            copy.as_file().sync_all().map_err(not_written)?;
            let bytes = copy.as_file().metadata().map_err(not_written)?.len();
            let kept = copy.persist_noclobber(to);
            kept.map_err(|error| not_written(error.error))?;
            // Makes the name last as well.
            let folder = std::fs::File::open(folder);
            folder.and_then(|own| own.sync_all()).map_err(not_written)?;
            Ok(bytes)
        };
        write().map_err(|kind| StoreError::new(from, kind))
    }

    /// Gives the room of deleted rows back to the system. Waits for writers, keeps readers working, and
    /// needs room for a second copy meanwhile.
    pub fn vacuum(&mut self) -> Result<Vacuumed, StoreError> {
        self.write(forget_what_no_run_names)?;
        let bytes_before = self.bytes();
        self.outside_of_transactions(async |connection| {
            execute(connection, sqlx::query("VACUUM")).await?;
            execute(connection, sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")).await
        })?;
        Ok(Vacuumed {
            bytes_before,
            bytes_after: self.bytes(),
        })
    }

    fn bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        size(self.path()) + size(&companion(self.path(), "-wal"))
    }
}

async fn forget_what_no_run_names(connection: &mut SqliteConnection) -> Result<(), StoreErrorKind> {
    for delete in [
        "DELETE FROM machines WHERE machine NOT IN (SELECT machine FROM runs WHERE machine IS NOT NULL)",
        "DELETE FROM code_diffs WHERE sha256 NOT IN (SELECT code_diff FROM runs WHERE code_diff IS NOT NULL)",
    ] {
        execute(connection, sqlx::query(delete)).await?;
    }
    Ok(())
}

/// Copies one moment of the database `from` into `to`, an empty file or none.
pub(crate) fn snapshot(from: &Path, to: &Path) -> Result<(), StoreErrorKind> {
    new_runtime()?.block_on(async {
        let (mut connection, _) = connect_to_any_version(from).await?;
        vacuum_into(&mut connection, to).await?;
        Ok(connection.close().await?)
    })
}

/// Copies what a connection sees into `to`, an empty file or none.
pub(crate) async fn vacuum_into(
    connection: &mut SqliteConnection,
    to: &Path,
) -> Result<(), StoreErrorKind> {
    let to = std::path::absolute(to).map_err(sqlx::Error::Io)?;
    let copy = sqlx::query("VACUUM INTO ?").bind(to.to_string_lossy());
    execute(connection, copy).await
}
