//! The one thread that writes: it owns the store, does what the others send it in order, committing
//! together what waits together, and keeps the process's heartbeat.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use genair_process::NoThread;
use genair_store::{Chain, Order, Owner, Store, StoreError};

use crate::interrupt::Interrupt;

/// How often other machines are told that this process is alive; they give up after 60 s.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How often the database's file is looked for while there is nothing to write.
const LOOK: Duration = Duration::from_secs(1);

/// The store, and why it could not be written to, if so.
pub(crate) type Written = (Store, Result<(), StoreError>);

/// Where the answer to an order comes, once it is committed or has failed.
pub(crate) type Answer<T> = Receiver<Result<T, StoreError>>;

/// Sends work to the writer. Cheap to clone; the writer ends with its last clone.
#[derive(Clone)]
pub(crate) struct Writer {
    orders: Sender<Order>,
}

/// The writer is gone, which only a panic in it can bring about.
#[derive(Debug, thiserror::Error)]
#[error("the thread that writes results has died; this is a bug")]
pub struct WriterGone;

impl Writer {
    /// Starts the writer. Its handle gives the store back once every `Writer` is dropped.
    ///
    /// Should the database's file be deleted or replaced, it asks to stop: whatever the workers come to would be
    /// lost.
    ///
    /// # Errors
    /// The system refuses the thread.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        store: Store,
        owner: Owner,
        interrupt: Interrupt,
    ) -> Result<(Self, ScopedJoinHandle<'scope, Written>), NoThread> {
        let (sender, orders) = channel();
        let write = move || {
            let mut store = store;
            let written = write(&mut store, &owner, &orders, &interrupt);
            (store, written)
        };
        let handle = genair_process::spawn_scoped(scope, "writes results", write)?;
        Ok((Self { orders: sender }, handle))
    }

    /// Does `work` on the store and returns what it returns.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Result<T, StoreError>, WriterGone> {
        let answer = self.order(&Chain::default(), work)?;
        answer.recv().map_err(|_| WriterGone)
    }

    /// Has `work` done after all that was sent before it, and does not wait for that; not if something of
    /// its chain has failed.
    pub(crate) fn order<T: Send + 'static>(
        &self,
        chain: &Chain,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Answer<T>, WriterGone> {
        let (order, answer) = Order::in_chain(chain, work);
        self.orders.send(order).map_err(|_| WriterGone)?;
        Ok(answer)
    }
}

fn write(
    store: &mut Store,
    owner: &Owner,
    orders: &Receiver<Order>,
    interrupt: &Interrupt,
) -> Result<(), StoreError> {
    store.heartbeat(owner)?;
    let mut next = Instant::now() + HEARTBEAT;
    loop {
        let wait = next.saturating_duration_since(Instant::now()).min(LOOK);
        match orders.recv_timeout(wait) {
            Ok(first) => store.carry_out(first, orders),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if store.still_there().is_err() && !interrupt.requested() {
            interrupt.request();
        }
        if Instant::now() >= next {
            store.heartbeat(owner)?;
            next = Instant::now() + HEARTBEAT;
        }
    }
    store.remove_owner(owner)
}
