//! The worker: trains one run, or answers what a plugin is. Meant to be started by `genair`.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsFd;
use std::panic::UnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use clap::{Parser, Subcommand};
use genair_process::{NoThread, TRY_AGAIN};
use genair_protocol::{
    FailureKind, PluginReport, RecommendEvent, RecommendRequest, RunEvent, RunFailure, RunPhase,
    WorkerRequest, plugin_name,
};
use genair_trainer::{
    Attempt, RunErrorKind, TrainError, evaluate, is_stuck, libtorch_facts, pca, plugin, recommend,
    run,
};
use signal_hook::consts::SIGXFSZ;

/// Trains one run in a process of its own, and looks into plugins; started by `genair`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Do the run of a request file; events go to standard output and to the run's folder, one JSON object a line.
    /// Ends when standard input is closed, so that no worker outlives whoever started it.
    Run {
        /// A request as the runner writes it (JSON).
        request: PathBuf,
        /// Name of this attempt at the run [default: HOST-PID-NANOSECONDS].
        #[arg(long)]
        attempt: Option<String>,
        /// Outlive whoever started it: events and log go to the run's folder alone, and the worker ends when the
        /// folder names another attempt.
        #[arg(long)]
        no_lease: bool,
    },
    /// Rank with the weights of a file instead of training; events as those of `run`.
    Evaluate {
        /// A request as the runner writes it (JSON).
        request: PathBuf,
        /// A checkpoint of a run, or PyTorch weights of the published code (safetensors).
        #[arg(long)]
        checkpoint: PathBuf,
    },
    /// Recommend items by a finished run: a request (JSON) is the first line of standard input; lists go to standard
    /// output, one JSON object a line. Ends when standard input is closed.
    Recommend,
    /// Open plugins and say what each is, as a JSON array.
    Plugins {
        /// Their files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Check parameters (a JSON array of objects, the first line of standard input) and say of each what the backbone needs and gives.
    Capabilities {
        /// The plugin's file.
        #[arg(long)]
        plugin: PathBuf,
    },
    /// Reduce the rows of a safetensors file to principal components; the summary goes to standard output, as JSON.
    Pca {
        /// Components to keep at most.
        #[arg(long)]
        components: usize,
        /// Whiten the components, with so much added to their squared singular values.
        #[arg(long)]
        ridge: Option<f64>,
        /// Fit to so many rows alone, from the first; default: to all.
        #[arg(long)]
        fitted: Option<i64>,
        /// The file with the tensor `rows`.
        input: PathBuf,
        /// The file to write.
        output: PathBuf,
    },
    /// Say what libtorch and devices this process has, as JSON.
    Doctor,
}

fn main() -> ExitCode {
    // A file that reaches its limit (`ulimit -f`) is an error of whatever writes it, and not the end. Where no
    // handler can be installed, the signal does what it did.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        // A line that finds no room in the log is lost; a message about that would end the run.
        .log_internal_errors(false)
        .init();
    let command = Arguments::parse().command;
    if !matches!(command, Command::Run { no_lease: true, .. }) {
        genair_process::end_with_parent();
    }
    let ended = Reply::take()
        .context("cannot keep standard output")
        .and_then(|reply| dispatch(command, &reply));
    let code = match ended {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(match error.is::<NoThread>() {
                true => TRY_AGAIN,
                false => 2,
            })
        }
    };
    if is_stuck() {
        end_at_once();
    }
    code
}

fn dispatch(command: Command, reply: &Reply) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run {
            request,
            attempt,
            no_lease,
        } => {
            let request = read_request(&request)?;
            let events = Events {
                reply: (!no_lease).then_some(reply),
                attempt: OnceLock::new(),
            };
            return Ok(events.outcome(|| {
                prepare_threads(request.run.train.threads, !no_lease)
                    .map_err(|error| RunErrorKind::from(error).during(RunPhase::Starting))?;
                let attempt = Attempt::begin(&request, attempt, !no_lease)?;
                if no_lease && let Err(error) = attempt.take_standard_error() {
                    tracing::warn!("this run's log is here, for want of its own: {error}");
                }
                let _ = events.attempt.set(attempt);
                run(&request, &mut |event| events.tell(&event))
            }));
        }
        Command::Evaluate {
            request,
            checkpoint,
        } => {
            let request = read_request(&request)?;
            let events = Events {
                reply: Some(reply),
                attempt: OnceLock::new(),
            };
            return Ok(events
                .outcome(|| evaluate(&request, &checkpoint, &mut |event| events.tell(&event))));
        }
        Command::Recommend => {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            let request: RecommendRequest =
                serde_json::from_str(&line).context("standard input is no request")?;
            let tell = |event: &RecommendEvent| {
                // Without a reader there is nobody to work for.
                if let Err(error) = reply.answer(event) {
                    tracing::error!("cannot tell genair what is recommended: {error:#}");
                    std::process::exit(1);
                }
            };
            let failure = failure_of(|| {
                prepare_threads(request.work.run.train.threads, true)
                    .map_err(|error| RunErrorKind::from(error).during(RunPhase::Starting))?;
                recommend(&request, &mut |event| tell(&event))
            });
            if let Some(failure) = failure {
                tell(&RecommendEvent::Failed(failure));
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Plugins { files } => {
            let report = |file: &PathBuf| -> anyhow::Result<PluginReport> {
                let name = plugin_name(file).context("not a plugin's file name")?;
                Ok(plugin::report(&name, file)?)
            };
            let reports: Vec<_> = files.iter().map(report).collect::<Result<_, _>>()?;
            reply.answer(&reports)?;
        }
        Command::Capabilities { plugin } => {
            let mut params = String::new();
            io::stdin().lock().read_line(&mut params)?;
            let all: Vec<serde_json::Map<_, _>> =
                serde_json::from_str(&params).context("parameters are no JSON array of objects")?;
            let opened = match plugin::Plugin::open(&plugin, None) {
                Err(RunErrorKind::Thread(refused)) => return Err(refused.into()),
                opened => opened,
            };
            let opened = opened.map_err(|error| error.to_string());
            let capabilities = |params| {
                let capabilities = opened.as_ref()?.capabilities(params);
                capabilities.map_err(|error| error.to_string())
            };
            let verdict = |params| match capabilities(params) {
                Ok(capabilities) => serde_json::json!({ "ok": capabilities }),
                Err(reason) => serde_json::json!({ "error": reason }),
            };
            reply.answer(&all.iter().map(verdict).collect::<Vec<_>>())?;
        }
        Command::Pca {
            components,
            ridge,
            fitted,
            input,
            output,
        } => {
            let made = pca::reduce_file(&input, &output, components, ridge, fitted)?;
            reply.answer(&made)?;
        }
        Command::Doctor => reply.answer(&libtorch_facts())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read_request(path: &Path) -> anyhow::Result<WorkerRequest> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no request", path.display()))
}

/// Standard output as it was when this program started, for its own words alone.
struct Reply(File);

impl Reply {
    /// Takes standard output away: what a plugin or a library prints goes to standard error.
    fn take() -> io::Result<Self> {
        let own = io::stdout().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        Ok(Self(own.into()))
    }

    fn answer(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(value)?;
        line.push('\n');
        Ok((&self.0).write_all(line.as_bytes())?)
    }
}

/// Does the work; why it failed, a panic included, if it did.
fn failure_of(work: impl FnOnce() -> Result<(), TrainError> + UnwindSafe) -> Option<RunFailure> {
    match std::panic::catch_unwind(work) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(RunFailure::from(&error)),
        Err(panic) => Some(RunFailure {
            kind: FailureKind::Internal,
            phase: RunPhase::Training,
            message: panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
                .unwrap_or_else(|| "a panic without a message".to_owned()),
            hint: Some("this is a bug of genair-trainer; the log has the place".to_owned()),
        }),
    }
}

/// Where a run's events go.
struct Events<'r> {
    /// To whoever started this process, if it has a lease.
    reply: Option<&'r Reply>,
    /// To the run's folder, once the attempt has begun.
    attempt: OnceLock<Attempt>,
}

impl Events<'_> {
    /// Does the work; whatever goes wrong, a panic included, is said as its last event.
    fn outcome(&self, work: impl FnOnce() -> Result<(), TrainError> + UnwindSafe) -> ExitCode {
        let Some(failure) = failure_of(work) else {
            return ExitCode::SUCCESS;
        };
        self.tell(&RunEvent::Failed(failure));
        ExitCode::FAILURE
    }

    /// Writes one event. Without a reader there is nobody to work for; nor is there once another attempt counts.
    fn tell(&self, event: &RunEvent) {
        if let Err(error) = self.write(event) {
            tracing::error!("cannot tell genair what this run does: {error:#}");
            std::process::exit(1);
        }
        let last_word = matches!(event, RunEvent::Finished(_) | RunEvent::Failed(_));
        if !last_word && let Some(why) = self.attempt.get().and_then(Attempt::ends) {
            tracing::warn!("{why}; ending");
            std::process::exit(0);
        }
    }

    fn write(&self, event: &RunEvent) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        if let Some(attempt) = self.attempt.get() {
            attempt.write(event, &line)?;
        } else if self.reply.is_none() {
            // Before there is a file: the batch system's output of the job has it.
            tracing::error!("{line}");
        }
        if let Some(Reply(output)) = self.reply {
            let mut output = output;
            output.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

/// Starts the thread that watches standard input, if the worker has a lease, and fails where there would be none left
/// for libtorch, which ends the process where it is refused one.
fn prepare_threads(threads: usize, leased: bool) -> Result<(), NoThread> {
    if leased {
        end_with_standard_input()?;
    }
    // One that loads the plugin; and libtorch has a pool of its own beside libgomp's, both with this thread.
    genair_process::spare_threads(1 + 2 * threads.saturating_sub(1))
}

/// Ends the process as soon as whoever holds the other end of standard input is gone.
fn end_with_standard_input() -> Result<(), NoThread> {
    genair_process::spawn("watches standard input", || {
        let mut sink = [0u8; 64];
        while matches!(io::stdin().read(&mut sink), Ok(read) if read > 0) {}
        tracing::warn!("standard input is closed; ending");
        end_at_once();
    })
    .map(drop)
}

/// Not `exit`: another thread may be inside libtorch or a plugin, whose destructors it must not meet.
fn end_at_once() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}
