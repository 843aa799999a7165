//! Who holds a run, and whether that process is still there.

use std::io::{self, Read, Write};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use crate::StoreErrorKind;
use crate::connection::execute;
use crate::machine::host;

/// Seconds without a heartbeat after which a process that cannot be looked up counts as gone.
pub(crate) const STALE_SECONDS: f64 = 60.0;

/// The source a program was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRevision {
    /// Git commit, or `unknown`.
    pub revision: String,
    /// Whether files differed from that commit.
    pub dirty: bool,
    /// How they differed, where that was kept: the output of `git diff`.
    pub diff: Option<String>,
}

impl CodeRevision {
    /// Enters the difference, unless the database has it, and returns its key.
    pub(crate) async fn enter_diff(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Option<String>, StoreErrorKind> {
        let Some(diff) = &self.diff else {
            return Ok(None);
        };
        let key = genair_files::sha256(diff);
        let gzip = compressed(diff).map_err(sqlx::Error::Io)?;
        let enter =
            "INSERT INTO code_diffs (sha256, gzip) VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING";
        execute(connection, sqlx::query(enter).bind(&key).bind(gzip)).await?;
        Ok(Some(key))
    }
}

fn compressed(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// What [`CodeRevision::enter_diff`] wrote.
pub(crate) fn decompressed(bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text)?;
    Ok(text)
}

/// A process that executes runs.
#[derive(Clone, Debug)]
pub struct Owner {
    pub(crate) owner: String,
    pub(crate) host: String,
    pub(crate) boot_id: String,
    pub(crate) pid: u32,
    pub(crate) pid_started: i64,
    pub(crate) code: CodeRevision,
}

impl Owner {
    /// This process, built from `code`. Every call in one process means the same owner.
    pub fn this_process(code: CodeRevision) -> Self {
        static PROCESS: LazyLock<(String, String)> = LazyLock::new(|| {
            let host = host();
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
            // A process of the same number may have died holding runs, so the time is part of the name.
            let (id, time) = (
                std::process::id(),
                since_1970.unwrap_or_default().as_nanos(),
            );
            (format!("{host}/{id}/{time}"), host)
        });
        let (owner, host) = PROCESS.clone();
        let pid = std::process::id();
        Self {
            owner,
            host,
            boot_id: boot_id(),
            pid,
            pid_started: started(pid).unwrap_or(0),
            code,
        }
    }

    /// What it was built from.
    pub fn code(&self) -> &CodeRevision {
        &self.code
    }

    /// Enters the owner, or refreshes its heartbeat.
    pub(crate) async fn beat(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreErrorKind> {
        let beat = sqlx::query(
            "INSERT INTO owners (owner, host, boot_id, pid, pid_started, heartbeat_at)
             VALUES (?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ'))
             ON CONFLICT (owner) DO UPDATE SET heartbeat_at = excluded.heartbeat_at",
        );
        let beat = beat.bind(&self.owner).bind(&self.host).bind(&self.boot_id);
        execute(connection, beat.bind(self.pid).bind(self.pid_started)).await
    }
}

/// The process that holds a run, as the database knows it.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow)]
pub struct OwnerInfo {
    /// Its name in the `owners` table.
    pub owner: String,
    /// The machine it runs on.
    pub host: String,
    /// What its number is unique within: boot and pid namespace. Empty where the system has neither.
    pub boot_id: String,
    /// Process number.
    pub pid: u32,
    /// Clock ticks from boot to its start.
    pub pid_started: i64,
    /// Its last sign of life, RFC 3339.
    pub heartbeat_at: String,
    /// Seconds since then.
    pub heartbeat_age: f64,
}

impl OwnerInfo {
    pub(crate) async fn load(
        connection: &mut SqliteConnection,
        owner: &str,
    ) -> Result<Self, StoreErrorKind> {
        let info = "SELECT owner, host, boot_id, pid, pid_started, heartbeat_at,
                unixepoch('now', 'subsec') - unixepoch(heartbeat_at, 'subsec') AS heartbeat_age
             FROM owners WHERE owner = ?";
        let info = sqlx::query_as(info).bind(owner);
        Ok(info.fetch_one(connection).await?)
    }

    /// Whether the process is gone, so that its runs may be taken over. Known at once for a process
    /// of this machine; of another one, only its silence can be told.
    pub fn is_stale(&self) -> bool {
        let can_look = !self.boot_id.is_empty() && self.boot_id == boot_id() && self.host == host();
        if can_look {
            started(self.pid) != Some(self.pid_started)
        } else {
            // A heartbeat of the future is one from before the clock was put back.
            self.heartbeat_age.abs() > STALE_SECONDS
        }
    }
}

/// Boot and pid namespace: within both, a pid means the same process. Two containers on one machine
/// share the boot, and sometimes the host name, but not their pids.
fn boot_id() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{} {}", boot.trim(), namespace.display()),
        _ => String::new(),
    }
}

/// When a living process started, in clock ticks since boot; see proc_pid_stat(5).
pub(crate) fn started(pid: u32) -> Option<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything, spaces and brackets
    // included; the fields after it are numbered from 3.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let ended = matches!(field(3)?, "Z" | "X"); // It waits only for its parent to take notice.
    if ended { None } else { field(22)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> CodeRevision {
        CodeRevision {
            revision: "unknown".to_owned(),
            dirty: false,
            diff: None,
        }
    }

    fn info(owner: Owner, heartbeat_age: f64) -> OwnerInfo {
        let Owner {
            owner,
            host,
            boot_id,
            pid,
            pid_started,
            ..
        } = owner;
        OwnerInfo {
            owner,
            host,
            boot_id,
            pid,
            pid_started,
            heartbeat_at: String::new(),
            heartbeat_age,
        }
    }

    #[test]
    fn this_process_is_alive_and_always_the_same() {
        let owner = Owner::this_process(code());
        assert_eq!(owner.owner, Owner::this_process(code()).owner);
        assert!(owner.pid_started > 0);
        assert!(
            !info(owner, 1e6).is_stale(),
            "a heartbeat does not matter where one can look"
        );
    }

    #[test]
    fn a_process_of_this_machine_is_stale_once_it_ended() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let child_owner = Owner {
            pid: child.id(),
            pid_started: started(child.id()).unwrap(),
            ..Owner::this_process(code())
        };
        let info = info(child_owner, 0.0);
        assert!(!info.is_stale());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(info.is_stale());
    }

    #[test]
    fn a_number_that_went_to_another_process_is_stale() {
        let owner = Owner::this_process(code());
        assert!(
            info(
                Owner {
                    pid_started: owner.pid_started - 1,
                    ..owner
                },
                0.0
            )
            .is_stale()
        );
    }

    #[test]
    fn elsewhere_only_the_heartbeat_counts() {
        let here = Owner::this_process(code());
        for elsewhere in [
            Owner {
                host: "another".to_owned(),
                ..here.clone()
            },
            Owner {
                boot_id: "another".to_owned(),
                ..here.clone()
            },
            Owner {
                boot_id: String::new(),
                ..here.clone()
            },
        ] {
            let elsewhere = Owner {
                pid: 0,
                ..elsewhere
            };
            for (age, stale) in [(59.0, false), (61.0, true), (-5.0, false), (-3600.0, true)] {
                assert_eq!(info(elsewhere.clone(), age).is_stale(), stale, "{age}");
            }
        }
    }
}
