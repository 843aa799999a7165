//! The files of a report.

use std::path::{Path, PathBuf};

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
        write_file(&path, bytes)?;
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
pub(crate) fn write_file(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), ReportError> {
    genair_files::write(path, bytes).map_err(|source| failed(path, source))
}

/// Records, the header among them, as CSV.
pub(crate) fn csv<R: AsRef<[String]>>(records: impl IntoIterator<Item = R>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        let written = writer.write_record(record.as_ref());
        written.expect("records are of one length and memory takes them");
    }
    let bytes = writer.into_inner().expect("memory takes every write");
    String::from_utf8(bytes).expect("fields are text")
}

pub(crate) fn failed(path: &Path, source: std::io::Error) -> ReportError {
    ReportError::Write {
        path: path.to_owned(),
        source,
    }
}
