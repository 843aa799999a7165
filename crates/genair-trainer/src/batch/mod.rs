//! Training batches: which items a backbone sees, which it must name, and against what.

mod places;
#[cfg(test)]
mod tests;

use genair_abi::{Capabilities, Padding, TrainsOn};
use genair_data::{Dataset, ItemId};
use genair_protocol::{
    CalibrationOn, CalibrationSpec, LossKind, LossSpec, NegativesFor, TrainSpec,
};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::masking::{Choice, choose};
use crate::negatives::{ItemDistribution, NegativeDraws};
use crate::random::Streams;
use places::Places;

/// One sequence of an epoch.
#[derive(Clone, Copy, Debug)]
struct Sample {
    user: u32,
    /// For masked training: mask the last item and nothing else.
    last_item_only: bool,
}

/// A batch without tensors. Items are named by their place among the batch's distinct items.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrainingBatch {
    /// Distinct items, `U` ids (0 where padding is an input); place `U` itself stands for the mask
    /// token.
    pub(crate) distinct: Vec<i64>,
    /// Place of each token, `N`.
    pub(crate) tokens: Vec<i64>,
    /// Position of each token in its window, from 0, `N`.
    pub(crate) positions: Vec<i64>,
    /// Tokens per sequence, `B`.
    pub(crate) lengths: Vec<i64>,
    /// User of each sequence, from 0, `B`.
    pub(crate) users: Vec<i64>,
    /// Tokens that have a target, ascending, `M`; `None` when all have.
    pub(crate) wanted: Option<Vec<i64>>,
    /// Place of each target, `M`.
    pub(crate) targets: Vec<i64>,
    /// Places of negatives: `M * n`, or `n` where all targets share them.
    pub(crate) negatives: Vec<i64>,
    /// Logarithm of each distinct item's probability to be drawn, where the loss corrects for it.
    pub(crate) log_probability: Option<Vec<f32>>,
    /// Places of the items drawn to be calibrated; empty where targets are, or nothing is.
    pub(crate) sampled: Vec<i64>,
}

/// Makes the batches of every epoch, the same ones for the same seed.
pub(crate) struct Batches<'a> {
    dataset: &'a Dataset,
    trains_on: TrainsOn,
    batch_size: usize,
    loss: LossSpec,
    distribution: ItemDistribution,
    padding: Padding,
    /// Items drawn per step to be calibrated.
    sampled: usize,
    streams: Streams,
    samples: Vec<Sample>,
    /// Each user's training items, ascending, without duplicates.
    seen: Vec<Vec<u32>>,
    places: Places,
}

/// Training sequences need one item to see and one to name.
const MIN_TRAIN: usize = 2;

impl<'a> Batches<'a> {
    pub(crate) fn new(
        dataset: &'a Dataset,
        capabilities: &Capabilities,
        spec: &TrainSpec,
        streams: Streams,
    ) -> Self {
        let trains_on = capabilities.trains_on;
        let users = 0..dataset.num_users();
        let seen = users
            .clone()
            .map(|user| {
                let mut items: Vec<u32> =
                    dataset.train(user).iter().map(|item| item.get()).collect();
                items.sort_unstable();
                items.dedup();
                items
            })
            .collect();
        let copies = match trains_on {
            TrainsOn::MaskedPositions(masked) => masked.last_item_copies,
            TrainsOn::EveryPosition | TrainsOn::LastPosition => 0,
        };
        let samples = users
            .filter(|&user| dataset.train(user).len() >= MIN_TRAIN)
            .flat_map(|user| {
                (0..=copies).map(move |copy| Sample {
                    user: user as u32,
                    last_item_only: copy > 0,
                })
            })
            .collect();
        let places = Places::new(dataset.num_items());
        Self {
            dataset,
            trains_on,
            batch_size: spec.batch_size,
            distribution: ItemDistribution::new(
                spec.loss.sampler,
                &dataset.train_popularity()[..=dataset.num_warm_items()],
            ),
            loss: spec.loss.clone(),
            padding: capabilities.padding,
            sampled: 0,
            streams,
            samples,
            seen,
            places,
        }
    }

    /// Draws the items that a calibration term wants, where it does not want the targets.
    pub(crate) fn calibrated(mut self, spec: &CalibrationSpec) -> Self {
        self.sampled = match spec.on {
            CalibrationOn::Targets => 0,
            CalibrationOn::Items => spec.sample.min(self.dataset.num_warm_items()),
        };
        self
    }

    /// Where the draws of a step come from.
    pub(crate) fn streams(&self) -> Streams {
        self.streams
    }

    /// Whether there is anything to train on.
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Steps per epoch.
    pub(crate) fn steps(&self) -> usize {
        self.samples.len().div_ceil(self.batch_size)
    }

    /// Puts the samples into the order of `epoch` (from 1).
    pub(crate) fn start_epoch(&mut self, epoch: usize) {
        // From a fixed order, so that an epoch's order does not depend on the ones before.
        self.samples
            .sort_unstable_by_key(|sample| (sample.user, sample.last_item_only));
        self.samples
            .shuffle(&mut self.streams.at("order of sequences", epoch, 0));
    }

    /// The batch of `step` (from 0) in `epoch`.
    pub(crate) fn batch(&mut self, epoch: usize, step: usize) -> TrainingBatch {
        let first = step * self.batch_size;
        let last = (first + self.batch_size).min(self.samples.len());
        let mut masks = self.streams.at("masked items", epoch, step);
        let mut negatives = self.streams.at("training negatives", epoch, step);
        let mut batch = TrainingBatch {
            wanted: match (self.trains_on, self.padding) {
                (TrainsOn::EveryPosition, Padding::Packed) => None,
                _ => Some(Vec::new()),
            },
            ..TrainingBatch::default()
        };
        self.places.clear();
        if self.loss.kind == LossKind::CrossEntropy {
            // Every item that training may see is a candidate, in id order.
            for item in self.dataset.warm_items() {
                self.places.of(item);
            }
        }
        for index in first..last {
            let sample = self.samples[index];
            let targets = self.add_tokens(sample, &mut batch, &mut masks);
            for &target in &targets {
                batch.targets.push(self.places.of(target));
            }
            if self.loss.kind != LossKind::CrossEntropy
                && self.loss.negatives_for == NegativesFor::Position
            {
                self.add_negatives(sample.user, &targets, &mut batch, &mut negatives);
            }
        }
        if self.loss.kind != LossKind::CrossEntropy
            && self.loss.negatives_for == NegativesFor::Batch
        {
            for _ in 0..self.loss.negatives {
                let negative = ItemId::new(self.distribution.draw(&mut negatives));
                batch.negatives.push(self.places.of(negative));
            }
        }
        if self.sampled > 0 {
            let mut draws = self.streams.at("calibrated items", epoch, step);
            let items =
                rand::seq::index::sample(&mut draws, self.dataset.num_warm_items(), self.sampled);
            let items = items.iter().map(|index| ItemId::new(index as u32 + 1));
            batch.sampled = items.map(|item| self.places.of(item)).collect();
        }
        batch.distinct = self.places.items().to_vec();
        if self.loss.kind == LossKind::SampledSoftmax {
            // Padding, row 0, is no candidate; any number will do for it.
            let of = |&item: &i64| self.distribution.log_probability((item as usize).max(1));
            batch.log_probability = batch.distinct.iter().map(of).collect();
        }
        let mask = batch.distinct.len() as i64;
        for token in &mut batch.tokens {
            if *token == Places::MASK {
                *token = mask;
            }
        }
        batch
    }

    /// Draws the negatives of one sequence's targets.
    fn add_negatives(
        &mut self,
        user: u32,
        targets: &[ItemId],
        batch: &mut TrainingBatch,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        let items = self.dataset.num_warm_items() as u32;
        let draws = NegativeDraws::new(&self.seen[user as usize], items, &self.distribution);
        for target in targets {
            for _ in 0..self.loss.negatives {
                let negative = ItemId::new(draws.draw(target.get(), rng));
                batch.negatives.push(self.places.of(negative));
            }
        }
    }

    /// Adds one sequence's tokens to the batch and returns its targets.
    fn add_tokens(
        &mut self,
        sample: Sample,
        batch: &mut TrainingBatch,
        masks: &mut Xoshiro256PlusPlus,
    ) -> Vec<ItemId> {
        let (user, max_len) = (sample.user as usize, self.dataset.max_len());
        let train = self.dataset.train(user);
        let first_token = batch.tokens.len() as i64;
        let targets = match self.trains_on {
            TrainsOn::EveryPosition | TrainsOn::LastPosition => {
                let window = tail(train, max_len + 1);
                let (inputs, mut targets) = (&window[..window.len() - 1], &window[1..]);
                self.add_padding(inputs.len(), batch);
                batch
                    .tokens
                    .extend(inputs.iter().map(|&item| self.places.of(item)));
                if self.trains_on == TrainsOn::LastPosition {
                    targets = tail(targets, 1);
                }
                if let Some(wanted) = &mut batch.wanted {
                    let end = batch.tokens.len() as i64;
                    wanted.extend(end - targets.len() as i64..end);
                }
                targets.to_vec()
            }
            TrainsOn::MaskedPositions(masked) => {
                let window = tail(train, max_len);
                self.add_padding(window.len(), batch);
                let mut targets = Vec::new();
                for (position, choice) in
                    choose(window.len(), sample.last_item_only, masked, masks).enumerate()
                {
                    let item = window[position];
                    if choice != Choice::Seen {
                        targets.push(item);
                        batch
                            .wanted
                            .get_or_insert_default()
                            .push(batch.tokens.len() as i64);
                    }
                    batch.tokens.push(match choice {
                        Choice::Seen | Choice::Kept => self.places.of(item),
                        Choice::Masked => Places::MASK,
                        Choice::Random => {
                            let items = self.dataset.num_warm_items() as u32;
                            self.places.of(ItemId::new(masks.random_range(1..=items)))
                        }
                    });
                }
                targets
            }
        };
        let length = batch.tokens.len() as i64 - first_token;
        batch.positions.extend(0..length);
        batch.lengths.push(length);
        batch.users.push(i64::from(sample.user));
        targets
    }

    /// Adds the padding that comes before a window of `items` items.
    fn add_padding(&mut self, items: usize, batch: &mut TrainingBatch) {
        for _ in 0..padding_places(self.padding, self.dataset.max_len(), items) {
            batch.tokens.push(self.places.of(ItemId::PADDING));
        }
    }
}

/// Places of padding that a backbone gets to see before `items` items of a window.
pub(crate) fn padding_places(padding: Padding, window: usize, items: usize) -> usize {
    match padding {
        Padding::Packed => 0,
        Padding::Input => window - items,
    }
}

/// The last `len` items.
pub(crate) fn tail(items: &[ItemId], len: usize) -> &[ItemId] {
    &items[items.len().saturating_sub(len)..]
}
