//! The one way to open a file that a user names: a regular file, of a stated size at most.
//!
//! A device or a pipe may never end or never begin, and a file that is far too large is the wrong file. Each
//! caller states its limit, and docs/specs.md and docs/data.md name them.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Bytes of a text that a person writes: a spec, a file that it extends, a report spec, an SQL statement.
pub const MAX_TEXT: u64 = 4 << 20;
/// Bytes of a list of item ids.
pub const MAX_ID_LIST: u64 = 1 << 30;
/// Bytes of a file of vectors, associations or weights.
pub const MAX_VECTORS: u64 = 64 << 30;

/// Opens a regular file, or a link to one, for reading. Never waits.
///
/// # Errors
/// The operating system's, or [`ErrorKind::InvalidInput`] for a folder, a device, a pipe or a socket.
pub fn open(path: &Path) -> io::Result<File> {
    // Before it is opened, as opening a pipe waits for its writer.
    require_regular(std::fs::metadata(path)?.file_type())?;
    let file = File::open(path)?;
    require_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// The bytes of a regular file that has at most `limit` of them.
///
/// # Errors
/// Those of [`open`]; [`ErrorKind::FileTooLarge`] above the limit, before the memory is taken;
/// [`ErrorKind::OutOfMemory`] where there is no room for the file.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let limit = size(limit);
        let message = format!("it is larger than {limit}, the limit for such a file");
        io::Error::new(ErrorKind::FileTooLarge, message)
    };
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve(usize::try_from(length).unwrap_or(usize::MAX))?;
    file.take(limit + 1).read_to_end(&mut bytes)?;
    // It may have grown meanwhile, and what /proc holds has no length.
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// The text of a regular file that has at most `limit` bytes.
///
/// # Errors
/// Those of [`read`]; [`ErrorKind::InvalidData`] names the first line that is not UTF-8.
pub fn read_to_string(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

fn require_regular(kind: std::fs::FileType) -> io::Result<()> {
    let found = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    let message = format!("it is {found}; only regular files are read");
    Err(io::Error::new(ErrorKind::InvalidInput, message))
}

/// A limit in words; limits are powers of two.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 30 => format!("{} GiB", bytes >> 30),
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for (path, expected) in [
            (folder.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
            (&link, "a device"),
            (&socket, "a socket"),
            (&pipe, "a pipe"),
        ] {
            let error = open(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_file_has_at_most_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc\nd\u{e9}").unwrap();
        assert_eq!(read_to_string(&path, 7).unwrap(), "abc\nd\u{e9}");
        let error = read(&path, 6).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it is larger than 6 bytes, the limit for such a file"
        );
        // Sparse: nothing of it is read or allocated.
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(MAX_TEXT + 1).unwrap();
        let error = read(&path, MAX_TEXT).unwrap_err();
        assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
        // Without a length of its own, as what the kernel tells.
        assert!(read(Path::new("/proc/self/status"), 10).is_err());

        std::fs::write(&path, b"abc\nd\xe9").unwrap();
        let error = read_to_string(&path, 7).unwrap_err();
        assert_eq!(error.to_string(), "line 2 is not UTF-8");
    }
}
