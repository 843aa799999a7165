//! The kept inputs of a target, and where new ones that fail go.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// An input: a file's name, whose extension says what it is, and content.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The inputs of a target by name, at least one.
pub(crate) fn seeds(target: &str) -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("no corpus {}: {error}", folder.display()));
    let mut seeds: Vec<Seed> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            Seed {
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                bytes: std::fs::read(&path).unwrap(),
            }
        })
        .collect();
    seeds.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!seeds.is_empty(), "{} is empty", folder.display());
    seeds
}

/// Keeps an input that fails, outside version control, and says where.
pub(crate) fn keep(target: &str, input: &Seed) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("fuzz")
        .join(target);
    let digest = Sha256::digest(&input.bytes);
    let digest: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let path = folder.join(format!("{digest}-{}", input.name));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&path, &input.bytes).unwrap();
    path
}
