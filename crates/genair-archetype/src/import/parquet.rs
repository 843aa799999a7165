//! Parquet files as csv, written by the worker `genair-report`: it has the library already, and `genair` is built
//! without it.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use genair_process::{Heard, Worker};
use genair_protocol::ReportEvent;
use tempfile::TempDir;

use super::ImportError;
use crate::installation::Installation;

/// How often requests to stop are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Longest line that the worker may say, in bytes.
const MAX_LINE: usize = 1 << 20;
/// Name of the file in the folder that is handed out.
pub(super) const TABLE: &str = "table.csv";

/// Makes a csv file of a Parquet file; it is `table.csv` in the folder, which goes with the answer.
pub type ToCsv<'a> = dyn Fn(&Path) -> Result<TempDir, ImportError> + 'a;

/// Converts in a process of its own.
pub fn in_report<'a>(
    installation: &'a Installation,
    interrupted: &'a dyn Fn() -> bool,
) -> impl Fn(&Path) -> Result<TempDir, ImportError> + 'a {
    move |file| {
        let worker = &installation.report;
        let failed = |reason: String| ImportError::Parquet {
            path: file.to_owned(),
            worker: worker.clone(),
            reason,
        };
        let started = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => failed("there is no such program".to_owned()),
            _ => failed(error.to_string()),
        };
        // Before the worker's, whose message would name neither what it is nor what it should be.
        genair_files::regular_file::open(file).map_err(genair_files::doing("read", file))?;
        let folder = tempfile::tempdir().map_err(started)?;
        let mut command = genair_process::command(worker);
        command
            .arg("csv")
            .args([file, &folder.path().join(TABLE)])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let mut worker = Worker::start(&mut command, MAX_LINE).map_err(started)?;
        loop {
            if interrupted() {
                return Err(ImportError::Interrupted);
            }
            let line = match worker.hear(TICK).map_err(started)? {
                Heard::Line(line) => line,
                Heard::Nothing => continue,
                Heard::End => return Err(failed("it ended without an answer".to_owned())),
            };
            match serde_json::from_str(&line) {
                Ok(ReportEvent::Done { .. }) => return Ok(folder),
                Ok(ReportEvent::Failed(mistakes)) => {
                    return Err(ImportError::Format {
                        path: file.to_owned(),
                        reason: mistakes.join("; "),
                    });
                }
                Ok(_) => {}
                Err(_) => return Err(failed("it says what cannot be read".to_owned())),
            }
        }
    }
}
