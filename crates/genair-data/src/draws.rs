//! Draws that are the same on every machine: own arithmetic on a generator's bits, since what a library makes of them
//! may change between its versions.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Draws of one purpose.
pub(crate) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    /// The draws that a text names.
    pub(crate) fn new(purpose: &str) -> Self {
        Self(Xoshiro256PlusPlus::from_seed(
            Sha256::digest(purpose).into(),
        ))
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in 0..n; n is small enough that the bias, below n / 2^64, does not matter.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Puts values into a random order.
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}
