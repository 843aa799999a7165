//! Built-in backbones: scores from counts and vectors, with nothing to train. Each sees a history as a model does, cut to
//! its newest `max_len` items.

mod content_knn;
mod item_knn;
mod session_knn;

use genair_data::{Dataset, ItemId};
use genair_protocol::{Baseline, PopularitySpec, RunPhase, WorkerRequest};
use rand::RngExt;

use crate::error::During;
use crate::evaluation::{Input, Scorer};
use crate::random::Streams;
use crate::representation::FrozenVectors;
use crate::{RunErrorKind, TrainError};

use content_knn::ContentKnn;
use item_knn::ItemKnn;
use session_knn::SessionKnn;

/// The scorer of a run's built-in backbone.
///
/// # Errors
/// Settings that it does not have; item vectors that it needs and that are missing or cannot be read.
pub(crate) fn of_run<'a>(
    request: &WorkerRequest,
    dataset: &'a Dataset,
) -> Result<Box<dyn Scorer + 'a>, TrainError> {
    let spec = &request.run;
    let refused = |reason: String| RunErrorKind::Spec {
        key: "backbone",
        value: format!("`{}`", spec.backbone.name),
        reason,
    };
    let baseline = Baseline::of(&spec.backbone).map_err(|error| refused(error.to_string()));
    let baseline = baseline.and_then(|found| {
        found.ok_or_else(|| refused("it is not built in, and no plugin was given".to_owned()))
    });
    let baseline = baseline.during(RunPhase::Building)?;
    let (file, streams) = (request.vectors.as_ref(), Streams::new(spec.seed));
    let vectors = FrozenVectors::of(&spec.representation, file, dataset, streams)
        .during(RunPhase::LoadingData)?;
    scorer(baseline, spec.seed, dataset, vectors.as_ref()).during(RunPhase::Building)
}

/// The scorer of a built-in backbone; `vectors` are those of the run's representation, where it has some.
fn scorer<'a>(
    baseline: Baseline,
    seed: u64,
    dataset: &'a Dataset,
    vectors: Option<&FrozenVectors>,
) -> Result<Box<dyn Scorer + 'a>, RunErrorKind> {
    Ok(match baseline {
        Baseline::Popularity(settings) => Box::new(Popularity::new(dataset, settings)?),
        Baseline::Random => Box::new(Random {
            streams: Streams::new(seed),
            items: dataset.num_items(),
        }),
        Baseline::ItemKnn(settings) => Box::new(ItemKnn::new(dataset, settings)),
        Baseline::SessionKnn(settings) => Box::new(SessionKnn::new(dataset, settings)),
        Baseline::ContentKnn(settings) => {
            let what = "item vectors";
            let vectors = vectors.ok_or(RunErrorKind::MissingInput { what })?;
            Box::new(ContentKnn::new(dataset, &vectors.rows, settings.pooling)?)
        }
    })
}

/// The part of a history that a model of this window sees.
fn seen(items: &[ItemId], max_len: usize) -> &[ItemId] {
    &items[items.len().saturating_sub(max_len)..]
}

/// See [`PopularitySpec`].
struct Popularity {
    scores: Vec<f32>,
}

impl Popularity {
    fn new(dataset: &Dataset, settings: PopularitySpec) -> Result<Self, RunErrorKind> {
        let counts = dataset.train_popularity();
        let scores = match settings.days {
            None => counts.iter().map(|&count| count as f32).collect(),
            Some(days) => {
                let ages = dataset.train_ages().ok_or_else(|| RunErrorKind::Spec {
                    key: "backbone.popularity.days",
                    value: days.to_string(),
                    reason: "the interactions have no Unix times".to_owned(),
                })?;
                let recent = ages
                    .iter()
                    .map(|own| own.partition_point(|&age| age < days));
                places(&recent.zip(counts.iter().copied()).collect::<Vec<_>>())
            }
        };
        Ok(Self { scores })
    }
}

/// The place of each value among the different ones, from the lowest, so that a score keeps the order of pairs.
fn places<T: Ord + Copy>(values: &[T]) -> Vec<f32> {
    let mut order = values.to_vec();
    order.sort_unstable();
    order.dedup();
    let place = |value| order.partition_point(|other| other < value) as f32;
    values.iter().map(place).collect()
}

impl Scorer for Popularity {
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind> {
        scores.clear();
        for _ in inputs {
            scores.extend_from_slice(&self.scores);
        }
        Ok(())
    }
}

/// Every user gets the items in an order of its own, drawn from the run's seed; another one after another input.
struct Random {
    streams: Streams,
    items: usize,
}

impl Scorer for Random {
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind> {
        scores.clear();
        for input in inputs {
            // Nobody's history has a stream of its own, too.
            let user = input.user.map_or(0, |user| user + 1);
            let mut stream = self.streams.at("random scores", user, input.items.len());
            scores.extend((0..=self.items).map(|_| stream.random::<f32>()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
