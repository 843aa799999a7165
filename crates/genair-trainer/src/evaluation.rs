//! Ranks of targets: scores of users against the whole catalogue, block by block.

use std::ops::Range;

use genair_data::{Dataset, ItemId};
use genair_eval::{CohortThresholds, Membership, evaluate, rank, sampled_negatives, sampled_rank};
use genair_protocol::{EvalSpec, MetricRow, Protocol, Split};

use crate::RunErrorKind;

/// Scores held at once: 64 MiB, whatever the catalogue.
const MAX_SCORES: usize = 1 << 24;
/// Users scored at once at the most.
const MAX_USERS: usize = 256;

/// Scores items for users.
pub(crate) trait Scorer {
    /// Scores of all items for `users` given their input of `split`, `[users, I + 1]` row by row;
    /// row entry 0 is meaningless.
    ///
    /// # Errors
    /// What the model or libtorch refuses.
    fn score(
        &self,
        users: Range<usize>,
        split: Split,
        scores: &mut Vec<f32>,
    ) -> Result<(), RunErrorKind>;
}

/// What a model gets to see of a user, and must name, in one split.
pub(crate) fn input_and_target(
    dataset: &Dataset,
    user: usize,
    split: Split,
) -> (&[ItemId], ItemId) {
    match split {
        Split::Valid => (dataset.train(user), dataset.valid_target(user)),
        Split::Test => (dataset.history(user), dataset.test_target(user)),
    }
}

/// Evaluates any scorer on one dataset, always against the same candidates.
pub(crate) struct Evaluator<'a> {
    dataset: &'a Dataset,
    spec: &'a EvalSpec,
    thresholds: CohortThresholds,
    /// Each user's items of all splits, ascending, without duplicates.
    known: Vec<Vec<u32>>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(dataset: &'a Dataset, spec: &'a EvalSpec) -> Self {
        let statistics = dataset.statistics();
        let thresholds = CohortThresholds {
            long_user: u64::from(statistics.long_user),
            head_item: u64::from(statistics.head_item),
        };
        let known = (0..dataset.num_users())
            .map(|user| ascending(dataset.sequence(user)))
            .collect();
        Self {
            dataset,
            spec,
            thresholds,
            known,
        }
    }

    /// Ranks of every user's target, from 0, one list per protocol.
    ///
    /// # Errors
    /// [`RunErrorKind::Scores`] for scores that cannot be ranked; what the scorer refuses.
    pub(crate) fn ranks(
        &self,
        scorer: &dyn Scorer,
        split: Split,
        protocols: &[Protocol],
    ) -> Result<Vec<Vec<u32>>, RunErrorKind> {
        let columns = self.dataset.num_items() + 1;
        let mut ranks = vec![Vec::with_capacity(self.dataset.num_users()); protocols.len()];
        let mut scores = Vec::new();
        for block in self.blocks() {
            scorer.score(block.clone(), split, &mut scores)?;
            for (user, scores) in block.zip(scores.chunks_exact(columns)) {
                for (protocol, ranks) in protocols.iter().zip(&mut ranks) {
                    ranks.push(self.rank(user, split, *protocol, scores)?);
                }
            }
        }
        Ok(ranks)
    }

    /// All users, in the blocks that are scored at once.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (users, columns) = (self.dataset.num_users(), self.dataset.num_items() + 1);
        let block = (MAX_SCORES / columns).clamp(1, MAX_USERS);
        let firsts = (0..users).step_by(block);
        firsts.map(move |first| first..(first + block).min(users))
    }

    /// Metrics of ranks from [`Self::ranks`], for all cohorts of `split`.
    ///
    /// # Errors
    /// [`RunErrorKind::Metrics`].
    pub(crate) fn metrics(
        &self,
        ranks: &[u32],
        split: Split,
    ) -> Result<Vec<MetricRow>, RunErrorKind> {
        let memberships: Vec<Membership> = (0..self.dataset.num_users())
            .map(|user| {
                let (_, target) = input_and_target(self.dataset, user, split);
                let popularity = self.dataset.train_popularity()[target.row()];
                let test_input = self.dataset.history(user).len() as u64;
                self.thresholds
                    .membership(test_input, u64::from(popularity))
            })
            .collect();
        Ok(evaluate(ranks, &memberships, self.spec)?)
    }

    /// The rank of a user's target, from 0, by the user's scores of all items.
    ///
    /// # Errors
    /// [`RunErrorKind::Scores`].
    pub(crate) fn rank(
        &self,
        user: usize,
        split: Split,
        protocol: Protocol,
        scores: &[f32],
    ) -> Result<u32, RunErrorKind> {
        let (input, target) = input_and_target(self.dataset, user, split);
        let rank = match protocol {
            Protocol::Full => rank(scores, target.row(), &ascending(input)),
            Protocol::Sampled100 => {
                let items = self.dataset.num_items() as u32;
                let (known, seed) = (&self.known[user], self.spec.seed);
                let negatives = sampled_negatives(items, known, seed, user as u32, split);
                sampled_rank(scores, target.row(), &negatives)
            }
        };
        rank.map_err(|source| RunErrorKind::Scores {
            user: user + 1,
            source,
        })
    }
}

/// Items without duplicates.
pub(crate) fn ascending(items: &[ItemId]) -> Vec<u32> {
    let mut items: Vec<u32> = items.iter().map(|item| item.get()).collect();
    items.sort_unstable();
    items.dedup();
    items
}
