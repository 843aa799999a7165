//! One worker process: started, listened to, and ended. What it says goes to the caller event by
//! event; how it ends without saying so becomes a failure.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use genair_protocol::{FailureKind, RunEvent, RunFailure, RunPhase, WorkerRequest};

use crate::interrupt::{Interrupt, Urgency};
use crate::memory;
use crate::trainer::{ending, last_lines};

/// How often a silent worker's state and requests to stop are looked at.
const TICK: Duration = Duration::from_millis(50);

/// How long a worker may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest line a worker may write: ranks of some ten million users.
const MAX_LINE: u64 = 256 << 20;

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
        Err(error) => {
            let message = format!("cannot start {}: {error}", launch.trainer.display());
            let kind = FailureKind::of_io(&error);
            return Ok(Ending::Failed(failure(kind, RunPhase::Starting, message)));
        }
    };
    let mut phase = RunPhase::Starting;
    let mut reported = false;
    let mut stopping: Option<Instant> = None;
    let mut dead_since = None;
    let begin = Instant::now();
    let mut measured = begin;
    loop {
        if measured.elapsed() >= TICK && stopping.is_none() {
            measured = Instant::now();
            if let Some((kind, message, hint)) = over(&launch.limits, worker.child.id(), begin) {
                worker.kill();
                worker.wait();
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
        {
            worker.kill();
        }
        let line = match worker.lines.recv_timeout(TICK) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) if worker.is_running() => continue,
            // Dead, but something it started holds its output open: wait for its last words only.
            Err(RecvTimeoutError::Timeout)
                if dead_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE =>
            {
                continue;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        };
        let event = line
            .map_err(|error| error.to_string())
            .and_then(|line| parse(&line));
        match event {
            Ok(event) if reported => tracing::warn!(?event, "a worker spoke after its last word"),
            // A worker that is torn down in the middle of a step may well call that an error.
            Ok(RunEvent::Failed(failure)) if stopping.is_some() => {
                tracing::debug!(
                    message = failure.message,
                    "a worker that was stopped reports a failure"
                );
            }
            Ok(event) => {
                phase = phase_after(&event, phase);
                reported = matches!(event, RunEvent::Finished(_) | RunEvent::Failed(_));
                let next = on_event(event);
                if !matches!(next, Ok(Next::GoOn)) {
                    worker.kill();
                    worker.wait();
                    return next.map(|_| Ending::Stopped);
                }
            }
            Err(reason) => {
                worker.kill();
                worker.wait();
                let message = format!("the worker's output is no event: {reason}");
                return Ok(Ending::Failed(failure(
                    FailureKind::Internal,
                    phase,
                    message,
                )));
            }
        }
    }
    let status = worker.wait();
    Ok(match status {
        _ if reported => Ending::Reported,
        _ if stopping.is_some() => Ending::Interrupted,
        status => Ending::Failed(died(status, phase, &worker.log)),
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

/// A running worker. Dropping it ends it.
struct Worker {
    child: Child,
    lines: Receiver<io::Result<String>>,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Worker {
    fn start(launch: &Launch<'_>) -> io::Result<Self> {
        let folder = &launch.request.artefacts;
        std::fs::create_dir_all(folder)?;
        let request = folder.join("request.json");
        // By a name that the run's next start writes over, should this one be killed here.
        let partial = request.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec_pretty(launch.request)?)?;
        std::fs::rename(&partial, &request)?;
        let log = folder.join(LOG_FILE);
        let threads = launch.request.run.train.threads.to_string();
        let mut child = Command::new(launch.trainer)
            .arg("run")
            .arg(&request)
            // Held open: a worker whose input closes has lost its runner and ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            // Read when libgomp and MKL load, so they must be set before the process starts.
            .env("OMP_NUM_THREADS", &threads)
            .env("MKL_NUM_THREADS", &threads)
            .env("OMP_WAIT_POLICY", "passive")
            // Its own group: Ctrl-C in the terminal reaches the runner alone.
            .process_group(0)
            .spawn()?;
        let (sender, lines) = sync_channel(64);
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || read_lines(stdout, |line| sender.send(line).is_ok()));
        }
        Ok(Self {
            child,
            lines,
            log,
            status: None,
        })
    }

    fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_none()
    }

    /// Kills the worker and whatever it started.
    fn kill(&mut self) {
        if self.is_running() {
            let group = rustix::process::Pid::from_child(&self.child);
            // It may have ended this very moment, which is as good.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    /// Its exit status; a worker that has closed its output but does not end is killed.
    fn wait(&mut self) -> Option<ExitStatus> {
        self.close_input();
        let deadline = Instant::now() + PATIENCE;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        if self.is_running() {
            self.status = self.child.wait().ok();
        }
        self.status
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
        self.wait();
    }
}

/// Sends every line until the end, an error, or until `send` says that nobody listens.
fn read_lines(stdout: ChildStdout, send: impl Fn(io::Result<String>) -> bool) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = String::new();
        let line = match (&mut reader).take(MAX_LINE).read_line(&mut line) {
            Ok(0) => return,
            Ok(_) => Ok(line),
            Err(error) => Err(error),
        };
        let stop = line.is_err();
        if !send(line) || stop {
            return;
        }
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

fn died(status: Option<ExitStatus>, phase: RunPhase, log: &Path) -> RunFailure {
    use std::os::unix::process::ExitStatusExt;
    let how = status.map_or_else(|| "was lost".to_owned(), ending);
    let said = std::fs::read(log)
        .map(|bytes| last_lines(&String::from_utf8_lossy(&bytes), TAIL_LINES))
        .unwrap_or_default();
    let said = if said.is_empty() {
        "it said nothing".to_owned()
    } else {
        format!("it last said:\n{said}")
    };
    let killed = status.is_some_and(|status| status.signal() == Some(9));
    let hint = if killed {
        "if nobody killed it, memory ran out: lower `train.batch_size` or run fewer at once (`-j`)"
            .to_owned()
    } else {
        format!("its log is {}", log.display())
    };
    let message = format!("the worker {how} without a result; {said}");
    RunFailure {
        kind: FailureKind::WorkerDied,
        phase,
        message,
        hint: Some(hint),
    }
}
