//! A job of a second: does the cluster take jobs, is the folder shared, do the libraries load there, is there a GPU?

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use genair_protocol::attempt_name;
use genair_spec::SlurmSettings;
use serde_json::Value;

use super::batch::{Array, BatchSystem, JobState, Needs, SubmitError};
use super::slurm::Slurm;
use crate::artefacts;
use crate::trainer::{Trainer, last_lines};

/// How long the job may wait and run.
const PATIENCE: Duration = Duration::from_secs(300);

/// Time between two looks at its file, and between two questions to the controller.
const LOOK: Duration = Duration::from_millis(200);
const ASK: Duration = Duration::from_secs(5);

/// What the job said.
#[derive(Clone, Debug)]
pub struct ClusterTrial {
    /// Its number.
    pub job: String,
    /// Where it ran.
    pub node: String,
    /// From its submission until its file was seen here.
    pub seconds: f64,
    /// What `genair-trainer doctor` says there.
    pub facts: Value,
}

/// Why nothing is known of the cluster.
#[derive(Clone, Debug)]
pub struct TrialError {
    /// What went wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

fn wrong(what: impl Into<String>, fix: &str) -> TrialError {
    TrialError {
        what: what.into(),
        fix: fix.to_owned(),
    }
}

/// Has a job of the cluster write into the folder of the database's runs, and waits for it.
///
/// # Errors
/// It was refused, did not start in time, failed, or its file is not seen here.
pub fn try_slurm(
    trainer: &Trainer,
    settings: &SlurmSettings,
    database: &Path,
) -> Result<ClusterTrial, TrialError> {
    let slurm = Slurm::new(settings, database);
    let slurm = slurm.map_err(|reason| wrong(reason, "run it on a login node of the cluster"))?;
    let folder = artefacts::folder(database);
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let token = attempt_name(&genair_store::host(), std::process::id());
    let folder = folder.join("submissions").join(&token);
    let said = folder.join("0.out");
    let script = "echo \"node $SLURMD_NODENAME\"; exec \"$0\" doctor";
    let program = trainer.path().to_string_lossy().into_owned();
    let words = ["bash", "-c", script].map(str::to_owned).into_iter();
    let command: Vec<String> = words.chain([program]).collect();
    let array = Array {
        token: &token,
        folder: &folder,
        commands: vec![command.as_slice()],
        needs: Needs {
            threads: 1,
            memory: None,
            can_wait: false,
        },
        at_once: None,
        excluded: &BTreeSet::new(),
    };
    let begin = Instant::now();
    let job = slurm.submit(&array).map_err(|error| match error {
        SubmitError::Refused(what) | SubmitError::Full(what) => wrong(
            what,
            "see [schedule.slurm]: partition, account, qos, time, extra",
        ),
        SubmitError::Unknown(what) => wrong(what, "try again; the controller does not answer"),
    })?;
    let (mut asked, mut state) = (begin, JobState::Unknown);
    loop {
        let text = std::fs::read_to_string(&said).unwrap_or_default();
        let mut lines = text.lines();
        let node = lines.find_map(|line| line.strip_prefix("node "));
        let facts = lines.find_map(|line| serde_json::from_str(line).ok());
        if let (Some(node), Some(facts)) = (node, facts) {
            let _ = std::fs::remove_dir_all(&folder);
            return Ok(ClusterTrial {
                job,
                node: node.to_owned(),
                seconds: begin.elapsed().as_secs_f64(),
                facts,
            });
        }
        if asked.elapsed() >= ASK {
            asked = Instant::now();
            let listed = slurm.list().unwrap_or_default();
            let own = listed.into_iter().find(|own| own.token == token);
            state = own.map_or(JobState::Unknown, |own| own.state);
            if let JobState::Ended(end) = state {
                // What it wrote may be on its way.
                std::thread::sleep(ASK);
                let text = std::fs::read_to_string(&said).unwrap_or_default();
                if text.is_empty() {
                    let what = format!(
                        "job {job} has ended ({end:?}), and its file {} is not seen here",
                        said.display()
                    );
                    return Err(wrong(
                        what,
                        "put the database on a file system that the nodes share with this machine",
                    ));
                }
                if !text.contains("node ") || !text.contains('{') {
                    let what = format!("job {job} failed ({end:?}): {}", last_lines(&text, 5));
                    return Err(wrong(
                        what,
                        "see `setup` of [schedule.slurm]: modules, and where libtorch is on the nodes",
                    ));
                }
            }
        }
        if begin.elapsed() > PATIENCE {
            let _ = slurm.cancel(std::slice::from_ref(&job));
            let why = match state {
                JobState::Waiting(reason) => format!("it waits: {reason}"),
                _ => "nothing is known of it".to_owned(),
            };
            let what = format!(
                "job {job} did not run within {} s and was cancelled; {why}",
                PATIENCE.as_secs()
            );
            return Err(wrong(what, "try a partition with free nodes (`sinfo`)"));
        }
        std::thread::sleep(LOOK);
    }
}
