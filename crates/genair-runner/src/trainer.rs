//! Questions to the worker binary `genair-trainer`, each one short-lived process. The runner itself
//! never opens a plugin or libtorch.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use genair_protocol::{Capabilities, PluginReport};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// File name of the worker binary.
const TRAINER: &str = "genair-trainer";

/// The worker binary.
#[derive(Clone, Debug)]
pub struct Trainer {
    path: PathBuf,
}

/// Why the worker binary gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// There is no such file.
    #[error("there is no worker binary {}; build it (`just build`) or set GENAIR_TRAINER to its path", path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It could not be started.
    #[error("cannot start {}", path.display())]
    Start {
        /// The binary.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It ended without an answer.
    #[error("`{TRAINER} {command}` {ending}{}", shown(stderr))]
    Died {
        /// The subcommand.
        command: String,
        /// How it ended.
        ending: String,
        /// The end of what it said on stderr.
        stderr: String,
    },
    /// Its answer could not be understood.
    #[error(
        "`{TRAINER} {command}` answered what this program cannot read; build both from one source"
    )]
    Answer {
        /// The subcommand.
        command: String,
        /// Where reading stopped.
        #[source]
        source: serde_json::Error,
    },
}

fn shown(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!("; it last said:\n{stderr}")
    }
}

/// Answer of `genair-trainer capabilities`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok(Capabilities),
    Error(String),
}

impl Trainer {
    /// The binary at `path`, or else the one beside the running program.
    ///
    /// # Errors
    /// There is no such file.
    pub fn find(path: Option<PathBuf>) -> Result<Self, TrainerError> {
        let path = path.or_else(|| Some(std::env::current_exe().ok()?.parent()?.join(TRAINER)));
        let path = path.unwrap_or_else(|| TRAINER.into());
        if path.is_file() {
            Ok(Self { path })
        } else {
            Err(TrainerError::NotFound { path })
        }
    }

    /// Where the binary is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reports on every plugin in the folders, the first of a name winning; broken ones say why.
    ///
    /// # Errors
    /// The process died, which one broken plugin can bring about: see [`crate::plugins::discover`].
    pub fn plugins(&self, folders: &[PathBuf]) -> Result<Vec<PluginReport>, TrainerError> {
        self.ask("plugins", folder_flags(folders), None)
    }

    /// Reports on one plugin file.
    ///
    /// # Errors
    /// The process died, perhaps of the plugin.
    pub fn plugin(&self, file: &Path) -> Result<Vec<PluginReport>, TrainerError> {
        self.ask("plugins", [OsStr::new("--plugin"), file.as_os_str()], None)
    }

    /// Names and files of the plugins in the folders, none of them opened.
    ///
    /// # Errors
    /// The process died or could not be started.
    pub fn plugin_files(
        &self,
        folders: &[PathBuf],
    ) -> Result<Vec<(String, PathBuf)>, TrainerError> {
        self.ask(
            "plugins",
            folder_flags(folders).chain([OsStr::new("--list-files")]),
            None,
        )
    }

    /// What configurations of a plugin need and give, or the plugin's reason to refuse them, one by one.
    ///
    /// # Errors
    /// The process died or could not be started.
    pub fn capabilities(
        &self,
        plugin: &Path,
        all: &[Map<String, Value>],
    ) -> Result<Vec<Result<Capabilities, String>>, TrainerError> {
        let params = serde_json::json!(all).to_string();
        let flags = [OsStr::new("--plugin"), plugin.as_os_str()];
        let verdicts: Vec<Verdict> = self.ask("capabilities", flags, Some(params))?;
        let result = |verdict| match verdict {
            Verdict::Ok(capabilities) => Ok(capabilities),
            Verdict::Error(reason) => Err(reason),
        };
        Ok(verdicts.into_iter().map(result).collect())
    }

    /// The trainer's report on libtorch and devices, as JSON.
    ///
    /// # Errors
    /// The process died or could not be started.
    pub fn doctor(&self) -> Result<Value, TrainerError> {
        self.ask("doctor", [], None)
    }

    fn ask<'f, T: DeserializeOwned>(
        &self,
        command: &str,
        flags: impl IntoIterator<Item = &'f OsStr>,
        input: Option<String>,
    ) -> Result<T, TrainerError> {
        let mut process = Command::new(&self.path);
        process.arg(command).args(flags);
        process
            .env("OMP_NUM_THREADS", "1")
            .env("MKL_NUM_THREADS", "1")
            .env("OMP_WAIT_POLICY", "passive");
        let output = run(process, input).map_err(|source| TrainerError::Start {
            path: self.path.clone(),
            source,
        })?;
        let command = command.to_owned();
        if !output.status.success() {
            let stderr = last_lines(&String::from_utf8_lossy(&output.stderr), 10);
            return Err(TrainerError::Died {
                command,
                ending: ending(output.status),
                stderr,
            });
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|source| TrainerError::Answer { command, source })
    }
}

fn folder_flags(folders: &[PathBuf]) -> impl Iterator<Item = &OsStr> {
    folders
        .iter()
        .flat_map(|folder| [OsStr::new("--plugin-dir"), folder.as_os_str()])
}

fn run(mut process: Command, input: Option<String>) -> std::io::Result<Output> {
    process
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = process.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A process that does not read its input says why in its answer or its exit code.
        let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    }
    child.wait_with_output()
}

/// How a process ended, as the end of a sentence: `was ended by SIGKILL`, `ended with exit code 3`.
pub(crate) fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by {}", signal_name(signal)),
        (None, None) => "ended".to_owned(),
    }
}

/// Names of the signals that end workers in practice.
fn signal_name(signal: i32) -> String {
    match signal {
        1 => "SIGHUP".to_owned(),
        2 => "SIGINT".to_owned(),
        4 => "SIGILL".to_owned(),
        6 => "SIGABRT".to_owned(),
        7 if cfg!(target_os = "linux") => "SIGBUS".to_owned(),
        8 => "SIGFPE".to_owned(),
        9 => "SIGKILL".to_owned(),
        11 => "SIGSEGV".to_owned(),
        13 => "SIGPIPE".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => format!("signal {other}"),
    }
}

/// The last `n` lines that are not empty.
pub(crate) fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(n)..].join("\n")
}
