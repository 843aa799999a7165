//! Ranks of targets: scores of users against the whole catalogue, block by block.

use std::ops::Range;

use genair_data::{Dataset, ItemId};
use genair_eval::{
    CohortThresholds, Membership, Popularity, evaluate, rank, sampled_negatives, sampled_rank,
};
use genair_protocol::{EvalSpec, MetricRow, Protocol, Split};

use crate::RunErrorKind;

/// Scores held at once: 64 MiB, whatever the catalogue.
const MAX_SCORES: usize = 1 << 24;
/// Users scored at once at the most.
const MAX_USERS: usize = 256;

/// What a scorer sees of one user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// The user's number in the dataset, from 0; absent for a history that is nobody's.
    pub(crate) user: Option<usize>,
    /// All of the history, oldest first; a model cuts it to its window.
    pub(crate) items: &'a [ItemId],
}

/// Scores items for users.
pub(crate) trait Scorer {
    /// Scores of all items for each of `inputs`, `[inputs, I + 1]` row by row; row entry 0 is
    /// meaningless. A row depends on its input alone, up to the rounding of sums.
    ///
    /// # Errors
    /// What the model or libtorch refuses; [`RunErrorKind::NobodysHistory`].
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind>;
}

/// What scorers see of `users` in one split.
pub(crate) fn inputs_of(dataset: &Dataset, users: Range<usize>, split: Split) -> Vec<Input<'_>> {
    let input = |user| Input {
        user: Some(user),
        items: input_and_target(dataset, user, split).0,
    };
    users.map(input).collect()
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
    popularity: Popularity,
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
            popularity: Popularity::new(dataset.train_popularity()),
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
            scorer.score(&inputs_of(self.dataset, block.clone(), split), &mut scores)?;
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
        let (users, block) = (self.dataset.num_users(), self.block());
        let firsts = (0..users).step_by(block);
        firsts.map(move |first| first..(first + block).min(users))
    }

    /// Users that are scored at once.
    pub(crate) fn block(&self) -> usize {
        (MAX_SCORES / (self.dataset.num_items() + 1)).clamp(1, MAX_USERS)
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
        let (known, seed) = (&self.known[user], self.spec.seed);
        let items = self.dataset.num_items() as u32;
        let uniform = |count| sampled_negatives(items, known, count, seed, user as u32, split);
        let sampled = |negatives: Vec<u32>| sampled_rank(scores, target.row(), &negatives);
        let rank = match protocol {
            Protocol::Full => rank(scores, target.row(), &ascending(input)),
            Protocol::FullWithHistory => rank(scores, target.row(), &[]),
            Protocol::Sampled100 => sampled(uniform(100)),
            Protocol::Sampled99 => sampled(uniform(99)),
            Protocol::Sampled100Popularity => {
                let number = user as u32;
                sampled(self.popularity.negatives(known, 100, seed, number, split))
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
