//! Records the events of one run, in order, without waiting for each to be committed. Once one is lost, no later
//! one is recorded: a run must not be finished with something missing.

use std::collections::VecDeque;
use std::sync::mpsc::TryRecvError;

use genair_protocol::RunEvent;
use genair_store::{Chain, Owner, RunId};

use crate::schedule::SweepError;
use crate::writer::{Answer, Writer, WriterGone};

/// Events that may be on their way to the database at once. With more, a worker that says much waits for
/// the writer instead of filling memory.
const AHEAD: usize = 64;

/// Of a run that this process holds.
pub(crate) struct Recorder<'a> {
    writer: &'a Writer,
    owner: &'a Owner,
    run: RunId,
    chain: Chain,
    answers: VecDeque<Answer<()>>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(writer: &'a Writer, owner: &'a Owner, run: RunId) -> Self {
        Self {
            writer,
            owner,
            run,
            chain: Chain::default(),
            answers: VecDeque::new(),
        }
    }

    /// Sends an event to the writer. An event that ends the run is committed when this returns; that an
    /// earlier one was refused is said here or by [`Self::settle`].
    pub(crate) fn record(&mut self, event: RunEvent) -> Result<(), SweepError> {
        let last = matches!(event, RunEvent::Finished(_) | RunEvent::Failed(_));
        let (run, owner) = (self.run, self.owner.clone());
        let answer = self
            .writer
            .order(&self.chain, move |store| store.record(run, &owner, &event))?;
        self.answers.push_back(answer);
        while let Some(oldest) = self.answers.front() {
            let answer = match oldest.try_recv() {
                Ok(answer) => answer,
                Err(TryRecvError::Empty) if !last && self.answers.len() <= AHEAD => break,
                Err(_) => oldest.recv().map_err(|_| WriterGone)?,
            };
            self.answers.pop_front();
            answer?;
        }
        Ok(())
    }

    /// Waits until all is committed.
    pub(crate) fn settle(&mut self) -> Result<(), SweepError> {
        while let Some(answer) = self.answers.pop_front() {
            answer.recv().map_err(|_| WriterGone)??;
        }
        Ok(())
    }
}
