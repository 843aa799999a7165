//! SHA-256 as text.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::regular_file;

/// The digest in lower-case hex.
pub(crate) fn hex(digest: Sha256) -> String {
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Of some bytes.
pub(crate) fn of(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// Of a file's bytes as they lie on the disk, without holding them all.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    let mut file = regular_file::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(digest));
        }
        digest.update(&buffer[..n]);
    }
}
