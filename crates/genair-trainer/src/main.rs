//! The worker: trains one run, or answers what plugins there are. Meant to be started by `genair`.

use std::io::{Read, Write};
use std::panic::UnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use genair_protocol::{FailureKind, RunEvent, RunFailure, RunPhase, WorkerRequest};
use genair_trainer::{TrainError, evaluate, libtorch_facts, plugin, run};
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
    /// Do the run of a request file; events go to standard output, one JSON object a line. Ends
    /// when standard input is closed, so that no worker outlives whoever started it.
    Run {
        /// A request as the runner writes it (JSON).
        request: PathBuf,
    },
    /// Rank with the weights of a file instead of training; events as those of `run`.
    Evaluate {
        /// A request as the runner writes it (JSON).
        request: PathBuf,
        /// A checkpoint of a run, or PyTorch weights of the published code (safetensors).
        #[arg(long)]
        checkpoint: PathBuf,
    },
    /// Open every plugin of the given folders and say what it is, as a JSON array.
    Plugins {
        /// A folder with plugins; earlier ones win.
        #[arg(long = "plugin-dir")]
        folders: Vec<PathBuf>,
        /// Open this one file instead.
        #[arg(long, conflicts_with = "folders")]
        plugin: Option<PathBuf>,
        /// Only list the files, opening none.
        #[arg(long)]
        list_files: bool,
    },
    /// Check parameters (a JSON array of objects on standard input) and say of each what the backbone needs and gives.
    Capabilities {
        /// The plugin's file.
        #[arg(long)]
        plugin: PathBuf,
    },
    /// Say what libtorch and devices this process has, as JSON.
    Doctor,
}

fn main() -> ExitCode {
    // A file that reaches its limit (`ulimit -f`) is an error of whatever writes it, and not the end. Where no
    // handler can be installed, the signal does what it did.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A line that finds no room in the log is lost; a message about that would end the run.
        .log_internal_errors(false)
        .init();
    match dispatch(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run { request } => {
            let request = read_request(&request)?;
            end_with_standard_input();
            return Ok(report_outcome(|| run(&request, &mut say)));
        }
        Command::Evaluate {
            request,
            checkpoint,
        } => {
            let request = read_request(&request)?;
            return Ok(report_outcome(|| evaluate(&request, &checkpoint, &mut say)));
        }
        Command::Plugins {
            folders,
            plugin,
            list_files,
        } => {
            let found = match plugin {
                Some(path) => vec![(
                    plugin::name(&path).context("not a plugin's file name")?,
                    path,
                )],
                None => plugin::find(&folders),
            };
            if list_files {
                answer(&found)?;
            } else {
                let reports: Vec<_> = found
                    .iter()
                    .map(|(name, path)| plugin::report(name, path))
                    .collect();
                answer(&reports)?;
            }
        }
        Command::Capabilities { plugin } => {
            let mut params = String::new();
            std::io::stdin().read_to_string(&mut params)?;
            let all: Vec<serde_json::Map<_, _>> =
                serde_json::from_str(&params).context("parameters are no JSON array of objects")?;
            let opened = plugin::Plugin::open(&plugin, None);
            let verdict = |params| match &opened {
                Ok(plugin) => match plugin.capabilities(params) {
                    Ok(capabilities) => serde_json::json!({ "ok": capabilities }),
                    Err(error) => serde_json::json!({ "error": error.to_string() }),
                },
                Err(error) => serde_json::json!({ "error": error.to_string() }),
            };
            answer(&all.iter().map(verdict).collect::<Vec<_>>())?;
        }
        Command::Doctor => answer(&libtorch_facts())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read_request(path: &Path) -> anyhow::Result<WorkerRequest> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no request", path.display()))
}

/// Does the work; whatever goes wrong, a panic included, is said as its last event.
fn report_outcome(work: impl FnOnce() -> Result<(), TrainError> + UnwindSafe) -> ExitCode {
    let outcome = std::panic::catch_unwind(work);
    let failure = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => RunFailure::from(&error),
        Err(panic) => RunFailure {
            kind: FailureKind::Internal,
            phase: RunPhase::Training,
            message: panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
                .unwrap_or_else(|| "a panic without a message".to_owned()),
            hint: Some("this is a bug of genair-trainer; the log has the place".to_owned()),
        },
    };
    say(RunEvent::Failed(failure));
    ExitCode::FAILURE
}

/// Writes one event. Without a reader there is nobody to work for.
fn say(event: RunEvent) {
    if answer(&event).is_err() {
        std::process::exit(1);
    }
}

fn answer(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Ends the process as soon as whoever holds the other end of standard input is gone.
fn end_with_standard_input() {
    std::thread::spawn(|| {
        let mut sink = [0u8; 64];
        while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
        tracing::warn!("standard input is closed; ending");
        // Not `exit`: the other thread is inside libtorch, whose destructors it must not meet.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    });
}
