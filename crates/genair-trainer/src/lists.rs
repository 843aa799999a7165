//! What a run's lists are like beside being right: the top of each user's scores, measured in the pass that ranks targets.

use genair_data::{Case, Dataset, ItemId};
use genair_eval::{CohortThresholds, ItemFacts, ListSums, top_k};
use genair_protocol::{Cohort, EvalSpec, MetricRow, Protocol, Split, WorkerRequest};

use crate::RunErrorKind;
use crate::evaluation::{Input, ascending, no_candidates};
use crate::random::Streams;
use crate::representation::FrozenVectors;
use crate::score::unit;

/// The length of the lists whose cold items are counted.
const COLD_SHARE_AT: usize = 10;
/// The name of their share among the diagnostics of a run.
pub(crate) const COLD_SHARE: &str = "cold_share_10";

/// What lists are measured by: facts about items, counted on the training part alone.
pub(crate) struct ListFacts {
    users_of: Vec<u32>,
    /// Of length 1, `[I + 1, W]`, and `W`; absent where a run has no vectors before training.
    vectors: Option<(Vec<f32>, usize)>,
}

impl ListFacts {
    /// Of a run's data and the vectors of its representation.
    ///
    /// # Errors
    /// Vectors that cannot be read.
    pub(crate) fn of(request: &WorkerRequest, dataset: &Dataset) -> Result<Self, RunErrorKind> {
        let spec = &request.run;
        let (file, streams) = (request.vectors.as_ref(), Streams::new(spec.seed));
        let frozen = FrozenVectors::of(&spec.representation, file, dataset, streams)?;
        let vectors = frozen.map(|frozen| -> Result<_, RunErrorKind> {
            let width = frozen.rows.size()[1] as usize;
            Ok((Vec::try_from(unit(&frozen.rows)?.f_view([-1])?)?, width))
        });
        let mut users_of = vec![0; dataset.num_items() + 1];
        for user in 0..dataset.num_users() {
            for item in ascending(dataset.train(user).iter().map(|item| item.get())) {
                users_of[item as usize] += 1;
            }
        }
        Ok(Self {
            users_of,
            vectors: vectors.transpose()?,
        })
    }
}

/// The lists of one split: those of each protocol that ranks all items.
pub(crate) struct ListMetrics<'a> {
    dataset: &'a Dataset,
    of: Vec<OfProtocol<'a>>,
    longest: usize,
    long_user: u64,
    /// Lists of the full ranking, and the sum of their shares of cold items.
    cold: (u64, f64),
}

struct OfProtocol<'a> {
    protocol: Protocol,
    /// Everyone, short users, long users.
    sums: [ListSums<'a>; 3],
}

const COHORTS: [Cohort; 3] = [Cohort::All, Cohort::ShortUser, Cohort::LongUser];

impl<'a> ListMetrics<'a> {
    pub(crate) fn new(
        dataset: &'a Dataset,
        facts: &'a ListFacts,
        thresholds: CohortThresholds,
        spec: &EvalSpec,
        split: Split,
    ) -> Self {
        let facts = ItemFacts {
            popularity: dataset.train_popularity(),
            users_of: &facts.users_of,
            users: dataset.num_users() as u64,
            candidates: dataset.num_items() - dataset.outside(split).count(),
            head_item: thresholds.head_item,
            vectors: facts
                .vectors
                .as_ref()
                .map(|(rows, width)| (&rows[..], *width)),
        };
        let lists = [Protocol::Full, Protocol::FullWithHistory].into_iter();
        let lists = lists.filter(|protocol| spec.protocols.contains(protocol));
        let of = lists.map(|protocol| OfProtocol {
            protocol,
            sums: COHORTS.map(|_| ListSums::new(facts, &spec.k)),
        });
        let longest = spec.k.iter().copied().max().unwrap_or(0) as usize;
        Self {
            dataset,
            of: of.collect(),
            longest: longest.max(COLD_SHARE_AT),
            long_user: thresholds.long_user,
            cold: (0, 0.0),
        }
    }

    /// Takes the scores of one case.
    ///
    /// # Errors
    /// [`RunErrorKind::Metrics`] for a score that is no number.
    pub(crate) fn add(&mut self, case: &Case<'_>, scores: &[f32]) -> Result<(), RunErrorKind> {
        let dataset = self.dataset;
        let length = dataset.input_length(case.user).unwrap_or_default() as u64;
        for OfProtocol { protocol, sums } in &mut self.of {
            let excluded = match protocol {
                Protocol::FullWithHistory => ascending(dataset.outside(case.split)),
                _ => no_candidates(dataset, &Input::of(case)),
            };
            let list = top_k(scores, &excluded, self.longest)?;
            let [all, short, long] = sums;
            all.add(&list);
            match length >= self.long_user {
                true => long.add(&list),
                false => short.add(&list),
            }
            if *protocol == Protocol::Full {
                let first = &list[..list.len().min(COLD_SHARE_AT)];
                let cold = first
                    .iter()
                    .filter(|listed| dataset.is_cold(ItemId::new(listed.item)));
                self.cold.0 += 1;
                self.cold.1 += cold.count() as f64 / first.len().max(1) as f64;
            }
        }
        Ok(())
    }

    /// The rows of a protocol; none where it ranks a sample.
    pub(crate) fn rows(&self, protocol: Protocol) -> Vec<MetricRow> {
        let of = self.of.iter().filter(|of| of.protocol == protocol);
        let sums = of.flat_map(|of| COHORTS.into_iter().zip(&of.sums));
        sums.flat_map(|(cohort, sums)| sums.rows(cohort)).collect()
    }

    /// The share of cold items in the first [`COLD_SHARE_AT`] candidates of the full ranking, mean over users; `None` where
    /// the split has no cold items or no full ranking.
    pub(crate) fn cold_share(&self) -> Option<f64> {
        let (lists, sum) = self.cold;
        (self.dataset.has_cold_items() && lists > 0).then(|| sum / lists as f64)
    }
}
