//! One question to a short-lived process, and its answer.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::ioctl_fionbio;

use crate::child::Child;
use crate::lines::{read_some, wait_for};

/// How often it is looked whether a silent process has ended.
const TICK: Duration = Duration::from_millis(10);

/// Longest answer that is read, in bytes.
const LONGEST: usize = 256 << 20;

/// Bytes of what it says on standard error that are kept: the last ones.
const SAID: usize = 16 << 10;

/// What came of a question.
#[derive(Debug)]
pub struct Reply {
    /// How it ended.
    pub end: ReplyEnd,
    /// The end of what it said on standard error.
    pub said: String,
}

/// How a question ended.
#[derive(Debug)]
pub enum ReplyEnd {
    /// With the answer: its first line, without the end.
    Answer(Vec<u8>),
    /// The process ended without one.
    Ended(ExitStatus),
    /// It did not answer in time and was killed.
    TimedOut,
    /// It wrote without end, and was killed.
    TooLong,
}

/// Starts a process, gives it a line and waits for the line it answers with, however long that is, and no
/// longer. The process is killed as soon as it has answered; so is whatever it started. Its standard input
/// stays open until then.
///
/// # Errors
/// It cannot be started or listened to.
pub fn ask(command: &mut Command, question: &str, patience: Duration) -> io::Result<Reply> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Child::spawn(command)?;
    let deadline = Instant::now() + patience;
    let mut stdin = child.take_stdin();
    if let Some(pipe) = &stdin {
        ioctl_fionbio(pipe, true)?;
    }
    let (mut stdout, mut stderr) = (child.take_stdout(), child.take_stderr());
    let line = format!("{question}\n");
    let mut unsent = line.as_bytes();
    let (mut answer, mut said) = (Vec::new(), Vec::new());
    let end = loop {
        // Looked at before listening, so that the last words of a process that has ended are heard.
        let ended = !child.is_running();
        let patience = if ended { Duration::ZERO } else { TICK };
        let input = stdin.as_ref().filter(|_| !unsent.is_empty());
        let [can_write, can_read, can_hear] = ready(
            [
                input.map(AsFd::as_fd),
                stdout.as_ref().map(AsFd::as_fd),
                stderr.as_ref().map(AsFd::as_fd),
            ],
            patience,
        )?;
        if can_write && let Some(pipe) = &mut stdin {
            match pipe.write(unsent) {
                Ok(written) => unsent = &unsent[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It does not want to know: its answer or its end says why.
                Err(_) => unsent = &[],
            }
        }
        if can_hear && let Some(pipe) = &mut stderr {
            if read_some(pipe, &mut said)? == 0 {
                stderr = None;
            }
            said.drain(..said.len().saturating_sub(SAID));
        }
        if can_read && let Some(pipe) = &mut stdout {
            let known = answer.len();
            if read_some(pipe, &mut answer)? == 0 {
                stdout = None;
            }
            if let Some(end) = answer[known..].iter().position(|&byte| byte == b'\n') {
                answer.truncate(known + end);
                break ReplyEnd::Answer(answer);
            }
            if answer.len() > LONGEST {
                break ReplyEnd::TooLong;
            }
        }
        if ended && !can_read && !can_hear {
            match child.wait(Duration::ZERO) {
                Some(status) => break ReplyEnd::Ended(status),
                None => return Err(io::Error::other("how it ended is not known")),
            }
        }
        if Instant::now() > deadline {
            break ReplyEnd::TimedOut;
        }
    };
    child.kill();
    Ok(Reply {
        end,
        said: String::from_utf8_lossy(&said).into_owned(),
    })
}

/// Which pipes can be written to (the first) or read from (the others) within this time.
fn ready(pipes: [Option<BorrowedFd<'_>>; 3], patience: Duration) -> io::Result<[bool; 3]> {
    let wanted = [PollFlags::OUT, PollFlags::IN, PollFlags::IN];
    let mut places = [None; 3];
    let mut asked = Vec::new();
    for (at, pipe) in pipes.into_iter().enumerate() {
        if let Some(pipe) = pipe {
            places[at] = Some(asked.len());
            asked.push(PollFd::from_borrowed_fd(pipe, wanted[at]));
        }
    }
    if !wait_for(&mut asked, patience)? {
        return Ok([false; 3]);
    }
    Ok(places.map(|place| place.is_some_and(|at| !asked[at].revents().is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn reply(script: &str, question: &str, patience: Duration) -> Reply {
        ask(Command::new("sh").args(["-c", script]), question, patience).unwrap()
    }

    fn answer(reply: Reply) -> String {
        match reply.end {
            ReplyEnd::Answer(answer) => String::from_utf8(answer).unwrap(),
            other => panic!("{other:?}, {}", reply.said),
        }
    }

    #[test]
    fn a_question_of_any_length_is_answered() {
        assert_eq!(answer(reply("read x; echo \"$x!\"", "who", SOON)), "who!");
        let long = "x".repeat(1 << 20);
        assert_eq!(answer(reply("cat", &long, SOON)), long);
        // Nobody waits for its end, nor for what it started.
        assert_eq!(answer(reply("echo yes; sleep 600", "", SOON)), "yes");
        assert_eq!(answer(reply("sleep 600 & echo yes", &long, SOON)), "yes");
    }

    #[test]
    fn every_end_without_an_answer_is_told() {
        let died = reply("sleep 600 & echo why >&2; printf half; exit 7", "", SOON);
        assert!(matches!(&died.end, ReplyEnd::Ended(status) if status.code() == Some(7)));
        assert_eq!(died.said, "why\n");
        let silent = reply(
            "exec >&-; exec 2>&-; sleep 600",
            "",
            Duration::from_millis(100),
        );
        assert!(matches!(silent.end, ReplyEnd::TimedOut));
        let chatter = reply(
            "while :; do echo x >&2; done",
            "",
            Duration::from_millis(100),
        );
        assert!(matches!(chatter.end, ReplyEnd::TimedOut));
        assert!(chatter.said.len() <= SAID);
    }
}
