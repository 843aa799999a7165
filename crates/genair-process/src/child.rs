//! A child process in a group of its own, so that whatever it started can be ended with it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, setpriority_process,
    waitid,
};

/// How often a child that is waited for is looked at.
const TICK: Duration = Duration::from_millis(5);

/// The niceness of a child that yields.
const YIELDING: i32 = 10;

/// A running child. Its end, and dropping it, is the end of all processes of its group.
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    pid: Pid,
    ended: bool,
    status: Option<ExitStatus>,
}

impl Child {
    /// Starts a command in a process group of its own: Ctrl-C in the terminal does not reach it.
    ///
    /// # Errors
    /// The system does not start it.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        Ok(Self {
            pid: Pid::from_child(&child),
            child,
            ended: false,
            status: None,
        })
    }

    /// Has it take only the processor time that other processes of this session leave. Called before it starts
    /// threads, it holds for these, too.
    pub fn yield_processor(&self) {
        // A system that refuses this lets it take its share.
        let _ = setpriority_process(Some(self.pid), YIELDING);
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The other end of its standard input, where that is a pipe; once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The other end of its standard output, where that is a pipe; once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The other end of its standard error, where that is a pipe; once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Whether it has not ended yet. Once it has, what it left behind in its group is killed.
    pub fn is_running(&mut self) -> bool {
        if !self.ended && self.is_dead() {
            self.reap();
        }
        !self.ended
    }

    /// Asks it to end, by SIGTERM; what it started is left to it.
    pub fn terminate(&mut self) {
        if !self.ended {
            // It may have ended, which is as good.
            let _ = kill_process(self.pid, Signal::TERM);
        }
    }

    /// Kills it and whatever it started.
    pub fn kill(&mut self) {
        if !self.ended {
            self.kill_group();
        }
    }

    /// Waits for its end for so long, then kills it. Returns its status, if the system tells.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(TICK);
        }
        if !self.ended {
            self.kill();
            self.reap();
        }
        self.status
    }

    /// Whether it has ended, without taking notice: until then no other process can get its number.
    fn is_dead(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    fn reap(&mut self) {
        self.kill_group();
        self.status = self.child.wait().ok();
        self.ended = true;
    }

    fn kill_group(&self) {
        // There may be none of them left, which is as good.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        self.wait(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_alive(pid: i32) -> bool {
        // A zombie, which only waits for its parent, is dead enough.
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit_once(')')
                .is_some_and(|(_, rest)| rest.starts_with(" Z"))
        })
    }

    #[test]
    fn what_a_child_leaves_behind_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! >{}; exit 3", note.display());
        let mut child = Child::spawn(Command::new("sh").args(["-c", &script])).unwrap();
        let status = child.wait(Duration::from_secs(20));
        assert_eq!(status.and_then(|status| status.code()), Some(3));
        let left: i32 = std::fs::read_to_string(note)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while is_alive(left) {
            assert!(Instant::now() < deadline, "{left} is still there");
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn patience_ends() {
        let mut child = Child::spawn(Command::new("sleep").arg("600")).unwrap();
        assert!(child.is_running());
        let begin = Instant::now();
        let status = child.wait(Duration::from_millis(20));
        assert_eq!(status.and_then(|status| status.code()), None);
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
