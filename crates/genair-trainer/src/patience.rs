//! Waiting for foreign code, a plugin or libtorch, no longer than a limit. A call into it cannot be stopped; only
//! whoever waits for it can go on without it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use genair_process::NoThread;

/// How long a plugin may take to load and to say what it is, and libtorch to start its threads.
pub(crate) const LOAD_LIMIT: Duration = Duration::from_secs(10);

/// Whether a thread is inside foreign code and does not come back.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Whether some call into a plugin or libtorch never came back. Such a process must be killed: an orderly exit waits for the dynamic
/// linker's lock, which a library that is still loading holds.
pub fn is_stuck() -> bool {
    STUCK.load(Ordering::SeqCst)
}

/// What `work` returns; `None` if it takes longer than `limit`, and its thread is given up.
///
/// # Errors
/// The system refuses the thread.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, NoThread> {
    // No channel: waiting on one takes thread-locals, and those the dynamic linker's lock, which a library that is
    // loading holds.
    let shared = Arc::new((Mutex::new(None), Condvar::new()));
    let theirs = Arc::clone(&shared);
    genair_process::spawn("waits for a library", move || {
        let outcome = catch_unwind(AssertUnwindSafe(work));
        *lock(&theirs.0) = Some(outcome);
        theirs.1.notify_one();
    })?;
    let (outcome, told) = &*shared;
    let waited = told.wait_timeout_while(lock(outcome), limit, |outcome| outcome.is_none());
    let mut outcome = waited.unwrap_or_else(PoisonError::into_inner).0;
    match outcome.take() {
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(panic)) => resume_unwind(panic),
        None => {
            STUCK.store(true, Ordering::SeqCst);
            Ok(None)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_ever() {
        assert_eq!(within(LOAD_LIMIT, || 7).unwrap(), Some(7));
        let hangs = || loop {
            std::thread::park();
        };
        assert_eq!(
            within::<()>(Duration::from_millis(10), hangs).unwrap(),
            None
        );
        assert!(is_stuck());
        let panic = std::panic::catch_unwind(|| within(LOAD_LIMIT, || panic!("as asked")));
        assert!(panic.is_err());
    }
}
