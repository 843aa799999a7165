//! Files as their publishers have them: fetched once, kept under their own names, and remembered with their
//! SHA-256, as most publishers give none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use genair_files::doing;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::download::Downloader;
use crate::{FetchError, FetchReport, Progress, hash_if_there, verify};

/// What says where the files of a folder came from.
const SOURCES: &str = "SOURCES.json";

/// A file at its publisher's address.
#[derive(Clone, Copy, Debug)]
pub struct PublishedFile<'a> {
    /// Its name in the folder it goes to.
    pub name: &'a str,
    /// Its address.
    pub url: &'a str,
    /// MD5, lower-case hex, where the publisher gives one.
    pub md5: Option<&'a str>,
}

/// Content of `SOURCES.json`, by file name.
type Sources = BTreeMap<String, Provenance>;

#[derive(Debug, Serialize, Deserialize)]
struct Provenance {
    url: String,
    bytes: u64,
    sha256: String,
    terms: String,
}

/// Fetches files into the folder `dest` unless they are there. A file that was fetched before is verified; one that
/// somebody else put there is left as it is. An interrupted download goes on where it ended. Two processes may do this
/// at once: the second waits.
///
/// Blocks; `progress` is called from this thread.
///
/// # Errors
/// Any [`FetchError`]; complete files stay, and a partial download (`*.part`) too.
pub fn published(
    dest: &Path,
    files: &[PublishedFile<'_>],
    terms: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<FetchReport, FetchError> {
    fetch(dest, files, terms, &Downloader::new(), progress)
}

pub(crate) fn fetch(
    dest: &Path,
    files: &[PublishedFile<'_>],
    terms: &str,
    downloader: &Downloader,
    progress: &mut dyn FnMut(Progress),
) -> Result<FetchReport, FetchError> {
    std::fs::create_dir_all(dest).map_err(doing("create", dest))?;
    let lock = dest.join(".lock");
    let held = File::create(&lock).map_err(doing("create", &lock))?;
    held.lock().map_err(doing("lock", &lock))?;
    let path = dest.join(SOURCES);
    let mut sources: Sources = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => Sources::new(),
    };
    let mut already_there = true;
    for file in files {
        let target = dest.join(file.name);
        if let Some(found) = hash_if_there(&target)? {
            let what = target.display().to_string();
            match sources.get(file.name) {
                Some(source) => verify(&what, &source.sha256, found)?,
                None => verify_md5(&what, file, &target)?,
            }
            continue;
        }
        already_there = false;
        let part = dest.join(format!("{}.part", file.name));
        let bytes = downloader.size(file.url, progress)?;
        downloader.complete(file.url, bytes, &part, progress)?;
        let sha256 = genair_files::sha256_of_file(&part).map_err(doing("read", &part))?;
        if let Err(error) = verify_md5(file.url, file, &part) {
            std::fs::remove_file(&part).map_err(doing("remove", &part))?;
            return Err(error);
        }
        std::fs::rename(&part, &target).map_err(doing("write", &target))?;
        let provenance = Provenance {
            url: file.url.to_owned(),
            bytes,
            sha256,
            terms: terms.to_owned(),
        };
        sources.insert(file.name.to_owned(), provenance);
        // A map of strings cannot fail to serialise.
        let text = serde_json::to_string_pretty(&sources).unwrap_or_default() + "\n";
        genair_files::write(&path, text).map_err(doing("write", &path))?;
    }
    let urls: Vec<&str> = files.iter().map(|file| file.url).collect();
    Ok(FetchReport {
        folder: dest.to_owned(),
        already_there,
        origin: urls.join(", "),
    })
}

/// Refuses a file whose MD5 is another than its publisher's.
fn verify_md5(what: &str, file: &PublishedFile<'_>, path: &Path) -> Result<(), FetchError> {
    let Some(expected) = file.md5 else {
        return Ok(());
    };
    let mut digest = Md5::new();
    let mut opened =
        BufReader::with_capacity(1 << 18, File::open(path).map_err(doing("read", path))?);
    io::copy(&mut opened, &mut HashWriter(&mut digest)).map_err(doing("read", path))?;
    let found = genair_files::hex(digest.finalize());
    match found == expected {
        true => Ok(()),
        false => Err(FetchError::Md5 {
            what: what.to_owned(),
            expected: expected.to_owned(),
            found,
        }),
    }
}

/// Hashes what is written to it.
struct HashWriter<'d>(&'d mut Md5);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
