//! Waiting for foreign code, a plugin or libtorch, no longer than a limit. A call into it cannot be stopped; only
//! whoever waits for it can go on without it.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
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
    let (sender, receiver) = channel();
    let thread = genair_process::spawn("waits for a library", move || {
        // Nobody listens once the time is over.
        let _ = sender.send(work());
    })?;
    match receiver.recv_timeout(limit) {
        Ok(value) => Ok(Some(value)),
        Err(RecvTimeoutError::Timeout) => {
            STUCK.store(true, Ordering::SeqCst);
            Ok(None)
        }
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => resume_unwind(panic),
            // It has sent what it returned.
            Ok(()) => Ok(receiver.try_recv().ok()),
        },
    }
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
