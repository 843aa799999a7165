//! Item vectors on disk: a safetensors file that says which item each row belongs to.
//!
//! Owns the file's form, and the way from raw item ids to the rows of a dataset's table: by name,
//! never by position. Knows nothing of how vectors are made.

mod error;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use genair_files::{doing, regular_file};

use crate::Dataset;
pub use error::{VectorsError, VectorsProblem};

/// Value of `format` in the files written here.
const FORMAT: &str = "genair-item-vectors-1";
/// The one key of a file's metadata: a [`Header`] as JSON.
const METADATA: &str = "genair";

/// A vector for each item, in one or more parts.
///
/// The fields are open to whoever makes vectors; [`ItemVectors::write`] and [`ItemVectors::read`]
/// refuse empty and repeated ids, wrong shapes and numbers that are not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemVectors {
    /// Raw ids in the order of the rows.
    pub items: Vec<String>,
    /// What each vector is made of, in order of concatenation.
    pub parts: Vec<PartVectors>,
    /// The group of each item, such as its category, where vectors are to be shuffled within groups.
    pub groups: Option<Vec<u32>>,
    /// How the vectors came to be.
    pub provenance: Map<String, Value>,
}

/// One part of every item's vector.
#[derive(Clone, Debug, PartialEq)]
pub struct PartVectors {
    /// `context`, `archetype`, `text` or another name.
    pub name: String,
    /// Components of an item, at least 1.
    pub width: usize,
    /// `[items, width]`, row by row.
    pub values: Vec<f32>,
}

/// What a file says beside its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    items: Vec<String>,
    parts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<u32>>,
    provenance: Map<String, Value>,
}

impl Header {
    /// That of a file, from its metadata.
    fn of(header: Option<&str>) -> Result<Self, VectorsProblem> {
        let header =
            header.ok_or_else(|| format(format_args!("its metadata has no key `{METADATA}`")))?;
        let header: Self = serde_json::from_str(header).map_err(format)?;
        if header.format != FORMAT {
            let found = &header.format;
            return Err(format(format_args!(
                "its format is `{found}`, not `{FORMAT}`"
            )));
        }
        Ok(header)
    }
}

impl PartVectors {
    /// The components of the item in a row.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }
}

impl ItemVectors {
    /// Reads a file that [`ItemVectors::write`] wrote.
    ///
    /// # Errors
    /// [`VectorsError::File`], or [`VectorsError::Content`] for anything that `write` would refuse.
    pub fn read(path: &Path) -> Result<Self, VectorsError> {
        let bytes = regular_file::read(path, regular_file::MAX_VECTORS);
        let bytes = bytes.map_err(doing("read the item vectors", path))?;
        Self::from_bytes(&bytes).map_err(|problem| VectorsError::Content {
            path: path.to_owned(),
            problem,
        })
    }

    /// How the vectors of a file came to be, without reading them.
    ///
    /// # Errors
    /// [`VectorsError::File`], or [`VectorsError::Content`] for a file that begins otherwise than those of
    /// [`ItemVectors::write`].
    pub fn read_provenance(path: &Path) -> Result<Map<String, Value>, VectorsError> {
        let file = File::open(path).map_err(doing("read the item vectors", path))?;
        // The length of what describes the tensors, then that.
        let (mut length, mut bytes) = ([0; 8], Vec::new());
        let mut file = BufReader::new(file);
        let read = file.read_exact(&mut length).and_then(|()| {
            let length = u64::from_le_bytes(length).min(regular_file::MAX_VECTORS);
            file.take(length).read_to_end(&mut bytes)
        });
        read.map_err(doing("read the item vectors", path))?;
        let described: Result<Value, _> = serde_json::from_slice(&bytes);
        let header = described.map_err(format).and_then(|described| {
            let header = described["__metadata__"][METADATA].as_str();
            Header::of(header)
        });
        let header = header.map_err(|problem| VectorsError::Content {
            path: path.to_owned(),
            problem,
        })?;
        Ok(header.provenance)
    }

    /// Writes a file, which appears whole or not at all, and says its SHA-256 in lower-case hex.
    /// The same vectors give the same bytes.
    ///
    /// # Errors
    /// [`VectorsError::File`]; [`VectorsError::Content`] before anything is written.
    pub fn write(&self, path: &Path) -> Result<String, VectorsError> {
        let bytes = self.to_bytes().map_err(|problem| VectorsError::Content {
            path: path.to_owned(),
            problem,
        })?;
        genair_files::write(path, &bytes).map_err(doing("write the item vectors", path))?;
        Ok(genair_files::sha256(&bytes))
    }

    /// The table of a dataset: width `w` and `[items + 1, w]` values row by row, row 0 (padding)
    /// zero, row `i` the vector of the dataset's item `i`. Takes one part, or all of them
    /// concatenated in order. Rows are found by raw id; items that the dataset lacks are left out.
    ///
    /// # Errors
    /// [`VectorsProblem::NoPart`], or [`VectorsProblem::Missing`] if an item has no vector.
    pub fn rows_for(
        &self,
        dataset: &Dataset,
        part: Option<&str>,
    ) -> Result<(usize, Vec<f32>), VectorsError> {
        let parts: Vec<&PartVectors> = match part {
            Some(name) => vec![self.part(name)?],
            None => self.parts.iter().collect(),
        };
        let rows = self.row_of_each(dataset)?;
        let width = parts.iter().map(|part| part.width).sum();
        let mut table = Vec::with_capacity((dataset.num_items() + 1) * width);
        table.resize(width, 0.0);
        for row in rows {
            for part in &parts {
                table.extend_from_slice(part.row(row));
            }
        }
        Ok((width, table))
    }

    /// The group of each item of a dataset, in the order of its items; padding, item 0, is in group 0.
    ///
    /// # Errors
    /// [`VectorsProblem::NoGroups`]; [`VectorsProblem::Missing`] if an item has no row.
    pub fn groups_for(&self, dataset: &Dataset) -> Result<Vec<u32>, VectorsError> {
        let groups = self.groups.as_ref().ok_or(VectorsProblem::NoGroups)?;
        let rows = self.row_of_each(dataset)?;
        Ok(std::iter::once(0)
            .chain(rows.into_iter().map(|row| groups[row]))
            .collect())
    }

    /// The row of each item of a dataset, in the order of its items.
    fn row_of_each(&self, dataset: &Dataset) -> Result<Vec<usize>, VectorsProblem> {
        let rows = self.rows();
        let found = dataset.items().map(|item| {
            let item = dataset.raw_item(item);
            rows.get(item).copied().ok_or(item)
        });
        let found: Vec<Result<usize, &str>> = found.collect();
        let mut missing = found.iter().filter_map(|row| row.err());
        match missing.next() {
            Some(item) => Err(VectorsProblem::Missing {
                item: item.to_owned(),
                missing: missing.count() + 1,
                items: dataset.num_items(),
            }),
            None => Ok(found.into_iter().flatten().collect()),
        }
    }

    /// The row of each item, by its raw id.
    pub fn rows(&self) -> HashMap<&str, usize> {
        self.items.iter().map(String::as_str).zip(0..).collect()
    }

    /// A part by its name.
    ///
    /// # Errors
    /// [`VectorsProblem::NoPart`].
    pub fn part(&self, name: &str) -> Result<&PartVectors, VectorsProblem> {
        self.parts
            .iter()
            .find(|part| part.name == name)
            .ok_or_else(|| VectorsProblem::NoPart {
                part: name.to_owned(),
                found: self.parts.iter().map(|part| part.name.clone()).collect(),
            })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, VectorsProblem> {
        self.check()?;
        let header = Header {
            format: FORMAT.to_owned(),
            items: self.items.clone(),
            parts: self.parts.iter().map(|part| part.name.clone()).collect(),
            groups: self.groups.clone(),
            provenance: self.provenance.clone(),
        };
        let header = serde_json::to_string(&header).map_err(format)?;
        let values: Vec<Vec<u8>> = self
            .parts
            .iter()
            .map(|part| part.values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let views = self
            .parts
            .iter()
            .zip(&values)
            .map(|(part, values)| {
                let shape = vec![self.items.len(), part.width];
                Ok((
                    part.name.as_str(),
                    TensorView::new(Dtype::F32, shape, values)?,
                ))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(format)?;
        // A single entry: the library writes several in an order that differs from run to run.
        let metadata = HashMap::from([(METADATA.to_owned(), header)]);
        safetensors::serialize(views, Some(metadata)).map_err(format)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, VectorsProblem> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let header = metadata.metadata().as_ref();
        let header = header.and_then(|metadata| metadata.get(METADATA));
        let header = Header::of(header.map(String::as_str))?;
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        if file.len() != header.parts.len() {
            return Err(format("its tensors are not the parts it lists"));
        }
        let parts = header
            .parts
            .into_iter()
            .map(|name| {
                let view = file.tensor(&name).map_err(format)?;
                let (Dtype::F32, &[rows, width]) = (view.dtype(), view.shape()) else {
                    return Err(format(format_args!(
                        "part `{name}` is no table of F32 numbers"
                    )));
                };
                let values: Vec<f32> = view
                    .data()
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&bytes| f32::from_le_bytes(bytes))
                    .collect();
                if rows != header.items.len() {
                    return Err(VectorsProblem::Shape {
                        part: name,
                        values: values.len(),
                        items: header.items.len(),
                        width,
                    });
                }
                Ok(PartVectors {
                    name,
                    width,
                    values,
                })
            })
            .collect::<Result<_, _>>()?;
        let vectors = Self {
            items: header.items,
            parts,
            groups: header.groups,
            provenance: header.provenance,
        };
        vectors.check()?;
        Ok(vectors)
    }

    /// Checks what [`ItemVectors::write`] would refuse.
    ///
    /// # Errors
    /// The first [`VectorsProblem`] met.
    pub fn check(&self) -> Result<(), VectorsProblem> {
        if self.items.is_empty() {
            return Err(VectorsProblem::Nothing { what: "items" });
        }
        if self.parts.is_empty() {
            return Err(VectorsProblem::Nothing { what: "parts" });
        }
        let mut rows = HashMap::with_capacity(self.items.len());
        for (row, item) in self.items.iter().enumerate() {
            if item.is_empty() {
                return Err(VectorsProblem::EmptyId { row });
            }
            if let Some(first) = rows.insert(item, row) {
                return Err(VectorsProblem::DuplicateItem {
                    item: item.clone(),
                    first,
                    second: row,
                });
            }
        }
        if let Some(groups) = &self.groups
            && groups.len() != self.items.len()
        {
            return Err(format(format_args!(
                "it has groups for {} items of {}",
                groups.len(),
                self.items.len()
            )));
        }
        let mut names = HashSet::new();
        self.parts.iter().try_for_each(|part| {
            if !names.insert(&part.name) {
                return Err(VectorsProblem::DuplicatePart {
                    part: part.name.clone(),
                });
            }
            self.check_part(part)
        })
    }

    fn check_part(&self, part: &PartVectors) -> Result<(), VectorsProblem> {
        let items = self.items.len();
        if part.width == 0 || Some(part.values.len()) != items.checked_mul(part.width) {
            return Err(VectorsProblem::Shape {
                part: part.name.clone(),
                values: part.values.len(),
                items,
                width: part.width,
            });
        }
        match part.values.iter().position(|value| !value.is_finite()) {
            Some(place) => Err(VectorsProblem::NotFinite {
                part: part.name.clone(),
                item: self.items[place / part.width].clone(),
                component: place % part.width,
                value: part.values[place],
            }),
            None => Ok(()),
        }
    }
}

fn format(reason: impl ToString) -> VectorsProblem {
    VectorsProblem::Format {
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
