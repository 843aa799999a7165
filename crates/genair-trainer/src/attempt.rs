//! One attempt at a run: its name, its files in the run's folder, and whether it still is the one that counts.
//!
//! A worker with a lease ends with its standard input, and its events go there as well as to whoever started it. One
//! without, such as a job of a batch system, has its files alone: nobody can end it but by these.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use genair_protocol::{
    ATTEMPT_FILE, LOCK_FILE, RunEvent, RunPhase, STOP_FILE, WorkerRequest, attempt_name,
    events_file, log_file,
};

use crate::error::{During, io};
use crate::{RunErrorKind, TrainError, machine};

/// How long a worker waits for another one to let go of its run: a worker that srun started outlives srun by 10 s.
const HOLD_PATIENCE: Duration = Duration::from_secs(15);

/// An attempt at a run, by this process.
#[derive(Debug)]
pub struct Attempt {
    folder: PathBuf,
    name: String,
    leased: bool,
    /// Absent once it could not be written to.
    events: Mutex<Option<File>>,
    /// Held to the end of the run.
    _hold: Option<File>,
}

impl Attempt {
    /// Begins an attempt at the run of a request: from now on it is the one that counts.
    ///
    /// `name` is its name, by default one of its own. With a lease, the run is taken for this process alone where it
    /// resumes. Without, another worker of it may be on a node that does not answer: that one ends once it
    /// [sees](Self::ends) this attempt.
    ///
    /// # Errors
    /// Another process has the run; its folder cannot be written to.
    pub fn begin(
        request: &WorkerRequest,
        name: Option<String>,
        leased: bool,
    ) -> Result<Self, TrainError> {
        let begin = || -> Result<Self, RunErrorKind> {
            let folder = request.artefacts.clone();
            std::fs::create_dir_all(&folder).map_err(io(&folder))?;
            let hold = match &request.resume {
                Some(_) if leased => Some(hold(&folder)?),
                _ => None,
            };
            remove_partials(&folder);
            let name = name.unwrap_or_else(|| attempt_name(&machine::host(), std::process::id()));
            let path = folder.join(events_file(&name));
            let events = File::create(&path).map_err(io(&path))?;
            let path = folder.join(ATTEMPT_FILE);
            genair_files::write(&path, &name).map_err(io(&path))?;
            Ok(Self {
                folder,
                name,
                leased,
                events: Mutex::new(Some(events)),
                _hold: hold,
            })
        };
        begin().during(RunPhase::Starting)
    }

    /// From now on, standard error is the attempt's log.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn take_standard_error(&self) -> io::Result<()> {
        let log = File::create(self.folder.join(log_file(&self.name)))?;
        Ok(rustix::stdio::dup2_stderr(log)?)
    }

    /// Adds an event, as a line with its end, to the attempt's file.
    ///
    /// # Errors
    /// It cannot be written, and there is no lease: nobody would hear of it. With one, the file is given up with a
    /// warning: whoever started the worker has the event.
    pub fn write(&self, event: &RunEvent, line: &str) -> io::Result<()> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &mut *events else {
            return Ok(());
        };
        let last_word = matches!(event, RunEvent::Finished(_) | RunEvent::Failed(_));
        let validated = matches!(event, RunEvent::Epoch { valid: Some(_), .. });
        let mut written = file.write_all(line.as_bytes());
        if !self.leased && (last_word || validated) {
            written = written.and_then(|()| file.sync_data());
        }
        match written {
            Err(error) if self.leased => {
                let path = self.folder.join(events_file(&self.name));
                tracing::warn!(
                    "no more events in {}, so `genair results rebuild` will not have this run: {error}",
                    path.display()
                );
                *events = None;
                // Half of a file would be taken for a run that was stopped.
                let _ = std::fs::remove_file(path);
                Ok(())
            }
            written => written,
        }
    }

    /// Why this worker is to end, if it is: another attempt counts, or whoever judges it has stopped it.
    pub fn ends(&self) -> Option<&'static str> {
        let read = |name| std::fs::read_to_string(self.folder.join(name));
        match read(ATTEMPT_FILE) {
            Ok(counts) if counts != self.name => return Some("another attempt at this run counts"),
            Err(error) if !self.leased && error.kind() == io::ErrorKind::NotFound => {
                return Some("no attempt at this run counts any more");
            }
            _ => {}
        }
        let stopped = !self.leased && read(STOP_FILE).is_ok_and(|stopped| stopped == self.name);
        stopped.then_some("this attempt was stopped")
    }
}

/// Takes a run for this process alone, for as long as the answer lives. A worker whose runner was
/// killed ends by itself, but may take a moment over it.
fn hold(folder: &Path) -> Result<File, RunErrorKind> {
    let path = folder.join(LOCK_FILE);
    let file = File::create(&path).map_err(io(&path))?;
    let deadline = Instant::now() + HOLD_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(RunErrorKind::Held { path }),
            Err(TryLockError::Error(error)) => {
                // Some network file systems have no locks. The name of the attempt protects there.
                tracing::warn!("cannot lock {}: {error}", path.display());
                return Ok(file);
            }
        }
    }
}

/// Removes what earlier workers of the run were writing when they died: a checkpoint each time, at worst.
fn remove_partials(folder: &Path) {
    for path in genair_files::partials(folder) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
}
