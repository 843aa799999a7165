//! Vectors made elsewhere, with the items their rows belong to.
//!
//! Owns which row is which item: by a list of ids, or by the catalogue's order where the counts match
//! exactly. Refuses to guess, and to run a pickle. How arrays are read is in [`array`]
//! and [`npy`].

mod array;
mod npy;

use std::path::{Path, PathBuf};

use genair_data::{Catalogue, ItemVectors, PartVectors, VectorsError, VectorsProblem};
use genair_files::regular_file::{self, MAX_ID_LIST, MAX_VECTORS};
use genair_files::{FileError, doing};
use serde_json::{Map, Value, json};

use crate::assemble::{AssembleError, RECIPE_VERSION};
use crate::form::{Rows, VectorsForm, formed, groups};
use crate::neighbours::is_zero;
use crate::pca::Reduce;
use array::{Array, Content};

/// Name of a part whose file has no names.
const DEFAULT_PART: &str = "vectors";
/// What a file of one array may become.
const PARTS: [&str; 4] = ["context", "archetype", "text", DEFAULT_PART];

/// Why vectors made elsewhere cannot be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A pickle would run code of its own.
    #[error("`{}` is a Python pickle, which can run any code and is not read; convert it where you trust it:\n  {command}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// The command that converts it.
        command: String,
    },
    /// A file that holds no arrays this project reads.
    #[error("`{}` cannot be read as vectors ({reason}); write a .npy, .npz or .safetensors file", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is not as it should be.
        reason: String,
    },
    /// An array that is not a row of numbers for each item.
    #[error("`{}`: `{array}` {problem}", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// Its name in the file, or that of the part it becomes.
        array: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Rows and ids differ in number.
    #[error("`{}`: `{array}` has {rows} rows and there are {ids} items in {source_of_ids}; {hint}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// The array.
        array: String,
        /// Its rows.
        rows: usize,
        /// How many ids there are.
        ids: usize,
        /// Where they are from.
        source_of_ids: String,
        /// What to do.
        hint: String,
    },
    /// A list of ids that cannot be used.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Ids {
        /// The list.
        path: PathBuf,
        /// The line, from 1; in a JSON list the number of the element.
        line: usize,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The file says itself which items it has.
    #[error("`{}` names its items itself; leave the list of ids out", path.display())]
    OwnIds {
        /// The file.
        path: PathBuf,
    },
    /// A part that no spec can ask for.
    #[error(
        "`{part}={}`: there is no part `{part}`; an array becomes one of {}{}",
        path.display(), PARTS.join(", "), if *.is_named { ", or keeps its own name" } else { "" }
    )]
    Part {
        /// The name that was given.
        part: String,
        /// The file.
        path: PathBuf,
        /// Whether the array has another name in its file.
        is_named: bool,
    },
    /// There is no file to import, or one of this project's own among several.
    #[error(
        "name one file of this project's own vectors, or one or more arrays; there are {files} files"
    )]
    Files {
        /// How many files there are.
        files: usize,
    },
    /// The vectors are not fit for any use.
    #[error(transparent)]
    Problem(#[from] VectorsProblem),
    /// A file of this project's own cannot be read.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The vectors cannot be reduced.
    #[error(transparent)]
    Reduce(#[from] AssembleError),
}

/// A file to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFile {
    /// The file: .npy, .npz or .safetensors, as its first bytes say.
    pub path: PathBuf,
    /// The array to take of several, or the name of the part that the only one becomes. Absent: all
    /// arrays under their own names, `context` and `archetype` first, the rest by name.
    pub part: Option<String>,
}

/// Which item each row belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowIds {
    /// As a list says.
    Listed {
        /// The list's file.
        path: PathBuf,
        /// Raw ids in the order of the rows.
        ids: Vec<String>,
    },
    /// The catalogue's order.
    Catalogue(Vec<String>),
}

impl RowIds {
    /// Reads a list: JSON (an array of strings or integers) or text with one id on each line.
    ///
    /// # Errors
    /// [`ImportError::File`] or [`ImportError::Ids`].
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let bytes = regular_file::read(path, MAX_ID_LIST).map_err(doing("read", path))?;
        let refuse = |line: usize, problem: &str| ImportError::Ids {
            path: path.to_owned(),
            line,
            problem: problem.to_owned(),
        };
        let text =
            String::from_utf8(bytes).map_err(|_| refuse(1, "not UTF-8; convert the list"))?;
        let ids = if text.trim_start().starts_with('[') {
            let list: Vec<Value> = serde_json::from_str(&text)
                .map_err(|error| refuse(error.line(), &format!("not a JSON list ({error})")))?;
            let id = |(place, id): (usize, Value)| match id {
                Value::String(id) => Ok(id),
                Value::Number(id) if id.is_i64() || id.is_u64() => Ok(id.to_string()),
                other => Err(refuse(
                    place + 1,
                    &format!("{other} is no id; write a string or an integer"),
                )),
            };
            list.into_iter()
                .enumerate()
                .map(id)
                .collect::<Result<Vec<_>, _>>()?
        } else {
            text.lines().map(str::to_owned).collect()
        };
        if let Some(place) = ids.iter().position(String::is_empty) {
            return Err(refuse(place + 1, "the id is empty; each row needs one"));
        }
        Ok(Self::Listed {
            path: path.to_owned(),
            ids,
        })
    }

    /// The catalogue's order.
    pub fn catalogue(catalogue: &Catalogue) -> Self {
        Self::Catalogue(catalogue.items.iter().map(|item| item.id.clone()).collect())
    }

    /// Raw ids in the order of the rows.
    pub fn ids(&self) -> &[String] {
        match self {
            Self::Listed { ids, .. } | Self::Catalogue(ids) => ids,
        }
    }

    fn source(&self) -> String {
        match self {
            Self::Listed { path, .. } => format!("`{}`", path.display()),
            Self::Catalogue(_) => "the dataset's catalogue".to_owned(),
        }
    }
}

/// SHA-256, lower-case hex, of all that decides [`import`]'s outcome: the files' bytes, the parts, the ids and
/// the form, and the catalogue where items are grouped by it.
///
/// # Errors
/// [`ImportError::File`].
pub fn import_sha256(
    files: &[ImportFile],
    ids: &RowIds,
    form: &VectorsForm,
    catalogue: Option<&Catalogue>,
) -> Result<String, ImportError> {
    let contents = files
        .iter()
        .map(|file| Ok((genair_files::sha256(read(file)?), &file.part)))
        .collect::<Result<Vec<_>, ImportError>>()?;
    let catalogue = catalogue.map(Catalogue::sha256);
    let recipe = json!([RECIPE_VERSION, contents, ids.ids(), form, catalogue]);
    Ok(genair_files::sha256(recipe.to_string()))
}

/// Reads arrays of f16, bf16, f32 or f64, one row for each id, and brings them into a form. A row of zeros is an item
/// without a vector and takes no part in the fit. One file of this project's own brings its own ids, and stays as it
/// is in the plain form. The catalogue is asked for where items are grouped.
///
/// # Errors
/// [`ImportError`].
pub fn import(
    files: &[ImportFile],
    ids: &RowIds,
    form: &VectorsForm,
    catalogue: Option<&Catalogue>,
    reduce: &Reduce<'_>,
) -> Result<ItemVectors, ImportError> {
    let mut vectors = ItemVectors {
        items: ids.ids().to_vec(),
        parts: Vec::new(),
        groups: None,
        provenance: Map::new(),
    };
    let mut origins = Vec::new();
    for file in files {
        let bytes = read(file)?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let arrays = match array::content(&file.path, &bytes, ids.ids().len())? {
            Content::Arrays(arrays) => choose(arrays, file)?,
            Content::OwnVectors if files.len() > 1 => {
                return Err(ImportError::Files { files: files.len() });
            }
            Content::OwnVectors if matches!(ids, RowIds::Listed { .. }) => {
                return Err(ImportError::OwnIds {
                    path: file.path.clone(),
                });
            }
            Content::OwnVectors => {
                let own = ItemVectors::read(&file.path)?;
                if form.is_plain() {
                    return Ok(own);
                }
                origins.push(json!({ "file": name, "sha256": genair_files::sha256(&bytes) }));
                vectors = own;
                continue;
            }
        };
        for (part, array) in arrays {
            check_rows(&array, &part, file, ids)?;
            origins.push(
                json!({ "part": part, "file": name, "sha256": genair_files::sha256(&bytes) }),
            );
            vectors.parts.push(PartVectors {
                name: part,
                width: array.width,
                values: array.values,
            });
        }
    }
    if vectors.parts.is_empty() {
        return Err(ImportError::Files { files: files.len() });
    }
    // Before the fit: a single NaN would be everywhere after it.
    vectors.check()?;
    let parts = std::mem::take(&mut vectors.parts);
    let rows = parts.into_iter().map(|part| {
        let rows = part.values.chunks_exact(part.width);
        let rows = rows.map(|row| (!is_zero(row)).then(|| row.to_vec()));
        Rows {
            rows: rows.collect(),
            name: part.name,
        }
    });
    let (parts, summaries) = formed(rows.collect(), form, reduce)?;
    vectors.parts = parts;
    if let (Some(field), Some(catalogue)) = (&form.groups, catalogue) {
        vectors.groups = Some(groups(field, &vectors.items, catalogue)?);
    }
    let provenance = [
        ("imported", json!(origins)),
        ("ids", json!(ids.source())),
        ("parts", json!(summaries)),
    ];
    vectors
        .provenance
        .extend(provenance.map(|(key, value)| (key.to_owned(), value)));
    Ok(vectors)
}

/// Which arrays are taken, and the parts they become.
fn choose(mut arrays: Vec<Array>, file: &ImportFile) -> Result<Vec<(String, Array)>, ImportError> {
    let rank = |array: &Array| {
        let first = ["context", "archetype"];
        first
            .iter()
            .position(|&first| array.name.as_deref() == Some(first))
            .unwrap_or(first.len())
    };
    arrays.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
    let Some(part) = &file.part else {
        let named = |array: Array| (array.name.clone().unwrap_or(DEFAULT_PART.to_owned()), array);
        return Ok(arrays.into_iter().map(named).collect());
    };
    if arrays.len() > 1 {
        let names: Vec<String> = arrays.iter().flat_map(|array| array.name.clone()).collect();
        arrays.retain(|array| array.name.as_ref() == Some(part));
        if arrays.is_empty() {
            return Err(ImportError::Array {
                path: file.path.clone(),
                array: part.clone(),
                problem: format!("is not there; the file has {}", names.join(", ")),
            });
        }
    } else if let [only] = arrays.as_slice()
        && !PARTS.contains(&part.as_str())
        && only.name.as_ref() != Some(part)
    {
        return Err(ImportError::Part {
            part: part.clone(),
            path: file.path.clone(),
            is_named: only.name.is_some(),
        });
    }
    Ok(arrays
        .into_iter()
        .map(|array| (part.clone(), array))
        .collect())
}

fn check_rows(
    array: &Array,
    part: &str,
    file: &ImportFile,
    ids: &RowIds,
) -> Result<(), ImportError> {
    let rows = array.values.len() / array.width;
    if rows == ids.ids().len() {
        return Ok(());
    }
    let zero: Vec<usize> = (0..rows).filter(|&row| is_zero(array.row(row))).collect();
    let surplus = rows.saturating_sub(ids.ids().len());
    let hint = if surplus > 0 && zero.len() == surplus {
        // What a model's own table has beside items (docs/method.md, section 8).
        let list = zero
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            "the rows [{list}] are zero, which is what padding and masks have: remove them with \
             `numpy.delete(x, [{list}], axis=0)`, and see that the rest is in the order of the items"
        )
    } else if (1..=2).contains(&surplus) {
        "a model's own table has a first row for padding, and some a last one for masks: remove them before you \
         save it"
            .to_owned()
    } else {
        "give a list with the id of each row, one on a line".to_owned()
    };
    Err(ImportError::Rows {
        path: file.path.clone(),
        array: array.name.clone().unwrap_or(part.to_owned()),
        rows,
        ids: ids.ids().len(),
        source_of_ids: ids.source(),
        hint,
    })
}

fn read(file: &ImportFile) -> Result<Vec<u8>, FileError> {
    regular_file::read(&file.path, MAX_VECTORS).map_err(doing("read", &file.path))
}

#[cfg(test)]
mod tests;
