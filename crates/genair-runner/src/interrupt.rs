//! Being asked to stop: once politely, twice at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How urgently a sweep is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Not at all.
    None,
    /// Start nothing new and let workers end.
    Stop,
    /// Kill the workers.
    Kill,
}

/// Shared by whoever may ask a sweep to stop and whoever has to.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// One that Ctrl-C, SIGTERM and SIGHUP request; `told` is called at each. May be called once per
    /// process.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals(told: impl Fn(Urgency) + Send + 'static) -> io::Result<Self> {
        let interrupt = Self::default();
        let requested = interrupt.clone();
        // Called on a thread of its own, not in the signal handler.
        ctrlc::set_handler(move || {
            requested.request();
            told(requested.urgency());
        })
        .map_err(|error| match error {
            ctrlc::Error::System(error) => error,
            other => io::Error::other(other),
        })?;
        Ok(interrupt)
    }

    /// Asks to stop; the second time more urgently.
    pub fn request(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// What has been asked for so far.
    pub fn urgency(&self) -> Urgency {
        match self.0.load(Ordering::SeqCst) {
            0 => Urgency::None,
            1 => Urgency::Stop,
            _ => Urgency::Kill,
        }
    }

    /// Whether stopping was asked for at all.
    pub fn requested(&self) -> bool {
        self.urgency() > Urgency::None
    }
}
