//! Masked training (BERT4Rec, Sun et al. 2019): which tokens of a sequence are hidden, and how.

use genair_abi::MaskedTraining;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What happens to one token in masked training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Not chosen; it has no target.
    Seen,
    /// Chosen, and shown as it is.
    Kept,
    /// Chosen, and hidden.
    Masked,
    /// Chosen, and replaced by a random item.
    Random,
}

/// Chooses tokens for masked training; at least one, so that no sequence is without a target.
pub(crate) fn choose(
    len: usize,
    last_item_only: bool,
    masked: MaskedTraining,
    rng: &mut Xoshiro256PlusPlus,
) -> impl Iterator<Item = Choice> + use<> {
    let mut choices = vec![Choice::Seen; len];
    if last_item_only {
        choices[len - 1] = Choice::Masked;
    } else {
        for choice in &mut choices {
            if rng.random::<f64>() < masked.probability {
                *choice = hide(masked, rng);
            }
        }
        if choices.iter().all(|&choice| choice == Choice::Seen) {
            choices[rng.random_range(0..len)] = hide(masked, rng);
        }
    }
    choices.into_iter()
}

fn hide(masked: MaskedTraining, rng: &mut Xoshiro256PlusPlus) -> Choice {
    let draw: f64 = rng.random();
    if draw < masked.mask_share {
        Choice::Masked
    } else if draw < masked.mask_share + masked.random_share {
        Choice::Random
    } else {
        Choice::Kept
    }
}
