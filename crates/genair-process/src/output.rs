//! A short-lived command, heard to its end.

use std::io;
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::child::Child;
use crate::lines::{read_some, wait_for};

/// How often it is looked whether a silent command has ended.
const TICK: Duration = Duration::from_millis(10);

/// Most bytes of each stream that are kept; the rest is read and dropped.
const LONGEST: usize = 64 << 20;

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// How it ended; none of a command that was killed because it took too long.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a command with no input to its end, or kills it after `patience`, with whatever it started.
///
/// # Errors
/// It cannot be started or listened to.
pub fn output(command: &mut Command, patience: Duration) -> io::Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Child::spawn(command)?;
    let deadline = Instant::now() + patience;
    let (mut stdout, mut stderr) = (child.take_stdout(), child.take_stderr());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let status = loop {
        // Looked at before listening, so that the last words of a command that has ended are heard.
        let ended = !child.is_running();
        let mut heard = false;
        if let Some(pipe) = &mut stdout {
            let ready = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
            if wait_for(&mut { ready }, if ended { Duration::ZERO } else { TICK })? {
                heard = true;
                if read_some(pipe, &mut said)? == 0 {
                    stdout = None;
                }
            }
        }
        if let Some(pipe) = &mut stderr {
            let wait = match (&stdout, ended) {
                (None, false) => TICK,
                _ => Duration::ZERO,
            };
            let ready = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
            if wait_for(&mut { ready }, wait)? {
                heard = true;
                if read_some(pipe, &mut complained)? == 0 {
                    stderr = None;
                }
            }
        }
        said.truncate(LONGEST);
        complained.truncate(LONGEST);
        if ended && !heard {
            break child.wait(Duration::ZERO);
        }
        if Instant::now() > deadline {
            child.kill();
            break None;
        }
        if stdout.is_none() && stderr.is_none() && !ended {
            std::thread::sleep(TICK);
        }
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output {
        status,
        stdout: text(said),
        stderr: text(complained),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, patience: Duration) -> Output {
        output(Command::new("sh").args(["-c", script]), patience).unwrap()
    }

    #[test]
    fn a_command_is_heard_to_its_end() {
        let soon = Duration::from_secs(20);
        let heard = run("echo out; echo err >&2; exit 3", soon);
        assert_eq!(heard.status.and_then(|status| status.code()), Some(3));
        assert_eq!((&*heard.stdout, &*heard.stderr), ("out\n", "err\n"));
        let long = run("seq 100000; exec >&- 2>&-; sleep 0.1", soon);
        assert!(long.status.unwrap().success());
        assert_eq!(long.stdout.lines().count(), 100_000);
        // What it leaves behind holds nothing up.
        assert_eq!(run("sleep 600 & echo yes", soon).stdout, "yes\n");
    }

    #[test]
    fn a_command_that_hangs_is_killed() {
        let begin = Instant::now();
        let killed = run("echo half; sleep 600", Duration::from_millis(100));
        assert!(killed.status.is_none());
        assert_eq!(killed.stdout, "half\n");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
