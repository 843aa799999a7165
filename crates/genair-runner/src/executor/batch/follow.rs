//! A run as a job: asked for, followed by its files, and asked for again where the batch system lost it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use genair_protocol::{
    ATTEMPT_FILE, FailureKind, RunEvent, RunFailure, RunPhase, STOP_FILE, attempt_began,
    events_file, log_file,
};
use genair_store::Work;

use super::{BatchPool, End, JobState, Status, read_if_there};
use crate::events::{EventFile, EventsError};
use crate::executor::local::{failure, phase_after, write_request};
use crate::executor::{Ending, Executor, Launch, Listen, Next, Told};
use crate::interrupt::{Interrupt, Urgency};
use crate::prepare::{StageProgress, prepare};
use crate::schedule::SweepError;
use crate::stage::{Stage, StageError};
use crate::trainer::last_lines;
use genair_protocol::InputFile;

/// The shortest and the longest time between two looks at a run's files.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_LONGEST: Duration = Duration::from_secs(10);

/// How often a run's job may be lost in a row without an epoch more.
const LOSSES: usize = 5;

/// Lines of a log that a failure keeps.
const TAIL_LINES: usize = 10;

impl Executor for BatchPool<'_> {
    fn execute(
        &self,
        launch: &Launch<'_>,
        interrupt: &Interrupt,
        listen: Listen<'_>,
    ) -> Result<Ending, SweepError> {
        let mut following = Following::new(self, launch);
        if self.status(&following.work)?.is_none() {
            if let Err(failure) = following.ask() {
                return Ok(Ending::Failed(failure));
            }
        } else if following.path(STOP_FILE).exists() {
            // It was pruned, and goes on; its last job may have yet to notice.
            if following.wait_for_end(interrupt)? {
                return Ok(Ending::Interrupted);
            }
            if let Err(failure) = following.ask() {
                return Ok(Ending::Failed(failure));
            }
        }
        following.follow(interrupt, listen)
    }

    fn make(
        &self,
        stage: &Stage,
        progress: &mut dyn FnMut(StageProgress),
        interrupted: &dyn Fn() -> bool,
    ) -> Result<InputFile, StageError> {
        match stage.is_ready() || stage.asks_a_server() {
            // What a server makes costs this machine nothing, and nodes may have no network.
            true => prepare(stage, self.installation, progress, interrupted),
            false => self.make_as_job(stage, progress, interrupted),
        }
    }
}

/// A run that is followed.
struct Following<'f, 'a> {
    pool: &'f BatchPool<'a>,
    launch: &'f Launch<'f>,
    work: Work,
    attempt: Option<(String, EventFile)>,
    phase: RunPhase,
    /// The last epoch that was told, and the last one when the present job was asked for.
    epoch: usize,
    epoch_before: usize,
    /// Jobs lost in a row.
    losses: usize,
    over_since: Option<Instant>,
    quiet_since: Instant,
}

impl<'f, 'a> Following<'f, 'a> {
    fn new(pool: &'f BatchPool<'a>, launch: &'f Launch<'f>) -> Self {
        Self {
            pool,
            launch,
            work: Work::Run(launch.run),
            attempt: None,
            phase: RunPhase::Starting,
            epoch: 0,
            epoch_before: 0,
            losses: 0,
            over_since: None,
            quiet_since: Instant::now(),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.launch.request.artefacts.join(file)
    }

    /// Asks for a new job of the run. An attempt that counted counts no more.
    fn ask(&mut self) -> Result<(), RunFailure> {
        let request = write_request(self.launch).map_err(|error| error.failure())?;
        for file in [ATTEMPT_FILE, STOP_FILE] {
            match std::fs::remove_file(self.path(file)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let message = format!("cannot remove {}: {error}", self.path(file).display());
                    let kind = FailureKind::of_io(&error);
                    return Err(failure(kind, RunPhase::Starting, message));
                }
                _ => {}
            }
        }
        self.attempt = None;
        self.request_job(&request);
        Ok(())
    }

    fn request_job(&mut self, request: &Path) {
        let trainer = self.launch.trainer.to_string_lossy().into_owned();
        let request = request.to_string_lossy().into_owned();
        let command = vec![trainer, "run".to_owned(), "--no-lease".to_owned(), request];
        let threads = self.launch.request.run.train.threads;
        (self.epoch_before, self.over_since) = (self.epoch, None);
        let can_wait = self.launch.can_wait;
        self.pool.request(&self.work, command, threads, can_wait);
    }

    /// Waits until the run's job is over; whether it was asked to stop before.
    fn wait_for_end(&self, interrupt: &Interrupt) -> Result<bool, SweepError> {
        loop {
            match self.pool.status(&self.work)? {
                None => return Ok(false),
                Some(Status {
                    state: JobState::Ended(_),
                    ..
                }) => {
                    self.pool.forget(&self.work)?;
                    return Ok(false);
                }
                Some(_) if interrupt.requested() => return Ok(true),
                Some(_) => std::thread::sleep(LOOK),
            }
        }
    }

    fn follow(&mut self, interrupt: &Interrupt, listen: Listen<'_>) -> Result<Ending, SweepError> {
        let mut stopping: Option<Instant> = None;
        loop {
            match self.read(listen)? {
                Read::More => {}
                Read::LastWord => {
                    self.pool.forget(&self.work)?;
                    return Ok(Ending::Reported);
                }
                Read::Stopped => {
                    self.stop();
                    return Ok(Ending::Stopped);
                }
                Read::Broken(failure) => {
                    self.end()?;
                    return Ok(Ending::Failed(failure));
                }
            }
            let status = self.pool.status(&self.work)?;
            if interrupt.urgency() == Urgency::Kill {
                return Ok(Ending::Interrupted);
            }
            if interrupt.requested() {
                let since = *stopping.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.pool.settings.second_thoughts {
                    return Ok(match status {
                        Some(status) if status.submitted => Ending::Detached,
                        _ => Ending::Interrupted,
                    });
                }
            }
            if let Some(failure) = self.over_time() {
                self.end()?;
                return Ok(Ending::Failed(failure));
            }
            match status {
                Some(Status {
                    state: JobState::Ended(end),
                    node,
                    output,
                    ..
                }) => {
                    // Its last words may be on the way, through a network file system.
                    let since = *self.over_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.pool.settings.poll * 2 {
                        self.pool.forget(&self.work)?;
                        if let Some(failure) = self.lost(end, node.as_deref(), output) {
                            return Ok(Ending::Failed(failure));
                        }
                    }
                }
                Some(status) if self.pool.settings.detach && status.submitted => {
                    return Ok(Ending::Detached);
                }
                Some(_) => self.over_since = None,
                // The answer to its submission was lost, and it was never taken; an earlier process asked for it.
                None => {
                    if let Err(failure) = self.ask() {
                        return Ok(Ending::Failed(failure));
                    }
                }
            }
            let quiet = self.quiet_since.elapsed() / 10;
            std::thread::sleep(match stopping.is_some() || self.over_since.is_some() {
                true => LOOK,
                false => quiet.clamp(LOOK, LOOK_LONGEST.min(self.pool.settings.poll)),
            });
        }
    }

    /// Reads what the attempt that counts has said since the last look.
    fn read(&mut self, listen: Listen<'_>) -> Result<Read, SweepError> {
        let named = match read_if_there(&self.path(ATTEMPT_FILE)) {
            Ok(named) => named.filter(|name| !name.is_empty()),
            Err(error) => {
                tracing::debug!(%error, "an attempt's name cannot be read");
                None
            }
        };
        let Some(name) = named else {
            return Ok(Read::More);
        };
        if self.attempt.as_ref().is_none_or(|(own, _)| *own != name) {
            let events = EventFile::new(&self.path(&events_file(&name)));
            self.attempt = Some((name.clone(), events));
            (self.phase, self.quiet_since) = (RunPhase::Starting, Instant::now());
            listen(Told::Attempt { name })?;
        }
        let Some((_, file)) = &mut self.attempt else {
            return Ok(Read::More);
        };
        let events = match file.read() {
            Ok(events) => events,
            Err(error @ EventsError::NoEvent { .. }) => {
                let message = format!("the worker's output is no event: {error}");
                return Ok(Read::Broken(failure(
                    FailureKind::Internal,
                    self.phase,
                    message,
                )));
            }
            Err(EventsError::Read { path, source }) => {
                tracing::debug!(path = %path.display(), %source, "events cannot be read");
                return Ok(Read::More);
            }
        };
        for event in events {
            self.quiet_since = Instant::now();
            self.phase = phase_after(&event, self.phase);
            if let RunEvent::Epoch { epoch, .. } = &event {
                self.epoch = self.epoch.max(*epoch);
            }
            let last = matches!(event, RunEvent::Finished(_) | RunEvent::Failed(_));
            if listen(Told::Event(Box::new(event)))? == Next::End {
                return Ok(if last { Read::LastWord } else { Read::Stopped });
            }
            if last {
                return Ok(Read::LastWord);
            }
        }
        Ok(Read::More)
    }

    /// Asks the worker to end after its epoch. Its job stays on the list until the run goes on.
    fn stop(&self) {
        let Some((name, _)) = &self.attempt else {
            return;
        };
        self.pool.leave(&self.work);
        let path = self.path(STOP_FILE);
        if let Err(error) = genair_files::write(&path, name) {
            // It then trains in vain, and the batch system ends it.
            tracing::warn!("cannot write {}: {error}", path.display());
            self.pool.cancel(&self.work);
        }
    }

    /// Ends the job, which is none of this process's business any more.
    fn end(&self) -> Result<(), SweepError> {
        self.pool.cancel(&self.work);
        self.pool.forget(&self.work)
    }

    fn over_time(&self) -> Option<RunFailure> {
        let limit = self.launch.limits.time?;
        let (name, _) = self.attempt.as_ref()?;
        let took = SystemTime::now()
            .duration_since(attempt_began(name)?)
            .ok()?;
        if took <= limit {
            return None;
        }
        let limit = humantime::format_duration(limit);
        let message = format!("the worker took longer than `schedule.time_limit`, {limit}");
        Some(RunFailure {
            hint: Some("raise the limit, or lower `train.stop.max_epochs`".to_owned()),
            ..failure(FailureKind::TimeLimit, self.phase, message)
        })
    }

    /// The job is over without a last word. Asks for another one, or says why not.
    fn lost(
        &mut self,
        end: End,
        node: Option<&str>,
        output: Option<PathBuf>,
    ) -> Option<RunFailure> {
        let gained = self.epoch > self.epoch_before;
        let begun = !matches!(self.phase, RunPhase::Starting);
        self.losses = if gained { 0 } else { self.losses + 1 };
        let of = |kind, message: String, hint: &str| {
            Some(RunFailure {
                hint: Some(hint.to_owned()),
                ..failure(kind, self.phase, message)
            })
        };
        let again = match end {
            End::Cancelled => {
                let message =
                    "its job was cancelled by hand, or by the batch system's administrator";
                let hint = "`genair sweep SPEC --retry failed` runs it again";
                return of(FailureKind::Cancelled, message.to_owned(), hint);
            }
            End::OutOfMemory => {
                let message = "its job used more memory than it had asked for, and was ended";
                let hint = "raise `schedule.memory_limit`, or lower `train.batch_size`";
                return of(FailureKind::MemoryLimit, message.to_owned(), hint);
            }
            End::TimeLimit | End::Preempted if !gained && begun => {
                let message = "one epoch takes longer than `schedule.slurm.time`, or than its job is left alone: a job ended without an epoch more";
                let hint = "raise `schedule.slurm.time`, or use a partition that does not preempt";
                return of(FailureKind::TimeLimit, message.to_owned(), hint);
            }
            End::TimeLimit | End::Preempted | End::NodeLost | End::Gone => self.losses <= LOSSES,
            // A node without a disk, a library or a GPU is no crash of the run.
            End::Failed => !begun && self.losses <= 1 && self.pool.blame(node),
            End::Completed => false,
        };
        if !begun && matches!(end, End::NodeLost | End::Gone) {
            self.pool.blame(node);
        }
        if !again {
            return Some(self.died(end, output));
        }
        tracing::info!(run = %self.launch.run, ?end, node, "a job is lost and asked for again");
        self.request_job(&self.path(genair_protocol::REQUEST_FILE));
        None
    }

    /// The failure of a worker that ended without a last word.
    fn died(&self, end: End, output: Option<PathBuf>) -> RunFailure {
        let log = match &self.attempt {
            Some((name, _)) => Some(self.path(&log_file(name))),
            None => output,
        };
        let said = log.as_ref().and_then(|log| std::fs::read(log).ok());
        let said = said.map(|text| last_lines(&String::from_utf8_lossy(&text), TAIL_LINES));
        let said = said.filter(|said| !said.is_empty());
        let said = match said {
            Some(said) => format!("it last said:\n{said}"),
            None => "it said nothing".to_owned(),
        };
        let how = match end {
            End::Completed => "ended",
            End::Failed => "failed",
            _ => "was lost again and again",
        };
        RunFailure {
            hint: log.map(|log| format!("its log is {}", log.display())),
            ..failure(
                FailureKind::WorkerDied,
                self.phase,
                format!("its job {how} without a result; {said}"),
            )
        }
    }
}

/// What a look at a run's files came to.
enum Read {
    More,
    LastWord,
    Stopped,
    Broken(RunFailure),
}
