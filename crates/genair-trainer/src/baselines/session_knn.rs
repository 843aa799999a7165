//! Session kNN: see [`SessionKnnSpec`].

use std::collections::HashMap;

use genair_data::{Dataset, ItemId};
use genair_protocol::SessionKnnSpec;

use super::seen;
use crate::RunErrorKind;
use crate::evaluation::{Input, Scorer};

pub(super) struct SessionKnn<'a> {
    dataset: &'a Dataset,
    neighbours: usize,
    /// Of each item, `[I + 1]`: the users who have it in training, ascending, each once.
    users: Vec<Vec<u32>>,
}

impl<'a> SessionKnn<'a> {
    pub(super) fn new(dataset: &'a Dataset, settings: SessionKnnSpec) -> Self {
        let mut users: Vec<Vec<u32>> = vec![Vec::new(); dataset.num_items() + 1];
        for user in 0..dataset.num_users() {
            for item in dataset.train(user) {
                let own = &mut users[item.row()];
                if own.last() != Some(&(user as u32)) {
                    own.push(user as u32);
                }
            }
        }
        Self {
            dataset,
            neighbours: settings.neighbours as usize,
            users,
        }
    }

    /// The scores of one history, added to `scores`, `[I + 1]`.
    fn add(&self, user: Option<usize>, history: &[ItemId], scores: &mut [f32]) {
        // An item weighs by its last place in the history, as `place / length`.
        let places = history.iter().zip(1_u32..);
        let places: HashMap<ItemId, u32> = places.map(|(item, place)| (*item, place)).collect();
        let mut similarities: HashMap<u32, f64> = HashMap::new();
        let mut items: Vec<(&ItemId, &u32)> = places.iter().collect();
        // Sums have one order, whatever the map's.
        items.sort_unstable();
        for (item, &place) in items {
            let weight = f64::from(place) / (history.len() as f64 * places.len() as f64);
            for &other in &self.users[item.row()] {
                if user != Some(other as usize) {
                    *similarities.entry(other).or_default() += weight;
                }
            }
        }
        let mut nearest: Vec<(u32, f64)> = similarities.into_iter().collect();
        nearest.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        nearest.truncate(self.neighbours);
        let mut own: Vec<ItemId> = Vec::new();
        for (other, similarity) in nearest {
            own.clear();
            own.extend_from_slice(self.dataset.train(other as usize));
            own.sort_unstable();
            own.dedup();
            // From the end of the history, the first item that both have.
            let shared = history
                .iter()
                .rev()
                .position(|item| own.binary_search(item).is_ok());
            let decay = shared.map_or(0.0, |steps| 1.0 / (steps as f64 + 1.0));
            for item in &own {
                scores[item.row()] += (similarity * decay) as f32;
            }
        }
    }
}

impl Scorer for SessionKnn<'_> {
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind> {
        let columns = self.users.len();
        scores.clear();
        scores.resize(inputs.len() * columns, 0.0);
        for (input, own) in inputs.iter().zip(scores.chunks_exact_mut(columns)) {
            self.add(input.user, seen(input.items, self.dataset.max_len()), own);
        }
        Ok(())
    }
}
