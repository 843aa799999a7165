//! SHA-256 as lower-case hex, of text and of files.

use std::io::{self, Read};
use std::path::Path;

use genair_data::regular_file;
use sha2::{Digest, Sha256};

pub(crate) fn of(bytes: impl AsRef<[u8]>) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

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

fn hex(digest: Sha256) -> String {
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
