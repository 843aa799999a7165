//! `[schedule]`: how a sweep uses the machine. None of it is part of a run's identity, as none of it changes a
//! number.

use std::sync::LazyLock;
use std::time::Duration;

use bytesize::ByteSize;
use genair_protocol::Ranges;
use genair_toml::{KeyPath, read_section};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

use super::axes::Axis;
use super::check::{Cell, Checker};
use super::condition::Condition;

/// How a sweep uses the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Workers at once; none: as many as there are cores for.
    pub jobs: Option<usize>,
    /// Bytes that all workers together may use; none: nine tenths of what is free at the beginning.
    pub memory: Option<u64>,
    /// Bytes that one worker may use.
    pub memory_limit: Option<u64>,
    /// How long one worker may take.
    pub time_limit: Option<Duration>,
    /// Whether nothing is started any more once a run has failed.
    pub fail_fast: bool,
    /// What a worker is started with, such as `srun`; empty to start it directly.
    pub launcher: Vec<String>,
    /// Where runs and stages are executed.
    pub executor: ExecutorKind,
    /// How jobs of Slurm are submitted.
    pub slurm: SlurmSettings,
}

/// Where runs and stages are executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutorKind {
    /// On this machine.
    #[default]
    Local,
    /// As jobs of Slurm.
    Slurm,
}

/// `[schedule.slurm]`: what jobs ask for. See sbatch(1) for the options of the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlurmSettings {
    /// The partition; none: the cluster's default. So with the others.
    pub partition: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// Generic resources of each job, such as `gpu:1`.
    pub gres: Option<String>,
    /// Features that nodes must have.
    pub constraint: Option<String>,
    /// How long one job may take. A run that needs longer goes on in another job.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing, deserialize_with = "span")]
    pub time: Option<Duration>,
    /// Lines of bash that each job begins with, such as `module load gcc`.
    pub setup: Option<String>,
    /// Further options of sbatch.
    pub extra: Vec<String>,
    /// Time between two lists of the jobs, at least a second; none: 30 seconds.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing, deserialize_with = "span")]
    pub poll: Option<Duration>,
}

/// Options of sbatch that jobs depend on.
const OPTIONS: [&str; 16] = [
    "--array",
    "-a",
    "--comment",
    "--export",
    "--job-name",
    "-J",
    "--no-requeue",
    "--output",
    "-o",
    "--parsable",
    "--chdir",
    "-D",
    "--wait",
    "-W",
    "--ntasks",
    "-n",
];

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Section {
    #[schemars(range(min = 1))]
    jobs: Option<usize>,
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing, deserialize_with = "bytes")]
    memory: Option<u64>,
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing, deserialize_with = "bytes")]
    memory_limit: Option<u64>,
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing, deserialize_with = "span")]
    time_limit: Option<Duration>,
    fail_fast: bool,
    launcher: Vec<String>,
    executor: ExecutorKind,
    slurm: SlurmSettings,
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    first: Vec<Table>,
}

/// `"2 GiB"`.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let size = text.parse().map_or(0, |size: ByteSize| size.as_u64());
    let no_size = || format!("`{text}` is no size; write it as in \"2 GiB\" or \"500 MB\"");
    (size > 0)
        .then_some(Some(size))
        .ok_or_else(|| D::Error::custom(no_size()))
}

/// `"1h 30m"`.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let span = humantime::parse_duration(&text).unwrap_or_default();
    let no_time = || format!("`{text}` is no time; write it as in \"2h\", \"1h 30m\" or \"45s\"");
    (!span.is_zero())
        .then_some(Some(span))
        .ok_or_else(|| D::Error::custom(no_time()))
}

impl Checker<'_> {
    /// Reads `[schedule]`, and which runs go first.
    pub(crate) fn schedule(&mut self) -> (Schedule, Vec<Condition>) {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<Section>);
        let at = KeyPath::new(["schedule"]);
        let table = at.table(&self.tree);
        let section: Section = read_section(&at, &table, &mut self.problems).unwrap_or_default();
        self.judge(&at, RANGES.problems(&section));
        if section.launcher.iter().any(|word| word.is_empty()) {
            let message = "has an empty word; write a list of words, as in [\"srun\", \"--exact\", \"-N1\", \"-n1\"]";
            self.problems.about(&at.child("launcher"), message, None);
        }
        let own = |option: &&String| {
            let option = option.split('=').next().unwrap_or_default();
            OPTIONS.contains(&option)
        };
        if let Some(option) = section.slurm.extra.iter().find(own) {
            let message = format!("has `{option}`, which genair sets itself; remove it");
            let hint = "keys of [schedule.slurm] set partition, account, qos, gres, constraint and time; schedule.memory_limit and train.threads set memory and cores";
            let key = at.child("slurm").child("extra");
            self.problems.about(&key, message, Some(hint.to_owned()));
        }
        if section
            .slurm
            .poll
            .is_some_and(|poll| poll < Duration::from_secs(1))
        {
            let key = at.child("slurm").child("poll");
            let message = "is less than a second; the controller serves everybody";
            self.problems.about(&key, message, None);
        }
        let first = self.conditions(&at.child("first"), &section.first);
        let schedule = Schedule {
            jobs: section.jobs,
            memory: section.memory,
            memory_limit: section.memory_limit,
            time_limit: section.time_limit,
            fail_fast: section.fail_fast,
            launcher: section.launcher,
            executor: section.executor,
            slurm: section.slurm,
        };
        (schedule, first)
    }

    /// When a cell's runs with these values go, 0 first.
    pub(crate) fn priority(
        &self,
        first: &[Condition],
        cell: &Cell<'_>,
        chosen: &[(&Axis, &Value)],
    ) -> usize {
        let holds = |condition| self.holds(condition, cell, chosen);
        first.iter().position(holds).unwrap_or(first.len())
    }
}
