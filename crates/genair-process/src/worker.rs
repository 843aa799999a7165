//! A child that answers in lines, such as a trainer or an engine.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Child, Heard, Lines};

/// A running worker. Dropping it ends it and whatever it started.
#[derive(Debug)]
pub struct Worker {
    /// The process.
    pub child: Child,
    lines: Lines,
}

impl Worker {
    /// Starts a worker that writes lines of at most `longest` bytes to its standard output.
    ///
    /// # Errors
    /// The system refuses the process.
    pub fn start(command: &mut Command, longest: usize) -> io::Result<Self> {
        let mut child = Child::spawn(command.stdout(Stdio::piped()))?;
        let stdout = child.take_stdout().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            lines: Lines::new(stdout, longest),
        })
    }

    /// Waits for the next line, `patience` at the longest. A worker that has ended is heard to its last word.
    ///
    /// # Errors
    /// Its output cannot be read, is not UTF-8, or has a line that is too long.
    pub fn hear(&mut self, patience: Duration) -> io::Result<Heard> {
        // Looked at before listening, so that the last words of a worker that has ended are heard. What it left
        // behind is gone by then, and cannot hold its output open.
        let ended = !self.child.is_running();
        let patience = if ended { Duration::ZERO } else { patience };
        match self.lines.next(patience)? {
            Heard::Nothing if ended => Ok(Heard::End),
            heard => Ok(heard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_worker_are_heard() {
        let mut command = crate::command("sh");
        let mut worker =
            Worker::start(command.args(["-c", "echo one; echo two; printf half"]), 100).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let mut said = Vec::new();
        loop {
            match worker.hear(Duration::from_secs(10)).unwrap() {
                Heard::Line(line) => said.push(line),
                Heard::Nothing => {}
                Heard::End => break,
            }
        }
        assert_eq!(said, ["one", "two"]);
    }
}
