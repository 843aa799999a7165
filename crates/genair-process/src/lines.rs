//! Lines of a pipe, waited for no longer than one wants to.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Bytes read at once.
const PIECE: usize = 1 << 16;

/// Lines that a process writes.
#[derive(Debug)]
pub struct Lines {
    pipe: File,
    /// Read and not yet handed over, from `start` on.
    bytes: Vec<u8>,
    start: usize,
    /// No line ends before this place.
    searched: usize,
    longest: usize,
}

/// What came of listening.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A line, without its end.
    Line(String),
    /// Nothing for as long as one waited.
    Nothing,
    /// Nothing comes any more. A last line without an end is no line: whoever wrote it died of it.
    End,
}

impl Lines {
    /// Lines of at most `longest` bytes.
    pub fn new(pipe: impl Into<OwnedFd>, longest: usize) -> Self {
        Self {
            pipe: pipe.into().into(),
            bytes: Vec::new(),
            start: 0,
            searched: 0,
            longest,
        }
    }

    /// The next line, waited for as long as `patience`.
    ///
    /// # Errors
    /// The pipe cannot be read; a line that is longer than allowed or not UTF-8.
    pub fn next(&mut self, patience: Duration) -> io::Result<Heard> {
        loop {
            if let Some(line) = self.take_line() {
                return line.map(Heard::Line);
            }
            if self.bytes.len() - self.start > self.longest {
                let message = format!("a line of more than {} bytes", self.longest);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            // Also at the end there is something to read.
            let pipe = PollFd::new(&self.pipe, PollFlags::IN);
            if !wait_for(&mut [pipe], patience)? {
                return Ok(Heard::Nothing);
            }
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
            if read_some(&mut &self.pipe, &mut self.bytes)? == 0 {
                return Ok(Heard::End);
            }
        }
    }

    fn take_line(&mut self) -> Option<io::Result<String>> {
        let end = self.bytes[self.searched..]
            .iter()
            .position(|&byte| byte == b'\n');
        let Some(end) = end.map(|at| self.searched + at) else {
            self.searched = self.bytes.len();
            return None;
        };
        let line = self.bytes[self.start..end].to_vec();
        self.start = end + 1;
        self.searched = self.start;
        Some(String::from_utf8(line).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "a line that is no valid UTF-8")
        }))
    }
}

/// Waits no longer than this for one of the pipes; whether one is ready.
pub(crate) fn wait_for(pipes: &mut [PollFd<'_>], patience: Duration) -> io::Result<bool> {
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(pipes, Some(&patience)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Appends what can be read at once; 0 at the end.
pub(crate) fn read_some(pipe: &mut impl Read, into: &mut Vec<u8>) -> io::Result<usize> {
    let known = into.len();
    into.resize(known + PIECE, 0);
    let read = pipe.read(&mut into[known..]);
    into.truncate(known + *read.as_ref().unwrap_or(&0));
    match read {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => read_some(pipe, into),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn lines_come_whole_and_half_ones_not_at_all() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut lines = Lines::new(reader, 1 << 20);
        assert_eq!(lines.next(Duration::ZERO).unwrap(), Heard::Nothing);
        writer.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(lines.next(SOON).unwrap(), Heard::Line("one".to_owned()));
        assert_eq!(lines.next(SOON).unwrap(), Heard::Line("two".to_owned()));
        assert_eq!(lines.next(Duration::ZERO).unwrap(), Heard::Nothing);
        writer.write_all(b"ee\n\nfou").unwrap();
        assert_eq!(lines.next(SOON).unwrap(), Heard::Line("three".to_owned()));
        assert_eq!(lines.next(SOON).unwrap(), Heard::Line(String::new()));
        drop(writer);
        assert_eq!(lines.next(SOON).unwrap(), Heard::End);
    }

    #[test]
    fn a_line_without_end_and_bytes_that_are_no_text_are_errors() {
        for (bytes, expected) in [
            (&[b'x'; 200_000][..], "a line of more than 100000 bytes"),
            (&b"\xff\n"[..], "no valid UTF-8"),
        ] {
            let (reader, mut writer) = io::pipe().unwrap();
            let bytes = bytes.to_vec();
            let writing = std::thread::spawn(move || writer.write_all(&bytes));
            let error = Lines::new(reader, 100_000).next(SOON).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            drop(writing);
        }
    }
}
