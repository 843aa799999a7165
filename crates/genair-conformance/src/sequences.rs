//! What a state depends on, and what it must not depend on.

use anyhow::{Result, ensure};
use genair_trainer::harness::Sequence;

use crate::{CHANGE, MAX_LEN, SEED, Subject, ensure_same, largest_difference};

/// Sequences of one token and of the longest window give one finite state for each token, as wide
/// as declared; so do sequences that end in the mask token, where the backbone has one.
///
/// # Errors
/// The first sequence that does not.
pub(crate) fn states_have_the_declared_shape(subject: &Subject) -> Result<()> {
    let model = subject.model(&subject.calm()?, SEED)?;
    let capabilities = model.capabilities().clone();
    for length in [1, 2, MAX_LEN] {
        let mut sequence = subject.sequence(0, length, 3);
        if capabilities.predicts_at_mask {
            sequence.items[length - 1] = subject.dataset.num_items() as u32 + 1;
        }
        for dropout_seed in [None, Some(1)] {
            let states = model.states(std::slice::from_ref(&sequence), None, dropout_seed)?;
            ensure!(
                states.len() == length,
                "{length} tokens have {} states",
                states.len()
            );
            for state in &states {
                ensure!(
                    state.len() == capabilities.state_size,
                    "a state has {} numbers, {} are declared",
                    state.len(),
                    capabilities.state_size
                );
                ensure!(
                    state.iter().all(|number| number.is_finite()),
                    "a state of a sequence of {length} is not finite: {state:?}"
                );
            }
        }
    }
    Ok(())
}

/// A causal backbone's states do not change when a later item does; one that declares not to be
/// causal has a state that does.
///
/// # Errors
/// The first state that breaks the declaration.
pub(crate) fn causality_is_as_declared(subject: &Subject) -> Result<()> {
    let model = subject.model(&subject.calm()?, SEED)?;
    let sequence = subject.sequence(0, MAX_LEN, 0);
    let states = model.states(std::slice::from_ref(&sequence), None, None)?;
    let mut seen = 0.0_f32;
    for edited in 1..MAX_LEN {
        let mut other = sequence.clone();
        other.items[edited] = subject.sequence(0, 1, MAX_LEN + edited).items[0];
        let changed = model.states(&[other], None, None)?;
        let difference = largest_difference(&states[..edited], &changed[..edited]);
        seen = seen.max(difference);
        let itself = largest_difference(&states[edited..=edited], &changed[edited..=edited]);
        ensure!(
            itself > CHANGE,
            "state {edited} does not depend on item {edited}"
        );
        if model.capabilities().causal {
            let what =
                format!("editing item {edited} changes an earlier state of a causal backbone");
            ensure_same(&changed[..edited], &states[..edited], &what)?;
        }
    }
    ensure!(
        model.capabilities().causal || seen > CHANGE,
        "the backbone declares not to be causal, but no state depends on a later item"
    );
    Ok(())
}

/// A sequence's states are the same alone and beside longer, shorter and equally long ones.
///
/// # Errors
/// The first state that others change.
pub(crate) fn other_sequences_of_a_batch_change_nothing(subject: &Subject) -> Result<()> {
    let model = subject.model(&subject.calm()?, SEED)?;
    let batch = batch(subject);
    let together = model.states(&batch, None, None)?;
    let mut start = 0;
    for (number, sequence) in batch.iter().enumerate() {
        let alone = model.states(std::slice::from_ref(sequence), None, None)?;
        let end = start + sequence.items.len();
        let what = format!("sequence {number} in a batch, against alone");
        ensure_same(&together[start..end], &alone, &what)?;
        start = end;
    }
    Ok(())
}

/// The state that comes back for a wanted token is that token's, for any choice of tokens, and
/// sequences may come in any order.
///
/// # Errors
/// The first state that is another token's.
pub(crate) fn states_belong_to_their_tokens(subject: &Subject) -> Result<()> {
    let model = subject.model(&subject.calm()?, SEED)?;
    let batch = batch(subject);
    let all = model.states(&batch, None, None)?;
    for first in 1..all.len() {
        let difference = largest_difference(&all[..1], &all[first..=first]);
        ensure!(
            difference > CHANGE,
            "tokens 0 and {first} are different and have the same state"
        );
    }
    let ends = batch.iter().scan(0, |end, sequence| {
        *end += sequence.items.len();
        Some(*end as i64 - 1)
    });
    let last: Vec<i64> = ends.collect();
    let every_third: Vec<i64> = (0..all.len() as i64).step_by(3).collect();
    let every: Vec<i64> = (0..all.len() as i64).collect();
    for (what, wanted) in [
        ("the last tokens", last),
        ("every third token", every_third),
        ("one token", vec![4]),
        ("every token by name", every),
    ] {
        let expected: Vec<Vec<f32>> = wanted
            .iter()
            .map(|&token| all[token as usize].clone())
            .collect();
        ensure_same(&model.states(&batch, Some(&wanted), None)?, &expected, what)?;
    }

    let mut turned: Vec<Sequence> = batch.clone();
    turned.reverse();
    let (mut expected, mut end) = (Vec::new(), all.len());
    for sequence in &turned {
        expected.extend_from_slice(&all[end - sequence.items.len()..end]);
        end -= sequence.items.len();
    }
    ensure_same(
        &model.states(&turned, None, None)?,
        &expected,
        "sequences in reverse order",
    )
}

/// Five users' sequences of several lengths, one of them twice.
fn batch(subject: &Subject) -> Vec<Sequence> {
    let lengths = [4, 1, MAX_LEN, 4, 7];
    let sequences = lengths.iter().enumerate();
    sequences
        .map(|(user, &length)| subject.sequence(user, length, 5 * user + 1))
        .collect()
}
