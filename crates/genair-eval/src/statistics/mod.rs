//! Statistics of a report: means over seeds, paired tests over users, correction over a table.
//!
//! Plain numbers in, plain numbers out. Checked against SciPy and statsmodels
//! (`tests/oracles/statistics`). No Wilcoxon or sign test: at the number of users of a recommender
//! they answer another question than "which mean is higher" (arXiv:2305.02461).

mod bootstrap;
mod holm;
mod paired;
mod summary;

pub use bootstrap::{Bootstrap, paired_bootstrap};
pub use holm::holm;
pub use paired::{PairedTest, paired_t_test};
pub use summary::{Summary, summarise};

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Confidence of every interval in a report.
pub const CONFIDENCE: f64 = 0.95;

/// What keeps a statistic from being computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StatisticsError {
    /// Too few values.
    #[error("{found} values, where {what} needs at least {needed}")]
    TooFew {
        /// The statistic.
        what: &'static str,
        /// Values there must be.
        needed: usize,
        /// Values there are.
        found: usize,
    },
    /// Two samples of different sizes.
    #[error("{left} values cannot be paired with {right}")]
    Unpaired {
        /// Values of the first sample.
        left: usize,
        /// Values of the second.
        right: usize,
    },
    /// NaN or an infinite number.
    #[error("value {index} is {value}, which is not finite")]
    NotFinite {
        /// Its place, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
}

/// Student's t with `degrees` of freedom, at least 1.
fn students_t(degrees: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees as f64).expect("a positive number of degrees of freedom")
}

/// The t value that bounds the central `CONFIDENCE` of the distribution.
fn critical_t(degrees: usize) -> f64 {
    students_t(degrees).inverse_cdf(0.5 + CONFIDENCE / 2.0)
}

/// Mean of at least one value.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation of a sample of at least two values around their `mean`.
fn deviation(values: &[f64], mean: f64) -> f64 {
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

fn require_finite(values: &[f64]) -> Result<(), StatisticsError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(StatisticsError::NotFinite {
            index,
            value: values[index],
        }),
        None => Ok(()),
    }
}

fn require(what: &'static str, needed: usize, found: usize) -> Result<(), StatisticsError> {
    if found < needed {
        return Err(StatisticsError::TooFew {
            what,
            needed,
            found,
        });
    }
    Ok(())
}

/// `a - b`, pair by pair.
fn differences(a: &[f64], b: &[f64]) -> Result<Vec<f64>, StatisticsError> {
    if a.len() != b.len() {
        return Err(StatisticsError::Unpaired {
            left: a.len(),
            right: b.len(),
        });
    }
    let differences: Vec<f64> = std::iter::zip(a, b).map(|(a, b)| a - b).collect();
    require_finite(&differences)?;
    Ok(differences)
}
