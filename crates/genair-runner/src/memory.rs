//! Memory of the machine and of processes, where the system tells (Linux).

/// Bytes that can be had without swapping: of the machine, or of the control group where that has less.
pub(crate) fn free() -> Option<u64> {
    let machine = field(&read("/proc/meminfo")?, "MemAvailable:")?;
    let group = |name: &str| {
        read(&format!("/sys/fs/cgroup/{name}"))?
            .trim()
            .parse::<u64>()
            .ok()
    };
    let left = group("memory.max").zip(group("memory.current"));
    let left = left.map(|(most, used)| most.saturating_sub(used));
    Some(left.map_or(machine, |left| machine.min(left)))
}

/// The most bytes that a process ever had in memory.
pub(crate) fn peak(pid: u32) -> Option<u64> {
    field(&read(&format!("/proc/{pid}/status"))?, "VmHWM:")
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// A field of the kernel's tables, which are in KiB.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_and_machine_have_memory() {
        if cfg!(target_os = "linux") {
            let own = peak(std::process::id()).unwrap();
            assert!(own > 1 << 20 && own < 1 << 40, "{own}");
            assert!(free().unwrap() > 1 << 20);
        }
        assert_eq!(peak(u32::MAX), None);
    }
}
