//! Files: whole or not at all, by a temporary file in the same folder and a rename.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use genair_store::Store;
use tempfile::NamedTempFile;

use crate::{Format, ReportError, ReportSpec, build_tables, render};

/// Makes all tables of a report and writes each to `folder/NAME.EXTENSION`, one file per format; the
/// files, in order. Nothing is written unless every table can be made.
///
/// # Errors
/// Those of [`build_tables`]; a file that cannot be written.
pub fn write_report(
    store: &mut Store,
    spec: &ReportSpec,
    folder: &Path,
    formats: &[Format],
) -> Result<Vec<PathBuf>, ReportError> {
    let mut written = Vec::new();
    for table in build_tables(store, spec)? {
        for &format in formats {
            let path = folder.join(format!("{}.{}", table.name, format.extension()));
            let text = render(&table, format);
            write_file(&path, |file| file.write_all(text.as_bytes()))?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Writes a file and its folder.
pub(crate) fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut NamedTempFile>) -> std::io::Result<()>,
) -> Result<(), ReportError> {
    let mut file = create(path)?;
    let fill = |file: &mut NamedTempFile| {
        let mut buffer = BufWriter::new(file);
        write(&mut buffer)?;
        buffer.flush()
    };
    fill(&mut file).map_err(|source| failed(path, source))?;
    keep(file, path)
}

/// A temporary file beside `path`, in a folder that is there.
pub(crate) fn create(path: &Path) -> Result<NamedTempFile, ReportError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| {
            let mut builder = tempfile::Builder::new();
            // As readable as any other file, whatever the standard of temporary files.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            builder.tempfile_in(folder)
        })
        .map_err(|source| failed(path, source))
}

/// Gives a temporary file its name.
pub(crate) fn keep(file: NamedTempFile, path: &Path) -> Result<(), ReportError> {
    match file.persist(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(failed(path, error.error)),
    }
}

pub(crate) fn failed(path: &Path, source: std::io::Error) -> ReportError {
    ReportError::Write {
        path: path.to_owned(),
        source,
    }
}
