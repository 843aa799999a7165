//! The `genair` command: arguments in, a command of the runner's, output and an exit code out.

mod args;
mod commands;
mod environment;
mod exit;
mod generation;
mod listing;
mod output;
mod progress;
mod standings;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use indicatif::MultiProgress;

use crate::args::Arguments;
use crate::exit::Exit;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bars = MultiProgress::new();
    output::start_logging(&arguments.global, &bars);
    // A panic is a bug; its message is on stderr by now.
    match catch_unwind(AssertUnwindSafe(|| commands::dispatch(&arguments, &bars))) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => exit::report(&error).into(),
        Err(_) => Exit::Bug.into(),
    }
}
