//! A configuration's results over its seeds.

use serde::Serialize;

use super::{StatisticsError, critical_t, deviation, mean, require, require_finite};

/// Mean and spread of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Values behind it, at least 1.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Standard deviation of the sample (n - 1); none for a single value.
    pub std: Option<f64>,
    /// 95 % interval of the mean by Student's t; none for a single value.
    pub interval: Option<[f64; 2]>,
}

/// Summarises at least one value.
///
/// # Errors
/// No values, or one that is not finite.
pub fn summarise(values: &[f64]) -> Result<Summary, StatisticsError> {
    require("a mean", 1, values.len())?;
    require_finite(values)?;
    let (n, mean) = (values.len(), mean(values));
    let std = (n > 1).then(|| deviation(values, mean));
    let interval = std.map(|std| {
        let half = critical_t(n - 1) * std / (n as f64).sqrt();
        [mean - half, mean + half]
    });
    Ok(Summary {
        n,
        mean,
        std,
        interval,
    })
}
