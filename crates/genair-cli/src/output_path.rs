//! Whether a command may write where it is told to.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What SQLite names the files that belong to a database, after the database's own name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How every SQLite database begins.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// How every HTML page begins.
const PAGE: &[u8; 9] = b"<!doctype";

/// Refuses to write `out` where that would destroy something: a file of `inputs`, which the command reads, any
/// SQLite database or a file that belongs to one, or a device. Files are known by what a path leads to, so that
/// links and other names of a file are seen through.
///
/// To be called before the command opens a database: it opens `out`, and closing a file takes SQLite's locks away.
///
/// # Errors
/// Says what the file is.
pub(crate) fn may_write(out: &Path, inputs: &[&Path]) -> anyhow::Result<()> {
    let shown = out.display();
    anyhow::ensure!(
        !inputs.iter().any(|input| same_file(out, input)),
        "{shown} would be written over, and the command reads it; name another file to write"
    );
    let inputs = inputs.iter().map(|input| (*input).to_owned());
    let named = COMPANIONS.iter().filter_map(|companion| {
        let name = out.file_name()?.to_str()?.strip_suffix(companion)?;
        Some(out.with_file_name(name))
    });
    for database in inputs.chain(named).filter(|path| is_database(path)) {
        for companion in COMPANIONS {
            anyhow::ensure!(
                !same_file(out, &with_suffix(&database, companion)),
                "{shown} belongs to the database {}; name another file to write",
                database.display()
            );
        }
    }
    anyhow::ensure!(
        !is_database(out),
        "{shown} is an SQLite database and would be written over; name another file to write, or remove it first"
    );
    if let Ok(metadata) = out.metadata() {
        anyhow::ensure!(
            metadata.is_file() || metadata.is_dir(),
            "{shown} is a device or a pipe and would be replaced by a file; name a file to write"
        );
    }
    Ok(())
}

/// The same of a folder into which files with one of these `extensions` are written.
///
/// # Errors
/// Says what the first such file is.
pub(crate) fn may_fill(folder: &Path, extensions: &[&str], inputs: &[&Path]) -> anyhow::Result<()> {
    // A folder that cannot be listed holds nothing that could be written over, or the writing says why.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for file in entries.map(|entry| entry.path()) {
        let extension = file.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|own| extensions.contains(&own)) {
            may_write(&file, inputs)?;
        }
    }
    Ok(())
}

/// Refuses to write a page over a file that is none, such as a spec.
///
/// # Errors
/// Says that the file is no page.
pub(crate) fn may_be_page(out: &Path) -> anyhow::Result<()> {
    let has_content = |file: Metadata| file.is_file() && file.len() > 0;
    let is_page = |own: [u8; PAGE.len()]| own.eq_ignore_ascii_case(PAGE);
    anyhow::ensure!(
        !out.metadata().is_ok_and(has_content) || beginning(out).is_some_and(is_page),
        "{} is no HTML page and would be written over; name another file to write, or remove it first",
        out.display()
    );
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether two paths lead to one file, or would if it were there.
fn same_file(a: &Path, b: &Path) -> bool {
    let identity = |file: Metadata| (file.dev(), file.ino());
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => identity(a) == identity(b),
        (Err(_), Err(_)) => place(a).is_some_and(|place_of_a| Some(place_of_a) == place(b)),
        _ => false,
    }
}

/// Where a file that is not there would be.
fn place(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

fn is_database(path: &Path) -> bool {
    // Opening a pipe would wait for whoever is at its other end.
    path.metadata().is_ok_and(|file| file.is_file()) && beginning(path) == Some(*SQLITE)
}

/// The first bytes of a file that has so many.
fn beginning<const N: usize>(path: &Path) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    File::open(path).ok()?.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_replaces_a_page_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let may = |path: &Path| may_be_page(path).is_ok();
        assert!(may(&folder.path().join("new.html")));
        assert!(may(&write("empty", "")));
        assert!(may(&write("page", "<!DOCTYPE html>\n<html>")));
        assert!(!may(&write("spec.toml", "[sweep]\nname = \"x\"\n")));
        assert!(!may(&write("short", "<!")));
    }

    #[test]
    fn what_a_command_reads_and_every_database_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let database = [SQLITE.as_slice(), b"pages"].concat();
        std::fs::write(at("x.db"), &database).unwrap();
        std::fs::write(at("other.db"), &database).unwrap();
        std::fs::write(at("spec.toml"), "").unwrap();
        std::fs::write(at("page.html"), "<html>").unwrap();
        std::fs::hard_link(at("x.db"), at("hard.html")).unwrap();
        std::fs::hard_link(at("spec.toml"), at("spec.html")).unwrap();
        std::os::unix::fs::symlink(at("x.db"), at("soft.html")).unwrap();
        std::os::unix::fs::symlink(folder.path(), at("link")).unwrap();
        let (x, spec) = (at("x.db"), at("spec.toml"));
        let inputs = [x.as_path(), spec.as_path()];
        let refused = |out: &str| may_write(&at(out), &inputs).unwrap_err().to_string();
        for (out, reason) in [
            ("x.db", "the command reads it"),
            ("./link/x.db", "the command reads it"),
            ("hard.html", "the command reads it"),
            ("soft.html", "the command reads it"),
            ("spec.html", "the command reads it"),
            ("other.db", "is an SQLite database"),
            ("x.db-wal", "belongs to the database"),
            ("link/x.db-shm", "belongs to the database"),
            ("other.db-journal", "belongs to the database"),
        ] {
            let said = refused(out);
            assert!(said.contains(reason), "{out}: {said}");
        }
        let said = may_write(Path::new("/dev/null"), &inputs).unwrap_err();
        assert!(said.to_string().contains("device"), "{said}");
        for out in [
            "page.html",
            "new.html",
            "new/new.html",
            "notes-wal",
            "link/a.html",
        ] {
            may_write(&at(out), &inputs).unwrap();
        }
        may_fill(&at("new"), &["csv"], &inputs).unwrap();
        may_fill(folder.path(), &["csv"], &inputs).unwrap();
        may_fill(folder.path(), &["html"], &inputs).unwrap_err();
        may_fill(&at("link"), &["db"], &inputs).unwrap_err();
    }
}
