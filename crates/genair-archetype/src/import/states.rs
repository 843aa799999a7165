//! Hidden states that vLLM has written: a folder with a file for each item, named `ID.safetensors`, which has
//! `token_ids` `[T]` and `hidden_states` `[T, L, D]` (or `[T, D]`) of `T` tokens, `L` layers and width `D`.
//!
//! vLLM writes the output of a layer as it is. The states of this method are those after the model's final
//! normalisation (docs/method.md, section 3), which is applied here:
//! `n_t = w * h_t / sqrt(mean(h_t^2) + eps)` (Zhang and Sennrich 2019, arXiv:1910.07467, Eq. 4), and the item's
//! vector is the mean of `n_t` over all tokens.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use genair_files::regular_file::{self, MAX_TEXT, MAX_VECTORS};
use genair_files::{FileError, doing};
use safetensors::SafeTensors;
use safetensors::tensor::Metadata;
use serde_json::Value;

use super::ImportError;
use super::array::{Array, MAX_WIDTH, floats, refuse};
use super::table::Table;

const STATES: &str = "hidden_states";
const TOKENS: &str = "token_ids";
/// What the final normalisation's weight is called in a model's file.
const WEIGHTS: [&str; 2] = ["model.norm.weight", "norm.weight"];
/// Longest header of a model's file, in bytes.
const MAX_HEADER: u64 = 128 << 20;

/// The final normalisation of a language model.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalNorm {
    /// The file of its weight.
    pub path: PathBuf,
    /// One factor for each component.
    pub weight: Vec<f32>,
    /// What keeps the root from zero.
    pub eps: f64,
}

impl FinalNorm {
    /// Reads `model.norm.weight` of a model's safetensors file, without the rest of the file. `eps` is the
    /// `rms_norm_eps` of the `config.json` beside it, unless it is given.
    ///
    /// # Errors
    /// [`ImportError::File`] or [`ImportError::Norm`].
    pub fn read(path: &Path, eps: Option<f64>) -> Result<Self, ImportError> {
        let refuse = |problem: String| ImportError::Norm {
            path: path.to_owned(),
            problem,
        };
        let config = path.with_file_name("config.json");
        let config: Option<Value> = match config.is_file() {
            true => {
                let text = regular_file::read(&config, MAX_TEXT).map_err(doing("read", &config))?;
                serde_json::from_slice(&text).ok()
            }
            false => None,
        };
        let said = |key: &str| {
            let config = config.as_ref()?;
            config
                .get(key)
                .or_else(|| config.get("text_config")?.get(key))
        };
        if let Some(kind) = said("model_type").and_then(Value::as_str)
            && kind.starts_with("gemma")
        {
            return Err(refuse(format!(
                "is of a model of type `{kind}`, which scales by 1 + weight; write a file whose `norm.weight` is 1 + \
                 weight, in a folder without config.json"
            )));
        }
        let eps = eps.or_else(|| said("rms_norm_eps")?.as_f64());
        let eps = eps.ok_or_else(|| {
            let needed =
                "has no config.json with `rms_norm_eps` beside it; give the number with --norm-eps";
            refuse(needed.to_owned())
        })?;
        if !(eps.is_finite() && eps >= 0.0) {
            return Err(refuse(format!(
                "has an epsilon of {eps}; it must be a finite number, at least 0"
            )));
        }
        let (dtype, shape, bytes) = weight(path)?.map_err(refuse)?;
        let &[width] = shape.as_slice() else {
            return Err(refuse(format!(
                "has a weight of shape {shape:?}, and not a row of numbers"
            )));
        };
        let weight = floats(dtype, &bytes);
        let weight = weight.ok_or_else(|| {
            refuse(format!(
                "has a weight of {dtype:?}, and not of floating-point numbers"
            ))
        })?;
        if weight.len() != width || !weight.iter().all(|factor| factor.is_finite()) {
            return Err(refuse(
                "has a weight that is cut short or not finite".to_owned(),
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            weight,
            eps,
        })
    }

    /// Normalises a state in place; `state` is as wide as the weight.
    fn apply(&self, state: &mut [f64]) {
        let squares: f64 = state.iter().map(|x| x * x).sum();
        let root = (squares / state.len() as f64 + self.eps).sqrt();
        // Of a state of zeros and an epsilon of 0 zeros are left.
        let scale = if root > 0.0 { 1.0 / root } else { 0.0 };
        for (x, &weight) in state.iter_mut().zip(&self.weight) {
            *x *= scale * f64::from(weight);
        }
    }
}

/// A tensor's type, shape and bytes.
type Raw = (safetensors::Dtype, Vec<usize>, Vec<u8>);

/// The final normalisation's weight out of a model's file; the inner error says what is wrong with the file.
fn weight(path: &Path) -> Result<Result<Raw, String>, FileError> {
    let reading = || doing("read", path);
    let mut file = regular_file::open(path).map_err(reading())?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(reading())?;
    let header_length = u64::from_le_bytes(length);
    let all = file.metadata().map_err(reading())?.len();
    if header_length > MAX_HEADER || header_length > all {
        return Ok(Err("is no safetensors file".to_owned()));
    }
    let mut header = vec![0; header_length as usize];
    file.read_exact(&mut header).map_err(reading())?;
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&header) else {
        return Ok(Err("is no safetensors file".to_owned()));
    };
    if let Some(bias) = WEIGHTS
        .map(|name| name.replace("weight", "bias"))
        .iter()
        .find(|name| metadata.info(name).is_some())
    {
        return Ok(Err(format!(
            "has `{bias}`, so its final normalisation is no RMS norm, and is not known here"
        )));
    }
    let Some(info) = WEIGHTS.iter().find_map(|name| metadata.info(name)) else {
        let names = WEIGHTS.join("` or `");
        return Ok(Err(format!(
            "has no tensor `{names}`; name the file of the model that has it, as model.safetensors.index.json says"
        )));
    };
    let (begin, end) = info.data_offsets;
    let first = 8 + header_length + begin as u64;
    if end < begin || first.saturating_add((end - begin) as u64) > all {
        return Ok(Err("is cut short".to_owned()));
    }
    let mut bytes = vec![0; end - begin];
    read_at(&mut file, first, &mut bytes).map_err(reading())?;
    Ok(Ok((info.dtype, info.shape.clone(), bytes)))
}

fn read_at(file: &mut File, first: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(first))?;
    file.read_exact(bytes)
}

/// Reads a folder; an item's id is the name of its file without `.safetensors`. Where a file has several layers,
/// the last one counts.
///
/// # Errors
/// [`ImportError::File`], [`ImportError::Format`] or [`ImportError::Array`].
pub(super) fn read(folder: &Path, norm: &FinalNorm) -> Result<Table, ImportError> {
    let width = norm.weight.len();
    let mut ids = Vec::new();
    let mut values = Vec::new();
    for path in files(folder)? {
        let id = path.file_stem().unwrap_or_default().to_string_lossy();
        ids.push(id.into_owned());
        values.extend(mean(&path, norm)?);
    }
    if ids.is_empty() {
        return Err(refuse(folder, "it has no .safetensors files"));
    }
    Ok(Table {
        ids: Some(ids),
        arrays: vec![Array {
            name: None,
            width,
            values,
        }],
    })
}

/// The files of a folder, sorted. Locks, which vLLM leaves there, are passed over.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(doing("read", folder))? {
        let path = entry.map_err(doing("read", folder))?.path();
        let ending = path.extension().unwrap_or_default();
        if ending == "safetensors" {
            files.push(path);
        } else if ending == "zst" {
            return Err(refuse(
                &path,
                "it is packed; unpack the files with `unzstd`",
            ));
        } else if ending != "lock" {
            return Err(refuse(
                &path,
                "a folder of hidden states has only files `ID.safetensors`",
            ));
        }
    }
    files.sort();
    Ok(files)
}

/// The mean of an item's normalised states.
fn mean(path: &Path, norm: &FinalNorm) -> Result<Vec<f32>, ImportError> {
    let bytes = regular_file::read(path, MAX_VECTORS).map_err(doing("read", path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| refuse(path, error))?;
    let tensor = |name: &str| {
        let lacks = |_| refuse(path, format_args!("it has no tensor `{name}`"));
        file.tensor(name).map_err(lacks)
    };
    let (states, tokens) = (tensor(STATES)?, tensor(TOKENS)?);
    let wrong = |problem: String| ImportError::Array {
        path: path.to_owned(),
        array: STATES.to_owned(),
        problem,
    };
    let shape = states.shape().to_vec();
    let (count, layers, width) = match shape[..] {
        [count, layers, width] => (count, layers, width),
        [count, width] => (count, 1, width),
        _ => (0, 0, 0),
    };
    if count == 0 || layers == 0 || width == 0 || width as u64 > MAX_WIDTH {
        return Err(wrong(format!(
            "is of shape {shape:?}; tokens, layers and width, or tokens and width are needed"
        )));
    }
    if tokens.shape() != [count] {
        let found = tokens.shape();
        return Err(wrong(format!(
            "is of shape {shape:?}, and `{TOKENS}` of shape {found:?}"
        )));
    }
    if width != norm.weight.len() {
        let (of, weights) = (norm.path.display(), norm.weight.len());
        return Err(wrong(format!(
            "is {width} wide, and the norm of `{of}` {weights}; name the file of the model that made the states"
        )));
    }
    let values = floats(states.dtype(), states.data());
    let values = values.ok_or_else(|| {
        wrong(format!(
            "holds {:?}, and not floating-point numbers",
            states.dtype()
        ))
    })?;
    let mut sum = vec![0.0; width];
    for (token, of_token) in values.chunks_exact(layers * width).enumerate() {
        let last = &of_token[(layers - 1) * width..];
        let mut state: Vec<f64> = last.iter().copied().map(f64::from).collect();
        if !state.iter().all(|x| x.is_finite()) {
            return Err(wrong(format!(
                "has a number that is not finite, at token {token}"
            )));
        }
        norm.apply(&mut state);
        for (sum, x) in sum.iter_mut().zip(state) {
            *sum += x;
        }
    }
    Ok(sum.iter().map(|sum| (sum / count as f64) as f32).collect())
}
