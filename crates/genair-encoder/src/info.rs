//! What a model's folder is: facts that a cache key or a report needs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::encoder::read_vocabulary;
use crate::folder::{ModelFolder, WEIGHTS, read};
use crate::{ENGINE, EncodeError};

/// A sentence encoder, as its folder says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Engine and version.
    pub engine: String,
    /// Components of a vector.
    pub width: usize,
    /// Tokens of a text that are read, special ones included; the rest is cut off.
    pub max_tokens: usize,
    /// Attention blocks.
    pub layers: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Whether vectors have length 1.
    pub normalized: bool,
    /// SHA-256 of the weights, lower-case hex.
    pub sha256: String,
    /// SHA-256 of every file that decides a vector, by its path in the folder.
    pub files: BTreeMap<String, String>,
}

/// Looks into a model's folder and hashes its files; builds no network.
///
/// # Errors
/// [`EncodeError::Read`], [`EncodeError::Json`], [`EncodeError::Vocabulary`] or
/// [`EncodeError::Unsupported`].
pub fn info(path: &Path) -> Result<Info, EncodeError> {
    let folder = ModelFolder::read(path)?;
    let vocabulary = read_vocabulary(&folder)?;
    let mut files = BTreeMap::new();
    for file in &folder.files {
        let digest = genair_files::sha256(read(&path.join(file))?);
        files.insert(file.display().to_string(), digest);
    }
    Ok(Info {
        engine: ENGINE.to_owned(),
        width: folder.bert.hidden_size as usize,
        max_tokens: folder.max_tokens,
        layers: folder.bert.num_hidden_layers,
        vocabulary: vocabulary.len(),
        normalized: folder.normalize,
        sha256: files[WEIGHTS].clone(),
        files,
    })
}
