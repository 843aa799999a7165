//! One pass of Adam over the memory of a CPU tensor.
//!
//! libtorch's own operations read and write every array about ten times a step; on a table of
//! items that is most of a training step. tch does not expose libtorch's fused Adam.

#![expect(unsafe_code, reason = "tch has no safe view of a tensor's memory")]

use tch::{Device, Kind, Tensor};

use super::{BETA_1, BETA_2, EPSILON, Gradient, Step};

/// Moves `tensor` and its moments. Whether the gradient was finite.
pub(super) fn step(
    step: Step,
    tensor: &mut Tensor,
    first: &mut Tensor,
    second: &mut Tensor,
    gradient: &Gradient,
) -> Result<bool, tch::TchError> {
    let width = tensor.size().last().copied().unwrap_or(1).max(1) as usize;
    let numbers = Numbers::from(step);
    let (p, m, v) = (floats(tensor)?, floats(first)?, floats(second)?);
    match gradient {
        Gradient::None => Ok(true),
        Gradient::Dense(gradient) => {
            let mut gradient = gradient.f_contiguous()?;
            Ok(numbers.update(p, m, v, floats(&mut gradient)?))
        }
        Gradient::Rows { rows, values } => {
            let mut values = values.f_contiguous()?;
            let values = floats(&mut values)?;
            let mut value_of_row = vec![usize::MAX; p.len() / width];
            for (value, &row) in rows.iter().enumerate() {
                value_of_row[row as usize] = value;
            }
            let zeros = vec![0.0; width];
            let mut finite = true;
            for (row, &value) in value_of_row.iter().enumerate() {
                let place = row * width..(row + 1) * width;
                let gradient = match value {
                    usize::MAX => &zeros[..],
                    value => &values[value * width..(value + 1) * width],
                };
                finite &= numbers.update(
                    &mut p[place.clone()],
                    &mut m[place.clone()],
                    &mut v[place],
                    gradient,
                );
            }
            Ok(finite)
        }
    }
}

/// A step's numbers in the precision of the parameters.
#[derive(Clone, Copy)]
struct Numbers {
    rate: f32,
    correction: f32,
    weight_decay: f32,
    gradient_scale: f32,
    shrink: f32,
}

impl From<Step> for Numbers {
    fn from(step: Step) -> Self {
        Self {
            rate: step.rate as f32,
            correction: step.correction as f32,
            weight_decay: step.weight_decay as f32,
            gradient_scale: step.gradient_scale as f32,
            shrink: step.shrink as f32,
        }
    }
}

impl Numbers {
    /// Whether every gradient was finite.
    fn update(self, p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]) -> bool {
        /// All ones in an infinity and in a NaN, and in nothing else.
        const EXPONENT: u32 = 0x7f80_0000;
        let (keep_1, take_1) = (BETA_1 as f32, (1.0 - BETA_1) as f32);
        let (keep_2, take_2) = (BETA_2 as f32, (1.0 - BETA_2) as f32);
        let mut odd = 0u32;
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            odd |= u32::from(g.to_bits() & EXPONENT == EXPONENT);
            let gradient = g * self.gradient_scale + self.weight_decay * *p;
            *m = keep_1 * *m + take_1 * gradient;
            *v = keep_2 * *v + take_2 * gradient * gradient;
            *p = *p * self.shrink - self.rate * *m / (v.sqrt() / self.correction + EPSILON as f32);
        }
        odd == 0
    }
}

/// The elements of a contiguous float tensor on the CPU.
fn floats(tensor: &mut Tensor) -> Result<&mut [f32], tch::TchError> {
    if tensor.device() != Device::Cpu || tensor.kind() != Kind::Float || !tensor.is_contiguous() {
        return Err(tch::TchError::Torch(format!(
            "fused Adam needs contiguous floats on the CPU, not {:?} on {:?}",
            tensor.kind(),
            tensor.device()
        )));
    }
    let (data, len) = (tensor.data_ptr().cast::<f32>(), tensor.numel());
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: a contiguous float tensor on the CPU is `len` initialised floats at `data`, alive as
    // long as the tensor. The trainer is one thread, and no other slice of the same memory is alive:
    // parameter, moments and gradient are different tensors.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
}
