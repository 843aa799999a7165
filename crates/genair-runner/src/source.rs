//! A dataset's files, read once: what comes of them is kept in the cache, and everything else reads it there.

use genair_archetype::{FittedItems, VectorsForm};
use genair_data::{Catalogue, DataError, Dataset, Source, Statistics};
use genair_files::Cache;
use genair_protocol::{DatasetKind, DatasetSpec, InputFile};
use serde_json::json;

use crate::prepare::input_file;

/// What decides the content of prepared data; the rest is told by each run.
pub(crate) fn prepared_spec(data: &DatasetSpec) -> DatasetSpec {
    let DatasetSpec {
        max_len, cohorts, ..
    } = DatasetSpec::default();
    DatasetSpec {
        max_len,
        cohorts,
        ..data.clone()
    }
}

/// SHA-256, lower-case hex, of what decides prepared data: the fingerprint of [`prepared_spec`].
pub(crate) fn recipe_sha256(fingerprint: &str) -> String {
    genair_files::sha256(json!({ "prepared": 3, "data": fingerprint }).to_string())
}

fn recipe(data: &DatasetSpec) -> Result<String, DataError> {
    let fingerprint = genair_data::fingerprint(&prepared_spec(data))?;
    Ok(recipe_sha256(&fingerprint))
}

/// The items of a dataset, before any filter: from the cache, or else from its files, whose sequences are then
/// kept too.
///
/// # Errors
/// The files cannot be read. A cache that cannot be written to is no error: the files are read again.
pub fn catalogue(data: &DatasetSpec, cache: &Cache) -> Result<Catalogue, DataError> {
    match data.kind {
        DatasetKind::Synthetic => genair_data::catalogue(data),
        _ => catalogue_of(data, &recipe(data)?, cache),
    }
}

/// [`catalogue`] of a dataset that is read from files, whose [`recipe`] is known.
pub(crate) fn catalogue_of(
    data: &DatasetSpec,
    recipe: &str,
    cache: &Cache,
) -> Result<Catalogue, DataError> {
    match Catalogue::read(&cache.catalogue(recipe)) {
        Ok(catalogue) => return Ok(catalogue),
        Err(DataError::File(error)) if error.is_not_found() => {}
        Err(error) => tracing::warn!("{error}; the data are read again"),
    }
    let spec = prepared_spec(data);
    let source = read(&spec)?;
    let catalogue = source.catalogue();
    let kept = keep(source, &catalogue, &spec, recipe, cache);
    if let Err(error) = kept {
        // If the data themselves are at fault, the stage says so when it is made.
        tracing::debug!(%error, "read data could not be kept");
    }
    Ok(catalogue)
}

/// Reads a dataset's files and keeps its catalogue and its sequences. `data` is a [`prepared_spec`]. Returns sizes, and
/// what was left out.
///
/// # Errors
/// The files cannot be read, their filters leave nothing, or the cache cannot be written to.
pub(crate) fn prepare(
    data: &DatasetSpec,
    recipe: &str,
    cache: &Cache,
) -> Result<Statistics, DataError> {
    let source = read(data)?;
    let catalogue = source.catalogue();
    keep(source, &catalogue, data, recipe, cache)
}

fn read(data: &DatasetSpec) -> Result<Source, DataError> {
    tracing::debug!(path = ?data.path, "reading a dataset's files");
    Source::read(data)
}

fn keep(
    source: Source,
    catalogue: &Catalogue,
    data: &DatasetSpec,
    recipe: &str,
    cache: &Cache,
) -> Result<Statistics, DataError> {
    catalogue.write(&cache.catalogue(recipe))?;
    let dataset = source.into_dataset(data)?;
    dataset.write_prepared(&cache.sequences(recipe))?;
    Ok(dataset.statistics().clone())
}

/// The file of a dataset in the cache, if it is there.
///
/// # Errors
/// The dataset's own files cannot be hashed.
pub(crate) fn prepared_file(
    data: &DatasetSpec,
    cache: &Cache,
) -> Result<Option<InputFile>, DataError> {
    match data.kind {
        DatasetKind::Synthetic => Ok(None),
        _ => Ok(input_file(&cache.sequences(&recipe(data)?)).ok()),
    }
}

/// A form of a dataset's vectors with the items that its components are fitted to: of a split with cold items, those
/// that training sees.
///
/// # Errors
/// The data cannot be read.
pub fn fitted(
    form: &VectorsForm,
    data: &DatasetSpec,
    cache: &Cache,
) -> Result<VectorsForm, DataError> {
    if !form.is_fitted() || !data.split.has_cold_items() {
        return Ok(form.clone());
    }
    // Read once: the catalogue's reader keeps the sequences too.
    catalogue(data, cache)?;
    let dataset = dataset(data, cache)?;
    let warm = dataset.warm_items();
    let warm = warm.map(|item| dataset.raw_item(item).to_owned());
    Ok(VectorsForm {
        fitted: Some(FittedItems::new(warm)),
        ..form.clone()
    })
}

/// A dataset from the cache; where it is not there, from its files.
///
/// # Errors
/// Neither can be read.
pub(crate) fn dataset(data: &DatasetSpec, cache: &Cache) -> Result<Dataset, DataError> {
    if data.kind != DatasetKind::Synthetic {
        let path = cache.sequences(&recipe(data)?);
        if path.exists() {
            return Dataset::read_prepared(&path, data);
        }
    }
    read(data)?.into_dataset(data)
}
