//! Members of archives, streamed: of zip files, whose checksums are checked, and of tar files.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::bufread::MultiGzDecoder;
use flate2::read::DeflateDecoder;
use genair_files::{doing, regular_file};
use zip::{CompressionMethod, ZipArchive};

use crate::DataError;

/// Endings of the names of archives.
const ENDINGS: [&str; 4] = [".zip", ".tar", ".tar.gz", ".tgz"];

/// The archive and the member that a path leads to: `a.zip/b/c.csv` is the member `b/c.csv`.
pub(crate) fn member_of(path: &Path) -> Option<(PathBuf, String)> {
    let is_archive = |path: &&Path| {
        let name = path.to_string_lossy();
        ENDINGS.iter().any(|ending| name.ends_with(ending)) && path.is_file()
    };
    let archive = path.ancestors().skip(1).find(is_archive)?;
    let member = path.strip_prefix(archive).ok()?.to_str()?.to_owned();
    Some((archive.to_owned(), member))
}

/// Names of the members of an archive that are files; `None` for a file that is none.
pub(crate) fn members(path: &Path) -> Option<Vec<String>> {
    let name = path.to_string_lossy();
    if !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return None;
    }
    // Of a tar file, the error for a member that is not there lists those that are.
    let names = match path.extension() == Some(OsStr::new("zip")) {
        true => {
            let file = BufReader::new(File::open(path).ok()?);
            let zip = ZipArchive::new(file).ok()?;
            zip_names(&zip)
        }
        false => match open_tar(path, "") {
            Err(DataError::NoMember { members, .. }) => members,
            _ => return None,
        },
    };
    let is_file = |name: &String| !name.ends_with('/');
    Some(names.into_iter().filter(is_file).collect())
}

/// Opens a member for streaming.
pub(super) fn open(archive: &Path, member: &str) -> Result<Box<dyn Read>, DataError> {
    match archive.extension() == Some(OsStr::new("zip")) {
        true => open_zip(archive, member),
        false => open_tar(archive, member),
    }
}

/// Bytes of a header, and of what the content of a member is filled up to.
const BLOCK: u64 = 512;

/// Reads a tar file up to a member: a header for each, then its content.
fn open_tar(archive: &Path, member: &str) -> Result<Box<dyn Read>, DataError> {
    let file = regular_file::open(archive).map_err(doing("read", archive))?;
    let file = BufReader::with_capacity(1 << 18, file);
    let mut content: Box<dyn Read> = match archive.extension() == Some(OsStr::new("tar")) {
        true => Box::new(file),
        false => Box::new(MultiGzDecoder::new(file)),
    };
    let damaged = |source: io::Error| DataError::Damaged {
        path: archive.to_owned(),
        kind: "tar file",
        source,
    };
    let mut members = Vec::new();
    loop {
        let mut header = [0; BLOCK as usize];
        content.read_exact(&mut header).map_err(damaged)?;
        if header.iter().all(|byte| *byte == 0) {
            return Err(DataError::NoMember {
                archive: archive.to_owned(),
                member: member.to_owned(),
                members,
            });
        }
        let text = |range: Range<usize>| {
            let field = header[range]
                .split(|byte| *byte == 0)
                .next()
                .unwrap_or_default();
            String::from_utf8_lossy(field).into_owned()
        };
        let size = u64::from_str_radix(text(124..136).trim(), 8);
        let size =
            size.map_err(|error| damaged(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        // The first part of a long name, in the format of POSIX.
        let prefix = text(345..500);
        let name = match header[257..262] == *b"ustar" && !prefix.is_empty() {
            true => format!("{prefix}/{}", text(0..100)),
            false => text(0..100),
        };
        let name = name.strip_prefix("./").unwrap_or(&name);
        if name == member {
            return Ok(Box::new(Whole {
                input: content.take(size),
            }));
        }
        members.push(name.to_owned());
        let filled = size.div_ceil(BLOCK) * BLOCK;
        let skipped =
            io::copy(&mut (&mut content).take(filled), &mut io::sink()).map_err(damaged)?;
        if skipped < filled {
            return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// Hands out so many bytes, and fails where there are fewer.
struct Whole {
    input: io::Take<Box<dyn Read>>,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        match read == 0 && !buffer.is_empty() && self.input.limit() > 0 {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(read),
        }
    }
}

/// Names of all members, folders too.
fn zip_names<R: Read + Seek>(zip: &ZipArchive<R>) -> Vec<String> {
    let names = zip.file_names().filter_map(Result::ok);
    names.map(Cow::into_owned).collect()
}

/// Finds a member in the archive's list.
fn open_zip(archive: &Path, member: &str) -> Result<Box<dyn Read>, DataError> {
    let damaged = |error: zip::result::ZipError| DataError::Damaged {
        path: archive.to_owned(),
        kind: "zip file",
        source: error.into(),
    };
    let file = regular_file::open(archive).map_err(doing("read", archive))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let names: Vec<String> = zip_names(&zip);
    if !names.iter().any(|name| name == member) {
        return Err(DataError::NoMember {
            archive: archive.to_owned(),
            member: member.to_owned(),
            members: names,
        });
    }
    let entry = zip.by_name(member).map_err(damaged)?;
    let (start, length) = (entry.data_start(), entry.compressed_size());
    let expected = (entry.size(), entry.crc32());
    let method = entry.compression();
    drop(entry);
    let mut file: File = zip.into_inner().into_inner();
    let start = start.unwrap_or_default();
    file.seek(SeekFrom::Start(start))
        .map_err(doing("read", archive))?;
    let bytes = BufReader::with_capacity(1 << 18, file.take(length));
    match method {
        CompressionMethod::Stored => Ok(Box::new(Checked::new(bytes, expected))),
        CompressionMethod::Deflated => {
            Ok(Box::new(Checked::new(DeflateDecoder::new(bytes), expected)))
        }
        other => Err(DataError::Damaged {
            path: archive.to_owned(),
            kind: "zip file",
            source: io::Error::other(format!("`{member}` is compressed by {other}; unpack it")),
        }),
    }
}

/// Hands out what it reads, and fails at its end if that is not what the archive says it is.
struct Checked<R> {
    input: R,
    crc: Crc,
    /// Bytes and CRC-32.
    expected: (u64, u32),
    read: u64,
}

impl<R> Checked<R> {
    fn new(input: R, expected: (u64, u32)) -> Self {
        Self {
            input,
            crc: Crc::new(),
            expected,
            read: 0,
        }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.crc.update(&buffer[..read]);
        self.read += read as u64;
        let is_end = read == 0 && !buffer.is_empty();
        if is_end && (self.read, self.crc.sum()) != self.expected {
            let message = "its length or checksum is another";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(read)
    }
}
