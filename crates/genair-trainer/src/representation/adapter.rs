//! The adapter `p_theta`: from vectors made elsewhere to the backbone's width (docs/method.md, section 4).
//!
//! Shapes: `R` rows, `W` width of the vectors, `H` hidden width, `D` width of the output.

use genair_abi::InitKind;
use genair_protocol::{AdapterKind, AdapterSpec};
use tch::{Kind, Tensor};

use super::{WEIGHT, create};
use crate::RunErrorKind;
use crate::parameters::{Parameters, Start};

/// PyTorch's default, which the published code uses.
const NORM_EPSILON: f64 = 1e-5;

/// `W2 act(LayerNorm(W1 x + b1)) + b2`, without its first half where it is linear.
pub(super) struct Adapter {
    /// What comes before the last layer.
    hidden: Option<Hidden>,
    last: Linear,
}

struct Hidden {
    linear: Linear,
    gain: Tensor,
    bias: Tensor,
    gelu: bool,
}

/// `[out, in]` and `[out]`.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Adapter {
    /// Parameters are numbered as the layers of the published code's `Sequential`: 0 and 3 are
    /// linear, 1 is the norm, 2 the activation; a linear adapter is layer 0 alone.
    ///
    /// `None` where the vectors are the item vectors.
    ///
    /// # Errors
    /// [`RunErrorKind::Spec`] for a width of 0, and where there is no adapter between two widths.
    pub(super) fn create(
        spec: &AdapterSpec,
        width: i64,
        output: i64,
        parameters: &mut Parameters,
    ) -> Result<Option<Self>, RunErrorKind> {
        match spec.kind {
            AdapterKind::None if width == output => return Ok(None),
            AdapterKind::None => {
                return Err(RunErrorKind::Spec {
                    key: "representation.adapter.kind",
                    value: "\"none\"".to_owned(),
                    reason: format!(
                        "the vectors have {width} components where the model needs {output}; set `components` \
                         (with `joint = true` for context and archetype together) or the backbone's \
                         `hidden_size` so that they are equal, or choose an adapter"
                    ),
                });
            }
            AdapterKind::Linear => {
                let mut last = Linear::create("adapter.0", width, output, parameters)?;
                last.scale(spec.init_scale)?;
                return Ok(Some(Self { hidden: None, last }));
            }
            AdapterKind::Mlp | AdapterKind::MlpLinear => {}
        }
        let hidden = spec.expansion as i64 * output;
        let constant = |value| Start {
            kind: InitKind::Constant,
            value,
        };
        let first = Hidden {
            linear: Linear::create("adapter.0", width, hidden, parameters)?,
            gain: create(parameters, "adapter.1.weight", &[hidden], constant(1.0))?,
            bias: create(parameters, "adapter.1.bias", &[hidden], constant(0.0))?,
            gelu: spec.kind == AdapterKind::Mlp,
        };
        let mut last = Linear::create("adapter.3", hidden, output, parameters)?;
        last.scale(spec.init_scale)?;
        Ok(Some(Self {
            hidden: Some(first),
            last,
        }))
    }

    /// `[R, W]` to `[R, D]`, of 32 bits also under autocast.
    pub(super) fn forward(&self, x_rw: &Tensor) -> Result<Tensor, tch::TchError> {
        let Some(hidden) = &self.hidden else {
            return self.last.forward(x_rw)?.f_to_kind(Kind::Float);
        };
        let x_rh = hidden.linear.forward(x_rw)?;
        let shape = [x_rh.size()[1]];
        let (gain, bias) = (Some(&hidden.gain), Some(&hidden.bias));
        let mut x_rh = x_rh.f_layer_norm(shape, gain, bias, NORM_EPSILON, false)?;
        if hidden.gelu {
            // "none": exact, by the error function, not approximated by tanh.
            x_rh = x_rh.f_gelu("none")?;
        }
        self.last.forward(&x_rh)?.f_to_kind(Kind::Float)
    }
}

impl Linear {
    /// Biases start as PyTorch's: uniform within 1 / sqrt(inputs).
    fn create(
        name: &str,
        inputs: i64,
        outputs: i64,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let uniform = Start {
            kind: InitKind::Uniform,
            value: 1.0 / (inputs as f64).sqrt(),
        };
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        Ok(Self {
            weight: create(parameters, &weight, &[outputs, inputs], WEIGHT)?,
            bias: create(parameters, &bias, &[outputs], uniform)?,
        })
    }

    /// Multiplies its start values.
    fn scale(&mut self, factor: f64) -> Result<(), tch::TchError> {
        tch::no_grad(|| {
            let _ = self.weight.f_mul_scalar_(factor)?;
            let _ = self.bias.f_mul_scalar_(factor)?;
            Ok(())
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, tch::TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use genair_protocol::Initialisation;
    use tch::Device;

    use super::*;
    use crate::random::Streams;

    #[test]
    fn vectors_start_as_long_as_the_spec_says() {
        let x = Tensor::randn([50, 16], (Kind::Float, Device::Cpu));
        let lengths = [1.0, 0.125].map(|init_scale| {
            let mut parameters =
                Parameters::new(Initialisation::XavierNormal, Streams::new(1), Device::Cpu);
            let spec = AdapterSpec {
                init_scale,
                ..AdapterSpec::default()
            };
            let adapter = Adapter::create(&spec, 16, 8, &mut parameters)
                .unwrap()
                .unwrap();
            adapter.forward(&x).unwrap().norm().double_value(&[])
        });
        assert!(
            (lengths[1] / lengths[0] - 0.125).abs() < 1e-6,
            "{lengths:?}"
        );
    }

    /// Forward, and the gradients of input and parameters, of `tests/fixtures/adapter.safetensors`
    /// (PyTorch).
    #[test]
    fn the_published_form_is_pytorchs() {
        let file = "../../tests/fixtures/adapter.safetensors";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let fixture = Tensor::read_safetensors(path).unwrap();
        let get = |name: &str| {
            let found = fixture.iter().find(|(theirs, _)| theirs == name);
            found.unwrap().1.shallow_clone()
        };
        let (x, cotangent) = (get("in.x").set_requires_grad(true), get("in.cotangent"));
        let mut parameters =
            Parameters::new(Initialisation::XavierNormal, Streams::new(1), Device::Cpu);
        let (width, output) = (x.size()[1], cotangent.size()[1]);
        let adapter = Adapter::create(&AdapterSpec::default(), width, output, &mut parameters)
            .unwrap()
            .unwrap();
        let theirs =
            |prefix: &str, name: &str| get(&format!("{prefix}.{}", &name["adapter.".len()..]));
        let named = parameters.named();
        let weights: Vec<Tensor> = named.iter().map(|(name, _)| theirs("w", name)).collect();
        parameters.restore(&weights).unwrap();

        let y = adapter.forward(&x).unwrap();
        let difference = |found: &Tensor, expected: &Tensor| {
            assert_eq!(found.size(), expected.size());
            (found - expected).abs().max().double_value(&[])
        };
        assert!(difference(&y.detach(), &get("out.y")) < 1e-5);
        let named = parameters.named();
        let mut inputs: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
        inputs.push(&x);
        let loss = (y * cotangent).sum(Kind::Float);
        let gradients = Tensor::run_backward(&[loss], &inputs, false, false);
        for ((name, _), gradient) in named.iter().zip(&gradients) {
            assert!(difference(gradient, &theirs("g", name)) < 1e-5, "{name}");
        }
        assert_eq!(named.len(), 6);
        assert!(difference(&gradients[6], &get("g.x")) < 1e-5);
    }
}
