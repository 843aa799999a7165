//! The worker: runs a GGUF model by llama.cpp. Meant to be started by `genair`.

mod embedder;
mod engine;
mod error;
mod info;
mod items;
mod native;
mod prefix;
mod worker;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use genair_protocol::{EngineEvent, EngineRequest};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::{LogOptions, send_logs_to_tracing};

use crate::error::{WorkerError, with_causes};

/// Writes archetypes with a language model in a process of its own; started by `genair`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Do what a request file asks for with each item of standard input (JSON lines), until it ends;
    /// events go to standard output, one JSON object a line.
    Run {
        /// A `genair_protocol::EngineRequest` (JSON).
        request: PathBuf,
    },
    /// Write a model with other weights.
    Quantize {
        /// A GGUF file.
        input: PathBuf,
        /// The file to write; one that is there is replaced.
        output: PathBuf,
        /// How weights are stored.
        #[arg(value_enum)]
        weights: native::Weights,
    },
    /// Say what a model is, as JSON.
    Info {
        /// A GGUF file.
        model: PathBuf,
    },
}

fn main() -> ExitCode {
    wait_without_spinning();
    genair_process::end_with_parent();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::ERROR)
        // A line that finds no room in the log is lost; a message about that would end the worker.
        .log_internal_errors(false)
        .init();
    send_logs_to_tracing(LogOptions::default());
    let command = Arguments::parse().command;
    let is_run = matches!(command, Command::Run { .. });
    let Err(error) = dispatch(command) else {
        return ExitCode::SUCCESS;
    };
    tracing::error!("{}", with_causes(&error));
    if is_run {
        worker::say(&EngineEvent::Failed {
            message: with_causes(&error),
            hint: error.hint().map(str::to_owned),
        });
    }
    ExitCode::FAILURE
}

fn dispatch(command: Command) -> Result<(), WorkerError> {
    let backend = LlamaBackend::init().map_err(WorkerError::Backend)?;
    match command {
        Command::Run { request } => worker::work(&backend, &read_request(&request)?),
        Command::Quantize {
            input,
            output,
            weights,
        } => native::quantize(&input, &output, weights),
        Command::Info { model } => {
            let description = info::describe(&backend, &model)?;
            worker::write_line(&description).map_err(|source| WorkerError::Unwritable {
                path: "standard output".into(),
                source,
            })
        }
    }
}

fn read_request(path: &Path) -> Result<EngineRequest, WorkerError> {
    let text = std::fs::read(path).map_err(|source| WorkerError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| WorkerError::NoRequest {
        path: path.to_owned(),
        source,
    })
}

/// Starts this program anew with `OMP_WAIT_POLICY=passive` where nobody set it: libgomp reads it before
/// `main`, and threads that spin take the cores of everything that runs beside.
#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads it, and it decides nothing but how threads wait"
)]
fn wait_without_spinning() {
    use std::os::unix::process::CommandExt;

    const POLICY: &str = "OMP_WAIT_POLICY";
    if std::env::var_os(POLICY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Only returns where it failed; then threads spin.
        let _ = std::process::Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(POLICY, "passive")
            .exec();
    }
}

#[cfg(not(unix))]
fn wait_without_spinning() {}
