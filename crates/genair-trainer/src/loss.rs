//! Recommendation losses, one implementation for every backbone.

use genair_protocol::{LossKind, LossSpec};
use tch::{Kind, Tensor};

/// The loss of `M` states against their targets and negatives, a scalar.
///
/// Scores of targets `[M]`, scores of negatives `[M, n]`. Binary cross-entropy is the mean of
/// softplus(-positive) plus the mean of softplus(negative), two means of their own (METHOD.md,
/// section 5).
pub(crate) fn loss(
    spec: &LossSpec,
    positives_m: &Tensor,
    negatives_mn: &Tensor,
) -> Result<Tensor, tch::TchError> {
    match spec.kind {
        LossKind::Bce => {
            let positive = positives_m.f_neg()?.f_softplus()?.f_mean(Kind::Float)?;
            let negative = negatives_mn.f_softplus()?.f_mean(Kind::Float)?;
            positive.f_add(&negative)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bce_is_minus_the_log_of_the_right_sigmoids() {
        let (positives, negatives) = ([0.3f32, -1.2], [[0.7f32, 2.0], [-0.4, 0.1]]);
        let value = loss(
            &LossSpec::default(),
            &Tensor::from_slice(&positives),
            &Tensor::from_slice2(&negatives),
        )
        .unwrap();
        let sigmoid = |x: f32| 1.0 / (1.0 + f64::from(-x).exp());
        let positive: f64 = positives.iter().map(|&x| -sigmoid(x).ln()).sum::<f64>() / 2.0;
        let negative: f64 = negatives
            .iter()
            .flatten()
            .map(|&x| -(1.0 - sigmoid(x)).ln())
            .sum::<f64>()
            / 4.0;
        assert!((f64::try_from(value).unwrap() - positive - negative).abs() < 1e-6);
    }
}
