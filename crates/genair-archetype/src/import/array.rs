//! Two-dimensional arrays of floating-point numbers out of .npy, .npz and safetensors files, as f32.

use std::io::{Cursor, Read};
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use zip::ZipArchive;

use super::ImportError;
use super::npy::NpyHead;

/// Numbers of an item's row at most.
pub(super) const MAX_WIDTH: u64 = 1 << 16;
/// Rows beyond the items that are read at most.
const MAX_SURPLUS: u64 = 16;
/// Arrays of a file at most.
pub(super) const MAX_ARRAYS: usize = 64;

/// An array `[rows, width]`, row by row.
#[derive(Debug)]
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

/// Reads what the first bytes say the file is; `items` is how many rows there should be.
pub(super) fn content(path: &Path, bytes: &[u8], items: usize) -> Result<Content, ImportError> {
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let stem = path.with_extension("npy");
    let ids = path.with_extension("ids.txt");
    let (from, to, ids) = (path.display(), stem.display(), ids.display());
    match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            let (mut data, length) = (bytes, bytes.len() as u64);
            let (head, _) = npy_head(path, None, &mut data, length, items)?;
            Ok(Content::Arrays(vec![npy(None, &head, data)]))
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
        [b'P', b'K', ..] => npz(path, bytes, items),
        _ if matches!(extension.as_str(), "pkl" | "pickle")
            || matches!(bytes, [0x80, 2..=5, ..]) =>
        {
            Err(ImportError::Pickle {
                path: path.to_owned(),
                command: format!(
                    "python3 -c \"import numpy, pickle; x = pickle.load(open('{from}', 'rb')); d = isinstance(x, dict); \
                     numpy.save('{to}', numpy.asarray(list(x.values()) if d else x, dtype='float32')); d and \
                     open('{ids}', 'w').write('\\n'.join(map(str, x)))\" (of a dictionary, its keys go to `{ids}`, \
                     the list of item ids)"
                ),
            })
        }
        _ => tensors(path, bytes, items),
    }
}

pub(super) fn refuse(path: &Path, reason: impl ToString) -> ImportError {
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

/// Refuses what is no row of at least one number, and not too many, for each of the items.
fn table(
    path: &Path,
    name: Option<&str>,
    shape: &[u64],
    items: usize,
) -> Result<(usize, usize), ImportError> {
    let (&[rows, width], true) = (shape, !shape.contains(&0)) else {
        let problem =
            format!("is of shape {shape:?}; a row of at least one number for each item is needed");
        return Err(bad_array(path, name, problem));
    };
    if width > MAX_WIDTH {
        let problem = format!("is of shape {shape:?}; a row has at most {MAX_WIDTH} numbers");
        return Err(bad_array(path, name, problem));
    }
    // A few more than there are items are read, to say which of them are padding.
    let most = items as u64 + MAX_SURPLUS;
    match usize::try_from(rows) {
        Ok(rows) if rows as u64 <= most => Ok((rows, width as usize)),
        _ => {
            let problem = format!(
                "is of shape {shape:?}, and there are {items} items; give a list with the id of each row, one on a \
                 line"
            );
            Err(bad_array(path, name, problem))
        }
    }
}

fn not_floating(path: &Path, name: Option<&str>, found: &str) -> ImportError {
    let problem = format!("holds {found}; convert it with `x.astype('float32')`");
    bad_array(path, name, problem)
}

/// Reads the head of a .npy file of `length` bytes, and says how many bytes of numbers must follow it. Nothing is
/// allocated by what it says before that fits the length.
fn npy_head(
    path: &Path,
    name: Option<&str>,
    input: &mut impl Read,
    length: u64,
    items: usize,
) -> Result<(NpyHead, u64), ImportError> {
    let head = NpyHead::read(input, length).map_err(|reason| refuse(path, reason))?;
    let (rows, width) = table(path, name, &head.shape, items)?;
    let Some((form, _)) = head.numbers() else {
        return Err(not_floating(path, name, &format!("`{}`", head.form)));
    };
    // It cannot overflow: rows and width have limits.
    let needed = rows as u64 * width as u64 * form.size();
    let there = length - head.length;
    if needed != there {
        let problem = format!(
            "is of shape [{rows}, {width}], which takes {needed} bytes of `{}`, but {there} bytes follow its header",
            head.form
        );
        return Err(bad_array(path, name, problem));
    }
    Ok((head, needed))
}

/// The array of a head and the bytes behind it, which fit each other.
fn npy(name: Option<&str>, head: &NpyHead, data: &[u8]) -> Array {
    let [rows, width] = [0, 1].map(|side| head.shape[side] as usize);
    let values = match head.numbers() {
        Some((form, is_big)) => form.values(data, is_big),
        None => Vec::new(),
    };
    let values = match head.is_fortran {
        false => values,
        true => (0..rows)
            .flat_map(|row| (0..width).map(move |column| column * rows + row))
            .map(|place| values[place])
            .collect(),
    };
    Array {
        name: name.map(str::to_owned),
        width,
        values,
    }
}

fn npz(path: &Path, bytes: &[u8], items: usize) -> Result<Content, ImportError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| refuse(path, error))?;
    too_many(path, archive.len())?;
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
        let length = entry.size();
        let (head, needed) = npy_head(path, Some(name), &mut entry, length, items)?;
        let mut data = Vec::new();
        // One byte more, so that the end is seen and with it the checksum.
        let read = entry.take(needed + 1).read_to_end(&mut data);
        let read = read.map_err(|error| refuse(path, error))?;
        if read as u64 != needed {
            let reason = format_args!("`{name}` in it is not as long as it says");
            return Err(refuse(path, reason));
        }
        arrays.push(npy(Some(name), &head, &data));
    }
    Ok(Content::Arrays(arrays))
}

fn too_many(path: &Path, arrays: usize) -> Result<(), ImportError> {
    match arrays <= MAX_ARRAYS {
        true => Ok(()),
        false => Err(refuse(
            path,
            format_args!("it has {arrays} arrays, and at most {MAX_ARRAYS} are read"),
        )),
    }
}

fn tensors(path: &Path, bytes: &[u8], items: usize) -> Result<Content, ImportError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| refuse(path, error))?;
    if metadata
        .metadata()
        .as_ref()
        .is_some_and(|metadata| metadata.contains_key("genair"))
    {
        return Ok(Content::OwnVectors);
    }
    // It refuses a header that does not fit the length of the file.
    let file = SafeTensors::deserialize(bytes).map_err(|error| refuse(path, error))?;
    too_many(path, file.len())?;
    let array = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        let shape: Vec<u64> = view.shape().iter().map(|&side| side as u64).collect();
        let (_, width) = table(path, Some(name), &shape, items)?;
        let data = view.data();
        let Some(values) = floats(view.dtype(), data) else {
            let found = format!("{:?}", view.dtype());
            return Err(not_floating(path, Some(name), &found));
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

/// The numbers of a tensor's bytes; none where they are not floating-point numbers.
pub(super) fn floats(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F16 => numbers(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => numbers(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F32 => numbers(data, f32::from_le_bytes),
        Dtype::F64 => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32),
        _ => return None,
    })
}

/// The numbers of some bytes, `N` of them each.
pub(super) fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks()
        .0
        .iter()
        .map(|&bytes| number(bytes))
        .collect()
}
