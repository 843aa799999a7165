//! Names of what an attempt at a run leaves in the run's folder. An attempt is the life of one worker: a run that
//! crashes, is requeued or resumes has several.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file that names the attempt that counts. A worker writes it when it begins, and ends once it names another
/// attempt.
pub const ATTEMPT_FILE: &str = "attempt";

/// The file by which a worker without a lease is asked to end after its next epoch: it names the attempt.
pub const STOP_FILE: &str = "stop";

/// The file with a run's [`WorkerRequest`](crate::WorkerRequest), JSON.
pub const REQUEST_FILE: &str = "request.json";

/// The name of an attempt that begins now: `HOST-PID-NANOSECONDS`. No two attempts at a run have one name, also
/// where a batch system gives one number to several of them.
pub fn attempt_name(host: &str, pid: u32) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let host: String = host.chars().map(plain).collect();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{host}-{pid}-{}", since_1970.unwrap_or_default().as_nanos())
}

/// When an attempt began, by its name.
pub fn attempt_began(name: &str) -> Option<SystemTime> {
    let (_, nanoseconds) = name.rsplit_once('-')?;
    Some(UNIX_EPOCH + Duration::from_nanos(nanoseconds.parse().ok()?))
}

/// The file of an attempt's events ([`RunEvent`](crate::RunEvent)), JSON, one a line.
pub fn events_file(attempt: &str) -> String {
    format!("events.{attempt}.jsonl")
}

/// The file of what an attempt's worker says on standard error.
pub fn log_file(attempt: &str) -> String {
    format!("log.{attempt}.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_name_and_tells_when() {
        let before = SystemTime::now();
        let name = attempt_name("login/1.example-site", 7);
        let (start, _) = name.rsplit_once('-').unwrap();
        assert_eq!(start, "login_1_example_site-7");
        let began = attempt_began(&name).unwrap();
        assert!(began >= before && began <= SystemTime::now());
        assert_eq!(attempt_began("by hand"), None);
    }
}
