//! How long to wait: between attempts, and between requests under a rate limit.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

/// Longest pause that doubling leads to.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause a server may ask for; one that asks for more has to be asked another day.
const MAX_ASKED: Duration = Duration::from_secs(600);

/// The pause before attempt `attempt` (from 1) of the item `key`: it doubles, and is shortened by up to a
/// half by what the key decides, so that items that failed together do not come back together.
pub(super) fn pause(first: Duration, attempt: u32, key: &str) -> Duration {
    let doubled = first
        .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)))
        .min(MAX_PAUSE);
    let hash = Sha256::new_with_prefix(key)
        .chain_update(attempt.to_le_bytes())
        .finalize();
    doubled.mul_f64(1.0 - f64::from(hash[0]) / 512.0)
}

/// What a `Retry-After` header asks for: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let asked = match value.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value.trim())
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(asked.min(MAX_ASKED))
}

/// Spaces requests evenly, whichever thread sends them.
#[derive(Debug)]
pub(super) struct RateLimit {
    interval: Duration,
    next: Mutex<Instant>,
}

impl RateLimit {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            interval: Duration::from_secs(60) / per_minute.max(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Reserves the next place, and says how long it is until then.
    pub(super) fn reserve(&self) -> Duration {
        // Nothing can panic while the lock is held.
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mine = (*next).max(now);
        *next = mine + self.interval;
        mine - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_differ_between_items() {
        let first = Duration::from_secs(1);
        for (attempt, longest) in [(1, 1), (2, 2), (4, 8), (7, 60), (1000, 60)] {
            let longest = Duration::from_secs(longest);
            for key in ["a", "b", "c"] {
                let pause = pause(first, attempt, key);
                assert!(pause <= longest && pause > longest / 2, "{pause:?}");
                assert_eq!(pause, super::pause(first, attempt, key));
            }
        }
        assert_ne!(pause(first, 1, "a"), pause(first, 1, "b"));
    }

    #[test]
    fn a_server_may_ask_in_seconds_or_by_date() {
        let seconds = Duration::from_secs;
        // Python: email.utils.formatdate(784111777, usegmt=True).
        let now = SystemTime::UNIX_EPOCH + seconds(784_111_747);
        for (value, expected) in [
            ("7", Some(seconds(7))),
            (" 0 ", Some(seconds(0))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(seconds(30))),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(seconds(0))),
            ("86400", Some(MAX_ASKED)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(value, now), expected, "{value}");
        }
    }

    #[test]
    fn a_rate_limit_spaces_requests() {
        let limit = RateLimit::new(600);
        let waits: Vec<Duration> = (0..4).map(|_| limit.reserve()).collect();
        for (n, wait) in (0_u32..).zip(&waits) {
            let planned = Duration::from_millis(100) * n;
            assert!(*wait <= planned, "{waits:?}");
            assert!(
                *wait + Duration::from_millis(90) > planned,
                "{waits:?} on a machine that is not asleep"
            );
        }
    }
}
