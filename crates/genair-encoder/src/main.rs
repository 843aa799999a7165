//! The worker: encodes texts, or says what a model is. Meant to be started by `genair`.

use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use genair_encoder::{info, serve};
use genair_protocol::{EngineEvent, EngineRequest};

/// Turns texts into sentence vectors in a process of its own; started by `genair`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Encode the items on standard input; records go to standard output, one JSON object a line.
    /// Ends when standard input is closed and everything is said.
    Run {
        /// A request as `genair` writes it (JSON).
        request: PathBuf,
    },
    /// Say what a model's folder holds, as JSON.
    Info {
        /// A folder as sentence-transformers writes it.
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    genair_process::end_with_parent();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A line that finds no room in the log is lost; a message about that would end the worker.
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
        Command::Info { folder } => {
            answer(&info(&folder)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { request } => {
            let request = read_request(&request)?;
            match serve(&request, BufReader::new(std::io::stdin()), say) {
                Ok(()) => Ok(ExitCode::SUCCESS),
                Err(error) => {
                    let hint = error.hint().map(str::to_owned);
                    let message = format!("{:#}", anyhow::Error::from(error));
                    say(EngineEvent::Failed { message, hint });
                    Ok(ExitCode::FAILURE)
                }
            }
        }
    }
}

fn read_request(path: &Path) -> anyhow::Result<EngineRequest> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no request", path.display()))
}

/// Writes one event. Without a reader there is nobody to work for.
fn say(event: EngineEvent) {
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
