//! Association scores on disk: a safetensors file of counts that says which sequences they are of.
//!
//! A file is used whole or not at all: what lookups rely on is checked, and so is the hash of the
//! dataset's sequences. Scores are not stored: they follow from counts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::Path;

use genair_data::Dataset;
use genair_files::{Partial, doing, regular_file};
use genair_protocol::AssociationSpec;
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::{Associations, AssociationsError, AssociationsProblem};

/// Value of `format` in the files written here.
const FORMAT: &str = "genair-associations-1";
/// The one key of a file's metadata: a [`Header`] as JSON.
const METADATA: &str = "genair";

/// What a file says beside its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    sequences_sha256: String,
    spec: AssociationSpec,
    max_count: u32,
}

impl Associations {
    /// Writes the counts of a dataset, which appear whole or not at all, and says the file's SHA-256 in
    /// lower-case hex. The same counts give the same bytes. The folder is made where it is missing.
    ///
    /// Tensors: `indptr` U64 `[I + 2]`, `indices` and `counts` U32 `[pairs]`, as in
    /// [`Associations::row`]; row 0, padding, is empty.
    ///
    /// # Errors
    /// [`AssociationsError::File`].
    pub fn write(
        &self,
        path: &Path,
        dataset: &Dataset,
        spec: &AssociationSpec,
    ) -> Result<String, AssociationsError> {
        let header = Header {
            format: FORMAT.to_owned(),
            sequences_sha256: dataset.sequences_sha256(),
            spec: spec.clone(),
            max_count: self.max_count,
        };
        let written = self.write_whole(path, &header);
        Ok(written.map_err(doing("write the association scores", path))?)
    }

    /// Reads the counts of a dataset.
    ///
    /// # Errors
    /// [`AssociationsError::File`]; [`AssociationsError::Content`] for a file that [`Associations::write`]
    /// did not write, or wrote for other sequences.
    pub fn read(path: &Path, dataset: &Dataset) -> Result<Self, AssociationsError> {
        let bytes = regular_file::read(path, regular_file::MAX_VECTORS);
        let bytes = bytes.map_err(doing("read the association scores", path))?;
        Self::parse(&bytes, dataset).map_err(|problem| AssociationsError::Content {
            path: path.to_owned(),
            problem,
        })
    }

    fn write_whole(&self, path: &Path, header: &Header) -> io::Result<String> {
        let partial = Partial::beside(path)?;
        // A single entry: the library writes several in an order that differs from run to run.
        let metadata = HashMap::from([(METADATA.to_owned(), serde_json::to_string(header)?)]);
        let tensors = [
            ("indptr", Column::offsets(&self.indptr)),
            ("indices", Column::ids(&self.indices)),
            ("counts", Column::ids(&self.counts)),
        ];
        safetensors::serialize_to_file(tensors, Some(metadata), partial.path())
            .map_err(io::Error::other)?;
        let sha256 = genair_files::sha256_of_file(partial.path())?;
        partial.keep()?;
        Ok(sha256)
    }

    fn parse(bytes: &[u8], dataset: &Dataset) -> Result<Self, AssociationsProblem> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(METADATA))
            .ok_or_else(|| format(format_args!("no metadata `{METADATA}`")))?;
        let header: Header = serde_json::from_str(header).map_err(format)?;
        if header.format != FORMAT {
            return Err(format(format_args!(
                "format `{}` is not `{FORMAT}`",
                header.format
            )));
        }
        let expected = dataset.sequences_sha256();
        if header.sequences_sha256 != expected {
            return Err(AssociationsProblem::OtherSequences {
                found: header.sequences_sha256,
                expected,
            });
        }
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        let indptr = tensor(&file, "indptr", Dtype::U64, u64::from_le_bytes)?;
        let associations = Self {
            indptr: indptr.into_iter().map(|offset| offset as usize).collect(),
            indices: tensor(&file, "indices", Dtype::U32, u32::from_le_bytes)?,
            counts: tensor(&file, "counts", Dtype::U32, u32::from_le_bytes)?,
            max_count: header.max_count,
        };
        associations.check(dataset.num_items())?;
        Ok(associations)
    }

    /// What lookups rely on: the shape, and rows in order.
    fn check(&self, num_items: usize) -> Result<(), AssociationsProblem> {
        let rows = self.indptr.len();
        if rows != num_items + 2 {
            return Err(format(format_args!(
                "`indptr` has {rows} offsets, {num_items} items need {}",
                num_items + 2
            )));
        }
        let (indices, counts) = (self.indices.len(), self.counts.len());
        if indices != counts || self.indptr[rows - 1] != indices {
            return Err(format(format_args!(
                "`indptr` ends at {}, `indices` has {indices} entries, `counts` {counts}",
                self.indptr[rows - 1]
            )));
        }
        for item in 0..=num_items {
            let wrong = |reason| AssociationsProblem::Row { item, reason };
            let (start, end) = (self.indptr[item], self.indptr[item + 1]);
            if start > end || end > indices || (item == 0 && end != 0) {
                return Err(wrong("does not follow the one before it"));
            }
            let partners = &self.indices[start..end];
            if !partners.is_sorted_by(|a, b| a < b) {
                return Err(wrong("is not in ascending order"));
            }
            if partners
                .first()
                .is_some_and(|&first| (first as usize) < item)
            {
                return Err(wrong("names a lesser item"));
            }
            if partners
                .last()
                .is_some_and(|&last| last as usize > num_items)
            {
                return Err(wrong("names an item that the dataset lacks"));
            }
            let mut counts = self.counts[start..end].iter();
            if counts.any(|&count| count == 0 || count > self.max_count) {
                return Err(wrong("has a count outside 1 to the largest count"));
            }
        }
        Ok(())
    }
}

/// A one-dimensional tensor to be written; its bytes are made when their turn comes.
struct Column<'a> {
    shape: [usize; 1],
    numbers: Numbers<'a>,
}

enum Numbers<'a> {
    Offsets(&'a [usize]),
    Ids(&'a [u32]),
}

impl<'a> Column<'a> {
    fn offsets(values: &'a [usize]) -> Self {
        Self {
            shape: [values.len()],
            numbers: Numbers::Offsets(values),
        }
    }

    fn ids(values: &'a [u32]) -> Self {
        Self {
            shape: [values.len()],
            numbers: Numbers::Ids(values),
        }
    }
}

impl View for Column<'_> {
    fn dtype(&self) -> Dtype {
        match self.numbers {
            Numbers::Offsets(_) => Dtype::U64,
            Numbers::Ids(_) => Dtype::U32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.numbers {
            Numbers::Offsets(values) => values
                .iter()
                .flat_map(|&value| (value as u64).to_le_bytes())
                .collect(),
            Numbers::Ids(values) => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    fn data_len(&self) -> usize {
        match self.numbers {
            Numbers::Offsets(values) => values.len() * size_of::<u64>(),
            Numbers::Ids(values) => size_of_val(values),
        }
    }
}

/// Numbers of a one-dimensional tensor.
fn tensor<T, const N: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    number: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, AssociationsProblem> {
    let view = file.tensor(name).map_err(format)?;
    if view.dtype() != dtype || view.shape().len() != 1 {
        return Err(format(format_args!(
            "`{name}` is {:?} {:?}, not {dtype:?} of one dimension",
            view.dtype(),
            view.shape()
        )));
    }
    let (numbers, _) = view.data().as_chunks::<N>();
    Ok(numbers.iter().map(|&bytes| number(bytes)).collect())
}

fn format(reason: impl std::fmt::Display) -> AssociationsProblem {
    AssociationsProblem::Format {
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use genair_data::load;
    use genair_protocol::{DatasetKind, DatasetSpec};

    use super::*;

    fn dataset(users: usize) -> Dataset {
        let spec = DatasetSpec {
            kind: DatasetKind::Synthetic,
            users: Some(users),
            catalogue: Some(60),
            ..DatasetSpec::default()
        };
        load(&spec).unwrap()
    }

    #[test]
    fn counts_come_back_and_equal_counts_are_equal_bytes() {
        let (dataset, spec) = (dataset(40), AssociationSpec::default());
        let counted = Associations::count(&dataset, &spec);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/on/the/way.safetensors");
        let hash = counted.write(&path, &dataset, &spec).unwrap();
        assert_eq!(hash, genair_files::sha256_of_file(&path).unwrap());
        assert_eq!(Associations::read(&path, &dataset).unwrap(), counted);
        assert_eq!(counted.write(&path, &dataset, &spec).unwrap(), hash);
        let beside = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "nothing temporary stays");
    }

    #[test]
    fn other_data_and_damage_are_refused() {
        let (ours, spec) = (dataset(40), AssociationSpec::default());
        let counted = Associations::count(&ours, &spec);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("associations.safetensors");
        let problem = |dataset: &Dataset| match Associations::read(&path, dataset).unwrap_err() {
            AssociationsError::Content { problem, .. } => problem,
            other => panic!("{other}: {:?}", other.source()),
        };

        counted.write(&path, &ours, &spec).unwrap();
        let other = dataset(41);
        assert_eq!(
            problem(&other),
            AssociationsProblem::OtherSequences {
                found: ours.sequences_sha256(),
                expected: other.sequences_sha256(),
            }
        );

        let check = |damage: fn(&mut Associations), expected: &str| {
            let mut table = counted.clone();
            damage(&mut table);
            table.write(&path, &ours, &spec).unwrap();
            let message = problem(&ours).to_string();
            assert!(message.starts_with(expected), "{message}");
        };
        check(
            |table| table.counts[0] = table.max_count + 1,
            "the row of item 1 has a count",
        );
        check(
            |table| table.indices.swap(0, 1),
            "the row of item 1 is not in",
        );
        check(
            |table| table.indices[0] = 0,
            "the row of item 1 names a lesser",
        );
        check(|table| table.counts[0] = 0, "the row of item 1 has a count");
        check(
            |table| table.indptr[2] = usize::MAX,
            "the row of item 1 does not follow",
        );
        check(
            |table| table.counts.truncate(9),
            "not a file of association scores",
        );
        check(
            |table| table.indptr.truncate(9),
            "not a file of association scores",
        );

        let bytes = std::fs::read(&path).unwrap();
        for bytes in [&bytes[..bytes.len() - 1], b"", b"no tensors"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(problem(&ours), AssociationsProblem::Format { .. }));
        }
        std::fs::remove_file(&path).unwrap();
        let error = Associations::read(&path, &ours).unwrap_err();
        assert!(matches!(error, AssociationsError::File(_)), "{error}");
    }
}
