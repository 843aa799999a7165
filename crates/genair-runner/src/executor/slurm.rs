//! Slurm: what `sbatch`, `squeue` and `scancel` are asked, and what their answers mean.
//!
//! No `sacct`, which many sites do not have, and no `--json`, which ignores `--name` in some versions. Tested with
//! Slurm 22.05.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use genair_process::Output;
use genair_spec::SlurmSettings;

use super::batch::{Array, BatchSystem, End, JobState, Listed, SubmitError};

/// How long a command may take. A controller that is busy answers late, or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most jobs of an array where the controller does not tell.
const ARRAY: usize = 1000;

/// What `squeue` says of each job: token, place in the array, number, state, node, reason.
const FORMAT: &str = "%k|%K|%i|%T|%N|%r";

/// What these messages have in common: whether the controller has the jobs is not known.
const UNKNOWN: [&str; 7] = [
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Connection timed out",
    "Transport endpoint",
    "Zero Bytes were transmitted",
    "Unable to establish controller",
];

/// What these messages have in common: later, the same may be taken.
const FULL: [&str; 4] = [
    "job submit limit",
    "MaxSubmit",
    "temporarily unavailable",
    "Slurm temporarily unable to accept job",
];

/// A Slurm cluster.
pub(crate) struct Slurm<'a> {
    settings: &'a SlurmSettings,
    /// Name of all jobs of a database.
    name: String,
    largest_array: usize,
}

impl<'a> Slurm<'a> {
    /// The cluster that this machine submits to, for jobs of the database at `database`.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn new(settings: &'a SlurmSettings, database: &Path) -> Result<Self, String> {
        let database = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
        let stem = database.file_stem().unwrap_or_default().to_string_lossy();
        let hash = genair_files::sha256(database.to_string_lossy().as_bytes());
        let mut show = genair_process::command("scontrol");
        show.args(["show", "config"]);
        let largest_array = match run(&mut show) {
            Ok(said) => largest_array(&said).unwrap_or(ARRAY),
            Err(Failed::NotFound) => {
                return Err("there is no Slurm on this machine: `scontrol` is not found; run this on a login node, or use `executor = \"local\"`".to_owned());
            }
            Err(error) => {
                tracing::warn!("the controller does not tell its limits: {}", error.text());
                ARRAY
            }
        };
        Ok(Self {
            settings,
            name: format!("genair-{stem}-{}", &hash[..8]),
            largest_array,
        })
    }

    /// The arguments of `sbatch` but for the script.
    fn arguments(&self, array: &Array<'_>) -> Vec<String> {
        let SlurmSettings {
            partition,
            account,
            qos,
            gres,
            constraint,
            time,
            extra,
            ..
        } = self.settings;
        let last = array.commands.len().saturating_sub(1);
        let at_once = array
            .at_once
            .map(|jobs| format!("%{jobs}"))
            .unwrap_or_default();
        let folder = array.folder.display();
        // Relative paths of requests are those of this process.
        let here = std::env::current_dir().unwrap_or_else(|_| array.folder.to_owned());
        let mut arguments = vec![
            "--parsable".to_owned(),
            format!("--array=0-{last}{at_once}"),
            "--requeue".to_owned(),
            "--export=NONE".to_owned(),
            format!("--job-name={}", self.name),
            format!("--comment={}", array.token),
            format!("--output={folder}/%a.out"),
            "--open-mode=append".to_owned(),
            format!("--chdir={}", here.display()),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={}", array.needs.threads.max(1)),
        ];
        if let Some(bytes) = array.needs.memory {
            arguments.push(format!("--mem={}", bytes.div_ceil(1 << 20)));
        }
        if array.needs.can_wait {
            arguments.push("--nice=100".to_owned());
        }
        for (name, value) in [
            ("partition", partition),
            ("account", account),
            ("qos", qos),
            ("gres", gres),
            ("constraint", constraint),
        ] {
            arguments.extend(value.as_ref().map(|value| format!("--{name}={value}")));
        }
        if let Some(time) = time {
            arguments.push(format!("--time={}", time.as_secs().div_ceil(60).max(1)));
        }
        if !array.excluded.is_empty() {
            let nodes: Vec<&str> = array.excluded.iter().map(String::as_str).collect();
            arguments.push(format!("--exclude={}", nodes.join(",")));
        }
        arguments.extend(extra.iter().cloned());
        arguments
    }

    /// The script of an array: each job does the line of `tasks` that has its number.
    fn write_script(&self, array: &Array<'_>) -> std::io::Result<PathBuf> {
        let mut tasks = String::new();
        for command in &array.commands {
            let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
            tasks += &words.join(" ");
            tasks.push('\n');
        }
        genair_files::write(&array.folder.join("tasks"), tasks)?;
        let path = array.folder.join("job.sh");
        let threads = array.needs.threads.max(1);
        let mut script = "#!/bin/bash\n# Written by genair.\n".to_owned();
        if let Some(setup) = &self.settings.setup {
            script += setup.trim_end();
            script.push('\n');
        }
        let list = quoted(&array.folder.join("tasks").to_string_lossy());
        // A string takes every write.
        let _ = write!(
            script,
            "export OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads} OMP_WAIT_POLICY=passive\n\
             task=$(sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" {list})\n\
             eval \"exec $task\"\n"
        );
        genair_files::write(&path, script)?;
        Ok(path)
    }
}

impl BatchSystem for Slurm<'_> {
    fn submit(&self, array: &Array<'_>) -> Result<String, SubmitError> {
        let script = self.write_script(array).map_err(|error| {
            SubmitError::Refused(format!("cannot write {}: {error}", array.folder.display()))
        })?;
        let mut command = genair_process::command("sbatch");
        command.args(self.arguments(array)).arg(script);
        match run(&mut command) {
            Ok(said) => {
                let number = said.trim().split(';').next().unwrap_or_default();
                let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                match is_number {
                    true => Ok(number.to_owned()),
                    false => Err(SubmitError::Unknown(format!("sbatch answered {said:?}"))),
                }
            }
            Err(error) => Err(refusal(error)),
        }
    }

    fn list(&self) -> Result<Vec<Listed>, String> {
        let mut command = genair_process::command("squeue");
        command.args(["--noheader", "--array", "--states=all"]);
        command.arg(format!("--name={}", self.name));
        command.args(["--format", FORMAT]);
        let said = run(&mut command).map_err(|error| error.text())?;
        Ok(said.lines().filter_map(listed).collect())
    }

    fn cancel(&self, jobs: &[String]) -> Result<(), String> {
        let mut command = genair_process::command("scancel");
        command.args(jobs);
        match run(&mut command) {
            Ok(_) => Ok(()),
            // They are over.
            Err(Failed::Said(said)) if said.contains("Invalid job id") => Ok(()),
            Err(error) => Err(error.text()),
        }
    }

    fn largest_array(&self) -> usize {
        self.largest_array
    }

    fn how_to_cancel(&self) -> String {
        format!("scancel --name={}", self.name)
    }
}

/// Why a command has no answer.
#[derive(Debug)]
enum Failed {
    NotFound,
    Said(String),
    TimedOut,
}

impl Failed {
    fn text(self) -> String {
        match self {
            Self::NotFound => "a command of Slurm is not found".to_owned(),
            Self::Said(said) => said,
            Self::TimedOut => format!("no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

/// What a command says on standard output.
fn run(command: &mut Command) -> Result<String, Failed> {
    match genair_process::output(command, PATIENCE) {
        Ok(Output { status: None, .. }) => Err(Failed::TimedOut),
        Ok(Output {
            status: Some(status),
            stdout,
            ..
        }) if status.success() => Ok(stdout),
        Ok(Output { stderr, .. }) => Err(Failed::Said(stderr.trim().replace('\n', "; "))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failed::NotFound),
        Err(error) => Err(Failed::Said(error.to_string())),
    }
}

/// What a failure of `sbatch` means.
fn refusal(error: Failed) -> SubmitError {
    let is_timeout = matches!(error, Failed::TimedOut);
    let text = error.text();
    let says = |words: &[&str]| words.iter().any(|own| text.contains(own));
    if is_timeout || says(&UNKNOWN) {
        SubmitError::Unknown(text)
    } else if says(&FULL) {
        SubmitError::Full(text)
    } else {
        SubmitError::Refused(text)
    }
}

/// The most jobs of an array, by `scontrol show config`: places are below `MaxArraySize`.
fn largest_array(config: &str) -> Option<usize> {
    let lines = config.lines().filter_map(|line| line.split_once('='));
    let mut of = lines.map(|(key, value)| (key.trim(), value.trim()));
    let (_, value) = of.find(|(key, _)| *key == "MaxArraySize")?;
    value.parse().ok().filter(|most: &usize| *most > 0)
}

/// A line of `squeue`; none of a job that has no place in an array.
fn listed(line: &str) -> Option<Listed> {
    let mut fields = line.splitn(6, '|').map(str::trim);
    let mut next = || fields.next();
    let (token, task, job, state, node, reason) =
        (next()?, next()?, next()?, next()?, next()?, next()?);
    Some(Listed {
        token: token.to_owned(),
        task: task.parse().ok()?,
        job: job.to_owned(),
        state: job_state(state, reason),
        node: Some(node)
            .filter(|node| !node.is_empty() && !node.starts_with('('))
            .map(str::to_owned),
    })
}

/// See "JOB STATE CODES" in squeue(1).
fn job_state(state: &str, reason: &str) -> JobState {
    match state {
        "PENDING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "RESV_DEL_HOLD"
        | "SPECIAL_EXIT" => JobState::Waiting(reason.to_owned()),
        "COMPLETED" => JobState::Ended(End::Completed),
        "CANCELLED" => JobState::Ended(End::Cancelled),
        "FAILED" => JobState::Ended(End::Failed),
        "OUT_OF_MEMORY" => JobState::Ended(End::OutOfMemory),
        "TIMEOUT" | "DEADLINE" => JobState::Ended(End::TimeLimit),
        "PREEMPTED" => JobState::Ended(End::Preempted),
        "NODE_FAIL" | "BOOT_FAIL" => JobState::Ended(End::NodeLost),
        "REVOKED" => JobState::Ended(End::Gone),
        // RUNNING, CONFIGURING, COMPLETING, SUSPENDED, STOPPED and what may come: on a node, or about to be.
        _ => JobState::Running,
    }
}

/// A word as the shell takes it for itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squeue_is_understood() {
        let line = "login-7-123|4|12_4|PENDING||Priority";
        let waiting = listed(line).unwrap();
        assert_eq!(
            (&*waiting.token, waiting.task, &*waiting.job),
            ("login-7-123", 4, "12_4")
        );
        assert_eq!(waiting.state, JobState::Waiting("Priority".to_owned()));
        assert_eq!(waiting.node, None);
        let running = listed("t|0|13|RUNNING|node1|None").unwrap();
        assert_eq!(
            (running.state, running.node.as_deref()),
            (JobState::Running, Some("node1"))
        );
        for (state, end) in [
            ("COMPLETED", End::Completed),
            ("CANCELLED", End::Cancelled),
            ("TIMEOUT", End::TimeLimit),
            ("PREEMPTED", End::Preempted),
            ("NODE_FAIL", End::NodeLost),
            ("OUT_OF_MEMORY", End::OutOfMemory),
            ("FAILED", End::Failed),
        ] {
            assert_eq!(job_state(state, "None"), JobState::Ended(end));
        }
        assert_eq!(job_state("COMPLETING", "None"), JobState::Running);
        assert_eq!(listed("(null)|N/A|14|RUNNING|node1|None"), None, "no array");
    }

    #[test]
    fn what_sbatch_says_decides_what_may_be_submitted_again() {
        let said = |text: &str| refusal(Failed::Said(format!("sbatch: error: {text}")));
        assert!(matches!(refusal(Failed::TimedOut), SubmitError::Unknown(_)));
        for text in [
            "Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "Batch job submission failed: Socket timed out on send/recv operation",
        ] {
            assert!(matches!(said(text), SubmitError::Unknown(_)), "{text}");
        }
        let full = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)";
        assert!(matches!(said(full), SubmitError::Full(_)));
        let refused = "invalid partition specified: gpu";
        assert!(matches!(said(refused), SubmitError::Refused(_)));
    }

    #[test]
    fn limits_and_words_of_the_shell() {
        let config = "MaxArraySize            = 1001\nMaxJobCount = 5\n";
        assert_eq!(largest_array(config), Some(1001));
        assert_eq!(largest_array(""), None);
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
