//! The head of a .npy file: the form and the number of what follows it, before any of that is believed.
//!
//! Written against <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.

use std::io::{self, Read};

use half::f16;
use py_literal::Value;

use super::array::numbers;

/// Bytes of the description at most, as of NumPy's own reader.
const MAX_DESCRIPTION: u64 = 10_000;
/// Brackets within brackets of a description. A table of numbers has two; the parser's time grows with a power of it.
const MAX_DEPTH: usize = 4;

/// What a head says about the numbers behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NpyHead {
    /// The sides of the array.
    pub(super) shape: Vec<u64>,
    /// Whether columns and not rows follow each other.
    pub(super) is_fortran: bool,
    /// The form of a number, such as `<f4`; `records` for anything else.
    pub(super) form: String,
    /// Bytes of the head.
    pub(super) length: u64,
}

/// How a floating-point number is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    F16,
    F32,
    F64,
}

impl NpyHead {
    /// Reads the head of a file of `length` bytes; `input` is left at the first number.
    ///
    /// # Errors
    /// Why it is no head.
    pub(super) fn read(input: &mut impl Read, length: u64) -> Result<Self, String> {
        let cut = |error: io::Error| format!("its header is cut short: {error}");
        let mut start = [0; 8];
        input.read_exact(&mut start).map_err(cut)?;
        let (described, before) = match start[6] {
            1 => {
                let mut size = [0; 2];
                input.read_exact(&mut size).map_err(cut)?;
                (u64::from(u16::from_le_bytes(size)), 10)
            }
            2 | 3 => {
                let mut size = [0; 4];
                input.read_exact(&mut size).map_err(cut)?;
                (u64::from(u32::from_le_bytes(size)), 12)
            }
            version => {
                return Err(format!(
                    "its format has version {version}; 1 to 3 are known"
                ));
            }
        };
        if described > MAX_DESCRIPTION || described + before > length {
            return Err(format!(
                "its header of {described} bytes is longer than the file, or than the {MAX_DESCRIPTION} bytes of \
                 NumPy's own limit"
            ));
        }
        // The limit makes the cast exact.
        let mut text = vec![0; described as usize];
        input.read_exact(&mut text).map_err(cut)?;
        let (shape, is_fortran, form) =
            describe(&text).ok_or("its header does not describe an array")?;
        Ok(Self {
            shape,
            is_fortran,
            form,
            length: described + before,
        })
    }

    /// How the numbers are written, and whether their first byte is the highest; `None` for what is no
    /// floating-point number of 16, 32 or 64 bits.
    pub(super) fn numbers(&self) -> Option<(Form, bool)> {
        let is_big = self.form.starts_with('>');
        let form = match self.form.trim_start_matches(['<', '>', '=']) {
            "f2" => Form::F16,
            "f4" => Form::F32,
            "f8" => Form::F64,
            _ => return None,
        };
        Some((form, is_big))
    }
}

impl Form {
    /// Bytes of a number.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Numbers as f32; what does not fit becomes an infinity.
    pub(super) fn values(self, data: &[u8], is_big: bool) -> Vec<f32> {
        match (self, is_big) {
            (Self::F16, false) => numbers(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
            (Self::F16, true) => numbers(data, |bytes| f16::from_be_bytes(bytes).to_f32()),
            (Self::F32, false) => numbers(data, f32::from_le_bytes),
            (Self::F32, true) => numbers(data, f32::from_be_bytes),
            (Self::F64, false) => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32),
            (Self::F64, true) => numbers(data, |bytes| f64::from_be_bytes(bytes) as f32),
        }
    }
}

/// Shape, order and form of a description such as `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn describe(text: &[u8]) -> Option<(Vec<u64>, bool, String)> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    if text.contains('\\') || depth(text) > MAX_DEPTH {
        return None;
    }
    let Value::Dict(entries) = text.parse().ok()? else {
        return None;
    };
    let of = |wanted: &str| {
        let mut entries = entries.iter();
        let entry = entries.find(|(key, _)| key.as_string().is_some_and(|key| key == wanted));
        entry.map(|(_, value)| value)
    };
    let (Value::Tuple(sides) | Value::List(sides)) = of("shape")? else {
        return None;
    };
    let side = |side: &Value| match side {
        Value::Integer(side) => side.to_string().parse().ok(),
        _ => None,
    };
    let Value::Boolean(is_fortran) = of("fortran_order")? else {
        return None;
    };
    let form = match of("descr")? {
        Value::String(form) => form.clone(),
        _ => "records".to_owned(),
    };
    Some((
        sides.iter().map(side).collect::<Option<_>>()?,
        *is_fortran,
        form,
    ))
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
