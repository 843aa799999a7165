//! The local pool: workers as child processes, each started, listened to, and ended. What a worker says goes to the
//! caller event by event; how it ends without saying so becomes a failure.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use genair_archetype::Installation;
use genair_process::{Heard, PROCESS_HINT, REFUSED, is_refusal};
use genair_protocol::{
    FailureKind, InputFile, REQUEST_FILE, RunEvent, RunFailure, RunPhase, attempt_name, log_file,
};

use super::{Ending, Executor, Launch, Limits, Listen, Next, Told};
use crate::interrupt::{Interrupt, Urgency};
use crate::memory;
use crate::prepare::{StageProgress, prepare};
use crate::schedule::SweepError;
use crate::stage::{Stage, StageError};
use crate::trainer::{ending, last_lines};

/// How often a silent worker's state and requests to stop are looked at.
const TICK: Duration = Duration::from_millis(50);

/// How long a worker may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest line a worker may write: ranks of some ten million users.
const MAX_LINE: usize = 256 << 20;

/// Lines of a worker's log that a failure keeps.
const TAIL_LINES: usize = 10;

/// The exit code of a launcher whose worker a signal ended, less the signal's number.
const SIGNALLED: i32 = 128;

/// Workers as children of this process.
pub(crate) struct LocalPool<'a> {
    /// What a worker is started with, such as `srun`; empty to start it directly.
    pub(crate) launcher: &'a [String],
    /// Where the cache and the engines are.
    pub(crate) installation: &'a Installation,
}

impl Executor for LocalPool<'_> {
    fn execute(
        &self,
        launch: &Launch<'_>,
        interrupt: &Interrupt,
        listen: Listen<'_>,
    ) -> Result<Ending, SweepError> {
        run_worker(launch, self.launcher, interrupt, listen)
    }

    fn make(
        &self,
        stage: &Stage,
        progress: &mut dyn FnMut(StageProgress),
        interrupted: &dyn Fn() -> bool,
    ) -> Result<InputFile, StageError> {
        prepare(stage, self.installation, progress, interrupted)
    }
}

/// Runs a worker to its end, started with `launcher` if that is not empty. `listen` gets all that it says; an error
/// of it ends the worker.
pub(crate) fn run_worker<E>(
    launch: &Launch<'_>,
    launcher: &[String],
    interrupt: &Interrupt,
    mut listen: impl FnMut(Told) -> Result<Next, E>,
) -> Result<Ending, E> {
    let mut worker = match Worker::start(launch, launcher) {
        Ok(worker) => worker,
        Err(error) => return Ok(Ending::Failed(error.failure())),
    };
    listen(Told::Attempt {
        name: worker.attempt.clone(),
    })?;
    let mut phase = RunPhase::Starting;
    let mut reported: Option<Instant> = None;
    let mut stopping: Option<Instant> = None;
    let begin = Instant::now();
    let mut measured = begin;
    loop {
        if measured.elapsed() >= TICK && stopping.is_none() {
            measured = Instant::now();
            if let Some((kind, message, hint)) = over(&launch.limits, worker.measured(), begin) {
                worker.end();
                return Ok(Ending::Failed(RunFailure {
                    hint: Some(hint.to_owned()),
                    ..failure(kind, phase, message)
                }));
            }
        }
        if interrupt.requested() && stopping.is_none() {
            worker.close_input();
            stopping = Some(Instant::now() + PATIENCE);
        }
        if interrupt.urgency() == Urgency::Kill
            || stopping.is_some_and(|deadline| Instant::now() > deadline)
            // It has no more to say, and something in it does not come back.
            || reported.is_some_and(|since| since.elapsed() > PATIENCE)
        {
            worker.kill();
        }
        let line = match worker.process.hear(TICK) {
            Ok(Heard::Line(line)) => Ok(line),
            Ok(Heard::Nothing) => continue,
            Ok(Heard::End) => break,
            Err(error) => Err(error),
        };
        let event = line
            .map_err(|error| error.to_string())
            .and_then(|line| parse(&line));
        match event {
            Ok(event) if reported.is_some() => {
                tracing::warn!(?event, "a worker spoke after its last word")
            }
            // A worker that is torn down in the middle of a step may well call that an error.
            Ok(RunEvent::Failed(failure)) if stopping.is_some() => {
                tracing::debug!(
                    message = failure.message,
                    "a worker that was stopped reports a failure"
                );
            }
            Ok(event) => {
                phase = phase_after(&event, phase);
                if matches!(event, RunEvent::Finished(_) | RunEvent::Failed(_)) {
                    reported = Some(Instant::now());
                }
                let next = listen(Told::Event(Box::new(event)));
                if !matches!(next, Ok(Next::GoOn)) {
                    worker.end();
                    return next.map(|_| Ending::Stopped);
                }
            }
            Err(reason) => {
                worker.end();
                let message = format!("the worker's output is no event: {reason}");
                let failure = failure(FailureKind::Internal, phase, message);
                return Ok(Ending::Failed(failure));
            }
        }
    }
    let silent_since = Instant::now();
    let status = worker.wait();
    let silent = silent_since.elapsed() >= PATIENCE;
    Ok(match status {
        _ if reported.is_some() => Ending::Reported,
        _ if stopping.is_some() => Ending::Interrupted,
        status => {
            let status = match launcher {
                [] => status,
                _ => status.map(of_worker),
            };
            Ending::Failed(died(status, silent, phase, &worker.log))
        }
    })
}

/// The limit that a worker is over, in words: kind of failure, message, hint.
fn over(
    limits: &Limits<'_>,
    bytes: Option<u64>,
    begin: Instant,
) -> Option<(FailureKind, String, &'static str)> {
    if let Some(bytes) = bytes {
        (limits.measured)(bytes);
    }
    if let Some((bytes, limit)) = bytes
        .zip(limits.memory)
        .filter(|(bytes, limit)| bytes > limit)
    {
        let [bytes, limit] = [bytes, limit].map(|bytes| ByteSize(bytes).display().iec());
        let message =
            format!("the worker had {bytes:.1} in memory; `schedule.memory_limit` is {limit:.1}");
        let hint = "raise the limit, or lower `train.batch_size`";
        return Some((FailureKind::MemoryLimit, message, hint));
    }
    let limit = limits.time.filter(|limit| begin.elapsed() > *limit)?;
    let limit = humantime::format_duration(limit);
    let message = format!("the worker took longer than `schedule.time_limit`, {limit}");
    let hint = "raise the limit, or lower `train.stop.max_epochs`";
    Some((FailureKind::TimeLimit, message, hint))
}

/// Why a worker was not started: what could not be done, and to which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub(super) struct StartError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StartError {
    pub(super) fn failure(self) -> RunFailure {
        let kind = match self.source.kind() {
            _ if is_refusal(&self.source) => FailureKind::ProcessLimit,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
            _ => FailureKind::Io,
        };
        RunFailure {
            hint: (kind == FailureKind::ProcessLimit).then(|| PROCESS_HINT.to_owned()),
            ..failure(kind, RunPhase::Starting, self.to_string())
        }
    }
}

/// Names what was done to which file.
fn doing(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A running worker. Dropping it ends it.
struct Worker {
    process: genair_process::Worker,
    stdin: Option<ChildStdin>,
    attempt: String,
    log: PathBuf,
    /// Whether a launcher started it.
    launched: bool,
    /// When the launcher was asked to end it.
    asked: Option<Instant>,
}

impl Worker {
    fn start(launch: &Launch<'_>, launcher: &[String]) -> Result<Self, StartError> {
        let request = write_request(launch)?;
        let attempt = attempt_name(&genair_store::host(), std::process::id());
        let log = launch.request.artefacts.join(log_file(&attempt));
        let threads = launch.request.run.train.threads.to_string();
        let mut words = launcher
            .iter()
            .map(OsStr::new)
            .chain([launch.trainer.as_os_str()]);
        let mut command = genair_process::command(words.next().unwrap_or_default());
        command
            .args(words)
            .arg("run")
            .arg(&request)
            .args(["--attempt", &attempt])
            // Held open: a worker whose input closes has lost its runner and ends.
            .stdin(Stdio::piped())
            .stderr(File::create(&log).map_err(doing("write", &log))?)
            // Read when libgomp and MKL load, so they must be set before the process starts.
            .env("OMP_NUM_THREADS", &threads)
            .env("MKL_NUM_THREADS", &threads)
            .env("OMP_WAIT_POLICY", "passive");
        let mut process = genair_process::Worker::start(&mut command, MAX_LINE).map_err(doing(
            "start",
            launcher.first().map_or(launch.trainer, Path::new),
        ))?;
        let stdin = process.child.take_stdin();
        Ok(Self {
            process,
            stdin,
            attempt,
            log,
            launched: !launcher.is_empty(),
            asked: None,
        })
    }

    /// The most bytes it has had in memory. Those of a launcher are not the worker's.
    fn measured(&self) -> Option<u64> {
        (!self.launched).then(|| memory::peak(self.process.child.id()))?
    }

    fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Kills the worker and whatever it started. A launcher is asked to do so, and killed if it takes too long: what
    /// srun starts on another node outlives a srun that is killed.
    fn kill(&mut self) {
        let asked = match self.launched {
            true => self.asked.get_or_insert_with(|| {
                self.process.child.terminate();
                Instant::now()
            }),
            false => return self.process.child.kill(),
        };
        if asked.elapsed() > PATIENCE {
            self.process.child.kill();
        }
    }

    /// Kills it, and waits until it is gone.
    fn end(&mut self) {
        self.kill();
        self.wait();
    }

    /// Its exit status; a worker that has closed its output but does not end is killed.
    fn wait(&mut self) -> Option<ExitStatus> {
        self.close_input();
        self.process.child.wait(PATIENCE)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.launched {
            self.end();
        }
    }
}

/// Writes a run's request into its folder, and says where it is.
pub(super) fn write_request(launch: &Launch<'_>) -> Result<PathBuf, StartError> {
    let folder = &launch.request.artefacts;
    genair_store::create_folder(folder).map_err(doing("create the folder", folder))?;
    let path = folder.join(REQUEST_FILE);
    serde_json::to_vec_pretty(launch.request)
        .map_err(io::Error::from)
        .and_then(|text| genair_files::write(&path, text))
        .map_err(doing("write", &path))?;
    if let Some(note) = &launch.note {
        let written = note.write(folder);
        written.map_err(|(path, error)| doing("write", &path)(error))?;
    }
    Ok(path)
}

fn parse(line: &str) -> Result<RunEvent, String> {
    serde_json::from_str(line).map_err(|error| {
        let start: String = line.chars().take(120).collect();
        format!("{start:?} ({error})")
    })
}

/// The phase a worker is in after an event.
pub(super) fn phase_after(event: &RunEvent, before: RunPhase) -> RunPhase {
    match event {
        RunEvent::Started { .. } | RunEvent::Epoch { .. } => RunPhase::Training,
        RunEvent::Metrics { epoch: None, .. } | RunEvent::Ranks { .. } => RunPhase::Testing,
        RunEvent::Artefact { .. } => RunPhase::Saving,
        _ => before,
    }
}

pub(super) fn failure(kind: FailureKind, phase: RunPhase, message: String) -> RunFailure {
    RunFailure {
        kind,
        phase,
        message,
        hint: None,
    }
}

/// How the worker ended that a launcher started: srun says by its exit code that a signal ended it.
fn of_worker(launcher: ExitStatus) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt;
    match launcher.code() {
        Some(code) if code > SIGNALLED => ExitStatus::from_raw(code - SIGNALLED),
        _ => launcher,
    }
}

/// The failure of a worker that ended without a last word. `silent`: it had closed its output and was killed.
fn died(status: Option<ExitStatus>, silent: bool, phase: RunPhase, log: &Path) -> RunFailure {
    use std::os::unix::process::ExitStatusExt;
    let how = match status {
        _ if silent => "closed its output and did not end, so it was killed,".to_owned(),
        Some(status) => ending(status),
        None => "was lost".to_owned(),
    };
    let said = std::fs::read(log)
        .map(|bytes| last_lines(&String::from_utf8_lossy(&bytes), TAIL_LINES))
        .unwrap_or_default();
    // libgomp and C++ end the process where they are refused a thread.
    let refused = said.contains(REFUSED);
    let said = if said.is_empty() {
        "it said nothing".to_owned()
    } else {
        format!("it last said:\n{said}")
    };
    let killed = !silent && status.is_some_and(|status| status.signal() == Some(9));
    let hint = if refused {
        PROCESS_HINT.to_owned()
    } else if killed {
        "if nobody killed it, memory ran out: lower `train.batch_size` or run fewer at once (`-j`)"
            .to_owned()
    } else {
        format!("its log is {}", log.display())
    };
    let kind = match refused {
        true => FailureKind::ProcessLimit,
        false => FailureKind::WorkerDied,
    };
    let message = format!("the worker {how} without a result; {said}");
    RunFailure {
        hint: Some(hint),
        ..failure(kind, phase, message)
    }
}
