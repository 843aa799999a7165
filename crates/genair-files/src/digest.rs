//! SHA-256 as lower-case hex.

use std::io;
use std::path::Path;

use sha2::Digest;

use crate::regular_file;

/// Bytes as lower-case hex, two digits each.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

/// SHA-256 of some bytes, in lower-case hex.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(sha2::Sha256::digest(bytes))
}

/// SHA-256 of a file's bytes as they lie on the disk, in lower-case hex. Holds 256 KiB of them at a time.
///
/// # Errors
/// The file is no regular file, or cannot be read.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::default();
    let mut file = io::BufReader::with_capacity(1 << 18, regular_file::open(path)?);
    io::copy(&mut file, &mut digest)?;
    Ok(digest.finish())
}

/// A SHA-256 of bytes that come in parts. Whatever is written to it is hashed.
#[derive(Clone, Debug, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Hashes some more bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far, in lower-case hex.
    pub fn finish(self) -> String {
        hex(self.0.finalize())
    }
}

impl io::Write for Sha256 {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | sha256sum`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_those_of_sha256sum() {
        assert_eq!(sha256("abc"), ABC);
        let mut parts = Sha256::default();
        parts.update("a");
        parts.update("bc");
        assert_eq!(parts.finish(), ABC);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(sha256_of_file(&path).unwrap(), ABC);
    }
}
