//! SHA-256 as text: lower-case hex.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::RunErrorKind;

/// Of a file's bytes.
pub(crate) fn of_file(path: &Path) -> Result<String, RunErrorKind> {
    let failed = |source| RunErrorKind::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hex(digest)),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// Of the numbers' little-endian bytes.
pub(crate) fn of_floats(values: &[f32]) -> String {
    let mut digest = Sha256::new();
    for block in values.chunks(1 << 14) {
        let bytes: Vec<u8> = block.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(bytes);
    }
    hex(digest)
}

fn hex(digest: Sha256) -> String {
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
