//! The store as the threads of a sweep share it, and the thread that keeps the process's heartbeat in it.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use genair_process::NoThread;
use genair_store::{Owner, Store, StoreError};

use crate::interrupt::Interrupt;

/// How often other machines are told that this process is alive; they give up after 60 s.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Time between two copies of a database on a network file system, for those who read meanwhile.
const PUBLISH: Duration = Duration::from_secs(30);

/// The time between two copies is at least so often the time that one takes.
const PUBLISH_SHARE: u32 = 20;

/// How often the database's file is looked for while there is nothing to write.
const LOOK: Duration = Duration::from_secs(1);

/// One connection for all threads: they wait for each other here, in memory, and not for SQLite's lock.
pub(crate) struct SharedStore(Mutex<Store>);

impl SharedStore {
    pub(crate) fn new(store: Store) -> Self {
        Self(Mutex::new(store))
    }

    pub(crate) fn into_inner(self) -> Store {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` on the store while no other thread uses it. What it writes is committed when this returns.
    ///
    /// # Errors
    /// Those of `work`. The database's file was deleted or replaced, so that what was committed is lost.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut store = self.lock();
        let value = work(&mut store)?;
        store.still_there()?;
        Ok(value)
    }

    /// Does `work` while a thread keeps the heartbeat of `owner`, and then takes `owner` off the list of processes.
    /// Asks to stop if the heartbeat fails, or if the database's file is gone. A database on a network file system is
    /// kept for this process meanwhile.
    ///
    /// # Errors
    /// The system refuses the thread, the heartbeat cannot be written, or another process has the database; otherwise
    /// those of `work`.
    pub(crate) fn while_beating<T, E: From<StoreError> + From<NoThread>>(
        &self,
        owner: &Owner,
        interrupt: &Interrupt,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let kept = self.with(|store| {
            store.heartbeat(owner)?;
            store.keep()
        })?;
        let publish = kept.then(|| Instant::now() + PUBLISH);
        std::thread::scope(|scope| {
            // Nothing is ever sent: the thread ends when this end is dropped, also by a panic of `work`.
            let (end, ended) = channel();
            let beat = move || self.beat(owner, interrupt, &ended, publish);
            let heart = genair_process::spawn_scoped(scope, "keeps the heartbeat", beat)?;
            let done = work();
            drop(end);
            heart.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            done
        })
    }

    fn beat(
        &self,
        owner: &Owner,
        interrupt: &Interrupt,
        ended: &Receiver<()>,
        mut publish: Option<Instant>,
    ) -> Result<(), StoreError> {
        let stop = || {
            if !interrupt.requested() {
                interrupt.request();
            }
        };
        let mut next = Instant::now() + HEARTBEAT;
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            let mut store = self.lock();
            if store.still_there().is_err() {
                stop();
            }
            if Instant::now() >= next {
                store.heartbeat(owner).inspect_err(|_| stop())?;
                next = Instant::now() + HEARTBEAT;
            }
            if publish.is_some_and(|due| Instant::now() >= due) {
                let begin = Instant::now();
                if let Err(error) = store.publish() {
                    // Only those who read meanwhile miss it.
                    tracing::warn!("others read an older copy of the database: {error}");
                }
                publish = Some(Instant::now() + PUBLISH.max(begin.elapsed() * PUBLISH_SHARE));
            }
        }
        let mut store = self.lock();
        store.remove_owner(owner)?;
        store.share()
    }
}

#[cfg(test)]
mod tests {
    use genair_store::StoreErrorKind;

    use super::*;
    use crate::code::code_revision;

    fn shared() -> (tempfile::TempDir, SharedStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("results.db")).unwrap();
        (folder, SharedStore::new(store))
    }

    #[test]
    fn what_is_committed_to_a_file_that_is_gone_is_an_error() {
        let (folder, store) = shared();
        store.with(|store| store.begin_sweep("a", "", "")).unwrap();
        std::fs::remove_file(folder.path().join("results.db")).unwrap();
        let lost = store.with(|store| store.begin_sweep("b", "", ""));
        assert!(
            matches!(lost.unwrap_err().kind, StoreErrorKind::Deleted),
            "at once"
        );
    }

    #[derive(Debug, thiserror::Error)]
    enum Error {
        #[error(transparent)]
        Store(#[from] StoreError),
        #[error(transparent)]
        Thread(#[from] NoThread),
    }

    #[test]
    fn the_owner_is_listed_while_work_goes_on_and_a_file_that_is_gone_asks_to_stop() {
        let (folder, store) = shared();
        let owner = Owner::this_process(code_revision());
        let interrupt = Interrupt::default();
        let owners = || store.with(|store| Ok(store.query("SELECT count(*) FROM owners")?.rows));
        let counted: Result<_, Error> = store.while_beating(&owner, &interrupt, || Ok(owners()?));
        assert_eq!(counted.unwrap(), [[1]]);
        assert_eq!(owners().unwrap(), [[0]]);
        assert!(!interrupt.requested());

        let waited: Result<(), Error> = store.while_beating(&owner, &interrupt, || {
            std::fs::remove_file(folder.path().join("results.db")).unwrap();
            let begin = Instant::now();
            while !interrupt.requested() && begin.elapsed() < 20 * LOOK {
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        });
        waited.unwrap();
        assert!(interrupt.requested());
    }
}
