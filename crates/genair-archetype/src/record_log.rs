//! The cache of records: `records.jsonl`, one line a record, appended to and never rewritten.
//!
//! Owns the file, its lock and its repair. A process that is killed leaves whole lines but for the
//! last, which the next one cuts off. Knows nothing of what a record means.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use genair_files::{FileError, doing};
use genair_protocol::EngineRecord;

use crate::progress::GenerationProgress;
use crate::record::RecordSettings;

const RECORDS: &str = "records.jsonl";
const SETTINGS: &str = "settings.json";
const LOCK: &str = "lock";

/// Records that may be lost to a power failure (a killed process loses none).
const SYNC_EVERY: usize = 16;
/// Likewise in time.
const SYNC_AFTER: Duration = Duration::from_secs(2);
/// How often a lock that is held elsewhere is tried.
const TRY_LOCK_EVERY: Duration = Duration::from_millis(100);

/// Why records cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordLogError {
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line that is not the last and no record.
    #[error("{}:{line}: not a record; remove the line, and its item is made again", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Two records of one key.
    #[error("{}:{line}: record `{key}` is on line {first} already; remove one of the two", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The later line, from 1.
        line: usize,
        /// The earlier line.
        first: usize,
        /// The key.
        key: String,
    },
    /// The folder was made under other settings.
    #[error("`{}` holds other settings than its folder is named for; remove the folder, or the change to the file", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
    },
    /// Stopped on request while another process held the lock.
    #[error("stopped while another process was generating the same archetypes")]
    Interrupted,
}

/// Records by key.
pub(crate) type Records = HashMap<String, Arc<EngineRecord>>;

/// The records of a folder, open for more. One process at a time has it.
#[derive(Debug)]
pub(crate) struct RecordLog {
    path: PathBuf,
    file: File,
    records: Records,
    unsynced: usize,
    synced: Instant,
    /// Held as long as the log is open; the system lets go of it when the process ends, however it does.
    _lock: File,
}

impl RecordLog {
    /// Waits for its turn, then reads what is there and cuts off a last line that is not whole.
    pub(crate) fn open(
        folder: &Path,
        settings: &RecordSettings,
        told: &mut dyn FnMut(GenerationProgress),
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Self, RecordLogError> {
        std::fs::create_dir_all(folder).map_err(doing("create", folder))?;
        let lock = lock(folder, told, interrupted)?;
        write_settings(folder, settings)?;
        let path = folder.join(RECORDS);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(doing("open", &path))?;
        let (records, whole) = parse(&path, &file)?;
        let length = file.metadata().map_err(doing("read", &path))?.len();
        if whole < length {
            file.set_len(whole)
                .and_then(|()| file.sync_all())
                .map_err(doing("repair", &path))?;
            told(GenerationProgress::Repaired {
                path: path.clone(),
                bytes: length - whole,
            });
        }
        // The entries of the folder itself, so that a new file survives a power failure.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(doing("write", folder))?;
        Ok(Self {
            path,
            file,
            records,
            unsynced: 0,
            synced: Instant::now(),
            _lock: lock,
        })
    }

    /// What there is so far.
    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// Keeps a record. Its key must be new.
    pub(crate) fn append(&mut self, record: EngineRecord) -> Result<(), RecordLogError> {
        debug_assert!(!self.records.contains_key(&record.key), "a key of its own");
        // Text keys cannot fail to serialise.
        let mut line = serde_json::to_string(&record).unwrap_or_default();
        line.push('\n');
        // At once and in one piece, so that a kill loses nothing that arrived.
        self.file
            .write_all(line.as_bytes())
            .map_err(doing("write", &self.path))?;
        self.records.insert(record.key.clone(), Arc::new(record));
        self.unsynced += 1;
        if self.unsynced >= SYNC_EVERY || self.synced.elapsed() >= SYNC_AFTER {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), RecordLogError> {
        self.file.sync_data().map_err(doing("write", &self.path))?;
        self.unsynced = 0;
        self.synced = Instant::now();
        Ok(())
    }

    /// Everything on the disk, and the lock free for others.
    pub(crate) fn close(mut self) -> Result<Records, RecordLogError> {
        self.sync()?;
        Ok(self.records)
    }
}

/// The whole records of a folder as they are now, without waiting for whoever adds to them.
pub(crate) fn read(folder: &Path) -> Result<Records, RecordLogError> {
    let path = folder.join(RECORDS);
    match File::open(&path) {
        Ok(file) => Ok(parse(&path, &file)?.0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Records::new()),
        Err(error) => Err(doing("read", &path)(error).into()),
    }
}

/// The records, and how many bytes whole lines have.
fn parse(path: &Path, file: &File) -> Result<(Records, u64), RecordLogError> {
    let mut reader = BufReader::new(file);
    let mut records = Records::new();
    let mut lines = HashMap::new();
    let mut whole = 0;
    let mut buffer = Vec::new();
    for line in 1.. {
        buffer.clear();
        let length = reader
            .read_until(b'\n', &mut buffer)
            .map_err(doing("read", path))?;
        if buffer.last() != Some(&b'\n') {
            break;
        }
        whole += length as u64;
        let record: EngineRecord =
            serde_json::from_slice(&buffer).map_err(|source| RecordLogError::Line {
                path: path.to_owned(),
                line,
                source,
            })?;
        if let Some(first) = lines.insert(record.key.clone(), line) {
            return Err(RecordLogError::Duplicate {
                path: path.to_owned(),
                line,
                first,
                key: record.key,
            });
        }
        records.insert(record.key.clone(), Arc::new(record));
    }
    Ok((records, whole))
}

fn lock(
    folder: &Path,
    told: &mut dyn FnMut(GenerationProgress),
    interrupted: &dyn Fn() -> bool,
) -> Result<File, RecordLogError> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(doing("create", &path))?;
    let mut waiting = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(doing("lock", &path)(error).into()),
            Err(TryLockError::WouldBlock) if interrupted() => {
                return Err(RecordLogError::Interrupted);
            }
            Err(TryLockError::WouldBlock) => {}
        }
        if !waiting {
            waiting = true;
            told(GenerationProgress::Waiting {
                folder: folder.to_owned(),
            });
        }
        std::thread::sleep(TRY_LOCK_EVERY);
    }
}

/// Says in the folder what its records were made under.
fn write_settings(folder: &Path, settings: &RecordSettings) -> Result<(), RecordLogError> {
    let path = folder.join(SETTINGS);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let there: Option<RecordSettings> = serde_json::from_slice(&bytes).ok();
            return if there.as_ref() == Some(settings) {
                Ok(())
            } else {
                Err(RecordLogError::Settings { path })
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(doing("read", &path)(error).into()),
    }
    let text = serde_json::to_string_pretty(settings).unwrap_or_default() + "\n";
    Ok(genair_files::write(&path, text).map_err(doing("write", &path))?)
}

#[cfg(test)]
mod tests;
