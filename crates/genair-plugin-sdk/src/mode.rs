//! Training or prediction, and dropout.

use std::cell::RefCell;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tch::Tensor;

use crate::Result;

/// Whether a call trains. While it does, dropout masks come from a generator of the call's own,
/// seeded by the host: a step gives the same numbers whatever ran before or runs beside it.
#[derive(Debug)]
pub struct Mode {
    masks: Option<RefCell<Xoshiro256PlusPlus>>,
}

impl Mode {
    /// Prediction: dropout is the identity.
    pub fn eval() -> Self {
        Self { masks: None }
    }

    /// Training, with the seed of this step.
    pub fn train(seed: u64) -> Self {
        Self {
            masks: Some(RefCell::new(Xoshiro256PlusPlus::seed_from_u64(seed))),
        }
    }

    /// Whether this is a training step.
    pub fn is_training(&self) -> bool {
        self.masks.is_some()
    }

    /// Zeroes each element with `probability` (in `[0, 1)`, in steps of 1/65536) and scales the
    /// rest up to keep the mean; the identity outside training.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn dropout(&self, x: &Tensor, probability: f64) -> Result<Tensor> {
        let Some(generator) = &self.masks else {
            return Ok(x.shallow_clone());
        };
        let dropped = (probability * 65536.0).round() as u32;
        if dropped == 0 {
            return Ok(x.shallow_clone());
        }
        let mask = dropout_mask(&mut generator.borrow_mut(), x.numel(), dropped);
        let mask = Tensor::f_from_slice(&mask)?.f_view(x.size().as_slice())?;
        Ok(x.f_mul(&mask.f_to_device(x.device())?.f_to_kind(x.kind())?)?)
    }
}

/// `len` factors: 0 with probability `dropped / 65536`, else the factor that keeps the mean.
fn dropout_mask(generator: &mut Xoshiro256PlusPlus, len: usize, dropped: u32) -> Vec<f32> {
    /// Words drawn at a time; the compiler turns the rest into vector instructions.
    const WORDS: usize = 64;
    let kept = 65536.0 / (65536 - dropped.min(65535)) as f32;
    let mut mask = vec![0.0; len];
    for block in mask.chunks_mut(4 * WORDS) {
        let words: [u64; WORDS] = std::array::from_fn(|_| generator.next_u64());
        for (place, factor) in block.iter_mut().enumerate() {
            let draw = (words[place % WORDS] >> (16 * (place / WORDS))) as u16;
            *factor = if u32::from(draw) < dropped { 0.0 } else { kept };
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn dropout_keeps_the_mean_and_the_rate() {
        for probability in [0.1, 0.5, 0.9] {
            let x = Tensor::ones([200_000], (Kind::Float, tch::Device::Cpu));
            let y = Mode::train(3).dropout(&x, probability).unwrap();
            let zeros = f64::try_from(y.eq(0.0).sum(Kind::Double)).unwrap() / 200_000.0;
            assert!(
                (zeros - probability).abs() < 0.005,
                "{zeros} for {probability}"
            );
            let mean = f64::try_from(y.mean(Kind::Double)).unwrap();
            assert!((mean - 1.0).abs() < 0.03, "{mean} for {probability}");
        }
    }

    #[test]
    fn the_seed_decides_the_mask_and_eval_has_none() {
        let x = Tensor::ones([64, 3], (Kind::Float, tch::Device::Cpu));
        let draw = |seed| Mode::train(seed).dropout(&x, 0.5).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(Mode::eval().dropout(&x, 0.5).unwrap(), x);
    }
}
