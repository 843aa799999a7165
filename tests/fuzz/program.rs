//! The real program on hostile files: how it ends, how long it takes, and what it says.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use genair_test_support::lab::{Lab, tiny_spec};

use crate::PATIENCE;

/// Exit codes of the program that are no bug: done, and bad input.
const FINE: [i32; 2] = [0, 2];

/// A lab in which the program runs under limits.
pub(crate) struct Program {
    lab: Lab,
    binaries: PathBuf,
}

impl Program {
    pub(crate) fn new() -> Self {
        let tests = std::env::current_exe().unwrap();
        Self {
            lab: Lab::new(),
            binaries: tests.ancestors().nth(2).unwrap().to_owned(),
        }
    }

    /// A database with a run in it.
    pub(crate) fn make_database(&self) {
        self.lab
            .write("s.toml", tiny_spec("fuzz", &["popularity"], ""));
        self.lab.genair(["sweep", "s.toml"]).expect(0);
    }

    /// The bytes of a plugin that cargo built.
    pub(crate) fn library(&self) -> Vec<u8> {
        std::fs::read(self.binaries.join("libgenair_misbehaving.so")).unwrap()
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        self.lab.write(name, bytes);
    }

    /// Runs the program.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(self.binaries.join("genair"));
        command.args(arguments);
        self.judge(command)
    }

    /// Runs the program within an address space of so many bytes; what needs libtorch does not fit into any.
    pub(crate) fn run_within(&self, memory: u64, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new("sh");
        let script = format!("ulimit -v {}; exec \"$@\"", memory / 1024);
        command.args(["-c", &script, "sh"]);
        command.arg(self.binaries.join("genair")).args(arguments);
        self.judge(command)
    }

    fn judge(&self, mut command: Command) -> Result<(), String> {
        let log = self.lab.path("stderr");
        let child = command
            .current_dir(self.lab.path("."))
            .env("GENAIR_DB", "genair.db")
            .env("GENAIR_CACHE", "cache")
            .env("GENAIR_DEVICE", "cpu")
            .env_remove("GENAIR_TRAINER")
            .env_remove("GENAIR_PLUGIN_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let ended = wait(child);
        let said = std::fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[..said.len().min(4_000)]).into_owned();
        match ended {
            None => Err(format!("did not end in {PATIENCE:?}; it said:\n{said}")),
            Some(_) if said.contains("panicked") => Err(format!("panicked:\n{said}")),
            Some(status) if status.code().is_some_and(|code| FINE.contains(&code)) => Ok(()),
            Some(status) => Err(format!("{status}; it said:\n{said}")),
        }
    }
}

/// Waits for the end of a process; `None` after [`PATIENCE`], and then it is killed.
fn wait(mut child: Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
