//! One worker process: started, listened to, and ended. What it says goes to the caller event by
//! event; how it ends without saying so becomes a failure.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use genair_process::{Heard, PROCESS_HINT, REFUSED, is_refusal};
use genair_protocol::{FailureKind, RunEvent, RunFailure, RunPhase, WorkerRequest};

use crate::interrupt::{Interrupt, Urgency};
use crate::memory;
use crate::trainer::{ending, last_lines};

/// How often a silent worker's state and requests to stop are looked at.
const TICK: Duration = Duration::from_millis(50);

/// How long a worker may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest line a worker may write: ranks of some ten million users.
const MAX_LINE: usize = 256 << 20;

/// Lines of a worker's log that a failure keeps.
const TAIL_LINES: usize = 10;

/// Where the worker's log is, in the run's folder.
pub(crate) const LOG_FILE: &str = "log.txt";

/// What to start.
pub(crate) struct Launch<'a> {
    pub(crate) trainer: &'a Path,
    pub(crate) request: &'a WorkerRequest,
    pub(crate) limits: Limits<'a>,
}

/// What a worker may take.
pub(crate) struct Limits<'a> {
    /// Bytes in memory.
    pub(crate) memory: Option<u64>,
    /// From its start to its end.
    pub(crate) time: Option<Duration>,
    /// Is told the most bytes it has had so far, again and again.
    pub(crate) measured: &'a dyn Fn(u64),
}

/// What becomes of a worker after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It goes on.
    GoOn,
    /// It is not worth its time.
    End,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// It said `finished` or `failed`, and that was handed on.
    Reported,
    /// It ended, or had to be ended, without a word.
    Failed(RunFailure),
    /// It was stopped on request.
    Interrupted,
    /// `on_event` ended it.
    Stopped,
}

/// Runs a worker to its end. `on_event` gets each of its events; an error of it ends the worker.
pub(crate) fn run_worker<E>(
    launch: &Launch<'_>,
    interrupt: &Interrupt,
    mut on_event: impl FnMut(RunEvent) -> Result<Next, E>,
) -> Result<Ending, E> {
    let mut worker = match Worker::start(launch) {
        Ok(worker) => worker,
        Err(error) => return Ok(Ending::Failed(error.failure())),
    };
    let mut phase = RunPhase::Starting;
    let mut reported: Option<Instant> = None;
    let mut stopping: Option<Instant> = None;
    let begin = Instant::now();
    let mut measured = begin;
    loop {
        if measured.elapsed() >= TICK && stopping.is_none() {
            measured = Instant::now();
            if let Some((kind, message, hint)) =
                over(&launch.limits, worker.process.child.id(), begin)
            {
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
                let next = on_event(event);
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
        status => Ending::Failed(died(status, silent, phase, &worker.log)),
    })
}

/// The limit that a worker is over, in words: kind of failure, message, hint.
fn over(
    limits: &Limits<'_>,
    pid: u32,
    begin: Instant,
) -> Option<(FailureKind, String, &'static str)> {
    let bytes = memory::peak(pid);
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
struct StartError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StartError {
    fn failure(self) -> RunFailure {
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
    log: PathBuf,
}

impl Worker {
    fn start(launch: &Launch<'_>) -> Result<Self, StartError> {
        let folder = &launch.request.artefacts;
        genair_store::create_folder(folder).map_err(doing("create the folder", folder))?;
        let request = folder.join("request.json");
        serde_json::to_vec_pretty(launch.request)
            .map_err(io::Error::from)
            .and_then(|text| genair_files::write(&request, text))
            .map_err(doing("write", &request))?;
        let log = folder.join(LOG_FILE);
        let threads = launch.request.run.train.threads.to_string();
        let mut command = genair_process::command(launch.trainer);
        command
            .arg("run")
            .arg(&request)
            // Held open: a worker whose input closes has lost its runner and ends.
            .stdin(Stdio::piped())
            .stderr(File::create(&log).map_err(doing("write", &log))?)
            // Read when libgomp and MKL load, so they must be set before the process starts.
            .env("OMP_NUM_THREADS", &threads)
            .env("MKL_NUM_THREADS", &threads)
            .env("OMP_WAIT_POLICY", "passive");
        let mut process = genair_process::Worker::start(&mut command, MAX_LINE)
            .map_err(doing("start", launch.trainer))?;
        let stdin = process.child.take_stdin();
        Ok(Self {
            process,
            stdin,
            log,
        })
    }

    fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Kills the worker and whatever it started.
    fn kill(&mut self) {
        self.process.child.kill();
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

fn parse(line: &str) -> Result<RunEvent, String> {
    serde_json::from_str(line).map_err(|error| {
        let start: String = line.chars().take(120).collect();
        format!("{start:?} ({error})")
    })
}

/// The phase a worker is in after an event.
fn phase_after(event: &RunEvent, before: RunPhase) -> RunPhase {
    match event {
        RunEvent::Started { .. } | RunEvent::Epoch { .. } => RunPhase::Training,
        RunEvent::Metrics { epoch: None, .. } | RunEvent::Ranks { .. } => RunPhase::Testing,
        RunEvent::Artefact { .. } => RunPhase::Saving,
        _ => before,
    }
}

fn failure(kind: FailureKind, phase: RunPhase, message: String) -> RunFailure {
    RunFailure {
        kind,
        phase,
        message,
        hint: None,
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
