//! Opening, listing and hashing files: plain, compressed by their name, or a member of an archive.

use std::ffi::OsStr;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use genair_files::{doing, regular_file};

use super::archive;
use super::zstd::Zstd;
use crate::DataError;

const BUFFER: usize = 1 << 18;

/// Opens a file for streaming. One whose name ends in `.gz` or `.zst` is decompressed on the way, and a path that leads
/// into a `.zip` or `.tar` file is that of a member.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let content: Box<dyn Read> = match archive::member_of(path) {
        Some((file, member)) => archive::open(&file, &member)?,
        None => Box::new(regular_file::open(path).map_err(doing("read", path))?),
    };
    let content = BufReader::with_capacity(BUFFER, content);
    Ok(match compression(path) {
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(content)),
        Some(Compression::Zstd) => Box::new(Zstd::new(content)),
        None => Box::new(content),
    })
}

/// Longest line of a data file in bytes, or of a CSV file the longest record, whose quotes may hold line ends.
pub(super) const MAX_LINE: u64 = 16 << 20;

/// How a file is compressed, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
}

fn compression(path: &Path) -> Option<Compression> {
    match path.extension().and_then(OsStr::to_str) {
        Some("gz") => Some(Compression::Gzip),
        Some("zst") => Some(Compression::Zstd),
        _ => None,
    }
}

/// The ending of a name that says the form of the content: `csv` of `x.csv.gz`, in lower case.
pub(super) fn ending(path: &Path) -> Option<String> {
    let name = match compression(path) {
        Some(_) => path.file_stem().map(Path::new)?,
        None => path,
    };
    Some(name.extension()?.to_string_lossy().to_lowercase())
}

/// Tells a broken archive from a broken disk.
pub(crate) fn read_error(path: &Path, source: io::Error) -> DataError {
    let is_content = matches!(
        source.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
    );
    let kind = match compression(path) {
        Some(Compression::Gzip) => "gzip file",
        Some(Compression::Zstd) => "Zstandard file",
        None if archive::member_of(path).is_some() => "member of an archive",
        None => return doing("read", path)(source).into(),
    };
    if !is_content {
        return doing("read", path)(source).into();
    }
    let path = path.to_owned();
    DataError::Damaged { path, kind, source }
}

/// SHA-256 of a file's bytes as they lie on the disk, lower-case hex; of a member, those of its archive.
pub(crate) fn hash(path: &Path) -> Result<String, DataError> {
    let file = archive::member_of(path).map_or_else(|| path.to_owned(), |(file, _)| file);
    Ok(genair_files::sha256_of_file(&file).map_err(doing("read", &file))?)
}

/// Names of the files in a folder, sorted.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(doing("read", folder))? {
        let name = entry.map_err(doing("read", folder))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The one file among a folder's `names` that is wanted, if there is one. Whether it is wanted is judged by its name
/// without `.gz` or `.zst`.
pub(super) fn only(
    folder: &Path,
    names: &[String],
    key: &'static str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Option<PathBuf>, DataError> {
    let plain = |name: &str| -> String {
        let plain = name.strip_suffix(".gz").or(name.strip_suffix(".zst"));
        plain.unwrap_or(name).to_owned()
    };
    let found = names.iter().filter(|name| is_wanted(&plain(name)));
    let found: Vec<String> = found.cloned().collect();
    match found.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(folder.join(only))),
        _ => Err(DataError::SeveralFiles {
            folder: folder.to_owned(),
            key,
            found,
        }),
    }
}

/// The files that a name or a pattern means: those of the pattern in the order of their names, at least one.
pub(super) fn matching(folder: &Path, name: &str) -> Result<Vec<PathBuf>, DataError> {
    let path = folder.join(name);
    let (Some(pattern), Some(around)) = (path.file_name().and_then(OsStr::to_str), path.parent())
    else {
        return Ok(vec![path]);
    };
    if !pattern.contains(['*', '?']) || path.exists() {
        return Ok(vec![path]);
    }
    let names = list(around)?;
    let found = names.iter().filter(|name| fits(name, pattern));
    let found: Vec<PathBuf> = found.map(|name| around.join(name)).collect();
    match found.is_empty() {
        true => Err(DataError::NoMatch {
            folder: around.to_owned(),
            pattern: pattern.to_owned(),
        }),
        false => Ok(found),
    }
}

/// Whether a name is of a pattern, in which `*` stands for any text and `?` for one character.
fn fits(name: &str, pattern: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            let mut tails = name.char_indices().map(|(at, _)| &name[at..]).chain([""]);
            tails.any(|tail| fits(tail, rest))
        }
        Some(wanted) => {
            let mut name_chars = name.chars();
            name_chars
                .next()
                .is_some_and(|own| wanted == '?' || wanted == own)
                && fits(name_chars.as_str(), pattern_chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_a_shell_means() {
        for (name, pattern, expected) in [
            ("a.csv", "*.csv", true),
            ("a.csv.gz", "*.csv", false),
            ("log_1.csv", "log_?.csv", true),
            ("log_12.csv", "log_?.csv", false),
            ("ml.part1.inter", "ml.*.inter", true),
            ("é", "?", true),
            ("", "*", true),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn an_ending_is_that_under_the_compression() {
        for (name, expected) in [
            ("x.CSV.gz", Some("csv")),
            ("a.zip/b.dat", Some("dat")),
            ("x.gz", None),
            ("x", None),
        ] {
            assert_eq!(ending(Path::new(name)).as_deref(), expected, "{name}");
        }
    }
}
