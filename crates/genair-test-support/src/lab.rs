//! A laboratory for whole-system tests: a temporary folder with its own database, where the real
//! `genair` runs.
//!
//! Owns how the program is found, started, watched and quoted. Asserts nothing about its results.
//! The program is the one beside the running tests (`target/release/genair`): `just build` makes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use genair_store::Store;
use regex::Regex;
use rustix::process::Pid;
pub use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything a test waits for may take, on a machine with better things to do.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked at.
const TICK: Duration = Duration::from_millis(10);

/// A folder to run `genair` in. Relative paths are those of the folder; the database is
/// `genair.db`, unless [`Lab::with_database`] says otherwise.
#[derive(Debug)]
pub struct Lab {
    folder: TempDir,
    programs: PathBuf,
    /// Environment variables of `genair`.
    variables: Vec<(&'static str, String)>,
    /// The database's name in the folder.
    database: &'static str,
    /// The size that no file may grow beyond, in blocks of 512 bytes.
    file_limit: Option<u32>,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// An empty folder.
    ///
    /// # Panics
    /// `genair` has not been built.
    pub fn new() -> Self {
        let programs = programs();
        let genair = programs.join("genair");
        assert!(
            genair.is_file(),
            "there is no {}: run `just build`",
            genair.display()
        );
        let folder =
            tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        Self {
            folder,
            programs,
            variables: Vec::new(),
            database: "genair.db",
            file_limit: None,
        }
    }

    /// The same with an environment variable for `genair`.
    pub fn with_variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The same with its database elsewhere in the folder.
    pub fn with_database(mut self, name: &'static str) -> Self {
        self.database = name;
        self
    }

    /// The same where no file that `genair` writes may grow beyond this many blocks of 512 bytes.
    pub fn with_file_limit(mut self, blocks: u32) -> Self {
        self.file_limit = Some(blocks);
        self
    }

    /// A file of the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the files of its runs are.
    pub fn artefacts(&self) -> PathBuf {
        let stem = self.database.trim_end_matches(".db");
        self.path(format!("{stem}-artefacts"))
    }

    /// A program or library that cargo built, such as `genair`.
    pub fn program(&self, name: impl AsRef<Path>) -> PathBuf {
        self.programs.join(name)
    }

    /// Writes a file, and the folders it is in.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let written = std::fs::create_dir_all(path.parent().unwrap_or(&path))
            .and_then(|()| std::fs::write(&path, content));
        written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }

    /// Copies a library that cargo built, such as `libgenair_misbehaving.so` or
    /// `examples/libwrong_abi.so`, into the folder `plugins` as the plugin `name`.
    pub fn install_plugin(&self, library: impl AsRef<Path>, name: &str) -> PathBuf {
        let from = self.programs.join(library);
        let to = self.path(format!("plugins/libgenair_backbone_{name}.so"));
        self.write(&to, []);
        std::fs::copy(&from, &to).unwrap_or_else(|error| {
            panic!(
                "cannot copy {}: {error}; run `just test`, which builds it",
                from.display()
            )
        });
        to
    }

    /// Runs `genair` to its end.
    pub fn genair<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Outcome {
        self.start(arguments).outcome()
    }

    /// Runs `genair` to its end with its standard output where it is told to be.
    pub fn genair_into<'a>(
        &self,
        stdout: impl Into<Stdio>,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Outcome {
        self.start_into(Some(stdout.into()), arguments).outcome()
    }

    /// Starts `genair`. Its output goes to files, so that nobody has to read along.
    pub fn start<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Running {
        self.start_into(None, arguments)
    }

    fn start_into<'a>(
        &self,
        stdout: Option<Stdio>,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Running {
        let output = tempfile::tempdir_in(self.folder.path())
            .unwrap_or_else(|error| panic!("no folder for output: {error}"));
        let sink = |name: &str| {
            let file = std::fs::File::create(output.path().join(name));
            Stdio::from(file.unwrap_or_else(|error| panic!("no file for output: {error}")))
        };
        let genair = self.programs.join("genair");
        let mut command = match self.file_limit {
            None => Command::new(genair),
            Some(blocks) => {
                let mut shell = Command::new("sh");
                let limited = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
                shell.arg("-c").arg(limited).arg(genair);
                shell
            }
        };
        command.args(arguments).current_dir(self.folder.path());
        for variable in [
            "GENAIR_TRAINER",
            "GENAIR_PLUGIN_PATH",
            "GENAIR_ALLOW_FAKE_ENGINE",
        ] {
            command.env_remove(variable);
        }
        command
            .env("GENAIR_DB", self.database)
            .env("GENAIR_CACHE", "cache")
            .env("GENAIR_DEVICE", "cpu")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(stdout.unwrap_or_else(|| sink("stdout")))
            .stderr(sink("stderr"));
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start genair: {error}"));
        Running {
            child,
            output,
            filters: self.filters(),
        }
    }

    /// The database, for reading.
    ///
    /// # Panics
    /// There is none.
    pub fn store(&self) -> Store {
        Store::open_read_only(self.path(self.database)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The rows of a reading SQL statement.
    ///
    /// # Panics
    /// The database refuses it.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        let result = self.store().query(sql);
        result.unwrap_or_else(|error| panic!("{sql}: {error}")).rows
    }

    /// The rows of a statement with a single column of text, one a line.
    pub fn lines(&self, sql: &str) -> String {
        let text = |row: Vec<Value>| row[0].as_str().unwrap_or_default().to_owned();
        self.rows(sql)
            .into_iter()
            .map(text)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Numbers of the living workers that train in this folder, whoever started them.
    pub fn workers(&self) -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        processes
            .filter_map(pid)
            .filter(|&pid| self.is_worker(pid))
            .collect()
    }

    fn is_worker(&self, pid: u32) -> bool {
        // Empty for a process that has ended and waits only for its parent to take notice.
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        let mut arguments = arguments.split('\0');
        arguments.any(|argument| Path::new(argument).starts_with(self.folder.path()))
    }

    /// Waits until `find` finds something.
    ///
    /// # Panics
    /// It never does.
    pub fn wait_for<T>(&self, what: &str, mut find: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(TICK);
        }
    }

    /// Waits until some run has told of an epoch, and returns its worker, or one of several.
    pub fn wait_for_training(&self) -> u32 {
        self.wait_for("a run in training", |lab| {
            let trains = lab
                .count("SELECT 1 FROM epochs JOIN runs USING (run_id) WHERE state = 'running'")
                > 0;
            lab.workers().first().copied().filter(|_| trains)
        })
    }

    /// How many rows a statement has, 0 where the database is not ready for it yet.
    pub fn count(&self, sql: &str) -> usize {
        let store = Store::open_read_only(self.path(self.database));
        let result = store.and_then(|mut store| store.query(sql));
        result.map_or(0, |result| result.rows.len())
    }

    /// What differs from run to run and machine to machine, and what snapshots show instead.
    fn filters(&self) -> Vec<(Regex, &'static str)> {
        let path = |path: &Path| regex::escape(&path.to_string_lossy());
        [
            (path(self.folder.path()), "[lab]"),
            (path(&self.programs), "[programs]"),
            (
                r"genair-artefacts/[0-9a-f]{16}".to_owned(),
                "genair-artefacts/[run]",
            ),
            (r"log\.\S+-\d+-\d+\.txt".to_owned(), "log.[attempt].txt"),
            (r"\b[0-9a-f]{64}\b".to_owned(), "[sha256]"),
            (r"after (\d+h)?(\d+m)?\d+s".to_owned(), "after [time]"),
            (r"process \d+ on \S+".to_owned(), "process [pid] on [host]"),
            (r"\b[01]\.\d{4}\b".to_owned(), "[....]"),
            (r"\b\d+ at once\n".to_owned(), "[cores] at once\n"),
            // Only a run of more than ten seconds tells its epochs: on a busy machine.
            (r"run \d+ \([^)]*\): epoch \d+/[^\n]*\n".to_owned(), ""),
            (r"rustc \d+\.\S+( \([^)]*\))?".to_owned(), "rustc [version]"),
        ]
        .into_iter()
        .map(|(pattern, shown)| {
            (
                Regex::new(&pattern).unwrap_or_else(|error| panic!("{error}")),
                shown,
            )
        })
        .collect()
    }
}

/// A name, backbones, and whatever else a spec needs, on a made-up dataset that trains in seconds.
pub fn tiny_spec(name: &str, backbones: &[&str], more: &str) -> String {
    format!(
        r#"
[sweep]
name = "{name}"
seeds = [1]
backbone = {backbones:?}

[dataset.tiny]
kind = "synthetic"
users = 80
catalogue = 60
audiences = 3
mean_length = 8
max_len = 12

{more}
"#
    )
}

/// Sends a signal to a process.
///
/// # Panics
/// There is no such process.
pub fn send(signal: Signal, pid: u32) {
    let sent =
        Pid::from_raw(pid.cast_signed()).map(|pid| rustix::process::kill_process(pid, signal));
    assert_eq!(sent, Some(Ok(())), "cannot send {signal:?} to {pid}");
}

/// Sends a signal to a process that may have ended by now; says whether it was there.
pub fn send_if_there(signal: Signal, pid: u32) -> bool {
    Pid::from_raw(pid.cast_signed())
        .is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}

/// A `genair` at work. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: TempDir,
    filters: Vec<(Regex, &'static str)>,
}

impl Running {
    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end.
    pub fn outcome(mut self) -> Outcome {
        let status = self.wait();
        let read = |name| {
            let bytes = std::fs::read(self.output.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Outcome {
            code: status.code(),
            stdout: read("stdout"),
            stderr: read("stderr"),
            filters: std::mem::take(&mut self.filters),
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) if Instant::now() < deadline => std::thread::sleep(TICK),
                other => panic!("genair does not end: {other:?}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended by now, unless a test failed half-way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How `genair` ended and what it said. Written out, it is fit for a snapshot: paths, times, hashes
/// and the like have placeholders.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output, as it was.
    pub stdout: String,
    /// Standard error, as it was.
    pub stderr: String,
    filters: Vec<(Regex, &'static str)>,
}

impl Outcome {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// It is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in:\n{self}"))
    }

    /// Itself, if it ended with this exit code.
    ///
    /// # Panics
    /// With another one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = match self.code {
            Some(code) => format!("exit: {code}"),
            None => "exit: by a signal".to_owned(),
        };
        for (name, said) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !said.is_empty() {
                text += &format!("\n--- {name}\n{}", said.trim_end());
            }
        }
        for (pattern, shown) in &self.filters {
            text = pattern.replace_all(&text, *shown).into_owned();
        }
        f.write_str(&text)
    }
}

/// `target/release`, where the tests themselves are in `target/release/deps`.
fn programs() -> PathBuf {
    let tests =
        std::env::current_exe().unwrap_or_else(|error| panic!("no path of this program: {error}"));
    tests
        .ancestors()
        .nth(2)
        .map(Path::to_owned)
        .unwrap_or_default()
}
