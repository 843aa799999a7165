//! Threads that the system may refuse.

use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// The system's words for a refused thread or process (`EAGAIN`), as libraries repeat them.
pub const REFUSED: &str = "Resource temporarily unavailable";

/// What to do about a refused thread or process.
pub const PROCESS_HINT: &str = "the system refuses more processes or threads: raise the user's limit (`ulimit -u`), end other programs, or run fewer jobs (`-j`)";

/// The system does not start a thread.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread that {work}")]
pub struct NoThread {
    /// What it was to do, such as `reads items`.
    pub work: &'static str,
    /// The system's reason.
    #[source]
    pub source: io::Error,
}

/// Whether the system refused a thread or a process because the user has as many as are allowed, or the
/// machine as many as it can have.
pub fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Starts a thread that `work`s.
///
/// # Errors
/// The system refuses it.
pub fn spawn<T: Send + 'static>(
    work: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, NoThread> {
    let started = Builder::new().spawn(body);
    started.map_err(|source| NoThread { work, source })
}

/// Starts a thread of a scope that `work`s.
///
/// # Errors
/// The system refuses it.
pub fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: &'static str,
    body: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, NoThread> {
    let started = Builder::new().spawn_scoped(scope, body);
    started.map_err(|source| NoThread { work, source })
}

/// Fails unless this process may have so many threads more at once. For libraries that die where they are
/// refused one, such as libgomp.
///
/// # Errors
/// The system refuses one of them.
pub fn spare_threads(count: usize) -> Result<(), NoThread> {
    let (gate, waiting) = channel::<()>();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut threads = Vec::new();
    let mut refused = None;
    for _ in 0..count {
        let waiting = Arc::clone(&waiting);
        // Ends when the gate is gone.
        match spawn("computes", move || {
            drop(waiting.lock().map(|gate| gate.recv()))
        }) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    drop(gate);
    for thread in threads {
        // It does nothing that could fail.
        let _ = thread.join();
    }
    refused.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_are_there_are_spared_and_gone_again() {
        spare_threads(0).unwrap();
        spare_threads(50).unwrap();
    }
}
