//! SHA-256 of what a run reads and writes, as lower-case hex.

use std::path::Path;

use genair_files::Sha256;

use crate::RunErrorKind;

/// Of a file's bytes.
pub(crate) fn of_file(path: &Path) -> Result<String, RunErrorKind> {
    genair_files::sha256_of_file(path).map_err(|source| RunErrorKind::Io {
        path: path.to_owned(),
        source,
    })
}

/// Of the numbers' little-endian bytes.
pub(crate) fn of_floats(values: &[f32]) -> String {
    let mut digest = Sha256::default();
    for block in values.chunks(1 << 14) {
        let bytes: Vec<u8> = block.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(bytes);
    }
    digest.finish()
}
