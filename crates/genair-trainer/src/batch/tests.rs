//! What training batches hold.

use genair_abi::MaskedTraining;
use genair_protocol::{DatasetSpec, LossSpec, NegativeSampler};

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
    let mut batches = Batches::new(dataset, &capabilities(trains_on), &spec(2), Streams::new(9));
    batches.start_epoch(epoch);
    assert!(batches.steps() > 0);
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
fn no_batch_has_a_cold_item() {
    let split = serde_json::json!({ "cold_items": { "share": 0.3, "validation": 0.1 } });
    let spec: DatasetSpec = serde_json::from_value(serde_json::json!({
        "kind": "synthetic", "users": 40, "catalogue": 30, "max_len": 50, "split": split,
    }))
    .unwrap();
    let dataset = genair_data::load(&spec).unwrap();
    let warm = dataset.num_warm_items() as i64;
    assert!(
        (10..25).contains(&warm) && warm < dataset.num_items() as i64,
        "{warm}"
    );
    let losses = [
        LossKind::Bce,
        LossKind::Gbce,
        LossKind::Bpr,
        LossKind::SampledSoftmax,
        LossKind::CrossEntropy,
    ];
    let samplers = [NegativeSampler::Uniform, NegativeSampler::Popularity];
    let draws = [NegativesFor::Position, NegativesFor::Batch];
    let forms = [
        TrainsOn::EveryPosition,
        TrainsOn::LastPosition,
        TrainsOn::MaskedPositions(MASKED),
    ];
    let calibration = CalibrationSpec {
        on: CalibrationOn::Items,
        ..CalibrationSpec::default()
    };
    for kind in losses {
        for (sampler, negatives_for) in samplers.into_iter().zip(draws) {
            for trains_on in forms {
                let mut train = self::spec(if kind == LossKind::CrossEntropy { 1 } else { 8 });
                (train.loss.kind, train.loss.sampler) = (kind, sampler);
                train.loss.negatives_for = negatives_for;
                let capabilities = capabilities(trains_on);
                let batches = Batches::new(&dataset, &capabilities, &train, Streams::new(9));
                let mut batches = batches.calibrated(&calibration);
                batches.start_epoch(1);
                let mut seen = 0;
                for step in 0..batches.steps() {
                    let batch = batches.batch(1, step);
                    assert!(batch.distinct.iter().all(|&item| item <= warm), "{kind:?}");
                    if kind == LossKind::CrossEntropy {
                        assert_eq!(batch.distinct, (1..=warm).collect::<Vec<_>>());
                    }
                    assert_eq!(batch.sampled.len() as i64, warm);
                    seen += batch.targets.len();
                }
                assert!(seen > 0);
            }
        }
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
