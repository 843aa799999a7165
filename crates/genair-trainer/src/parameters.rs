//! A run's tensors: names, start values and best-epoch copies of those that are trained, and the one
//! that is not.

use genair_abi::InitKind;
use genair_protocol::Initialisation;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use tch::{Device, Tensor};

use crate::random::Streams;

/// Standard deviation of [`Initialisation::TruncatedNormal`].
const TRUNCATED_DEVIATION: f64 = 0.02;

/// How one tensor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Start {
    pub(crate) kind: InitKind,
    /// Standard deviation, bound or constant, as the kind says.
    pub(crate) value: f64,
}

/// Every trainable tensor of a run, in order of creation.
pub(crate) struct Parameters {
    named: Vec<(String, Tensor)>,
    frozen: Option<Frozen>,
    /// Names of tensors whose rows may be so long at most.
    bounds: Vec<(&'static str, f64)>,
    /// Names of tensors of which only so many rows train, from the first.
    trained_rows: Vec<(&'static str, i64)>,
    initialisation: Initialisation,
    streams: Streams,
    device: Device,
}

/// A tensor of the model that is never trained: not counted, and in no checkpoint, which names it
/// by its digest.
pub(crate) struct Frozen {
    pub(crate) name: &'static str,
    pub(crate) tensor: Tensor,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

/// Why a tensor cannot be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParameterError {
    #[error("there is a tensor of this name already")]
    Duplicate,
    #[error("the name is empty")]
    NoName,
    #[error("the shape {0:?} has no elements")]
    Shape(Vec<i64>),
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

impl Parameters {
    pub(crate) fn new(initialisation: Initialisation, streams: Streams, device: Device) -> Self {
        Self {
            named: Vec::new(),
            frozen: None,
            bounds: Vec::new(),
            trained_rows: Vec::new(),
            initialisation,
            streams,
            device,
        }
    }

    /// Creates a float tensor. Its start value depends on the run's seed and its name alone.
    pub(crate) fn create(
        &mut self,
        name: &str,
        shape: &[i64],
        start: Start,
    ) -> Result<Tensor, ParameterError> {
        self.check_name(name)?;
        let elements = shape
            .iter()
            .try_fold(1i64, |product, &side| {
                if side < 1 {
                    None
                } else {
                    product.checked_mul(side)
                }
            })
            .filter(|&elements| elements < i64::from(u32::MAX))
            .ok_or_else(|| ParameterError::Shape(shape.to_vec()))?;
        let mut stream = self.streams.at(&format!("start of {name}"), 0, 0);
        let values = self.start_values(shape, elements as usize, start, &mut stream);
        self.add(name, &Tensor::f_from_slice(&values)?.f_view(shape)?)
    }

    /// Creates a float tensor that starts with the values of another.
    pub(crate) fn create_from(
        &mut self,
        name: &str,
        values: &Tensor,
    ) -> Result<Tensor, ParameterError> {
        self.check_name(name)?;
        self.add(name, &values.f_detach_copy()?)
    }

    /// Takes in the tensor that is not trained.
    pub(crate) fn freeze(
        &mut self,
        name: &'static str,
        values: &Tensor,
        sha256: String,
    ) -> Result<Tensor, tch::TchError> {
        let tensor = values.f_to_device(self.device)?;
        self.frozen = Some(Frozen {
            name,
            tensor: tensor.shallow_clone(),
            sha256,
        });
        Ok(tensor)
    }

    /// Bounds the Euclidean length of each row of a tensor; [`Self::shorten`] holds it.
    pub(crate) fn bound_rows(&mut self, name: &'static str, max_norm: f64) {
        self.bounds.push((name, max_norm));
    }

    /// Keeps the rows of a tensor after the first `rows` as they are: no step moves them, not even weight decay.
    pub(crate) fn train_rows(&mut self, name: &'static str, rows: i64) {
        self.trained_rows.push((name, rows));
    }

    /// How many rows of a tensor train, from the first; `None`: all of it.
    pub(crate) fn trained_rows(&self, name: &str) -> Option<i64> {
        let known = self.trained_rows.iter().find(|(known, _)| *known == name);
        known.map(|&(_, rows)| rows)
    }

    /// Shortens the rows that have grown beyond their bound to it, after a step.
    pub(crate) fn shorten(&self) -> Result<(), tch::TchError> {
        let _guard = tch::no_grad_guard();
        for (bounded, max_norm) in &self.bounds {
            for (_, tensor) in self.named.iter().filter(|(name, _)| name == bounded) {
                let lengths = tensor.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), true)?;
                let factor = lengths
                    .f_reciprocal()?
                    .f_mul_scalar(*max_norm)?
                    .f_clamp_max(1.0)?;
                let _ = tensor.shallow_clone().f_mul_(&factor)?;
            }
        }
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), ParameterError> {
        if name.is_empty() {
            return Err(ParameterError::NoName);
        }
        if self.named.iter().any(|(taken, _)| taken == name) {
            return Err(ParameterError::Duplicate);
        }
        Ok(())
    }

    fn add(&mut self, name: &str, values: &Tensor) -> Result<Tensor, ParameterError> {
        let tensor = values.f_to_device(self.device)?;
        let tensor = tensor.f_set_requires_grad(true)?;
        self.named.push((name.to_owned(), tensor.shallow_clone()));
        Ok(tensor)
    }

    fn start_values(
        &self,
        shape: &[i64],
        elements: usize,
        start: Start,
        stream: &mut Xoshiro256PlusPlus,
    ) -> Vec<f32> {
        let mut normal = |deviation: f64, cut: f64| -> Vec<f32> {
            let draw = |_| loop {
                let z: f64 = StandardNormal.sample(stream);
                if z.abs() <= cut {
                    break (z * deviation) as f32;
                }
            };
            (0..elements).map(draw).collect()
        };
        match (start.kind, self.initialisation) {
            (InitKind::Constant, _) => vec![start.value as f32; elements],
            (InitKind::Normal, _) => normal(start.value, f64::INFINITY),
            (InitKind::Uniform, _) => {
                let draw = |_| stream.random_range(-start.value..=start.value) as f32;
                (0..elements).map(draw).collect()
            }
            (InitKind::Weight, Initialisation::XavierNormal) => {
                let (fan_in, fan_out) = fans(shape);
                normal((2.0 / (fan_in + fan_out)).sqrt(), f64::INFINITY)
            }
            (InitKind::Weight, Initialisation::TruncatedNormal) => normal(TRUNCATED_DEVIATION, 2.0),
        }
    }

    /// Tensors by name, in order of creation.
    pub(crate) fn named(&self) -> &[(String, Tensor)] {
        &self.named
    }

    /// The tensor that is not trained, where there is one.
    pub(crate) fn frozen(&self) -> Option<&Frozen> {
        self.frozen.as_ref()
    }

    /// Number of trainable scalars.
    pub(crate) fn count(&self) -> u64 {
        self.named
            .iter()
            .map(|(_, tensor)| tensor.numel() as u64)
            .sum()
    }

    /// A copy of every value.
    pub(crate) fn snapshot(&self) -> Result<Vec<Tensor>, tch::TchError> {
        self.named
            .iter()
            .map(|(_, tensor)| tensor.f_detach_copy())
            .collect()
    }

    /// Puts the values of a [`Self::snapshot`] back.
    pub(crate) fn restore(&mut self, snapshot: &[Tensor]) -> Result<(), tch::TchError> {
        let _guard = tch::no_grad_guard();
        for ((_, tensor), value) in self.named.iter_mut().zip(snapshot) {
            tensor.f_copy_(value)?;
        }
        Ok(())
    }
}

/// Inputs and outputs of a weight as PyTorch counts them: columns and rows, times the elements of a
/// kernel beyond the first two dimensions.
fn fans(shape: &[i64]) -> (f64, f64) {
    let kernel: i64 = shape.iter().skip(2).product();
    let side = |dimension: usize| (shape.get(dimension).copied().unwrap_or(1) * kernel) as f64;
    (side(1), side(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(initialisation: Initialisation) -> Parameters {
        Parameters::new(initialisation, Streams::new(5), Device::Cpu)
    }

    const WEIGHT: Start = Start {
        kind: InitKind::Weight,
        value: 0.0,
    };

    #[test]
    fn start_values_have_the_deviation_they_should() {
        for (initialisation, shape, expected) in [
            (
                Initialisation::XavierNormal,
                &[300, 200][..],
                (2.0f64 / 500.0).sqrt(),
            ),
            (
                Initialisation::XavierNormal,
                &[50, 30, 4, 5],
                (2.0f64 / (80.0 * 20.0)).sqrt(),
            ),
            // Cutting a normal at two deviations leaves 0.8796 of its deviation.
            (Initialisation::TruncatedNormal, &[300, 200], 0.02 * 0.8796),
        ] {
            let tensor = parameters(initialisation)
                .create("w", shape, WEIGHT)
                .unwrap();
            let deviation = f64::try_from(tensor.std(true)).unwrap();
            assert!(
                (deviation / expected - 1.0).abs() < 0.02,
                "{deviation}, expected {expected}"
            );
        }
    }

    #[test]
    fn a_start_value_depends_on_its_name_and_not_on_what_came_before() {
        let mut one = parameters(Initialisation::XavierNormal);
        let _ = one.create("a", &[3, 4], WEIGHT).unwrap();
        let b = one.create("b", &[3, 4], WEIGHT).unwrap();
        let mut other = parameters(Initialisation::XavierNormal);
        assert_eq!(other.create("b", &[3, 4], WEIGHT).unwrap(), b);
        assert_ne!(other.create("a", &[3, 4], WEIGHT).unwrap(), b);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut parameters = parameters(Initialisation::XavierNormal);
        let _ = parameters.create("a", &[2], WEIGHT).unwrap();
        assert!(matches!(
            parameters.create("a", &[2], WEIGHT),
            Err(ParameterError::Duplicate)
        ));
        assert!(matches!(
            parameters.create("", &[2], WEIGHT),
            Err(ParameterError::NoName)
        ));
        for shape in [&[-1, 3][..], &[0], &[1 << 40, 1 << 40]] {
            assert!(matches!(
                parameters.create("b", shape, WEIGHT),
                Err(ParameterError::Shape(_))
            ));
        }
    }
}
