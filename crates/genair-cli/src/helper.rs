//! Programs beside this one that make something and say how it goes: a request on their standard input, then a JSON
//! object a line on their standard output.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use genair_process::{Heard, Worker};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long to wait for a line at a time.
const TICK: Duration = Duration::from_millis(200);
/// How long a program that has closed its output may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a program ended without an answer: its status, or none where it was lost.
pub(crate) type Ending = Option<ExitStatus>;

/// Starts the program `name` and hands each line that it says to `hear`, until that has an answer. No line may be
/// longer than `longest` bytes.
///
/// # Errors
/// A program that is not there, cannot be started or says what cannot be read; what `hear` refuses.
pub(crate) fn ask<E: DeserializeOwned, T>(
    name: &str,
    arguments: &[&OsStr],
    request: &impl Serialize,
    longest: usize,
    mut hear: impl FnMut(E) -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Result<T, Ending>> {
    let program = std::env::current_exe()?.with_file_name(name);
    let shown = program.display();
    anyhow::ensure!(
        program.is_file(),
        "there is no {shown}; build it with `just tools`"
    );
    let starting = || format!("cannot start {shown}");
    let request = serde_json::to_string(request)?;
    let mut command = genair_process::command(&program);
    let command = command.args(arguments).stdin(Stdio::piped());
    let mut worker =
        Worker::start(command.stderr(Stdio::inherit()), longest).with_context(starting)?;
    if let Some(mut stdin) = worker.child.take_stdin() {
        // One that has ended says why.
        let _ = writeln!(stdin, "{request}");
    }
    loop {
        let line = match worker.hear(TICK).with_context(starting)? {
            Heard::Line(line) => line,
            Heard::Nothing => continue,
            Heard::End => return Ok(Err(worker.child.wait(PATIENCE))),
        };
        let event = serde_json::from_str(&line).with_context(|| {
            format!("{name} says what cannot be read; build it with `just tools`")
        })?;
        if let Some(answer) = hear(event)? {
            return Ok(Ok(answer));
        }
    }
}
