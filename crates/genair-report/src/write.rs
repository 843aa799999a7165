//! Files: whole or not at all, by a temporary file in the same folder and a rename.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::figure::FigureFormat;
use crate::index;
use crate::report::Report;
use crate::spec::ReportSpec;
use crate::{Format, ReportError, render};

/// Writes every table and figure to `folder/NAME.EXTENSION`, one file per format, and an overview as
/// `index.md` and `index.tex`; the files, in order.
///
/// # Errors
/// A file that cannot be written.
pub fn write_report(
    report: &Report,
    spec: &ReportSpec,
    folder: &Path,
) -> Result<Vec<PathBuf>, ReportError> {
    let mut written = Vec::new();
    let mut put = |name: &str, extension: &str, bytes: &[u8]| {
        let path = folder.join(format!("{name}.{extension}"));
        write_file(&path, |file| file.write_all(bytes))?;
        written.push(path);
        Ok::<_, ReportError>(())
    };
    for table in &report.tables {
        for format in Format::ALL {
            let text = render(table, format);
            put(&table.name, format.extension(), text.as_bytes())?;
        }
    }
    for figure in &report.figures {
        for format in FigureFormat::ALL {
            put(&figure.name, format.extension(), figure.bytes(format))?;
        }
    }
    put("index", "md", index::markdown(report, spec).as_bytes())?;
    put("index", "tex", index::latex(report).as_bytes())?;
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
