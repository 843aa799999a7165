//! The `genair` command: arguments in, a command of the runner's, output and an exit code out.

mod args;
mod commands;
mod environment;
mod exit;
mod generation;
mod helper;
mod output;
mod output_path;
mod progress;
mod public;
mod standings;
mod watch;

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use signal_hook::consts::SIGXFSZ;

use crate::args::Arguments;
use crate::exit::Exit;
use crate::output::Output;

fn main() -> ExitCode {
    // Otherwise a file that reaches its limit (`ulimit -f`) ends the program without a word; now whatever writes
    // it gets the error. Where no handler can be installed, the signal does what it did.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return tell(&answer),
    };
    let output = Output::new(&arguments.global);
    output::start_logging(&arguments.global, &output.bars);
    // A panic is a bug; its message is on stderr by now.
    match catch_unwind(AssertUnwindSafe(|| commands::dispatch(&arguments, &output))) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => exit::report(&error).into(),
        Err(_) => Exit::Bug.into(),
    }
}

/// Shows help or a version on standard output, or what is wrong with the arguments on standard error.
fn tell(answer: &clap::Error) -> ExitCode {
    let told = answer.print().and_then(|()| io::stdout().flush());
    match output::unless_closed(told) {
        Err(error) if !answer.use_stderr() => exit::report(&error).into(),
        _ if answer.use_stderr() => Exit::BadInput.into(),
        _ => Exit::Done.into(),
    }
}
