//! One file over HTTP: retries with back-off, going on where an earlier attempt ended, and a
//! checksum before anybody uses it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use genair_files::doing;
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};

use crate::{FetchError, Progress, verify};

/// Told what a download is doing.
type Tell<'t> = dyn FnMut(Progress) + 't;

/// How to download.
pub(crate) struct Downloader {
    pub(crate) agent: Agent,
    /// Attempts in a row that may bring nothing new, at least 1.
    pub(crate) attempts: u32,
    /// Pause before the second attempt; it doubles with each further one.
    pub(crate) first_wait: Duration,
}

impl Downloader {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Short, so that an unreachable server is soon given up for the other way.
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(30)))
            // Compression in transit would break sizes and ranges.
            .accept_encoding("identity")
            .build();
        Self {
            agent: config.into(),
            attempts: 3,
            first_wait: Duration::from_secs(1),
        }
    }

    /// Completes the file `part`, whose first bytes may be there, and verifies it. A file that fails
    /// verification is deleted.
    pub(crate) fn download(
        &self,
        url: &str,
        size: u64,
        sha256: &str,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        self.complete(url, size, part, progress)?;
        let found = genair_files::sha256_of_file(part).map_err(doing("read", part))?;
        if found != sha256 {
            std::fs::remove_file(part).map_err(doing("remove", part))?;
        }
        verify(url, sha256, found)
    }

    /// Completes the file `part`, whose first bytes may be there.
    pub(crate) fn complete(
        &self,
        url: &str,
        size: u64,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        let mut last = length(part)?;
        self.repeatedly(progress, &mut |progress| {
            let received = length(part)?;
            if received == size {
                return Ok(Attempt::Done(()));
            }
            progress(Progress::Connecting {
                url: url.to_owned(),
            });
            match self.attempt(url, size, part, progress) {
                Ok(()) => Ok(Attempt::Done(())),
                Err(error) => {
                    let received = length(part)?;
                    let has_more = received > std::mem::replace(&mut last, received);
                    Ok(Attempt::Failed { error, has_more })
                }
            }
        })
    }

    /// Bytes of the file at an address, as its server says.
    pub(crate) fn size(
        &self,
        url: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, FetchError> {
        self.repeatedly(progress, &mut |progress| {
            progress(Progress::Connecting {
                url: url.to_owned(),
            });
            let size = self.agent.get(url).call();
            let size = size.map_err(|source| FetchError::Transfer {
                url: url.to_owned(),
                source: Box::new(source),
            });
            let size = size.and_then(|response| match response.status() {
                StatusCode::OK => {
                    let length = header(&response, CONTENT_LENGTH.as_str());
                    let length = length.and_then(|text| text.parse().ok());
                    length.ok_or_else(|| FetchError::NoSize {
                        url: url.to_owned(),
                    })
                }
                status => Err(FetchError::Status {
                    url: url.to_owned(),
                    status: status.as_u16(),
                }),
            });
            Ok(match size {
                Ok(size) => Attempt::Done(size),
                Err(error) => Attempt::Failed {
                    error,
                    has_more: false,
                },
            })
        })
    }

    /// Attempts something until it is done, its error is none that passes, or it has brought nothing new too often.
    fn repeatedly<T>(
        &self,
        progress: &mut dyn FnMut(Progress),
        attempt: &mut dyn FnMut(&mut Tell<'_>) -> Result<Attempt<T>, FetchError>,
    ) -> Result<T, FetchError> {
        let mut failures = 0;
        loop {
            let (error, has_more) = match attempt(progress)? {
                Attempt::Done(value) => return Ok(value),
                Attempt::Failed { error, has_more } => (error, has_more),
            };
            failures = if has_more { 1 } else { failures + 1 };
            if !is_transient(&error) || failures >= self.attempts {
                return Err(error);
            }
            let wait = self.first_wait * 2_u32.saturating_pow(failures - 1);
            progress(Progress::Retrying {
                reason: crate::with_causes(&error),
                wait,
            });
            std::thread::sleep(wait);
        }
    }

    /// One request. Whatever arrives is kept in `part`; an error if it is not all.
    fn attempt(
        &self,
        url: &str,
        size: u64,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        let transfer = |source| FetchError::Transfer {
            url: url.to_owned(),
            source: Box::new(source),
        };
        let wrong_size = |found| FetchError::Size {
            url: url.to_owned(),
            expected: size,
            found,
        };
        let cut = |received| FetchError::Cut {
            url: url.to_owned(),
            received,
            size,
        };
        let mut received = length(part)?;
        if received > size {
            File::create(part).map_err(doing("write", part))?;
            received = 0;
        }
        let mut request = self.agent.get(url);
        if received > 0 {
            request = request.header(RANGE, format!("bytes={received}-"));
        }
        let mut response = request.call().map_err(transfer)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, received) => {}
            StatusCode::OK => {
                // The server sends all of it, asked for the rest or not.
                let found =
                    header(&response, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
                if let Some(found) = found.filter(|&found: &u64| found != size) {
                    return Err(wrong_size(found));
                }
                File::create(part).map_err(doing("write", part))?;
                received = 0;
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if received > 0 => {
                // What is here does not fit what is there: the next attempt starts anew.
                File::create(part).map_err(doing("write", part))?;
                return Err(cut(0));
            }
            status => {
                return Err(FetchError::Status {
                    url: url.to_owned(),
                    status: status.as_u16(),
                });
            }
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(part)
            .map_err(doing("write", part))?;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(transfer(error.into())),
            };
            if n == 0 {
                break;
            }
            received += n as u64;
            if received > size {
                drop(file);
                std::fs::remove_file(part).map_err(doing("remove", part))?;
                return Err(wrong_size(received));
            }
            file.write_all(&buffer[..n]).map_err(doing("write", part))?;
            progress(Progress::Downloaded {
                bytes: received,
                total: size,
            });
        }
        if received < size {
            return Err(cut(received));
        }
        Ok(())
    }
}

/// What came of one attempt.
enum Attempt<T> {
    Done(T),
    Failed {
        error: FetchError,
        /// Whether it brought something that is kept.
        has_more: bool,
    },
}

/// Whether another attempt may succeed.
fn is_transient(error: &FetchError) -> bool {
    match error {
        FetchError::Transfer { .. } | FetchError::Cut { .. } => true,
        FetchError::Status { status, .. } => matches!(status, 408 | 429 | 500..),
        _ => false,
    }
}

fn starts_at(response: &ureq::http::Response<ureq::Body>, offset: u64) -> bool {
    header(response, CONTENT_RANGE.as_str())
        .is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

fn header<'a>(response: &'a ureq::http::Response<ureq::Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn length(path: &Path) -> Result<u64, FetchError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(doing("read", path)(error).into()),
    }
}
