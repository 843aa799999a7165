//! Adam (Kingma & Ba 2015, arXiv:1412.6980) and AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), in one pass
//! over memory where parameters are on the CPU.

mod fused;

use genair_protocol::{OptimizerKind, OptimizerSpec};
use tch::{Device, Kind, Tensor};

use crate::RunErrorKind;
use crate::parameters::Parameters;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The gradient of one parameter.
#[derive(Debug)]
pub(crate) enum Gradient {
    /// The loss does not depend on it.
    None,
    /// One number for each of its elements.
    Dense(Tensor),
    /// Distinct rows of a table, and the gradients of these rows; zero elsewhere.
    Rows {
        /// `U` row numbers.
        rows: Vec<i64>,
        /// `[U, D]`.
        values: Tensor,
    },
}

/// First and second moment of a parameter; created at its first gradient.
pub(crate) type Moments = Option<(Tensor, Tensor)>;

/// Adam over every parameter of a run. Its moments are plain tensors of this program, so that a
/// checkpoint can hold them.
pub(crate) struct Adam {
    spec: OptimizerSpec,
    /// In the order of the parameters.
    moments: Vec<Moments>,
    steps: i32,
    /// What the schedule multiplies the learning rate by.
    rate_factor: f64,
}

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Learning rate over the first moment's bias correction.
    rate: f64,
    /// Root of the second moment's bias correction.
    correction: f64,
    /// L2 penalty, added to the gradient.
    weight_decay: f64,
    /// What gradients are multiplied by, before the penalty.
    gradient_scale: f64,
    /// What parameters are multiplied by.
    shrink: f64,
}

impl Adam {
    pub(crate) fn new(spec: OptimizerSpec, parameters: &Parameters) -> Self {
        let moments = parameters.named().iter().map(|_| None).collect();
        Self {
            spec,
            moments,
            steps: 0,
            rate_factor: 1.0,
        }
    }

    /// Sets what the learning rate is multiplied by from the next step on.
    pub(crate) fn set_rate_factor(&mut self, factor: f64) {
        self.rate_factor = factor;
    }

    /// Steps made so far.
    pub(crate) fn steps(&self) -> i32 {
        self.steps
    }

    /// Moments in the order of the parameters.
    pub(crate) fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// Goes back to where another one was; `moments` are one for each parameter, in their order.
    pub(crate) fn restore(&mut self, steps: i32, moments: Vec<Moments>) {
        self.steps = steps;
        self.moments = moments;
    }

    /// Moves every parameter that has a gradient; `gradients` are in the order of the parameters.
    /// A table's rows without a gradient move too, by their moments, as in dense Adam; those that do not train
    /// ([`Parameters::trained_rows`]) stay.
    ///
    /// # Errors
    /// [`NotFinite`] for a gradient with a NaN or infinity; the parameters are of no use then.
    pub(crate) fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &[Gradient],
    ) -> Result<(), StepError> {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let rate = self.spec.lr * self.rate_factor;
        let (weight_decay, shrink) = match self.spec.kind {
            OptimizerKind::Adam => (self.spec.weight_decay, 1.0),
            OptimizerKind::AdamW => (0.0, 1.0 - rate * self.spec.weight_decay),
        };
        let step = Step {
            rate: rate / (1.0 - BETA_1.powi(self.steps)),
            correction: (1.0 - BETA_2.powi(self.steps)).sqrt(),
            weight_decay,
            gradient_scale: match self.spec.clip_norm {
                Some(longest) => clip(gradients, longest)?,
                None => 1.0,
            },
            shrink,
        };
        let named = parameters
            .named()
            .iter()
            .zip(&mut self.moments)
            .zip(gradients);
        for (((name, tensor), moments), gradient) in named {
            if matches!(gradient, Gradient::None) {
                continue;
            }
            let (first, second) = match moments {
                Some(moments) => moments,
                None => moments.insert((tensor.f_zeros_like()?, tensor.f_zeros_like()?)),
            };
            // Views of the rows that train.
            let rows = parameters.trained_rows(name);
            let of_rows = |tensor: &Tensor| match rows {
                Some(rows) => tensor.f_narrow(0, 0, rows),
                None => Ok(tensor.shallow_clone()),
            };
            let mut tensor = of_rows(tensor)?;
            let (mut first, mut second) = (of_rows(first)?, of_rows(second)?);
            let (first, second) = (&mut first, &mut second);
            let finite = match tensor.device() {
                Device::Cpu => fused::step(step, &mut tensor, first, second, gradient)?,
                _ => composed_step(step, &mut tensor, first, second, gradient)?,
            };
            if !finite {
                return Err(StepError::NotFinite {
                    tensor: name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// What all gradients are multiplied by so that their common Euclidean norm is at most `longest`, as PyTorch's
/// `clip_grad_norm_` does. 1 where it is not finite: the step says of which tensor.
fn clip(gradients: &[Gradient], longest: f64) -> Result<f64, tch::TchError> {
    let mut square = 0.0;
    for gradient in gradients {
        let values = match gradient {
            Gradient::None => continue,
            Gradient::Dense(values) | Gradient::Rows { values, .. } => values,
        };
        square += f64::try_from(values.f_square()?.f_sum(Kind::Double)?)?;
    }
    let factor = longest / (square.sqrt() + 1e-6);
    Ok(if factor.is_finite() {
        factor.min(1.0)
    } else {
        1.0
    })
}

/// Why a step came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("the gradient of `{tensor}`")]
    NotFinite { tensor: String },
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

impl StepError {
    /// As an error of the run.
    pub(crate) fn at(self, epoch: usize, step: usize) -> RunErrorKind {
        match self {
            Self::NotFinite { .. } => RunErrorKind::NotFinite {
                what: self.to_string(),
                value: f64::NAN,
                epoch,
                step,
            },
            Self::Torch(error) => error.into(),
        }
    }
}

/// The step by libtorch's operations, for any device. Whether the gradient was finite.
fn composed_step(
    step: Step,
    tensor: &mut Tensor,
    first: &mut Tensor,
    second: &mut Tensor,
    gradient: &Gradient,
) -> Result<bool, tch::TchError> {
    let mut gradient = match gradient {
        Gradient::None => return Ok(true),
        Gradient::Dense(gradient) => gradient.shallow_clone(),
        Gradient::Rows { rows, values } => {
            let rows = Tensor::f_from_slice(rows)?.f_to_device(tensor.device())?;
            tensor.f_zeros_like()?.f_index_add(0, &rows, values)?
        }
    };
    let finite = bool::try_from(gradient.f_isfinite()?.f_all()?)?;
    if step.gradient_scale != 1.0 {
        gradient = gradient.f_mul_scalar(step.gradient_scale)?;
    }
    if step.weight_decay > 0.0 {
        gradient = gradient.f_add(&tensor.f_mul_scalar(step.weight_decay)?)?;
    }
    let _ = first.f_lerp_(&gradient, 1.0 - BETA_1)?;
    let _ = second.f_lerp_(&gradient.f_square()?, 1.0 - BETA_2)?;
    let scale = second
        .f_sqrt()?
        .f_divide_scalar_(step.correction)?
        .f_add_scalar_(EPSILON)?;
    let _ = tensor.f_mul_scalar_(step.shrink)?;
    let _ = tensor.f_add_(&first.f_div(&scale)?.f_mul_scalar_(-step.rate)?)?;
    Ok(finite)
}

#[cfg(test)]
mod tests {
    use genair_abi::InitKind;
    use genair_protocol::Initialisation;

    use super::*;
    use crate::parameters::Start;
    use crate::random::Streams;

    fn parameters(shape: &[i64]) -> (Parameters, Tensor) {
        let mut parameters =
            Parameters::new(Initialisation::XavierNormal, Streams::new(1), Device::Cpu);
        let start = Start {
            kind: InitKind::Weight,
            value: 0.0,
        };
        let tensor = parameters.create("p", shape, start).unwrap();
        (parameters, tensor)
    }

    #[test]
    fn rows_that_do_not_train_stay_whatever_decays() {
        for kind in [OptimizerKind::Adam, OptimizerKind::AdamW] {
            let (mut parameters, tensor) = parameters(&[5, 2]);
            parameters.train_rows("p", 3);
            let before = tensor.detach().copy();
            let spec = OptimizerSpec {
                kind,
                weight_decay: 0.1,
                ..OptimizerSpec::default()
            };
            let mut adam = Adam::new(spec, &parameters);
            let gradient = || {
                vec![Gradient::Rows {
                    rows: vec![1],
                    values: Tensor::ones([1, 2], (Kind::Float, Device::Cpu)),
                }]
            };
            adam.step(&parameters, &gradient()).unwrap();
            adam.step(&parameters, &gradient()).unwrap();
            let same = |first, len| tensor.narrow(0, first, len) == before.narrow(0, first, len);
            assert!(same(3, 2), "{kind:?}");
            assert!((0..3).all(|row| !same(row, 1)), "{kind:?}");
        }
    }

    const ADAM_STEPS: [f32; 3] = [0.701_586_3, -1.700_623_4, 2.700_381_5];
    const ADAM_W_STEPS: [f32; 3] = [0.649_203_36, -1.589_293_4, 2.530_202_9];
    const CLIPPED_STEPS: [f32; 3] = [0.701_069_8, -1.700_154_2, 2.700_149];

    /// torch 2.13: `p = torch.tensor([1., -2., 3.], requires_grad=True)`, three steps of the optimiser on
    /// `(p ** 2 * torch.tensor([1., 2., 0.5])).sum()`, after `clip_grad_norm_` where there is a norm.
    #[test]
    fn three_steps_are_those_of_pytorch() {
        let adam = OptimizerSpec {
            lr: 0.1,
            ..OptimizerSpec::default()
        };
        let adam_w = OptimizerSpec {
            kind: OptimizerKind::AdamW,
            weight_decay: 0.2,
            ..adam.clone()
        };
        let clipped = OptimizerSpec {
            clip_norm: Some(0.5),
            weight_decay: 0.1,
            ..adam.clone()
        };
        for (spec, expected) in [
            (adam, ADAM_STEPS),
            (adam_w, ADAM_W_STEPS),
            (clipped, CLIPPED_STEPS),
        ] {
            let (parameters, mut p) = parameters(&[3]);
            {
                let _guard = tch::no_grad_guard();
                p.copy_(&Tensor::from_slice(&[1.0f32, -2.0, 3.0]));
            }
            let mut adam = Adam::new(spec.clone(), &parameters);
            for _ in 0..3 {
                let loss = (p.square() * Tensor::from_slice(&[1.0f32, 2.0, 0.5])).sum(Kind::Float);
                let gradient = Tensor::run_backward(&[loss], &[&p], false, false).remove(0);
                adam.step(&parameters, &[Gradient::Dense(gradient)])
                    .unwrap();
            }
            let values = Vec::<f32>::try_from(&p).unwrap();
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-6, "{spec:?}: {values:?}");
            }
        }
    }

    /// The fused step, by rows and dense, against libtorch's operations.
    #[test]
    fn every_form_of_the_step_agrees() {
        for (kind, weight_decay) in [
            (OptimizerKind::Adam, 0.0),
            (OptimizerKind::Adam, 0.1),
            (OptimizerKind::AdamW, 0.1),
        ] {
            let spec = OptimizerSpec {
                kind,
                lr: 0.01,
                weight_decay,
                ..OptimizerSpec::default()
            };
            let decoupled = kind == OptimizerKind::AdamW;
            let shape = [7, 5];
            let (by_rows, rows_tensor) = parameters(&shape);
            let (dense, dense_tensor) = parameters(&shape);
            let mut composed = rows_tensor.detach_copy();
            let (mut first, mut second) = (composed.zeros_like(), composed.zeros_like());
            let (mut rows_adam, mut dense_adam) = (
                Adam::new(spec.clone(), &by_rows),
                Adam::new(spec.clone(), &dense),
            );
            for number in 1..=4 {
                let rows = vec![3, 1, 4 + i64::from(number % 3)];
                let values = Tensor::arange(15, (Kind::Float, Device::Cpu)).view([3, 5]) / 10.0
                    - f64::from(number) / 5.0;
                let full = Tensor::zeros(shape, (Kind::Float, Device::Cpu)).index_add(
                    0,
                    &Tensor::from_slice(&rows),
                    &values,
                );
                let rows = Gradient::Rows { rows, values };
                let step = Step {
                    rate: spec.lr / (1.0 - BETA_1.powi(number)),
                    correction: (1.0 - BETA_2.powi(number)).sqrt(),
                    weight_decay: if decoupled { 0.0 } else { weight_decay },
                    gradient_scale: 1.0,
                    shrink: if decoupled {
                        1.0 - spec.lr * weight_decay
                    } else {
                        1.0
                    },
                };
                composed_step(step, &mut composed, &mut first, &mut second, &rows).unwrap();
                rows_adam.step(&by_rows, &[rows]).unwrap();
                dense_adam.step(&dense, &[Gradient::Dense(full)]).unwrap();
            }
            assert_eq!(rows_tensor, dense_tensor);
            assert!(
                composed.allclose(&rows_tensor, 1e-5, 1e-7, false),
                "{weight_decay}"
            );
        }
    }

    #[test]
    fn a_gradient_that_is_not_a_number_is_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.5f32; 20];
            values[13] = bad;
            let gradient = Tensor::from_slice(&values).view([4, 5]);
            for gradient in [
                Gradient::Dense(gradient.shallow_clone()),
                Gradient::Rows {
                    rows: vec![0, 3, 2, 1],
                    values: gradient,
                },
            ] {
                let (parameters, _p) = parameters(&[4, 5]);
                let mut adam = Adam::new(OptimizerSpec::default(), &parameters);
                let error = adam
                    .step(&parameters, &[gradient])
                    .unwrap_err()
                    .at(2, 7)
                    .to_string();
                assert_eq!(error, "the gradient of `p` became NaN in epoch 2, step 7");
            }
        }
    }
}
