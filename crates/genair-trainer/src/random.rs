//! Where every random draw of a run comes from.
//!
//! Each purpose has a stream of its own, addressed by epoch and step, so that a draw never depends
//! on how many others were made before it: resuming at epoch 7 gives what epoch 7 would have given.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

/// The seed of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    seed: u64,
}

impl Streams {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The generator for `purpose` at `epoch` and `step`.
    pub(crate) fn at(self, purpose: &str, epoch: usize, step: usize) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::from_seed(self.digest(purpose, epoch, step))
    }

    /// A number that seeds a generator on the other side of the plugin boundary.
    pub(crate) fn number(self, purpose: &str, epoch: usize, step: usize) -> u64 {
        let digest = self.digest(purpose, epoch, step);
        u64::from_le_bytes(std::array::from_fn(|byte| digest[byte]))
    }

    fn digest(self, purpose: &str, epoch: usize, step: usize) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"genair run\0")
            .chain_update(self.seed.to_le_bytes())
            .chain_update((epoch as u64).to_le_bytes())
            .chain_update((step as u64).to_le_bytes())
            .chain_update(purpose)
            .finalize()
            .into()
    }
}
