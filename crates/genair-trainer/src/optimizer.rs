//! Adam (Kingma & Ba 2015, arXiv:1412.6980).

use genair_protocol::OptimizerSpec;
use tch::Tensor;

use crate::parameters::Parameters;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Adam over every parameter of a run. Its moments are plain tensors of this program, so that a
/// checkpoint can hold them.
pub(crate) struct Adam {
    spec: OptimizerSpec,
    /// First and second moment, in the order of the parameters; created at a tensor's first gradient.
    moments: Vec<Option<(Tensor, Tensor)>>,
    steps: i32,
}

impl Adam {
    pub(crate) fn new(spec: OptimizerSpec, parameters: &Parameters) -> Self {
        let moments = parameters.named().iter().map(|_| None).collect();
        Self {
            spec,
            moments,
            steps: 0,
        }
    }

    /// Moves every parameter that has a gradient, then clears the gradients.
    pub(crate) fn step(&mut self, parameters: &Parameters) -> Result<(), tch::TchError> {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let correction_1 = 1.0 - BETA_1.powi(self.steps);
        let correction_2 = (1.0 - BETA_2.powi(self.steps)).sqrt();
        for ((_, tensor), moments) in parameters.named().iter().zip(&mut self.moments) {
            let mut tensor = tensor.shallow_clone();
            let gradient = tensor.f_grad()?;
            if !gradient.defined() {
                continue;
            }
            let gradient = if self.spec.weight_decay > 0.0 {
                gradient.f_add(&tensor.f_mul_scalar(self.spec.weight_decay)?)?
            } else {
                gradient
            };
            let (first, second) = match moments {
                Some(moments) => moments,
                None => moments.insert((tensor.f_zeros_like()?, tensor.f_zeros_like()?)),
            };
            let _ = first.f_lerp_(&gradient, 1.0 - BETA_1)?;
            let square = gradient.f_square()?;
            let _ = second.f_lerp_(&square, 1.0 - BETA_2)?;
            let scale = second
                .f_sqrt()?
                .f_divide_scalar_(correction_2)?
                .f_add_scalar_(EPSILON)?;
            let change = first
                .f_div(&scale)?
                .f_mul_scalar_(-self.spec.lr / correction_1)?;
            let _ = tensor.f_add_(&change)?;
            // Gradients are added to, so each step starts from zero.
            let _ = tensor.f_grad()?.f_zero_()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use genair_abi::InitKind;
    use genair_protocol::Initialisation;
    use tch::{Device, Kind};

    use super::*;
    use crate::parameters::Start;
    use crate::random::Streams;

    /// torch 2.13: `p = torch.tensor([1., -2., 3.], requires_grad=True)`, Adam(lr=0.1), three
    /// steps on `(p ** 2 * torch.tensor([1., 2., 0.5])).sum()`.
    #[test]
    fn three_steps_are_those_of_pytorch() {
        let mut parameters =
            Parameters::new(Initialisation::XavierNormal, Streams::new(1), Device::Cpu);
        let start = Start {
            kind: InitKind::Constant,
            value: 0.0,
        };
        let mut p = parameters.create("p", &[3], start).unwrap();
        {
            let _guard = tch::no_grad_guard();
            p.copy_(&Tensor::from_slice(&[1.0f32, -2.0, 3.0]));
        }
        let mut adam = Adam::new(
            OptimizerSpec {
                lr: 0.1,
                ..OptimizerSpec::default()
            },
            &parameters,
        );
        for _ in 0..3 {
            let loss = (p.square() * Tensor::from_slice(&[1.0f32, 2.0, 0.5])).sum(Kind::Float);
            loss.backward();
            adam.step(&parameters).unwrap();
        }
        let values = Vec::<f32>::try_from(&p).unwrap();
        for (value, expected) in values.iter().zip(EXPECTED) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }

    const EXPECTED: [f32; 3] = [0.701_586_3, -1.700_623_4, 2.700_381_5];
}
