//! From the bytes of a file to lines of UTF-8: the encoding, the byte order mark, and the limit of a line.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};
use genair_protocol::Encoding;

use super::file::{self, MAX_LINE};
use crate::{DataError, LineProblem};

const BUFFER: usize = 1 << 16;

/// The text of opened bytes as UTF-8, without a byte order mark. UTF-8 is handed on as it is, valid or not. A mark
/// of UTF-16 counts whatever `encoding` says.
pub(super) fn decoded(
    mut bytes: Box<dyn Read>,
    encoding: Option<Encoding>,
) -> io::Result<Box<dyn Read>> {
    let mut begin = [0; 3];
    let mut length = 0;
    while length < begin.len() {
        match bytes.read(&mut begin[length..])? {
            0 => break,
            read => length += read,
        }
    }
    let begin = &begin[..length];
    let (mark, utf_16) = match begin {
        [0xff, 0xfe, ..] => (2, Some(UTF_16LE)),
        [0xfe, 0xff, ..] => (2, Some(UTF_16BE)),
        [0xef, 0xbb, 0xbf] => (3, None),
        _ if encoding == Some(Encoding::Utf16) => (0, Some(UTF_16LE)),
        _ => (0, None),
    };
    let rest = io::Cursor::new(begin[mark..].to_vec()).chain(bytes);
    Ok(match utf_16 {
        Some(utf_16) => Box::new(Utf16::new(
            Box::new(rest),
            utf_16.new_decoder_without_bom_handling(),
        )),
        None if encoding == Some(Encoding::Latin1) && mark == 0 => Box::new(Latin1(rest)),
        None => Box::new(rest),
    })
}

/// A byte per character, as UTF-8.
struct Latin1<R>(R);

impl<R: Read> Read for Latin1<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = [0; BUFFER];
        // A character has at most two bytes; a caller with room for one alone is not served.
        let most = (buffer.len() / 2).min(BUFFER);
        let read = self.0.read(&mut bytes[..most])?;
        Ok(encoding_rs::mem::convert_latin1_to_utf8(
            &bytes[..read],
            buffer,
        ))
    }
}

/// UTF-16 as UTF-8.
struct Utf16 {
    input: BufReader<Box<dyn Read>>,
    decoder: Decoder,
    is_done: bool,
    /// Decoded and not yet handed out, from `at`.
    ready: Vec<u8>,
    at: usize,
}

impl Utf16 {
    fn new(input: Box<dyn Read>, decoder: Decoder) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            decoder,
            is_done: false,
            ready: Vec::new(),
            at: 0,
        }
    }
}

impl Read for Utf16 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.ready.len() && !self.is_done {
            let bytes = self.input.fill_buf()?;
            let is_last = bytes.is_empty();
            self.ready.resize(2 * BUFFER, 0);
            let (result, read, written) =
                self.decoder
                    .decode_to_utf8_without_replacement(bytes, &mut self.ready, is_last);
            self.input.consume(read);
            self.ready.truncate(written);
            self.at = 0;
            if let DecoderResult::Malformed(..) = result {
                return Err(io::Error::new(ErrorKind::InvalidData, NotUtf16));
            }
            self.is_done = is_last && result == DecoderResult::InputEmpty;
        }
        let read = (&self.ready[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

/// Two bytes that are no character.
#[derive(Debug, thiserror::Error)]
#[error("it is no valid UTF-16")]
struct NotUtf16;

/// Hands out what it reads until its allowance is used up, and then fails with [`TooLong`].
pub(super) struct Rationed<R> {
    input: R,
    /// Bytes that may still be read; whoever reads records renews it for each.
    left: Rc<Cell<u64>>,
}

/// A record has more than [`MAX_LINE`] bytes.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_LINE} bytes")]
pub(super) struct TooLong;

impl<R: Read> Rationed<R> {
    pub(super) fn new(input: R) -> (Self, Rc<Cell<u64>>) {
        let left = Rc::new(Cell::new(MAX_LINE));
        let allowance = Rc::clone(&left);
        (Self { input, left }, allowance)
    }
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other(TooLong));
        }
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.input.read(&mut buffer[..most])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

/// Lines of a text, one at a time.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<Box<dyn Read>>,
    bytes: Vec<u8>,
    number: u64,
    /// The key of a spec that names the encoding.
    encoding_key: &'static str,
}

impl Lines {
    /// Reads `bytes`, which are those of `path`.
    pub(super) fn new(
        path: &Path,
        bytes: Box<dyn Read>,
        encoding: Option<Encoding>,
        encoding_key: &'static str,
    ) -> Result<Self, DataError> {
        let text = decoded(bytes, encoding).map_err(|source| file::read_error(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(BUFFER, text),
            bytes: Vec::new(),
            number: 0,
            encoding_key,
        })
    }

    /// Moves to the next line that is not blank; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, DataError> {
        loop {
            self.bytes.clear();
            let read = (&mut self.reader)
                .take(MAX_LINE + 1)
                .read_until(b'\n', &mut self.bytes);
            if read.map_err(|source| file::read_error(&self.path, source))? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.bytes.len() as u64 > MAX_LINE {
                return Err(self.error(LineProblem::TooLong { limit: MAX_LINE }));
            }
            if !self.bytes.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// The line without its end.
    pub(super) fn text(&self) -> Result<&str, DataError> {
        let text = str::from_utf8(&self.bytes).map_err(|_| {
            let key = self.encoding_key;
            self.error(LineProblem::NotUtf8 { key })
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        Ok(text.strip_suffix('\r').unwrap_or(text))
    }

    /// The number of the line, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A problem with the line.
    pub(super) fn error(&self, problem: LineProblem) -> DataError {
        DataError::Line {
            path: self.path.clone(),
            line: self.number,
            problem,
        }
    }
}
