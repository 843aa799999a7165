//! The one thread that writes: it owns the store, does what the others send it in order, and keeps
//! the process's heartbeat.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use genair_store::{Owner, Store, StoreError};

/// How often other machines are told that this process is alive; they give up after 60 s.
const HEARTBEAT: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce(&mut Store) + Send>;

/// Sends work to the writer. Cheap to clone; the writer ends with its last clone.
#[derive(Clone)]
pub(crate) struct Writer {
    work: Sender<Work>,
}

/// The writer is gone, which only a panic in it can bring about.
#[derive(Debug, thiserror::Error)]
#[error("the thread that writes results has died; this is a bug")]
pub struct WriterGone;

impl Writer {
    /// Starts the writer. Its handle gives the store back once every `Writer` is dropped.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        store: Store,
        owner: Owner,
    ) -> (Self, ScopedJoinHandle<'scope, Result<Store, StoreError>>) {
        let (work, orders) = channel();
        let handle = scope.spawn(move || write(store, &owner, &orders));
        (Self { work }, handle)
    }

    /// Does `work` on the store and returns what it returns.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, WriterGone> {
        let (reply, answer) = channel();
        let work = Box::new(move |store: &mut Store| {
            // Whoever asked waits below.
            let _ = reply.send(work(store));
        });
        self.work.send(work).map_err(|_| WriterGone)?;
        answer.recv().map_err(|_| WriterGone)
    }
}

fn write(mut store: Store, owner: &Owner, orders: &Receiver<Work>) -> Result<Store, StoreError> {
    store.heartbeat(owner)?;
    let mut next = Instant::now() + HEARTBEAT;
    loop {
        match orders.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(work) => work(&mut store),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= next {
            store.heartbeat(owner)?;
            next = Instant::now() + HEARTBEAT;
        }
    }
    store.remove_owner(owner)?;
    Ok(store)
}
