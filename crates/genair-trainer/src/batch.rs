//! Training batches: which items a backbone sees, which it must name, and against what.

use genair_abi::{Capabilities, Padding, TrainsOn};
use genair_data::{Dataset, ItemId};
use genair_protocol::{LossKind, LossSpec, NegativesFor, TrainSpec};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::masking::{Choice, choose};
use crate::negatives::{ItemDistribution, NegativeSampler};
use crate::random::Streams;

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
}

/// Makes the batches of every epoch, the same ones for the same seed.
pub(crate) struct Batches<'a> {
    dataset: &'a Dataset,
    trains_on: TrainsOn,
    batch_size: usize,
    loss: LossSpec,
    distribution: ItemDistribution,
    padding: Padding,
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
            distribution: ItemDistribution::new(spec.loss.sampler, dataset.train_popularity()),
            loss: spec.loss.clone(),
            padding: capabilities.padding,
            streams,
            samples,
            seen,
            places,
        }
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
            // Every item is a candidate, in id order.
            for item in self.dataset.items() {
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
        let items = self.dataset.num_items() as u32;
        let sampler = NegativeSampler::new(&self.seen[user as usize], items, &self.distribution);
        for target in targets {
            for _ in 0..self.loss.negatives {
                let negative = ItemId::new(sampler.draw(target.get(), rng));
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
                            let items = self.dataset.num_items() as u32;
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

/// Numbers the distinct items of a batch in order of appearance.
struct Places {
    /// Place of each item, or [`Self::NONE`].
    place: Vec<i64>,
    items: Vec<i64>,
}

impl Places {
    const NONE: i64 = -1;
    /// Stands for the mask token until the number of distinct items is known.
    const MASK: i64 = -2;

    fn new(items: usize) -> Self {
        Self {
            place: vec![Self::NONE; items + 1],
            items: Vec::new(),
        }
    }

    fn clear(&mut self) {
        for item in self.items.drain(..) {
            self.place[item as usize] = Self::NONE;
        }
    }

    fn of(&mut self, item: ItemId) -> i64 {
        let place = &mut self.place[item.row()];
        if *place == Self::NONE {
            *place = self.items.len() as i64;
            self.items.push(i64::from(item));
        }
        *place
    }

    fn items(&self) -> &[i64] {
        &self.items
    }
}

#[cfg(test)]
mod tests {
    use genair_abi::MaskedTraining;
    use genair_data::DatasetSpec;
    use genair_protocol::LossSpec;

    use super::*;

    fn dataset(max_len: usize) -> Dataset {
        let spec: DatasetSpec = serde_json::from_value(serde_json::json!({
            "kind": "synthetic", "users": 40, "catalogue": 30, "max_len": max_len,
        }))
        .unwrap();
        genair_data::load(&spec).unwrap()
    }

    const MASKED: MaskedTraining = MaskedTraining {
        probability: 0.6,
        mask_share: 0.8,
        random_share: 0.1,
        last_item_copies: 1,
    };

    fn capabilities(trains_on: TrainsOn) -> Capabilities {
        Capabilities {
            hidden_size: 4,
            state_size: 4,
            trains_on,
            causal: true,
            wants_users: false,
            predicts_at_mask: false,
            output: genair_abi::OutputItems::Shared,
            padding: Padding::Packed,
        }
    }

    fn spec(negatives: usize) -> TrainSpec {
        TrainSpec {
            batch_size: 16,
            loss: LossSpec {
                negatives,
                ..LossSpec::default()
            },
            ..TrainSpec::default()
        }
    }

    fn epoch(dataset: &Dataset, trains_on: TrainsOn, epoch: usize) -> Vec<TrainingBatch> {
        let mut batches =
            Batches::new(dataset, &capabilities(trains_on), &spec(2), Streams::new(9));
        batches.start_epoch(epoch);
        (0..batches.steps())
            .map(|step| batches.batch(epoch, step))
            .collect()
    }

    /// Item ids of places; the mask token is 0.
    fn items(batch: &TrainingBatch, places: &[i64]) -> Vec<u32> {
        places
            .iter()
            .map(|&place| {
                batch
                    .distinct
                    .get(place as usize)
                    .map_or(0, |&item| item as u32)
            })
            .collect()
    }

    #[test]
    fn every_position_predicts_the_next_training_item_and_no_other() {
        let dataset = dataset(6);
        for batch in epoch(&dataset, TrainsOn::EveryPosition, 1) {
            let (tokens, targets) = (items(&batch, &batch.tokens), items(&batch, &batch.targets));
            let mut start = 0;
            for (&user, &length) in batch.users.iter().zip(&batch.lengths) {
                let train: Vec<u32> = tail(dataset.train(user as usize), 7)
                    .iter()
                    .map(|item| item.get())
                    .collect();
                let range = start..start + length as usize;
                assert_eq!(tokens[range.clone()], train[..train.len() - 1]);
                assert_eq!(targets[range.clone()], train[1..]);
                assert_eq!(batch.positions[range], (0..length).collect::<Vec<_>>());
                start += length as usize;
            }
            assert_eq!(batch.negatives.len(), 2 * batch.targets.len());
        }
    }

    #[test]
    fn the_last_position_form_names_the_last_training_item() {
        let dataset = dataset(6);
        for batch in epoch(&dataset, TrainsOn::LastPosition, 1) {
            let targets = items(&batch, &batch.targets);
            assert_eq!(batch.wanted.as_ref().unwrap().len(), batch.users.len());
            for (&user, &target) in batch.users.iter().zip(&targets) {
                assert_eq!(dataset.train(user as usize).last().unwrap().get(), target);
            }
        }
    }

    #[test]
    fn masked_training_hides_its_targets_at_the_declared_rates() {
        let dataset = dataset(6);
        let (mut tokens, mut chosen, mut masked, mut copies) = (0, 0, 0, 0);
        for batch in
            (1..=20).flat_map(|number| epoch(&dataset, TrainsOn::MaskedPositions(MASKED), number))
        {
            let seen = items(&batch, &batch.tokens);
            let targets = items(&batch, &batch.targets);
            let wanted = batch.wanted.clone().unwrap();
            assert_eq!(wanted.len(), targets.len());
            let mut start = 0;
            for (&user, &length) in batch.users.iter().zip(&batch.lengths) {
                let window = tail(dataset.train(user as usize), 6);
                assert_eq!(window.len(), length as usize);
                let mine: Vec<_> = wanted
                    .iter()
                    .zip(&targets)
                    .filter(|(at, _)| (start..start + length).contains(at))
                    .collect();
                assert!(!mine.is_empty());
                for (&at, &target) in mine {
                    assert_eq!(window[(at - start) as usize].get(), target);
                }
                start += length;
            }
            tokens += seen.len();
            chosen += targets.len();
            masked += seen.iter().filter(|&&item| item == 0).count();
            copies += batch.users.len();
        }
        assert_eq!(copies, 20 * 2 * 40);
        // Half of the sequences choose 60 % of their tokens, the other half exactly one.
        let expected = 0.5 * 0.6 * tokens as f64 + 0.5 * copies as f64;
        assert!(
            (chosen as f64 / expected - 1.0).abs() < 0.05,
            "{chosen} of {expected}"
        );
        let hidden = 0.5 * 0.6 * 0.8 * tokens as f64 + 0.5 * copies as f64;
        assert!(
            (masked as f64 / hidden - 1.0).abs() < 0.05,
            "{masked} of {hidden}"
        );
    }

    #[test]
    fn nothing_of_validation_or_test_is_a_target_or_seen() {
        let dataset = dataset(50);
        for trains_on in [
            TrainsOn::EveryPosition,
            TrainsOn::LastPosition,
            TrainsOn::MaskedPositions(MASKED),
        ] {
            let mut seen = 0;
            for batch in epoch(&dataset, trains_on, 3) {
                let mut start = 0;
                for (&user, &length) in batch.users.iter().zip(&batch.lengths) {
                    assert!(length as usize <= dataset.train(user as usize).len());
                    start += length;
                    seen += 1;
                }
                assert_eq!(start as usize, batch.tokens.len());
            }
            assert!(seen >= 40);
        }
    }

    #[test]
    fn padding_that_is_an_input_fills_every_window_on_its_left_and_is_no_target() {
        let dataset = dataset(20);
        for trains_on in [TrainsOn::EveryPosition, TrainsOn::LastPosition] {
            let capabilities = Capabilities {
                padding: Padding::Input,
                ..capabilities(trains_on)
            };
            let mut batches = Batches::new(&dataset, &capabilities, &spec(1), Streams::new(9));
            batches.start_epoch(1);
            let batch = batches.batch(1, 0);
            let tokens = items(&batch, &batch.tokens);
            assert!(batch.lengths.iter().all(|&length| length == 20));
            let mut padding = 0;
            for window in tokens.chunks_exact(20) {
                let first = window.iter().position(|&item| item != 0).unwrap();
                assert!(window[first..].iter().all(|&item| item != 0));
                padding += first;
            }
            assert!(padding > 0);
            let wanted = batch.wanted.clone().unwrap();
            assert!(wanted.iter().all(|&at| tokens[at as usize] != 0));
            assert_eq!(wanted.len(), batch.targets.len());
            assert!(!items(&batch, &batch.targets).contains(&0));
            if trains_on == TrainsOn::EveryPosition {
                assert_eq!(wanted.len(), tokens.len() - padding);
            }
        }
    }

    #[test]
    fn an_epoch_is_the_same_whatever_came_before() {
        let dataset = dataset(10);
        let mut batches = Batches::new(
            &dataset,
            &capabilities(TrainsOn::EveryPosition),
            &spec(1),
            Streams::new(9),
        );
        batches.start_epoch(1);
        batches.start_epoch(2);
        let after = batches.batch(2, 1);
        let mut fresh = Batches::new(
            &dataset,
            &capabilities(TrainsOn::EveryPosition),
            &spec(1),
            Streams::new(9),
        );
        fresh.start_epoch(2);
        let alone = fresh.batch(2, 1);
        assert_eq!(after.tokens, alone.tokens);
        assert_eq!(after.negatives, alone.negatives);
        fresh.start_epoch(3);
        assert_ne!(fresh.batch(3, 1).users, alone.users);
    }
}
