//! Two-dimensional arrays of floating-point numbers out of .npy, .npz and safetensors files, as f32.

use std::io::{Cursor, Read};
use std::path::Path;

use half::{bf16, f16};
use npyz::{DType, NpyFile, Order};
use safetensors::{Dtype, SafeTensors};
use zip::ZipArchive;

use super::ImportError;

/// An array `[rows, width]`, row by row.
pub(super) struct Array {
    /// Its name in a file of several.
    pub(super) name: Option<String>,
    /// At least 1.
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

impl Array {
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }
}

/// What a file holds.
pub(super) enum Content {
    /// Vectors that `ItemVectors::write` wrote.
    OwnVectors,
    /// Arrays, in the file's order.
    Arrays(Vec<Array>),
}

/// Reads what the first bytes say the file is.
pub(super) fn content(path: &Path, bytes: &[u8]) -> Result<Content, ImportError> {
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let stem = path.with_extension("npy");
    let (from, to) = (path.display(), stem.display());
    match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            Ok(Content::Arrays(vec![npy(path, None, bytes)?]))
        }
        [b'P', b'K', ..] if matches!(extension.as_str(), "pt" | "pth" | "bin") => {
            Err(ImportError::Pickle {
                path: path.to_owned(),
                command: format!(
                    "python3 -c \"import numpy, torch; numpy.save('{to}', torch.load('{from}', \
                 weights_only=True).float().numpy())\""
                ),
            })
        }
        [b'P', b'K', ..] => npz(path, bytes),
        _ if matches!(extension.as_str(), "pkl" | "pickle")
            || matches!(bytes, [0x80, 2..=5, ..]) =>
        {
            Err(ImportError::Pickle {
                path: path.to_owned(),
                command: format!(
                    "python3 -c \"import numpy, pickle; numpy.save('{to}', numpy.asarray(pickle.load(open('{from}', \
                     'rb')), dtype='float32'))\""
                ),
            })
        }
        _ => tensors(path, bytes),
    }
}

fn refuse(path: &Path, reason: impl ToString) -> ImportError {
    ImportError::Format {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn bad_array(path: &Path, name: Option<&str>, problem: String) -> ImportError {
    ImportError::Array {
        path: path.to_owned(),
        array: name.unwrap_or("the array").to_owned(),
        problem,
    }
}

/// Rows and width, each at least 1.
fn table(path: &Path, name: Option<&str>, shape: &[usize]) -> Result<(usize, usize), ImportError> {
    match *shape {
        [rows, width] if rows > 0 && width > 0 => Ok((rows, width)),
        _ => {
            let problem = format!(
                "is of shape {shape:?}; a row of at least one number for each item is needed"
            );
            Err(bad_array(path, name, problem))
        }
    }
}

fn not_floating(path: &Path, name: Option<&str>, found: &str) -> ImportError {
    let problem = format!("holds {found}; convert it with `x.astype('float32')`");
    bad_array(path, name, problem)
}

fn npy(path: &Path, name: Option<&str>, bytes: &[u8]) -> Result<Array, ImportError> {
    let file = NpyFile::new(bytes).map_err(|error| refuse(path, error))?;
    let shape: Vec<usize> = file.shape().iter().map(|&side| side as usize).collect();
    let (rows, width) = table(path, name, &shape)?;
    let order = file.order();
    let found = match file.dtype() {
        DType::Plain(found) => found.to_string(),
        _ => "records".to_owned(),
    };
    // Numbers that are not finite, made so by the conversion too, are refused with their item later.
    let values: Vec<f32> = match found.trim_start_matches(['<', '>', '=']) {
        "f2" => file
            .into_vec::<f16>()
            .map(|values| values.into_iter().map(f16::to_f32).collect()),
        "f4" => file.into_vec(),
        "f8" => file
            .into_vec::<f64>()
            .map(|values| values.into_iter().map(|value| value as f32).collect()),
        _ => return Err(not_floating(path, name, &format!("`{found}`"))),
    }
    .map_err(|error| refuse(path, error))?;
    let values = match order {
        Order::C => values,
        Order::Fortran => (0..rows)
            .flat_map(|row| (0..width).map(move |column| column * rows + row))
            .map(|place| values[place])
            .collect(),
    };
    Ok(Array {
        name: name.map(str::to_owned),
        width,
        values,
    })
}

fn npz(path: &Path, bytes: &[u8]) -> Result<Content, ImportError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| refuse(path, error))?;
    let mut arrays = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let mut entry = archive
            .by_index(index)
            .map_err(|error| refuse(path, error))?;
        let name = entry
            .name()
            .map_err(|error| refuse(path, error))?
            .into_owned();
        let Some(name) = name.strip_suffix(".npy") else {
            return Err(refuse(path, format_args!("`{name}` in it is no .npy file")));
        };
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| refuse(path, error))?;
        arrays.push(npy(path, Some(name), &bytes)?);
    }
    Ok(Content::Arrays(arrays))
}

fn tensors(path: &Path, bytes: &[u8]) -> Result<Content, ImportError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| refuse(path, error))?;
    if metadata
        .metadata()
        .as_ref()
        .is_some_and(|metadata| metadata.contains_key("genair"))
    {
        return Ok(Content::OwnVectors);
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| refuse(path, error))?;
    let array = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        let (_, width) = table(path, Some(name), view.shape())?;
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F16 => numbers(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => numbers(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Dtype::F32 => numbers(data, f32::from_le_bytes),
            Dtype::F64 => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32),
            other => return Err(not_floating(path, Some(name), &format!("{other:?}"))),
        };
        Ok(Array {
            name: Some(name.to_owned()),
            width,
            values,
        })
    };
    Ok(Content::Arrays(
        file.iter().map(array).collect::<Result<_, _>>()?,
    ))
}

fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks()
        .0
        .iter()
        .map(|&bytes| number(bytes))
        .collect()
}
