//! Strict quoting: a quote that opens a field is closed before the next separator or line end, or it is an error.
//!
//! The reader of csv accepts text behind a closing quote, and a quote without an end. Then one stray quote joins
//! two rows, or hundreds, in silence.

use std::io::{self, Read};

/// A quote that opens a field and is not closed before a separator.
#[derive(Debug, thiserror::Error)]
#[error("the quote of line {line} is not closed")]
pub(super) struct StrayQuote {
    /// The line on which it opens, from 1.
    pub(super) line: u64,
}

/// Where in a record the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    FieldStart,
    Field,
    Quoted,
    /// After a quote within a quoted field, which closes it, or is the first of two that stand for one.
    Closing,
}

/// Hands out what it reads, and fails with [`StrayQuote`] after the last bytes before the mistake.
pub(super) struct StrictQuotes<R> {
    input: R,
    separator: u8,
    place: Place,
    line: u64,
    opened: u64,
    is_wrong: bool,
}

impl<R: Read> StrictQuotes<R> {
    pub(super) fn new(input: R, separator: u8) -> Self {
        Self {
            input,
            separator,
            place: Place::FieldStart,
            line: 1,
            opened: 0,
            is_wrong: false,
        }
    }

    /// How many of the bytes come before a mistake.
    fn valid(&mut self, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            self.line += u64::from(byte == b'\n');
            let is_end = byte == self.separator || byte == b'\n';
            self.place = match self.place {
                Place::FieldStart if byte == b'"' => {
                    self.opened = self.line;
                    Place::Quoted
                }
                Place::FieldStart | Place::Field if is_end => Place::FieldStart,
                Place::FieldStart | Place::Field => Place::Field,
                Place::Quoted if byte == b'"' => Place::Closing,
                Place::Quoted => Place::Quoted,
                Place::Closing if is_end => Place::FieldStart,
                Place::Closing if byte == b'"' => Place::Quoted,
                // Before a line feed.
                Place::Closing if byte == b'\r' => Place::Closing,
                Place::Closing => {
                    self.is_wrong = true;
                    return at;
                }
            };
        }
        bytes.len()
    }
}

impl<R: Read> Read for StrictQuotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stray = |line| io::Error::other(StrayQuote { line });
        if self.is_wrong {
            return Err(stray(self.opened));
        }
        let read = self.input.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.place == Place::Quoted {
            return Err(stray(self.opened));
        }
        match self.valid(&buffer[..read]) {
            0 if self.is_wrong => Err(stray(self.opened)),
            valid => Ok(valid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stray(text: &str) -> Option<u64> {
        let mut read = String::new();
        let error = StrictQuotes::new(text.as_bytes(), b',')
            .read_to_string(&mut read)
            .err()?;
        Some(error.get_ref()?.downcast_ref::<StrayQuote>()?.line)
    }

    #[test]
    fn a_quote_is_closed_at_the_end_of_its_field() {
        for text in [
            "",
            "a,b\n",
            "\"a\",\"b \"\"c\"\"\"\r\n",
            "5\" disk,x\n",
            "\"a\nb\",c\n\"\",d",
            "\"a\"",
        ] {
            assert_eq!(stray(text), None, "{text}");
        }
        for (text, line) in [
            ("u,a\nu,\"b,2\nu,c\n", 2),
            ("u,a\nu,\"b\nx\ny\"z,2\n", 2),
            ("\"a\" ,b\n", 1),
            ("u,\"d,3\nu,\"e\",4\n", 1),
            ("\"he said \\\"no\\\"\",b\n", 1),
        ] {
            assert_eq!(stray(text), Some(line), "{text}");
        }
    }
}
