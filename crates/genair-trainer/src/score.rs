//! How states and item vectors become scores: see [`ScoreSpec`].

use genair_protocol::{ScoreKind, ScoreSpec};
use tch::Tensor;

use crate::representation::Outputs;

/// Below this length a vector counts as this long, as in PyTorch's `normalize`.
const SHORTEST: f64 = 1e-12;

/// States `[M, S]` and outputs `[U, S]` whose products, with the biases, are the scores.
pub(crate) fn prepared(
    spec: ScoreSpec,
    states_ms: &Tensor,
    outputs: &Outputs,
) -> Result<(Tensor, Outputs), tch::TchError> {
    let outputs = of_items(spec, outputs)?;
    Ok((of_states(spec, states_ms)?, outputs))
}

/// The part of the items, which is the same for all states.
pub(crate) fn of_items(spec: ScoreSpec, outputs: &Outputs) -> Result<Outputs, tch::TchError> {
    Ok(Outputs {
        vectors: match spec.kind {
            ScoreKind::Dot => outputs.vectors.shallow_clone(),
            ScoreKind::Cosine => unit(&outputs.vectors)?,
        },
        bias: match &outputs.bias {
            Some(bias) => Some(divided(bias, spec.temperature)?),
            None => None,
        },
    })
}

/// The part of the states.
pub(crate) fn of_states(spec: ScoreSpec, states_ms: &Tensor) -> Result<Tensor, tch::TchError> {
    match spec.kind {
        ScoreKind::Dot => divided(states_ms, spec.temperature),
        ScoreKind::Cosine => divided(&unit(states_ms)?, spec.temperature),
    }
}

fn divided(x: &Tensor, temperature: f64) -> Result<Tensor, tch::TchError> {
    match temperature == 1.0 {
        true => Ok(x.shallow_clone()),
        false => x.f_div_scalar(temperature),
    }
}

/// Rows of length 1; a row of zeros stays as it is.
pub(crate) fn unit(x: &Tensor) -> Result<Tensor, tch::TchError> {
    let length = x.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), true)?;
    x.f_div(&length.f_clamp_min(SHORTEST)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy: `(h @ e.T + b) / .5`, and the same of rows over their lengths.
    #[test]
    fn scores_are_their_formulas() {
        let states = Tensor::from_slice2(&[[3.0f32, 4.0], [1.0, 0.0]]);
        let outputs = Outputs {
            vectors: Tensor::from_slice2(&[[0.0f32, 2.0], [-6.0, 8.0], [0.0, 0.0]]),
            bias: Some(Tensor::from_slice(&[0.5f32, 0.0, 1.0])),
        };
        let scores = |kind, temperature| -> Vec<f32> {
            let spec = ScoreSpec { kind, temperature };
            let (states, outputs) = prepared(spec, &states, &outputs).unwrap();
            let scores = states.linear(&outputs.vectors, outputs.bias.as_ref());
            Vec::try_from(scores.flatten(0, -1)).unwrap()
        };
        let near = |found: Vec<f32>, expected: [f32; 6]| {
            for (found_one, expected_one) in found.iter().zip(expected) {
                assert!((found_one - expected_one).abs() < 1e-6, "{found:?}");
            }
        };
        near(
            scores(ScoreKind::Dot, 0.5),
            [17.0, 28.0, 2.0, 1.0, -12.0, 2.0],
        );
        near(
            scores(ScoreKind::Cosine, 0.5),
            [2.6, 0.56, 2.0, 1.0, -1.2, 2.0],
        );
    }
}
