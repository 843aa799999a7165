//! What the worker runs on and what it used.

use std::time::Duration;

use genair_protocol::{MachineFacts, RunSpec};
use tch::Device;

use crate::device;

/// The machine this process runs on, and what a run has of it.
pub(crate) fn facts(spec: &RunSpec, device: Device) -> MachineFacts {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    let system = [std::env::consts::OS, release.trim(), std::env::consts::ARCH];
    MachineFacts {
        host: host(),
        device: device::name(device),
        threads: spec.train.threads,
        libtorch: device::loaded_version().unwrap_or_else(|| "unknown".to_owned()),
        trainer: env!("CARGO_PKG_VERSION").to_owned(),
        cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        memory_bytes: field(&read("/proc/meminfo"), "MemTotal").and_then(|size| kibibytes(&size)),
        system: system
            .map(str::to_owned)
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
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

/// Processor time of this process so far, where the system tells (`/proc/self/stat`).
pub(crate) fn cpu_time() -> Option<Duration> {
    /// Unit of the kernel's times for user space: `USER_HZ`, 100 on every Linux.
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command, the second field, may hold spaces; it ends at the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1000 / TICKS_PER_SECOND,
    ))
}

/// Peak resident memory of this process in bytes, where the system tells (`VmHWM`).
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kibibytes(&field(&status, "VmHWM")?)
}

#[cfg(all(test, target_os = "linux"))]
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
    fn linux_tells_time_and_memory() {
        let before = cpu_time().unwrap();
        // It ends, because this takes time.
        while cpu_time().unwrap() <= before {
            std::hint::black_box(before);
        }
        assert!(peak_memory().unwrap() > 1 << 20);
    }
}
