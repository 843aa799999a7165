//! Questions to the worker binary `genair-trainer`, each one short-lived process. The runner itself
//! never opens a plugin or libtorch.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use genair_process::{PROCESS_HINT, Reply, ReplyEnd, TRY_AGAIN, ask, is_refusal};
use genair_protocol::{Capabilities, PluginReport};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// File name of the worker binary.
const TRAINER: &str = "genair-trainer";

/// How long it may take to answer. A plugin is given up much earlier, by the worker itself; this is for a worker
/// that does not even start, such as on a file system that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// The file cannot be looked at.
    #[error("cannot look at the worker binary {}", path.display())]
    Unseen {
        /// The binary.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The system refuses it a process or a thread.
    #[error("cannot ask {}; {PROCESS_HINT}", path.display())]
    Refused {
        /// The binary.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It does not answer.
    #[error("`{TRAINER} {command}` gave no answer within {} s and was ended{}", PATIENCE.as_secs(), shown(stderr))]
    TimedOut {
        /// The subcommand.
        command: String,
        /// The end of what it said on stderr.
        stderr: String,
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
        match std::fs::metadata(&path) {
            Ok(file) if file.is_file() => Ok(Self { path }),
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(TrainerError::Unseen { path, source })
            }
            _ => Err(TrainerError::NotFound { path }),
        }
    }

    /// Where the binary is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What each plugin file is, or why it cannot be used. One process opens them all.
    ///
    /// # Errors
    /// The process died, perhaps of one of the plugins; or nothing is known of them for another reason.
    pub(crate) fn plugins<'f>(
        &self,
        files: impl IntoIterator<Item = &'f Path>,
    ) -> Result<Vec<PluginReport>, TrainerError> {
        self.ask("plugins", files.into_iter().map(Path::as_os_str), None)
    }

    /// Fails if the worker binary does not work at all, whatever it is asked.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) fn try_out(&self) -> Result<(), TrainerError> {
        self.hear("--version", [], "").map(drop)
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
        let answer = self.hear(command, flags, &input.unwrap_or_default())?;
        serde_json::from_slice(&answer).map_err(|source| TrainerError::Answer {
            command: command.to_owned(),
            source,
        })
    }

    /// The line that it answers with.
    fn hear<'f>(
        &self,
        command: &str,
        flags: impl IntoIterator<Item = &'f OsStr>,
        input: &str,
    ) -> Result<Vec<u8>, TrainerError> {
        let mut process = genair_process::command(&self.path);
        process
            .arg(command)
            .args(flags)
            .env("OMP_NUM_THREADS", "1")
            .env("MKL_NUM_THREADS", "1")
            .env("OMP_WAIT_POLICY", "passive");
        let path = self.path.clone();
        let Reply { end, said } = match ask(&mut process, input, PATIENCE) {
            Ok(reply) => reply,
            Err(source) if is_refusal(&source) => {
                return Err(TrainerError::Refused { path, source });
            }
            Err(source) => return Err(TrainerError::Start { path, source }),
        };
        let (command, stderr) = (command.to_owned(), last_lines(&said, 10));
        let died = |ending| TrainerError::Died {
            command: command.clone(),
            ending,
            stderr: stderr.clone(),
        };
        match end {
            ReplyEnd::Answer(answer) => Ok(answer),
            ReplyEnd::Ended(status) if status.code() == Some(TRY_AGAIN.into()) => {
                let source = std::io::Error::new(std::io::ErrorKind::WouldBlock, stderr);
                Err(TrainerError::Refused { path, source })
            }
            ReplyEnd::Ended(status) if status.success() => {
                Err(died("ended without an answer".to_owned()))
            }
            ReplyEnd::Ended(status) => Err(died(ending(status))),
            ReplyEnd::TimedOut => Err(TrainerError::TimedOut { command, stderr }),
            ReplyEnd::TooLong => Err(died("wrote without end".to_owned())),
        }
    }
}

/// How a process ended, as the end of a sentence: `was ended by SIGKILL`, `ended with exit code 3`.
pub(crate) fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("was ended by {name}"),
            None => format!("was ended by signal {signal}"),
        },
        (None, None) => "ended".to_owned(),
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
