//! Group commit: what waits in one thread's queue, done in order and committed together.
//!
//! A transaction costs about as much as a hundred rows. The more there is to do, the longer the batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::{Store, StoreError, StoreErrorKind};

/// Orders in a batch at the most.
const ORDERS: usize = 1_000;

/// The longest a batch takes on further orders, and so keeps the first one and other processes waiting.
const TIME: Duration = Duration::from_millis(20);

type Committed = Result<(), Arc<StoreErrorKind>>;
type Reply = Box<dyn FnOnce(Committed) + Send>;

/// Something to be done to a store by the thread that owns it.
pub struct Order(Box<dyn FnOnce(&mut Store) -> Reply + Send>);

/// Orders that build on one another: once one has failed, also in the end with its batch, none that comes after it
/// is carried out, in this batch or a later one.
#[derive(Clone, Debug, Default)]
pub struct Chain(Arc<AtomicBool>);

impl Chain {
    fn broken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn breaks(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").finish_non_exhaustive()
    }
}

impl Order {
    /// An order for [`Store::carry_out`], and where its answer comes: once it is committed, or failed.
    pub fn new<T: Send + 'static>(
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> (Self, Receiver<Result<T, StoreError>>) {
        Self::in_chain(&Chain::default(), work)
    }

    /// The same, of an order that builds on those of its chain before it.
    pub fn in_chain<T: Send + 'static>(
        chain: &Chain,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> (Self, Receiver<Result<T, StoreError>>) {
        let (reply, answer) = channel();
        let chain = chain.clone();
        let order = Self(Box::new(move |store| {
            let path = store.path().to_owned();
            let done = if chain.broken() {
                let (path, kind) = (path.clone(), StoreErrorKind::ChainBroken);
                Err(StoreError { path, kind })
            } else {
                work(store)
            };
            if done.is_err() {
                chain.breaks();
            }
            Box::new(move |committed: Committed| {
                if committed.is_err() {
                    chain.breaks();
                }
                let lost = |kind| StoreError {
                    path,
                    kind: StoreErrorKind::BatchLost(kind),
                };
                // Whoever ordered need not wait for the answer.
                let _ = reply.send(done.and_then(|value| committed.map(|()| value).map_err(lost)));
            })
        }));
        (order, answer)
    }
}

impl Store {
    /// Carries out `first` and what waits behind it in `queue`, in order and in one transaction; returns
    /// when the queue is empty or the batch is long enough.
    ///
    /// Each order learns of its own failure, which undoes that order alone. If the transaction fails as a
    /// whole, nothing of it is left and all of its orders learn why. They also learn that the file is not the
    /// one that was opened any more ([`Store::still_there`]).
    pub fn carry_out(&mut self, first: Order, queue: &Receiver<Order>) {
        let until = Instant::now() + TIME;
        self.begin_batch();
        // Even if it did not begin: that is what the order's calls tell it then.
        let mut replies = vec![(first.0)(self)];
        while self.batch_stands() && replies.len() < ORDERS && Instant::now() < until {
            let Ok(order) = queue.try_recv() else { break };
            replies.push((order.0)(self));
        }
        let committed = self.end_batch();
        // What is committed to a file that nobody will find again is lost.
        let there = |()| self.still_there().map_err(|error| Arc::new(error.kind));
        let committed = committed.and_then(there);
        for reply in replies {
            reply(committed.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_pages(store: &mut Store, pages: &'static str) {
        let limit = store.outside_of_transactions(async |connection| {
            sqlx::query(pages).execute(connection).await?;
            Ok(())
        });
        limit.unwrap();
    }

    #[test]
    fn a_full_disk_undoes_the_batch_and_tells_everyone() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("results.db")).unwrap();
        limit_pages(&mut store, "PRAGMA max_page_count = 1"); // As many as there are.
        let order = |name: &'static str, bytes: usize| {
            Order::new(move |store: &mut Store| store.begin_sweep(name, "", &"x".repeat(bytes)))
        };
        let (queue, orders) = channel();
        let (first, small) = order("small", 1);
        let mut answers = vec![small];
        for (name, bytes) in [("large", 1_000_000), ("late", 1)] {
            let (order, answer) = order(name, bytes);
            queue.send(order).unwrap();
            answers.push(answer);
        }
        store.carry_out(first, &orders);
        for answer in &answers[..2] {
            let error = answer.recv().unwrap().unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("the disk is full; free some space and run the same command again")
            );
            assert!(
                matches!(error.kind, StoreErrorKind::BatchLost(why) if matches!(*why, StoreErrorKind::DiskFull(_)))
            );
        }
        let names = |store: &mut Store| store.query("SELECT name FROM sweeps").unwrap().rows;
        assert!(names(&mut store).is_empty(), "nothing of the batch is left");

        // There is room again: what waited is done.
        limit_pages(&mut store, "PRAGMA max_page_count = 100000");
        store.carry_out(orders.recv().unwrap(), &orders);
        answers[2].recv().unwrap().unwrap();
        assert_eq!(names(&mut store), [["late"]]);
    }
    /// The disk was full for one event of a run and had room again for the next: the run must not end as
    /// finished without what is missing.
    #[test]
    fn nothing_of_a_chain_is_done_once_a_part_of_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("results.db")).unwrap();
        let chain = Chain::default();
        let order = |name: &'static str, bytes: usize| {
            Order::in_chain(&chain, move |store: &mut Store| {
                store.begin_sweep(name, "", &"x".repeat(bytes))
            })
        };
        let nobody = channel().1;
        let (first, answer) = order("first", 1);
        store.carry_out(first, &nobody);
        answer.recv().unwrap().unwrap();

        limit_pages(&mut store, "PRAGMA max_page_count = 1");
        let (large, answer) = order("large", 1_000_000);
        store.carry_out(large, &nobody);
        answer.recv().unwrap().unwrap_err();

        limit_pages(&mut store, "PRAGMA max_page_count = 100000");
        let (last, answer) = order("last", 1);
        let (other, answer_of_other) =
            Order::new(|store: &mut Store| store.begin_sweep("other", "", ""));
        store.carry_out(last, &nobody);
        store.carry_out(other, &nobody);
        let refused = answer.recv().unwrap().unwrap_err();
        assert!(
            matches!(refused.kind, StoreErrorKind::ChainBroken),
            "{refused}"
        );
        answer_of_other.recv().unwrap().unwrap();
        let names = store.query("SELECT name FROM sweeps ORDER BY 1").unwrap();
        assert_eq!(names.rows, [["first"], ["other"]]);
    }

    /// In one batch, an order's own failure undoes that order alone.
    #[test]
    fn a_chain_breaks_within_a_batch() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("results.db")).unwrap();
        let chain = Chain::default();
        let (first, refused) =
            Order::in_chain(&chain, |store: &mut Store| store.show_run(crate::RunId(9)));
        let (second, broken) = Order::in_chain(&chain, |store: &mut Store| {
            store.begin_sweep("second", "", "")
        });
        let (queue, orders) = channel();
        queue.send(second).unwrap();
        store.carry_out(first, &orders);
        refused.recv().unwrap().unwrap_err();
        let broken = broken.recv().unwrap().unwrap_err();
        assert!(
            matches!(broken.kind, StoreErrorKind::ChainBroken),
            "{broken}"
        );
    }
}
