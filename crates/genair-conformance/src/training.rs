//! Training: what decides the numbers, and that there is something to learn with.

use anyhow::{Result, ensure};
use genair_protocol::{Precision, Split};
use genair_trainer::harness::{ModelUnderTest, Sequence};

use crate::{CHANGE, MAX_LEN, SEED, Subject, largest_difference};

/// Epochs that a model gets to learn eight users by heart.
const EPOCHS: usize = 200;
/// Share of the first epoch's loss that may be left then.
const LEFT: f64 = 0.25;
/// Epochs of the comparison of precisions.
const BFLOAT16_EPOCHS: usize = 60;
/// What the loss's fall may differ by there, as a share of the first loss: bfloat16 keeps 8 bits of a
/// number's fraction.
const BFLOAT16_CHANGE: f64 = 0.1;

/// The same seed gives the same start, training and states, bit by bit; another seed another start.
///
/// # Errors
/// The first number that differs, or does not.
pub(crate) fn the_seed_decides_every_number(subject: &Subject) -> Result<()> {
    let trained = |seed| -> Result<_> {
        let mut model = subject.model(&subject.params, seed)?;
        let before = probe(subject, &model, None)?;
        Ok((before, model.train(2)?, probe(subject, &model, None)?))
    };
    let (start, losses, states) = trained(SEED)?;
    let again = trained(SEED)?;
    ensure!(
        again.0 == start,
        "two models of one seed start with different states"
    );
    ensure!(
        again.1 == losses,
        "losses of one seed are {losses:?} and {:?}",
        again.1
    );
    ensure!(
        again.2 == states,
        "two trainings of one seed end with different states"
    );
    ensure!(
        trained(SEED + 1)?.0 != start,
        "another seed gives the same start"
    );
    ensure!(
        largest_difference(&start, &states) > 0.0,
        "training changes no state"
    );
    Ok(())
}

/// Prediction is repeatable; training is, by its seed. A parameter called `dropout` makes training
/// differ from prediction and from another seed's, unless it is 0.
///
/// # Errors
/// What differs, or does not.
pub(crate) fn dropout_is_for_training_alone(subject: &Subject) -> Result<()> {
    let model = subject.model(&subject.params, SEED)?;
    let states = |model: &ModelUnderTest<'_>, seed| probe(subject, model, seed);
    ensure!(
        states(&model, None)? == states(&model, None)?,
        "two predictions of one model differ"
    );
    ensure!(
        states(&model, Some(3))? == states(&model, Some(3))?,
        "two training passes with one dropout seed differ"
    );
    if subject.declared()?.contains_key("dropout") {
        let drops = subject.model(&subject.with("dropout", 0.5.into()), SEED)?;
        let (one, other) = (states(&drops, Some(3))?, states(&drops, Some(4))?);
        ensure!(
            largest_difference(&one, &other) > CHANGE,
            "two dropout seeds give the same states"
        );
        let predicted = states(&drops, None)?;
        ensure!(
            largest_difference(&one, &predicted) > CHANGE,
            "dropout = 0.5 drops nothing in training"
        );
        let calm = subject.model(&subject.with("dropout", 0.0.into()), SEED)?;
        ensure!(
            largest_difference(&states(&calm, Some(3))?, &states(&calm, None)?) < CHANGE,
            "training differs from prediction without dropout"
        );
        ensure!(
            states(&calm, None)? == predicted,
            "dropout changes predictions"
        );
    }
    Ok(())
}

/// The loss depends on every parameter, by a finite gradient that is not all zero.
///
/// # Errors
/// The first parameter that it does not depend on.
pub(crate) fn gradients_reach_every_parameter(subject: &Subject) -> Result<()> {
    let model = subject.model(&subject.calm()?, SEED)?;
    for (name, largest) in model.gradients()? {
        let Some(largest) = largest else {
            anyhow::bail!("the loss does not depend on `{name}`");
        };
        ensure!(
            largest.is_finite() && largest > 0.0,
            "the gradient of `{name}` is {largest}"
        );
    }
    Ok(())
}

/// Weights written and read into a model of another seed give the same states and ranks.
///
/// # Errors
/// What differs.
pub(crate) fn checkpoints_bring_a_model_back(subject: &Subject) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let mut model = subject.model(&subject.params, SEED)?;
    model.train(2)?;
    model.save(&file)?;
    let mut other = subject.model(&subject.params, SEED + 1)?;
    let states = probe(subject, &model, None)?;
    ensure!(
        probe(subject, &other, None)? != states,
        "another seed gives the same model"
    );
    other.load(&file)?;
    ensure!(
        probe(subject, &other, None)? == states,
        "the model read back has other states"
    );
    for split in [Split::Valid, Split::Test] {
        ensure!(
            other.ranks(split)? == model.ranks(split)?,
            "the model read back has other ranks"
        );
    }
    Ok(())
}

/// Eight users can be learnt by heart: a model that cannot do that learns nothing.
///
/// # Errors
/// The loss that is left.
pub(crate) fn it_overfits_eight_users(subject: &Subject) -> Result<()> {
    let mut model = subject.model(&subject.calm()?, SEED)?;
    let losses = model.train(EPOCHS)?;
    // Negatives are drawn anew in each epoch, so one epoch's loss says little.
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (losses[0], mean(&losses[EPOCHS - 10..]));
    ensure!(
        last < LEFT * first,
        "the loss fell from {first:.3} to {last:.3} only"
    );
    Ok(())
}

/// Training under autocast to bfloat16 works, and lowers the loss as much as float32 does.
///
/// # Errors
/// How far the loss falls in each.
pub(crate) fn it_trains_in_bfloat16_as_in_float32(subject: &Subject) -> Result<()> {
    let fall = |precision| -> Result<f64> {
        let mut model = subject.model_in(precision, &subject.calm()?, SEED)?;
        let losses = model.train(BFLOAT16_EPOCHS)?;
        let last = &losses[BFLOAT16_EPOCHS - 10..];
        Ok(1.0 - last.iter().sum::<f64>() / 10.0 / losses[0])
    };
    let (full, half) = (fall(Precision::Float32)?, fall(Precision::Bfloat16)?);
    ensure!(
        (half - full).abs() <= BFLOAT16_CHANGE,
        "the loss falls by {:.1} % in float32 and by {:.1} % in bfloat16",
        full * 100.0,
        half * 100.0
    );
    Ok(())
}

/// States of two sequences.
fn probe(
    subject: &Subject,
    model: &ModelUnderTest<'_>,
    dropout_seed: Option<u64>,
) -> Result<Vec<Vec<f32>>> {
    let sequences: [Sequence; 2] = [subject.sequence(0, MAX_LEN, 0), subject.sequence(1, 3, 11)];
    Ok(model.states(&sequences, None, dropout_seed)?)
}
