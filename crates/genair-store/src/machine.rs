//! What a machine is, so that times measured on it can be read later.

use genair_protocol::MachineFacts;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::StoreErrorKind;
use crate::connection::execute;

/// A machine that executes runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Model of its processor; `unknown` where the system does not tell.
    pub cpu: String,
    /// Logical cores that the worker might use.
    pub cores: u64,
    /// Main memory, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Operating system, its release, and architecture.
    pub system: String,
}

impl From<&MachineFacts> for Machine {
    fn from(facts: &MachineFacts) -> Self {
        Self {
            host: facts.host.clone(),
            cpu: facts.cpu.clone(),
            cores: facts.cores,
            memory_bytes: facts.memory_bytes,
            system: facts.system.clone(),
        }
    }
}

impl Machine {
    /// Enters the machine, unless the database has it, and returns its key.
    pub(crate) async fn enter(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<String, StoreErrorKind> {
        let Self {
            host,
            cpu,
            cores,
            memory_bytes,
            system,
        } = self;
        let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let key = genair_files::sha256(format!(
            "{host}\n{cpu}\n{cores}\n{memory_bytes:?}\n{system}"
        ));
        let enter = sqlx::query(
            "INSERT INTO machines (machine, host, cpu, cores, memory_bytes, system) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (machine) DO NOTHING",
        )
        .bind(&key)
        .bind(host)
        .bind(cpu)
        .bind(integer(*cores))
        .bind(memory_bytes.map(integer))
        .bind(system);
        execute(connection, enter).await?;
        Ok(key)
    }
}

/// The name of the machine that this process runs on.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
