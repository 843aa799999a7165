//! Items that wait, grouped by their number of tokens: texts of one length are encoded at once, without padding.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError};

use genair_protocol::EngineItem;

/// Items that are read ahead, so that there are enough of one length.
pub(crate) const AHEAD: usize = 1024;

/// An item and its tokens.
pub(crate) struct Waiting {
    pub(crate) item: EngineItem,
    pub(crate) tokens: Vec<i64>,
}

/// The items that wait.
pub(crate) struct Pool {
    input: Receiver<EngineItem>,
    by_length: BTreeMap<usize, Vec<Waiting>>,
    waiting: usize,
}

impl Pool {
    pub(crate) fn new(input: Receiver<EngineItem>) -> Self {
        Self {
            input,
            by_length: BTreeMap::new(),
            waiting: 0,
        }
    }

    /// Items of one number of tokens, at most `most` of that number; none once the input has ended and nothing waits.
    /// Takes the length of which there are most, and waits only where there is no item at all.
    pub(crate) fn take(
        &mut self,
        tokens: impl Fn(&str) -> Vec<i64>,
        most: impl Fn(usize) -> usize,
    ) -> Vec<Waiting> {
        while self.waiting < AHEAD {
            let next = match self.waiting {
                0 => self.input.recv().map_err(|_| TryRecvError::Disconnected),
                _ => self.input.try_recv(),
            };
            let Ok(item) = next else { break };
            let tokens = tokens(&item.prompt);
            let group = self.by_length.entry(tokens.len()).or_default();
            group.push(Waiting { item, tokens });
            self.waiting += 1;
        }
        let fullest = self.by_length.iter().max_by_key(|(_, group)| group.len());
        let Some(length) = fullest.map(|(&length, _)| length) else {
            return Vec::new();
        };
        let mut group = self.by_length.remove(&length).unwrap_or_default();
        let rest = group.split_off(group.len().min(most(length).max(1)));
        if !rest.is_empty() {
            self.by_length.insert(length, rest);
        }
        self.waiting -= group.len();
        group
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn texts_of_one_length_come_together_and_none_is_lost() {
        let (sender, input) = channel();
        for text in ["a", "bb", "cc", "d", "ee", "fff", "gg"] {
            let item = EngineItem {
                key: text.to_owned(),
                prompt: text.to_owned(),
                text: None,
            };
            sender.send(item).unwrap();
        }
        drop(sender);
        let mut pool = Pool::new(input);
        let mut taken = Vec::new();
        loop {
            let batch = pool.take(|text| vec![0; text.len()], |_| 3);
            if batch.is_empty() {
                break;
            }
            let keys: Vec<String> = batch.into_iter().map(|own| own.item.key).collect();
            taken.push(keys.join(" "));
        }
        taken.sort();
        assert_eq!(taken, ["a d", "bb cc ee", "fff", "gg"]);
    }
}
