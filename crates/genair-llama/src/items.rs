//! The items of standard input, shared by the contexts that take them.

use std::io::BufRead;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use genair_protocol::EngineItem;

use crate::error::WorkerError;

/// Items as they come. Few wait here: what is not taken yet is not lost with the worker.
pub(crate) struct Items {
    /// Held by a context that has nothing else to do, while it waits.
    waiting: Mutex<Receiver<Result<EngineItem, WorkerError>>>,
    stopped: AtomicBool,
}

/// What there is for a context.
pub(crate) enum Next {
    Item(EngineItem),
    /// Nothing right now.
    Nothing,
    /// Nothing any more.
    End,
}

impl Items {
    /// Begins to read, `ahead` items before they are taken.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn of_standard_input(ahead: usize) -> Result<Self, WorkerError> {
        let (sender, receiver) = sync_channel(ahead);
        genair_process::spawn("reads items", move || {
            for line in std::io::stdin().lock().lines() {
                let item = match line {
                    Ok(line) if line.trim().is_empty() => continue,
                    Ok(line) => serde_json::from_str(&line)
                        .map_err(|source| WorkerError::NoItem { line, source }),
                    Err(source) => Err(WorkerError::Input(source)),
                };
                let is_broken = item.is_err();
                if sender.send(item).is_err() || is_broken {
                    return;
                }
            }
        })?;
        Ok(Self {
            waiting: Mutex::new(receiver),
            stopped: AtomicBool::new(false),
        })
    }

    /// The next item, as soon as there is one; never [`Next::Nothing`].
    ///
    /// # Errors
    /// A line that is no item.
    pub(crate) fn wait(&self) -> Result<Next, WorkerError> {
        // Nothing panics while it has the lock.
        let receiver = self.waiting.lock().map_err(|_| WorkerError::Lost)?;
        if self.stopped.load(Ordering::Relaxed) {
            return Ok(Next::End);
        }
        match receiver.recv() {
            Ok(item) => item.map(Next::Item),
            Err(_) => Ok(Next::End),
        }
    }

    /// The next item if there is one now.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub(crate) fn look(&self) -> Result<Next, WorkerError> {
        if self.stopped.load(Ordering::Relaxed) {
            return Ok(Next::End);
        }
        // Another context that has the lock waits for items, so there are none.
        let Ok(receiver) = self.waiting.try_lock() else {
            return Ok(Next::Nothing);
        };
        match receiver.try_recv() {
            Ok(item) => item.map(Next::Item),
            Err(TryRecvError::Empty) => Ok(Next::Nothing),
            Err(TryRecvError::Disconnected) => Ok(Next::End),
        }
    }

    /// Has nobody take any more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
