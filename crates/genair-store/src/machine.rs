//! What a machine is, so that times measured on it can be read later.

use itertools::Itertools;
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
    /// Logical cores this process may use.
    pub cores: u64,
    /// Main memory, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Operating system, its release, and architecture.
    pub system: String,
}

impl Machine {
    /// The machine this process runs on.
    pub fn this_one() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        let system = [std::env::consts::OS, release.trim(), std::env::consts::ARCH];
        Self {
            host: host(),
            cpu: field(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            memory_bytes: field(&read("/proc/meminfo"), "MemTotal")
                .and_then(|size| kibibytes(&size)),
            system: system.iter().filter(|part| !part.is_empty()).join(" "),
        }
    }

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

/// The machine's name.
pub(crate) fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// The first value of `name` in lines of `name : value`.
fn field(lines: &str, name: &str) -> Option<String> {
    let mut lines = lines.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

fn kibibytes(size: &str) -> Option<u64> {
    let number: u64 = size.strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_says_it_in_lines_of_name_and_value() {
        let cpu = "processor\t: 0\nmodel name\t: AMD EPYC 9R14: rev 1\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(
            field(cpu, "model name").as_deref(),
            Some("AMD EPYC 9R14: rev 1")
        );
        assert_eq!(field("", "model name"), None);
        let memory = "MemTotal:       16094412 kB\nMemFree: 1 kB\n";
        assert_eq!(
            field(memory, "MemTotal").as_deref().and_then(kibibytes),
            Some(16_480_677_888)
        );
        assert_eq!(kibibytes("many"), None);
    }

    #[test]
    fn this_machine_has_a_core_and_a_name() {
        let machine = Machine::this_one();
        assert!(machine.cores >= 1);
        assert!(!machine.host.is_empty() && !machine.cpu.is_empty());
        assert!(
            machine.system.contains(std::env::consts::ARCH),
            "{}",
            machine.system
        );
    }
}
