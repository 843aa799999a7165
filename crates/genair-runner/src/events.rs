//! A file of events, such as those of an attempt at a run, read while a worker, perhaps on another machine, writes it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use genair_protocol::RunEvent;
use serde::de::DeserializeOwned;

/// A file of events, and how far it is read.
#[derive(Debug)]
pub(crate) struct EventFile<T = RunEvent> {
    path: PathBuf,
    /// Where the next line begins, in bytes.
    offset: u64,
    /// Lines read so far.
    lines: usize,
    events: PhantomData<fn() -> T>,
}

/// Why there is no next event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    /// The file cannot be read. It may be there later, on a network file system.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A line is no event.
    #[error("{}:{line} is no event: {reason}", path.display())]
    NoEvent {
        path: PathBuf,
        /// From 1.
        line: usize,
        reason: String,
    },
}

impl<T: DeserializeOwned> EventFile<T> {
    /// From its beginning.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            offset: 0,
            lines: 0,
            events: PhantomData,
        }
    }

    /// The events that were added since the last call. The file is opened anew each time, since a network file system
    /// shows what is written elsewhere to those who open a file. The beginning of a line is left for the next call.
    ///
    /// # Errors
    /// The file cannot be read; a line is no event.
    pub(crate) fn read(&mut self) -> Result<Vec<T>, EventsError> {
        let bytes = self.rest().map_err(|source| EventsError::Read {
            path: self.path.clone(),
            source,
        })?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n');
        let whole = whole.map_or(0, |end| end + 1);
        let mut events = Vec::new();
        for line in bytes[..whole].split_inclusive(|&byte| byte == b'\n') {
            self.lines += 1;
            self.offset += line.len() as u64;
            events.push(
                serde_json::from_slice(line).map_err(|error| EventsError::NoEvent {
                    path: self.path.clone(),
                    line: self.lines,
                    reason: error.to_string(),
                })?,
            );
        }
        Ok(events)
    }

    fn rest(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn whole_lines_are_taken_once_each_and_half_ones_when_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut events = EventFile::<RunEvent>::new(&path);
        assert!(matches!(events.read(), Err(EventsError::Read { .. })));
        let line = |epoch: usize| format!("{{\"event\":\"resumed\",\"epoch\":{epoch}}}\n");
        let mut file = File::create(&path).unwrap();
        let text = line(1) + &line(2) + &line(3);
        let mut read = Vec::new();
        // Byte by byte, which is as bad as it gets.
        for byte in text.as_bytes() {
            file.write_all(&[*byte]).unwrap();
            read.extend(events.read().unwrap());
        }
        let resumed = |epoch| RunEvent::Resumed { epoch };
        assert_eq!(read, [resumed(1), resumed(2), resumed(3)]);
        file.write_all(b"\xff\n").unwrap();
        let said = events.read().unwrap_err().to_string();
        assert!(said.contains("events:4 is no event"), "{said}");
    }
}
