//! Ranks of targets: scores of users against the whole catalogue, block by block.

use genair_data::{Case, Dataset, ItemId};
use genair_eval::{
    CohortThresholds, EvalError, Popularity, RankedTarget, evaluate, rank, sampled_negatives,
    sampled_rank, value_of_ranks,
};
use genair_protocol::{EvalSpec, MetricRow, Protocol, Split, ValidationMetric};

use crate::RunErrorKind;
use crate::lists::{ListFacts, ListMetrics};

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
    /// The split whose candidates are scored.
    pub(crate) split: Split,
}

impl<'a> Input<'a> {
    /// That of a case.
    pub(crate) fn of(case: &Case<'a>) -> Self {
        Self {
            user: Some(case.user),
            items: case.input,
            split: case.split,
        }
    }
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

/// What scorers see of cases.
pub(crate) fn inputs_of<'a>(cases: &[Case<'a>]) -> Vec<Input<'a>> {
    cases.iter().map(Input::of).collect()
}

/// What gets each case with its scores.
pub(crate) type Each<'e> = &'e mut dyn FnMut(&Case<'_>, &[f32]) -> Result<(), RunErrorKind>;

/// Ranks by case and target, from 0; by a protocol that ranks some targets only, those of the others are missing.
pub(crate) type Ranks = Vec<Vec<u32>>;

/// Evaluates any scorer on one dataset, always against the same candidates.
pub(crate) struct Evaluator<'a> {
    dataset: &'a Dataset,
    spec: &'a EvalSpec,
    thresholds: CohortThresholds,
    popularity: Popularity,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(dataset: &'a Dataset, spec: &'a EvalSpec) -> Self {
        let statistics = dataset.statistics();
        let thresholds = CohortThresholds {
            long_user: u64::from(statistics.long_user),
            head_item: u64::from(statistics.head_item),
        };
        Self {
            dataset,
            spec,
            thresholds,
            popularity: Popularity::new(dataset.train_popularity()),
        }
    }

    /// The protocols that a run is measured by.
    pub(crate) fn protocols(&self) -> Vec<Protocol> {
        self.spec.protocols(self.dataset.has_cold_items())
    }

    /// Ranks of the targets of all cases of a split, one list per protocol.
    ///
    /// # Errors
    /// [`RunErrorKind::Scores`] for scores that cannot be ranked; what the scorer refuses.
    pub(crate) fn ranks(
        &self,
        scorer: &dyn Scorer,
        split: Split,
        protocols: &[Protocol],
    ) -> Result<Vec<Ranks>, RunErrorKind> {
        self.ranks_and(scorer, split, protocols, &mut |_, _| Ok(()))
    }

    /// [`Self::ranks`], where `each` gets each case with its scores, in order.
    ///
    /// # Errors
    /// As [`Self::ranks`]; what `each` refuses.
    pub(crate) fn ranks_and(
        &self,
        scorer: &dyn Scorer,
        split: Split,
        protocols: &[Protocol],
        each: Each<'_>,
    ) -> Result<Vec<Ranks>, RunErrorKind> {
        let columns = self.dataset.num_items() + 1;
        let mut ranks = vec![Vec::with_capacity(self.dataset.num_cases(split)); protocols.len()];
        let mut scores = Vec::new();
        for cases in self.blocks(split) {
            scorer.score(&inputs_of(&cases), &mut scores)?;
            for (case, scores) in cases.iter().zip(scores.chunks_exact(columns)) {
                each(case, scores)?;
                for (protocol, ranks) in protocols.iter().zip(&mut ranks) {
                    ranks.push(self.rank(case, *protocol, scores)?);
                }
            }
        }
        Ok(ranks)
    }

    /// The lists of a split, to be measured.
    pub(crate) fn lists<'f>(&self, facts: &'f ListFacts, split: Split) -> ListMetrics<'f>
    where
        'a: 'f,
    {
        ListMetrics::new(self.dataset, facts, self.thresholds, self.spec, split)
    }

    /// All cases of a split, in the blocks that are scored at once.
    pub(crate) fn blocks(&self, split: Split) -> impl Iterator<Item = Vec<Case<'a>>> + use<'a> {
        let dataset = self.dataset;
        let (cases, block) = (dataset.num_cases(split), self.block());
        let firsts = (0..cases).step_by(block);
        firsts.map(move |first| {
            let block = first..(first + block).min(cases);
            block.map(|case| dataset.case(split, case)).collect()
        })
    }

    /// What the user with the fewest negatives of a split has, where a protocol samples more than that.
    pub(crate) fn fewest_negatives(&self, split: Split) -> Option<u64> {
        let wanted = self.spec.protocols.iter().filter_map(|own| own.sample());
        let wanted = wanted.max()?;
        let known = self
            .dataset
            .cases(split)
            .map(|case| self.known(&case).len());
        let fewest = self.dataset.num_items() - known.max()?;
        (fewest < wanted).then_some(fewest as u64)
    }

    /// The items that are no negatives of a case, ascending.
    fn known(&self, case: &Case<'_>) -> Vec<u32> {
        let known = self.dataset.sequence(case.user).iter();
        let known = known.map(|item| item.get());
        ascending(known.chain(self.dataset.outside(case.split)))
    }

    /// Inputs that are scored at once.
    pub(crate) fn block(&self) -> usize {
        (MAX_SCORES / (self.dataset.num_items() + 1)).clamp(1, MAX_USERS)
    }

    /// Metrics of ranks from [`Self::ranks`], for all cohorts of `split`; none where no target is ranked.
    pub(crate) fn metrics(
        &self,
        ranks: &Ranks,
        split: Split,
        protocol: Protocol,
    ) -> Vec<MetricRow> {
        let popularity = self.dataset.train_popularity();
        let users = self.dataset.cases(split).zip(ranks).map(|(case, ranks)| {
            let length = self.dataset.input_length(case.user).unwrap_or_default() as u64;
            let targets = self.targets(&case, protocol).zip(ranks);
            let targets = targets.map(|(target, &rank)| {
                let cold = self.dataset.is_cold(target);
                let cold = self.dataset.has_cold_items().then_some(cold);
                let popularity = u64::from(popularity[target.row()]);
                let membership = self.thresholds.membership(length, popularity, cold);
                RankedTarget { rank, membership }
            });
            targets.collect()
        });
        let users: Vec<Vec<RankedTarget>> = users.collect();
        evaluate(&users, self.spec)
    }

    /// The metric of early stopping, by ranks of full ranking on the validation split: the mean over users with warm
    /// targets, which are all that training can get better at.
    pub(crate) fn stopping_value(&self, ranks: &Ranks, metric: ValidationMetric) -> f64 {
        let cases = self.dataset.cases(Split::Valid).zip(ranks);
        let warm = cases.map(|(case, ranks)| -> Vec<u32> {
            let targets = case.targets.iter().zip(ranks);
            let warm = targets.filter(|(target, _)| !self.dataset.is_cold(**target));
            warm.map(|(_, &rank)| rank).collect()
        });
        let warm: Vec<Vec<u32>> = warm.filter(|ranks| !ranks.is_empty()).collect();
        let values = warm.iter().map(|ranks| value_of(metric, ranks));
        values.sum::<f64>() / warm.len() as f64
    }

    /// Ranks from [`Self::ranks`] by user: one list for each, empty for a user without a ranked target.
    pub(crate) fn by_user(&self, ranks: Ranks, split: Split) -> Vec<Vec<u32>> {
        let mut users = vec![Vec::new(); self.dataset.num_users()];
        for (case, ranks) in self.dataset.cases(split).zip(ranks) {
            users[case.user] = ranks;
        }
        users
    }

    /// The ranks of a case's targets, from 0, by the user's scores of all items.
    ///
    /// # Errors
    /// [`RunErrorKind::Scores`].
    pub(crate) fn rank(
        &self,
        case: &Case<'_>,
        protocol: Protocol,
        scores: &[f32],
    ) -> Result<Vec<u32>, RunErrorKind> {
        let of_targets = |rank: &dyn Fn(usize) -> Result<u32, EvalError>| {
            let targets = self.targets(case, protocol);
            targets.map(|target| rank(target.row())).collect()
        };
        let among = |rivals: &[u32]| of_targets(&|target| sampled_rank(scores, target, rivals));
        let (user, split, seed) = (case.user as u32, case.split, self.spec.seed);
        let known = || self.known(case);
        let uniform = |count| {
            let items = self.dataset.num_items() as u32;
            sampled_negatives(items, &known(), count, seed, user, split)
        };
        let ranks: Result<Vec<u32>, EvalError> = match protocol {
            Protocol::Full => {
                let excluded = no_rivals(self.dataset, case, case.input);
                of_targets(&|target| rank(scores, target, &excluded))
            }
            Protocol::FullWithHistory => {
                let excluded = no_rivals(self.dataset, case, &[]);
                of_targets(&|target| rank(scores, target, &excluded))
            }
            Protocol::Sampled100 => among(&uniform(100)),
            Protocol::Sampled99 => among(&uniform(99)),
            Protocol::Sampled100Popularity => {
                let negatives = self.popularity.negatives(&known(), 100, seed, user, split);
                among(&negatives)
            }
            Protocol::Cold => {
                let excluded = no_rivals(self.dataset, case, case.input);
                let rivals = self.dataset.cold_items(split).filter(|item| {
                    let is_target = case.targets.iter().any(|target| target.get() == *item);
                    !is_target && excluded.binary_search(item).is_err()
                });
                among(&rivals.collect::<Vec<u32>>())
            }
        };
        ranks.map_err(|source| RunErrorKind::Scores {
            user: case.user + 1,
            source,
        })
    }

    /// The targets of a case that a protocol ranks.
    fn targets<'c>(
        &self,
        case: &Case<'c>,
        protocol: Protocol,
    ) -> impl Iterator<Item = ItemId> + use<'c, '_> {
        let all = protocol != Protocol::Cold;
        let targets = case.targets.iter().copied();
        targets.filter(move |target| all || self.dataset.is_cold(*target))
    }
}

/// A metric of one user.
pub(crate) fn value_of(metric: ValidationMetric, ranks: &[u32]) -> f64 {
    value_of_ranks(metric.metric, ranks, metric.k)
}

/// The items that a list for an input leaves out, ascending: those of the input, and those that are no candidates of
/// the split.
pub(crate) fn no_candidates(dataset: &Dataset, input: &Input<'_>) -> Vec<u32> {
    let items = input.items.iter().map(|item| item.get());
    ascending(items.chain(dataset.outside(input.split)))
}

/// The items that no target of a case is ranked against, ascending: those of `known`, those that are no candidates of
/// the split and, of several targets, the targets.
fn no_rivals(dataset: &Dataset, case: &Case<'_>, known: &[ItemId]) -> Vec<u32> {
    let targets = match case.targets {
        [_] => &[],
        several => several,
    };
    let items = known.iter().chain(targets).map(|item| item.get());
    ascending(items.chain(dataset.outside(case.split)))
}

/// Items in order, without duplicates.
pub(crate) fn ascending(items: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut items: Vec<u32> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}
