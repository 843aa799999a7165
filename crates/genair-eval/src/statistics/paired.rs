//! Whether two configurations differ on the same users: the paired t-test.

use serde::Serialize;
use statrs::distribution::ContinuousCDF;

use super::{StatisticsError, critical_t, deviation, differences, mean, require, students_t};

/// A two-sided paired t-test of `a` against `b`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairedTest {
    /// Pairs, at least 2.
    pub n: usize,
    /// Mean of `a - b`.
    pub mean_difference: f64,
    /// 95 % interval of that mean.
    pub interval: [f64; 2],
    /// Student's t with n - 1 degrees of freedom.
    pub t: f64,
    /// Two-sided p value, in [0, 1].
    pub p: f64,
    /// Cohen's d_z: the mean difference in standard deviations of the differences.
    pub effect_size: f64,
}

/// Tests whether the mean of `a - b` is 0. Where all differences are alike, t and the effect size
/// are 0 if they are 0 (then p is 1), and infinite otherwise (then p is 0).
///
/// # Errors
/// Fewer than two pairs, samples of different sizes, a value that is not finite.
pub fn paired_t_test(a: &[f64], b: &[f64]) -> Result<PairedTest, StatisticsError> {
    let differences = differences(a, b)?;
    let n = differences.len();
    require("a paired t-test", 2, n)?;
    let mean = mean(&differences);
    let std = deviation(&differences, mean);
    let error = std / (n as f64).sqrt();
    let (t, effect_size) = if mean == 0.0 {
        (0.0, 0.0)
    } else {
        (mean / error, mean / std)
    };
    let half = critical_t(n - 1) * error;
    Ok(PairedTest {
        n,
        mean_difference: mean,
        interval: [mean - half, mean + half],
        t,
        p: two_sided_p(t, n - 1),
        effect_size,
    })
}

fn two_sided_p(t: f64, degrees: usize) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    // The upper tail itself, not 1 minus the lower one, which would lose all digits of a small p.
    (2.0 * students_t(degrees).sf(t.abs())).min(1.0)
}
