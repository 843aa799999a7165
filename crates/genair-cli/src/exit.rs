//! Exit codes, and errors as the user sees them.

use std::io::{self, Write};
use std::process::ExitCode;

use genair_runner::SweepError;
use genair_spec::SpecError;

use crate::output::message;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    /// A mistake of this program.
    Bug = 1,
    /// Specs, files or arguments that cannot be used.
    BadInput = 2,
    SomeFailed = 3,
    NothingToRun = 4,
    /// The same run has other results.
    Differs = 5,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a worker found wrong, mistake by mistake.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub(crate) struct Mistakes(pub(crate) Vec<String>);

/// Writes an error to stderr and says how to end.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    let text = if let Some(error) = error.downcast_ref::<SpecError>() {
        let line = |problem| format!("error: {problem}\n");
        error.problems.iter().map(line).collect()
    } else if let Some(Mistakes(mistakes)) = error.downcast_ref() {
        let line = |mistake| format!("error: {mistake}\n");
        mistakes.iter().map(line).collect()
    } else {
        let text = format!("error: {error:#}\n");
        let refused = |cause: &(dyn std::error::Error + 'static)| {
            let cause = cause.downcast_ref::<io::Error>();
            cause.is_some_and(genair_process::is_refusal)
        };
        match error.chain().any(refused) && !text.contains(genair_process::PROCESS_HINT) {
            true => format!("{text}hint: {}\n", genair_process::PROCESS_HINT),
            false => text,
        }
    };
    // Without a stderr there is nobody to tell.
    let _ = io::stderr().write_all(message(text).as_bytes());
    let bug = matches!(error.downcast_ref(), Some(SweepError::Json { .. }));
    if bug { Exit::Bug } else { Exit::BadInput }
}
