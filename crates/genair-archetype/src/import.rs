//! Vectors made elsewhere, with the items their rows belong to.
//!
//! Owns which row is which item: by a list of ids, by a column or the names of files, or by the catalogue's order
//! where the counts match exactly. Refuses to guess, and to run a pickle. How arrays are read is in [`array`],
//! [`npy`], [`table`] and [`states`]; errors are in [`error`].

mod array;
mod error;
mod npy;
mod parquet;
mod states;
mod table;

use std::path::{Path, PathBuf};

use genair_data::{Catalogue, ItemVectors, PartVectors};
use genair_files::regular_file::{self, MAX_ID_LIST, MAX_VECTORS};
use genair_files::{FileError, doing};
use serde_json::{Map, Value, json};

use crate::assemble::RECIPE_VERSION;
use crate::form::{Rows, VectorsForm, formed, groups};
use crate::neighbours::is_zero;
use crate::pca::Reduce;
use array::{Array, Content};
pub use error::ImportError;
pub use parquet::{ToCsv, in_report};
pub use states::FinalNorm;
use table::{Form, Table};

/// Name of a part whose file has no names.
const DEFAULT_PART: &str = "vectors";
/// What a file of one array may become.
const PARTS: [&str; 4] = ["context", "archetype", "text", DEFAULT_PART];

/// A file to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFile {
    /// The file: .csv, .csv.gz, .tsv, .tsv.gz or .parquet by its name, .npy, .npz or .safetensors by its first bytes;
    /// or a folder of vLLM's hidden states.
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
    /// As the files say themselves: a column of each table, or the names of the files in a folder of hidden states.
    Own {
        /// The column's name; absent where no file is a table.
        column: Option<String>,
    },
}

/// What an import needs to read some kinds of files.
pub struct Readers<'a> {
    /// Converts Parquet files.
    pub to_csv: &'a ToCsv<'a>,
    /// The final norm of the model whose hidden states a folder has.
    pub norm: Option<&'a FinalNorm>,
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
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let ids = if text.trim_start().starts_with('[') {
            let list: Vec<Value> = serde_json::from_str(text)
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

    /// Raw ids in the order of the rows; none where the files say them.
    pub fn ids(&self) -> Option<&[String]> {
        match self {
            Self::Listed { ids, .. } | Self::Catalogue(ids) => Some(ids),
            Self::Own { .. } => None,
        }
    }

    fn column(&self) -> Option<&str> {
        match self {
            Self::Own { column } => column.as_deref(),
            Self::Listed { .. } | Self::Catalogue(_) => None,
        }
    }

    fn source(&self) -> String {
        match self {
            Self::Listed { path, .. } => format!("`{}`", path.display()),
            Self::Catalogue(_) => "the dataset's catalogue".to_owned(),
            Self::Own { column: None } => "the names of the files".to_owned(),
            Self::Own {
                column: Some(column),
            } => format!("column `{column}`"),
        }
    }
}

/// SHA-256, lower-case hex, of all that decides [`import`]'s outcome: the files' bytes, the parts, the ids (or the
/// column that has them), the form, and the catalogue where items are grouped by it. Not for folders of hidden states.
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
    let ids = match ids {
        RowIds::Own { column } => json!({ "column": column }),
        RowIds::Listed { ids, .. } | RowIds::Catalogue(ids) => json!(ids),
    };
    let catalogue = catalogue.map(Catalogue::sha256);
    let recipe = json!([RECIPE_VERSION, contents, ids, form, catalogue]);
    Ok(genair_files::sha256(recipe.to_string()))
}

/// Reads arrays of f16, bf16, f32 or f64 and tables of numbers, one row for each id, and brings them into a form. A row
/// of zeros is an item without a vector and takes no part in the fit. One file of this project's own brings its own ids,
/// and stays as it is in the plain form. The catalogue is asked for where items are grouped.
///
/// # Errors
/// [`ImportError`].
pub fn import(
    files: &[ImportFile],
    ids: &RowIds,
    form: &VectorsForm,
    catalogue: Option<&Catalogue>,
    reduce: &Reduce<'_>,
    readers: &Readers<'_>,
) -> Result<ItemVectors, ImportError> {
    let mut vectors = ItemVectors {
        items: ids.ids().unwrap_or_default().to_vec(),
        parts: Vec::new(),
        groups: None,
        provenance: Map::new(),
    };
    let mut origins = Vec::new();
    for file in files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let (arrays, sha256) = match table(file, ids, readers)? {
            Some((table, sha256)) => {
                if let Some(own) = table.ids {
                    let first = &files[0].path;
                    check_items(&mut vectors, own, first, &file.path)?;
                }
                (table.arrays, sha256)
            }
            None => {
                let bytes = read(file)?;
                match array::content(&file.path, &bytes, vectors.items.len())? {
                    Content::Arrays(arrays) => (arrays, genair_files::sha256(&bytes)),
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
                        let sha256 = genair_files::sha256(&bytes);
                        origins.push(json!({ "file": name, "sha256": sha256 }));
                        vectors = own;
                        continue;
                    }
                }
            }
        };
        for (part, array) in choose(arrays, file)? {
            check_rows(&array, &part, file, &vectors.items, ids)?;
            origins.push(json!({ "part": part, "file": name, "sha256": sha256 }));
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
    let (parts, summaries) = formed(rows.collect(), &vectors.items, form, reduce)?;
    vectors.parts = parts;
    if let (Some(field), Some(catalogue)) = (&form.groups, catalogue) {
        vectors.groups = Some(groups(field, &vectors.items, catalogue)?);
    }
    let provenance = [
        ("imported", json!(origins)),
        ("ids", json!(ids.source())),
        ("parts", json!(summaries)),
        (
            "norm",
            json!(readers.norm.map(|norm| json!({
                "file": norm.path.file_name().map(|name| name.to_string_lossy()),
                "eps": norm.eps,
            }))),
        ),
    ];
    let provenance = provenance.into_iter().filter(|(_, value)| !value.is_null());
    vectors
        .provenance
        .extend(provenance.map(|(key, value)| (key.to_owned(), value)));
    Ok(vectors)
}

/// What a file holds that is a table or a folder of hidden states, and its SHA-256; none of another file.
fn table(
    file: &ImportFile,
    ids: &RowIds,
    readers: &Readers<'_>,
) -> Result<Option<(Table, String)>, ImportError> {
    let path = &file.path;
    if path.is_dir() {
        if !matches!(ids, RowIds::Own { column: None }) {
            return Err(ImportError::OwnIds { path: path.clone() });
        }
        let norm = readers.norm;
        let norm = norm.ok_or_else(|| ImportError::NoNorm { path: path.clone() })?;
        let mut all = String::new();
        for file in states::files(path)? {
            let sha256 = genair_files::sha256_of_file(&file).map_err(doing("read", &file))?;
            all += &format!(
                "{sha256}  {}\n",
                file.file_name().unwrap_or_default().display()
            );
        }
        let table = states::read(path, norm)?;
        return Ok(Some((table, genair_files::sha256(all))));
    }
    let Some(form) = Form::of(path) else {
        return match ids {
            RowIds::Own { .. } => Err(ImportError::NoColumns { path: path.clone() }),
            RowIds::Listed { .. } | RowIds::Catalogue(_) => Ok(None),
        };
    };
    let table = match form {
        Form::Parquet => {
            let folder = (readers.to_csv)(path)?;
            table::read(
                path,
                &folder.path().join(parquet::TABLE),
                form,
                ids.column(),
            )?
        }
        Form::Csv | Form::Tsv => table::read(path, path, form, ids.column())?,
    };
    let sha256 = genair_files::sha256_of_file(path).map_err(doing("read", path))?;
    Ok(Some((table, sha256)))
}

/// Takes the items of the first table, and refuses another one that has others.
fn check_items(
    vectors: &mut ItemVectors,
    own: Vec<String>,
    first: &Path,
    path: &Path,
) -> Result<(), ImportError> {
    if vectors.parts.is_empty() {
        vectors.items = own;
        return Ok(());
    }
    let known = &vectors.items;
    let differs = (0..known.len().max(own.len())).find(|&row| known.get(row) != own.get(row));
    let Some(row) = differs else { return Ok(()) };
    let shown = |ids: &[String]| match ids.get(row) {
        Some(id) => format!("`{id}`"),
        None => "missing".to_owned(),
    };
    Err(ImportError::OtherItems {
        first: first.to_owned(),
        path: path.to_owned(),
        problem: format!("row {} is {} and {}", row + 1, shown(known), shown(&own)),
    })
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
    items: &[String],
    ids: &RowIds,
) -> Result<(), ImportError> {
    let rows = array.values.len() / array.width;
    if rows == items.len() {
        return Ok(());
    }
    let zero: Vec<usize> = (0..rows).filter(|&row| is_zero(array.row(row))).collect();
    let surplus = rows.saturating_sub(items.len());
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
        ids: items.len(),
        source_of_ids: ids.source(),
        hint,
    })
}

fn read(file: &ImportFile) -> Result<Vec<u8>, FileError> {
    regular_file::read(&file.path, MAX_VECTORS).map_err(doing("read", &file.path))
}

#[cfg(test)]
mod tests;
