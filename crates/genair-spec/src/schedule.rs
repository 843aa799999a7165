//! `[schedule]`: how a sweep uses the machine. None of it is part of a run's identity, as none of it changes a
//! number.

use std::sync::LazyLock;
use std::time::Duration;

use bytesize::ByteSize;
use genair_protocol::Ranges;
use genair_toml::{KeyPath, read_section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Section {
    #[schemars(range(min = 1))]
    jobs: Option<usize>,
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing)]
    memory: Option<Bytes>,
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing)]
    memory_limit: Option<Bytes>,
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing)]
    time_limit: Option<Span>,
    fail_fast: bool,
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    first: Vec<Table>,
}

/// `"2 GiB"`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Bytes(u64);

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let size = text
            .parse::<ByteSize>()
            .ok()
            .filter(|size| size.as_u64() > 0);
        size.map(|size| Self(size.as_u64()))
            .ok_or_else(|| format!("`{text}` is no size; write it as in \"2 GiB\" or \"500 MB\""))
    }
}

/// `"1h 30m"`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Span(Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let span = humantime::parse_duration(&text)
            .ok()
            .filter(|span| !span.is_zero());
        span.map(Self).ok_or_else(|| {
            format!("`{text}` is no time; write it as in \"2h\", \"1h 30m\" or \"45s\"")
        })
    }
}

impl Checker<'_> {
    /// Reads `[schedule]`, and which runs go first.
    pub(crate) fn schedule(&mut self) -> (Schedule, Vec<Condition>) {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<Section>);
        let at = KeyPath::new(["schedule"]);
        let table = at.table(&self.tree);
        let section: Section = read_section(&at, &table, &mut self.problems).unwrap_or_default();
        self.judge(&at, RANGES.problems(&section));
        let first = self.conditions(&at.child("first"), &section.first);
        let schedule = Schedule {
            jobs: section.jobs,
            memory: section.memory.map(|bytes| bytes.0),
            memory_limit: section.memory_limit.map(|bytes| bytes.0),
            time_limit: section.time_limit.map(|span| span.0),
            fail_fast: section.fail_fast,
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
