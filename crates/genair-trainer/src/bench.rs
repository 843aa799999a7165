//! Parts of a training step on made-up numbers, for this crate's `benches/`. No API: they are
//! private, and stay so.

use genair_protocol::{Initialisation, LossKind, LossSpec, NegativeSampler, OptimizerSpec};
use tch::{Device, Kind, Tensor};

use crate::loss::{LossInput, loss};
use crate::negatives::{ItemDistribution, NegativeDraws};
use crate::optimizer::{Adam, Gradient};
use crate::parameters::Parameters;
use crate::random::Streams;
use crate::representation::{Outputs, WEIGHT};

/// Adam on an item table of which a batch has met some rows.
pub struct TableStep {
    parameters: Parameters,
    adam: Adam,
    gradients: Vec<Gradient>,
}

impl TableStep {
    /// A table `[items, width]` and gradients for every `items / met`-th row.
    ///
    /// # Panics
    /// What libtorch refuses.
    pub fn new(items: i64, width: i64, met: i64) -> Self {
        let streams = Streams::new(44);
        let mut parameters = Parameters::new(Initialisation::XavierNormal, streams, Device::Cpu);
        let created = parameters.create("items.table", &[items, width], WEIGHT);
        let _table = created.unwrap_or_else(|error| panic!("{error}"));
        let adam = Adam::new(OptimizerSpec::default(), &parameters);
        let rows = (0..met).map(|row| row * (items / met)).collect();
        let values = Tensor::full([met, width], 0.01, (Kind::Float, Device::Cpu));
        Self {
            parameters,
            adam,
            gradients: vec![Gradient::Rows { rows, values }],
        }
    }

    /// One step.
    ///
    /// # Panics
    /// What libtorch refuses.
    pub fn step(&mut self) {
        let done = self.adam.step(&self.parameters, &self.gradients);
        done.unwrap_or_else(|error| panic!("{error:?}"));
    }
}

/// Forward and backward pass of the softmax over all items, block by block: states `[M, S]`, item
/// vectors `[I, S]` (both leaves) and targets `[M]`, to both gradients.
///
/// # Panics
/// What libtorch refuses.
pub fn softmax_gradients(states_ms: &Tensor, items_is: &Tensor, targets_m: &Tensor) -> Vec<Tensor> {
    let spec = LossSpec {
        kind: LossKind::CrossEntropy,
        ..LossSpec::default()
    };
    let outputs = Outputs {
        vectors: items_is.shallow_clone(),
        bias: None,
    };
    let input = LossInput {
        states_ms,
        outputs: &outputs,
        targets_m,
        negatives: targets_m,
        log_probability_u: None,
        items: items_is.size()[0] as usize,
    };
    let loss = loss(&spec, &input).unwrap_or_else(|error| panic!("{error}"));
    Tensor::run_backward(&[loss.differentiable], &[states_ms, items_is], false, false)
}

/// Draws `count` uniform negatives of a user with these training items (ascending, distinct), of a
/// catalogue from 1 to `items`. Returns their sum.
pub fn training_negatives(seen: &[u32], items: u32, count: usize) -> u64 {
    let distribution =
        ItemDistribution::new(NegativeSampler::Uniform, &vec![0; items as usize + 1]);
    let draws = NegativeDraws::new(seen, items, &distribution);
    let mut rng = Streams::new(44).at("benchmark", 0, 0);
    (0..count).map(|_| u64::from(draws.draw(1, &mut rng))).sum()
}
