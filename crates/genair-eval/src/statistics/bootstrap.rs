//! Whether two configurations differ on the same users, without assuming a distribution: the paired
//! bootstrap.

use rand::distr::Distribution;
use rand::{RngExt, SeedableRng};
use rand_distr::Binomial;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{CONFIDENCE, StatisticsError, differences, mean, require};

/// A paired bootstrap of `a` against `b`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bootstrap {
    /// Pairs, at least 1.
    pub n: usize,
    /// Mean of `a - b` in the sample itself.
    pub mean_difference: f64,
    /// 95 % percentile interval of that mean over the resamples.
    pub interval: [f64; 2],
    /// Two-sided p value: twice the share of resamples on the other side of 0, both counts one too
    /// high so that it is never 0 (Davison & Hinkley 1997, section 4.2).
    pub p: f64,
}

/// Resamples the pairs `resamples` times, with replacement. The same seed gives the same bits.
///
/// # Errors
/// No pairs, no resamples, samples of different sizes, a value that is not finite.
pub fn paired_bootstrap(
    a: &[f64],
    b: &[f64],
    resamples: usize,
    seed: u64,
) -> Result<Bootstrap, StatisticsError> {
    let differences = differences(a, b)?;
    let n = differences.len();
    require("a paired bootstrap", 1, n)?;
    require("an interval by resampling", 1, resamples)?;
    let mean_difference = mean(&differences);

    // Most users rank their target past the cut-off in both: their difference is 0 and so is what a
    // draw of them adds. How many draws fall on the others is binomial, so only those are drawn.
    let moved: Vec<f64> = differences
        .iter()
        .copied()
        .filter(|&difference| difference != 0.0)
        .collect();
    let share = moved.len() as f64 / n as f64;
    let draws = Binomial::new(n as u64, share).expect("a share lies in [0, 1]");
    let mut random = generator(seed);
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let count = draws.sample(&mut random);
            let sum: f64 = (0..count)
                .map(|_| moved[random.random_range(0..moved.len())])
                .sum();
            sum / n as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);

    let (below, above) = (
        means.iter().filter(|&&mean| mean <= 0.0).count(),
        means.iter().filter(|&&mean| mean >= 0.0).count(),
    );
    let p = 2.0 * (below.min(above) + 1) as f64 / (resamples + 1) as f64;
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Ok(Bootstrap {
        n,
        mean_difference,
        interval: [quantile(&means, tail), quantile(&means, 1.0 - tail)],
        p: p.min(1.0),
    })
}

fn generator(seed: u64) -> Xoshiro256PlusPlus {
    let mut digest = Sha256::new();
    digest.update(b"genair-report paired bootstrap\n");
    digest.update(seed.to_le_bytes());
    Xoshiro256PlusPlus::from_seed(digest.finalize().into())
}

/// Quantile `q` in [0, 1] of sorted values, linear between neighbours (NumPy's default).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let lower = sorted[position.floor() as usize];
    let upper = sorted[position.ceil() as usize];
    lower + (upper - lower) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_every_bit() {
        let a: Vec<f64> = (0..200).map(|i| f64::from(i % 7) / 7.0).collect();
        let b: Vec<f64> = (0..200).map(|i| f64::from(i % 5) / 5.0).collect();
        let run = |seed| paired_bootstrap(&a, &b, 500, seed).unwrap();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).interval, run(2).interval);
    }

    #[test]
    fn no_difference_is_no_evidence() {
        let result = paired_bootstrap(&[0.5; 10], &[0.5; 10], 100, 0).unwrap();
        assert_eq!((result.interval, result.p), ([0.0, 0.0], 1.0));
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let found = [0.0, 0.25, 0.5, 0.9, 1.0].map(|q| quantile(&sorted, q));
        for (found, expected) in std::iter::zip(found, [1.0, 1.75, 3.0, 6.8, 8.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
