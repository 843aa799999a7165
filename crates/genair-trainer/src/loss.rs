//! Recommendation losses, one implementation for every backbone.
//!
//! Shapes: `M` states of width `S`, `n` negatives for each, `U` distinct items of the batch (for
//! cross-entropy, all items).

use genair_protocol::{LossKind, LossSpec};
use tch::{Kind, Tensor};

use crate::representation::{Outputs, gather};

/// Logits held at once in a softmax over all items: 1 MiB, which stays in a processor's cache...
const BLOCK_LOGITS: i64 = 1 << 18;
/// ... but at least those of this many states, 64 MiB for a million items.
const BLOCK_STATES: i64 = 16;
/// From this many negatives per state, scoring all distinct items by one matrix product is cheaper
/// than gathering a vector for each.
const MANY_NEGATIVES: i64 = 8;

/// What a loss is computed from. Items are named by their place among the distinct items.
pub(crate) struct LossInput<'a> {
    /// `[M, S]`.
    pub(crate) states_ms: &'a Tensor,
    /// Vectors `[U, S]` and, perhaps, biases of the distinct items.
    pub(crate) outputs: &'a Outputs,
    /// Place of each target, int64 `[M]`.
    pub(crate) targets_m: &'a Tensor,
    /// Places of negatives, int64: `[M, n]`, or `[1, n]` where all states share them.
    pub(crate) negatives: &'a Tensor,
    /// Logarithm of the probability with which the sampler draws each distinct item, `[U]`.
    pub(crate) log_probability_u: Option<&'a Tensor>,
    /// Items that training may see; in a softmax over all items, the first of the distinct ones.
    pub(crate) items: usize,
}

/// A loss and what to differentiate for it.
pub(crate) struct Loss {
    pub(crate) value: f64,
    /// A scalar with the gradient of the loss; its own value means nothing.
    pub(crate) differentiable: Tensor,
}

impl Loss {
    /// Adds a term with a weight.
    pub(crate) fn add(&mut self, term: &Self, weight: f64) -> Result<(), tch::TchError> {
        let weighted = term.differentiable.f_mul_scalar(weight)?;
        self.differentiable = self.differentiable.f_add(&weighted)?;
        self.value += weight * term.value;
        Ok(())
    }
}

/// The mean loss of the batch's targets.
pub(crate) fn loss(spec: &LossSpec, input: &LossInput<'_>) -> Result<Loss, tch::TchError> {
    let sampled = |of: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor, tch::TchError>| {
        let loss = of(&target_scores(input)?, &negative_scores(input)?)?;
        Ok(Loss {
            value: f64::try_from(&loss)?,
            differentiable: loss,
        })
    };
    match spec.kind {
        LossKind::CrossEntropy => cross_entropy(spec.label_smoothing, input),
        LossKind::Bce => sampled(&|positives_m, negatives_mn| {
            let positive = positives_m.f_neg()?.f_softplus()?.f_mean(Kind::Float)?;
            positive.f_add(&negatives_mn.f_softplus()?.f_mean(Kind::Float)?)
        }),
        LossKind::Gbce => sampled(&|positives_m, negatives_mn| {
            let negatives = negatives_mn.size()[1];
            let power = gbce_power(negatives as f64, input.items as f64, spec.t);
            let positive = positives_m.f_neg()?.f_softplus()?.f_mul_scalar(power)?;
            let negative = negatives_mn
                .f_softplus()?
                .f_sum_dim_intlist(-1, false, Kind::Float)?;
            positive
                .f_add(&negative)?
                .f_mean(Kind::Float)?
                .f_div_scalar(negatives + 1)
        }),
        LossKind::Bpr => sampled(&|positives_m, negatives_mn| {
            negatives_mn
                .f_sub(&positives_m.f_unsqueeze(1)?)?
                .f_softplus()?
                .f_mean(Kind::Float)
        }),
        LossKind::SampledSoftmax => sampled(&|positives_m, negatives_mn| {
            let logits = Tensor::f_cat(&[&positives_m.f_unsqueeze(1)?, negatives_mn], 1)?;
            logits
                .f_logsumexp([1], false)?
                .f_sub(positives_m)?
                .f_mean(Kind::Float)
        }),
    }
}

/// The power of the positive's likelihood in gBCE (Petrov & Macdonald, RecSys 2023,
/// arXiv:2308.07192, Eq. 13): `alpha (t (1 - 1/alpha) + 1/alpha)`, with `alpha` the share of the
/// other items that is drawn. 1, plain BCE, for `t = 0`.
fn gbce_power(negatives: f64, items: f64, t: f64) -> f64 {
    let alpha = (negatives / (items - 1.0).max(1.0)).min(1.0);
    alpha * (t * (1.0 - 1.0 / alpha) + 1.0 / alpha)
}

/// Scores of the targets, `[M]`.
fn target_scores(input: &LossInput<'_>) -> Result<Tensor, tch::TchError> {
    let vectors = gather(&input.outputs.vectors, input.targets_m)?;
    let scores = vectors
        .f_mul(input.states_ms)?
        .f_sum_dim_intlist(-1, false, Kind::Float)?;
    corrected(scores, input.targets_m, input)
}

/// Scores of the negatives, `[M, n]`. Where all states share their negatives, one may be a state's
/// own target: it is scored minus infinity, as if it had not been drawn.
fn negative_scores(input: &LossInput<'_>) -> Result<Tensor, tch::TchError> {
    let (states, vectors, places) = (input.states_ms, &input.outputs.vectors, input.negatives);
    let &[rows, per_state] = places.size().as_slice() else {
        return Err(tch::TchError::Shape(format!(
            "negatives have the shape {:?}",
            places.size()
        )));
    };
    let scores = if rows == 1 {
        let scores = states.f_linear(&gather(vectors, &places.f_view([-1])?)?, None::<&Tensor>)?;
        let own = places.f_eq_tensor(&input.targets_m.f_unsqueeze(1)?)?;
        scores.f_masked_fill(&own, f64::NEG_INFINITY)?
    } else if per_state >= MANY_NEGATIVES {
        states
            .f_linear(vectors, None::<&Tensor>)?
            .f_gather(1, places, false)?
    } else {
        let vectors = gather(vectors, places)?;
        let scores = vectors.f_mul(&states.f_unsqueeze(1)?)?;
        scores.f_sum_dim_intlist(-1, false, Kind::Float)?
    };
    corrected(scores, places, input)
}

/// Adds biases and takes the logarithm of the sampling probability off, so that an often drawn
/// item is not punished for being drawn (Bengio & Senecal 2003; Yi et al., RecSys 2019).
fn corrected(
    mut scores: Tensor,
    places: &Tensor,
    input: &LossInput<'_>,
) -> Result<Tensor, tch::TchError> {
    let of_places = |values_u: &Tensor| {
        values_u
            .f_unsqueeze(1)
            .and_then(|v| gather(&v, places)?.f_squeeze_dim(-1))
    };
    if let Some(bias_u) = &input.outputs.bias {
        scores = scores.f_add(&of_places(bias_u)?)?;
    }
    if let Some(log_probability_u) = input.log_probability_u {
        scores = scores.f_sub(&of_places(log_probability_u)?)?;
    }
    Ok(scores)
}

/// Softmax cross-entropy over all items, of labels `(1 - smoothing) [target] + smoothing / I`.
///
/// The gradient of a logit is its probability less its label, so it is computed at once, block by block of states, and
/// the logits of all states are never held together. Of each logit there is one exponential: rows of exponentials
/// are divided by their sums where they are narrow, after the products.
fn cross_entropy(smoothing: f64, input: &LossInput<'_>) -> Result<Loss, tch::TchError> {
    let (states, items) = (input.states_ms, input.items as i64);
    // Rows after the items', those of padding and the mask token, are no candidates.
    let outputs = Outputs {
        vectors: input.outputs.vectors.f_narrow(0, 0, items)?,
        bias: input
            .outputs
            .bias
            .as_ref()
            .map(|bias| bias.f_narrow(0, 0, items))
            .transpose()?,
    };
    let rows = states.size()[0];
    let block = (BLOCK_LOGITS / items.max(1)).max(BLOCK_STATES);
    let uniform = smoothing / items as f64;
    let mut sum = 0.0;
    let mut state_gradients = Vec::new();
    let mut vector_gradient = outputs.vectors.f_detach()?.f_zeros_like()?;
    let mut bias_gradient = outputs
        .bias
        .as_ref()
        .map(|bias| bias.f_detach()?.f_zeros_like())
        .transpose()?;
    {
        let _guard = tch::no_grad_guard();
        let vectors = outputs.vectors.f_detach()?;
        let bias = outputs.bias.as_ref().map(Tensor::f_detach).transpose()?;
        for first in (0..rows).step_by(block as usize) {
            let len = block.min(rows - first);
            let states = states.f_detach()?.f_narrow(0, first, len)?;
            let targets = input.targets_m.f_narrow(0, first, len)?.f_unsqueeze(1)?;
            let mut logits = states.f_linear(&vectors, bias.as_ref())?;
            let own = logits.f_gather(1, &targets, false)?;
            let largest = logits.f_amax([1_i64].as_slice(), true)?;
            let smoothed = (smoothing > 0.0)
                .then(|| logits.f_mean_dim(Some([1_i64].as_slice()), true, Kind::Float))
                .transpose()?;
            let mut gradient = logits.f_sub_(&largest)?.f_exp_()?;
            let total = gradient.f_sum_dim_intlist(Some([1_i64].as_slice()), true, Kind::Float)?;
            let mut values = total.f_log()?.f_add(&largest)?;
            values = match &smoothed {
                Some(mean) => values
                    .f_sub(&own.f_mul_scalar(1.0 - smoothing)?)?
                    .f_sub(&mean.f_mul_scalar(smoothing)?)?,
                None => values.f_sub(&own)?,
            };
            sum += f64::try_from(values.f_sum(Kind::Double)?)?;
            // Each row is `total` times the gradient.
            let label = total.f_mul_scalar(smoothing - 1.0)?;
            let mut gradient = gradient.f_scatter_add_(1, &targets, &label)?;
            if uniform > 0.0 {
                gradient = gradient.f_sub_(&total.f_mul_scalar(uniform)?)?;
            }
            let divisor = total.f_mul_scalar(rows)?;
            state_gradients.push(gradient.f_matmul(&vectors)?.f_div_(&divisor)?);
            let states = states.f_div(&divisor)?;
            let _ = vector_gradient.f_addmm_(&gradient.f_transpose(0, 1)?, &states)?;
            if let Some(bias_gradient) = &mut bias_gradient {
                let weights = divisor.f_reciprocal()?.f_squeeze_dim(1)?;
                let of_block = gradient.f_transpose(0, 1)?.f_mv(&weights)?;
                let _ = bias_gradient.f_add_(&of_block)?;
            }
        }
    }
    let inner = |x: &Tensor, gradient: &Tensor| x.f_mul(gradient)?.f_sum(Kind::Float);
    let mut differentiable = inner(states, &Tensor::f_cat(&state_gradients, 0)?)?;
    differentiable = differentiable.f_add(&inner(&outputs.vectors, &vector_gradient)?)?;
    if let (Some(bias), Some(gradient)) = (&outputs.bias, &bias_gradient) {
        differentiable = differentiable.f_add(&inner(bias, gradient)?)?;
    }
    Ok(Loss {
        value: sum / rows as f64,
        differentiable,
    })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// States `[3, 2]`, items `[4, 2]` with biases, targets and negatives.
    struct Case {
        states: Tensor,
        outputs: Outputs,
        targets: Tensor,
        negatives: Tensor,
    }

    impl Case {
        fn new(bias: bool) -> Self {
            let leaf = |tensor: Tensor| tensor.set_requires_grad(true);
            let vectors = [[0.2f32, -1.0], [0.7, 0.3], [-0.5, 0.9], [1.1, -0.2]];
            Self {
                states: leaf(Tensor::from_slice2(&[
                    [0.5f32, -0.4],
                    [1.5, 0.8],
                    [-0.3, 0.6],
                ])),
                outputs: Outputs {
                    vectors: leaf(Tensor::from_slice2(&vectors)),
                    bias: bias.then(|| leaf(Tensor::from_slice(&[0.1f32, -0.2, 0.3, 0.0]))),
                },
                targets: Tensor::from_slice(&[3i64, 0, 2]),
                negatives: Tensor::from_slice2(&[[0i64, 1], [2, 3], [1, 1]]),
            }
        }

        fn input(&self) -> LossInput<'_> {
            LossInput {
                states_ms: &self.states,
                outputs: &self.outputs,
                targets_m: &self.targets,
                negatives: &self.negatives,
                log_probability_u: None,
                items: 11,
            }
        }

        fn scores(&self) -> Vec<Vec<f64>> {
            let mut scores = self.states.matmul(&self.outputs.vectors.tr());
            if let Some(bias) = &self.outputs.bias {
                scores += bias;
            }
            Vec::<Vec<f64>>::try_from(scores.to_kind(Kind::Double)).unwrap()
        }

        fn gradients(&self, loss: &Loss) -> Vec<Tensor> {
            let mut inputs = vec![&self.states, &self.outputs.vectors];
            inputs.extend(&self.outputs.bias);
            Tensor::run_backward(&[&loss.differentiable], &inputs, false, false)
        }
    }

    fn spec(kind: LossKind) -> LossSpec {
        LossSpec {
            kind,
            negatives: 2,
            t: 0.75,
            ..LossSpec::default()
        }
    }

    fn softplus(x: f64) -> f64 {
        x.exp().ln_1p()
    }

    /// Each loss written out for one target and its negatives, as in its paper.
    #[test]
    fn sampled_losses_are_their_formulas() {
        for bias in [false, true] {
            let case = Case::new(bias);
            let scores = case.scores();
            let rows = [(3, [0, 1]), (0, [2, 3]), (2, [1, 1])];
            let mean = |of: &dyn Fn(f64, f64, f64) -> f64| {
                let row = |(row, &(target, [a, b])): (usize, &(usize, [usize; 2]))| {
                    of(scores[row][target], scores[row][a], scores[row][b])
                };
                rows.iter().enumerate().map(row).sum::<f64>() / 3.0
            };
            let power = 0.2 * (0.75 * (1.0 - 5.0) + 5.0);
            let expected = [
                (
                    LossKind::Bce,
                    mean(&|p, a, b| softplus(-p) + (softplus(a) + softplus(b)) / 2.0),
                ),
                (
                    LossKind::Gbce,
                    mean(&|p, a, b| (power * softplus(-p) + softplus(a) + softplus(b)) / 3.0),
                ),
                (
                    LossKind::Bpr,
                    mean(&|p, a, b| (softplus(a - p) + softplus(b - p)) / 2.0),
                ),
                (
                    LossKind::SampledSoftmax,
                    mean(&|p, a, b| (p.exp() + a.exp() + b.exp()).ln() - p),
                ),
            ];
            for (kind, expected) in expected {
                let value = loss(&spec(kind), &case.input()).unwrap().value;
                assert!(
                    (value - expected).abs() < 1e-6,
                    "{kind:?}: {value}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn cross_entropy_and_its_gradient_are_those_of_autograd() {
        for (bias, smoothing) in [(false, 0.0), (true, 0.0), (false, 0.2), (true, 0.2)] {
            let case = Case::new(bias);
            let input = LossInput {
                items: 4,
                ..case.input()
            };
            let spec = LossSpec {
                label_smoothing: smoothing,
                ..spec(LossKind::CrossEntropy)
            };
            let ours = loss(&spec, &input).unwrap();
            let logits = case
                .states
                .linear(&case.outputs.vectors, case.outputs.bias.as_ref());
            let mean = tch::Reduction::Mean;
            let theirs =
                logits.cross_entropy_loss::<Tensor>(&case.targets, None, mean, -100, smoothing);
            let value = f64::try_from(&theirs).unwrap();
            assert!((ours.value - value).abs() < 1e-6);
            let theirs = Loss {
                value,
                differentiable: theirs,
            };
            for (ours, theirs) in case.gradients(&ours).iter().zip(case.gradients(&theirs)) {
                assert!(ours.allclose(&theirs, 1e-5, 1e-7, false));
            }
        }
    }

    #[test]
    fn many_negatives_are_scored_like_few_and_shared_ones_like_their_own() {
        let case = Case::new(true);
        let many = case.negatives.repeat([1, MANY_NEGATIVES / 2]);
        let input = LossInput {
            negatives: &many,
            ..case.input()
        };
        let few = Vec::<Vec<f64>>::try_from(negative_scores(&case.input()).unwrap()).unwrap();
        let many = Vec::<Vec<f64>>::try_from(negative_scores(&input).unwrap()).unwrap();
        for (few, many) in few.iter().zip(&many) {
            for (index, score) in many.iter().enumerate() {
                assert!((score - few[index % 2]).abs() < 1e-6);
            }
        }
        let shared = Tensor::from_slice2(&[[1i64, 2]]);
        let input = LossInput {
            negatives: &shared,
            ..case.input()
        };
        let shared = Vec::<Vec<f64>>::try_from(negative_scores(&input).unwrap()).unwrap();
        let all = case.scores();
        for (row, scores) in shared.iter().enumerate() {
            assert!((scores[0] - all[row][1]).abs() < 1e-6);
        }
        // Item 2 is the third state's target: it does not count against itself.
        assert_eq!(shared[2][1], f64::NEG_INFINITY);
        for kind in [
            LossKind::Bce,
            LossKind::Gbce,
            LossKind::Bpr,
            LossKind::SampledSoftmax,
        ] {
            let loss = loss(&spec(kind), &input).unwrap();
            assert!(loss.value.is_finite(), "{kind:?}");
            for gradient in case.gradients(&loss) {
                assert!(
                    bool::try_from(gradient.isfinite().all()).unwrap(),
                    "{kind:?}"
                );
            }
        }
    }

    #[test]
    fn the_sampling_probability_is_taken_off() {
        let case = Case::new(false);
        let log_probability = Tensor::from_slice(&[0.4f32, 0.3, 0.2, 0.1]).log();
        let input = LossInput {
            log_probability_u: Some(&log_probability),
            ..case.input()
        };
        let scores = Vec::<Vec<f64>>::try_from(negative_scores(&input).unwrap()).unwrap();
        assert!((scores[0][0] - (case.scores()[0][0] - 0.4f64.ln())).abs() < 1e-6);
        assert_eq!(log_probability.device(), Device::Cpu);
    }

    #[test]
    fn gbce_with_t_of_0_is_bce_and_with_t_of_1_scales_by_the_sampling_rate() {
        assert!((gbce_power(10.0, 101.0, 0.0) - 1.0).abs() < 1e-12);
        assert!((gbce_power(10.0, 101.0, 1.0) - 0.1).abs() < 1e-12);
    }
}
