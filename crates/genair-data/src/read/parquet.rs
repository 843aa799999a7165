//! Parquet files as JSON lines, which the worker `genair-report` writes row group by row group: it has the library
//! already, and `genair` is built without it.

use std::io::{self, Read};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Stdio};
use std::time::Duration;

use genair_files::{doing, regular_file};
use genair_process::Child;

use crate::DataError;

/// How long the worker may take to end after its last row.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a Parquet file as the JSON lines of its rows.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    // Before the worker's, whose message would name neither what it is nor what it should be.
    regular_file::open(path).map_err(doing("read", path))?;
    let program = std::env::current_exe()
        .unwrap_or_default()
        .with_file_name("genair-report");
    let failed = |error: io::Error| DataError::ParquetReader {
        path: path.to_owned(),
        program: program.clone(),
        source: error,
    };
    let mut command = genair_process::command(&program);
    command
        .arg("rows")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Child::spawn(&mut command).map_err(failed)?;
    let pipes = (child.take_stdout(), child.take_stderr());
    let (Some(output), Some(errors)) = pipes else {
        return Err(failed(io::Error::other("it has no output")));
    };
    Ok(Box::new(ParquetRows {
        child,
        output,
        errors,
    }))
}

struct ParquetRows {
    child: Child,
    output: ChildStdout,
    errors: ChildStderr,
}

impl Read for ParquetRows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.output.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        match self.child.wait(PATIENCE) {
            Some(status) if status.success() => Ok(0),
            _ => {
                let mut said = String::new();
                self.errors.read_to_string(&mut said)?;
                let said = said.trim();
                let said = if said.is_empty() {
                    "its reader ended early"
                } else {
                    said
                };
                Err(io::Error::other(said.to_owned()))
            }
        }
    }
}
