//! The folder a fetch leaves: two data files and `SOURCE.json`, which is written last and says what
//! the others must hash to.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use genair_files::doing;
use serde::{Deserialize, Serialize};

use crate::movielens::Content;
use crate::{FetchError, hash_if_there};

const SOURCE: &str = "SOURCE.json";
const LICENCE: &str = "MovieLens data by GroupLens Research, University of Minnesota. Its terms do not allow \
                       redistribution without permission, nor commercial use: keep these files out of version \
                       control and published artefacts. Cite: F. M. Harper and J. A. Konstan, The MovieLens \
                       Datasets: History and Context, ACM TiiS 5(4), 2015, doi 10.1145/2827872. \
                       https://grouplens.org/datasets/movielens/100k/";

/// Content of `SOURCE.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Provenance {
    dataset: String,
    origin: String,
    archive_sha256: String,
    /// SHA-256 by file name.
    files: BTreeMap<String, String>,
    licence: String,
}

/// Where the data in a folder came from, if they are complete and unchanged.
pub(crate) fn verified(folder: &Path) -> Result<Option<String>, FetchError> {
    let Some(text) = read(&folder.join(SOURCE))? else {
        return Ok(None);
    };
    let Ok(provenance) = serde_json::from_slice::<Provenance>(&text) else {
        return Ok(None);
    };
    for (name, sha256) in &provenance.files {
        if hash_if_there(&folder.join(name))?.as_ref() != Some(sha256) {
            return Ok(None);
        }
    }
    Ok(Some(provenance.origin))
}

/// Writes all files, each whole or not at all, unless one would replace different content.
pub(crate) fn install(folder: &Path, content: &Content) -> Result<(), FetchError> {
    let files = [
        ("interactions.tsv", &content.interactions),
        ("items.jsonl", &content.items),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        if read(&path)?.is_some_and(|existing| existing != *bytes) {
            return Err(FetchError::Occupied { path });
        }
    }
    let provenance = Provenance {
        dataset: "MovieLens-100K".to_owned(),
        origin: content.origin.clone(),
        archive_sha256: content.archive_sha256.clone(),
        files: files
            .map(|(name, bytes)| (name.to_owned(), genair_files::sha256(bytes)))
            .into(),
        licence: LICENCE.to_owned(),
    };
    // A struct of strings cannot fail to serialise.
    let provenance = serde_json::to_string_pretty(&provenance).unwrap_or_default() + "\n";
    for (name, bytes) in files {
        write(folder, name, bytes)?;
    }
    write(folder, SOURCE, provenance.as_bytes())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FetchError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(doing("read", path)(error).into()),
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), FetchError> {
    let path = folder.join(name);
    Ok(genair_files::write(&path, bytes).map_err(doing("write", &path))?)
}
