//! Zstandard files of one frame or several, checked where the file has checksums.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// Decompresses a file frame by frame.
pub(super) struct Zstd<R: BufRead>(State<R>);

enum State<R: BufRead> {
    /// Between two frames.
    Between(R),
    Within(Box<StreamingDecoder<R, FrameDecoder>>),
    /// After the end or an error.
    Done,
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(input: R) -> Self {
        Self(State::Between(input))
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let invalid = |reason: String| io::Error::new(ErrorKind::InvalidData, reason);
        loop {
            match std::mem::replace(&mut self.0, State::Done) {
                State::Done => return Ok(0),
                State::Between(mut input) => {
                    if input.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let frame = StreamingDecoder::new(input);
                    let frame = frame.map_err(|error| invalid(error.to_string()))?;
                    self.0 = State::Within(Box::new(frame));
                }
                State::Within(mut frame) => {
                    let read = frame
                        .read(buffer)
                        .map_err(|error| invalid(error.to_string()))?;
                    if read > 0 || buffer.is_empty() {
                        self.0 = State::Within(frame);
                        return Ok(read);
                    }
                    let stated = frame.decoder.get_checksum_from_data();
                    if stated.is_some() && stated != frame.decoder.get_calculated_checksum() {
                        return Err(invalid("a checksum is another".to_owned()));
                    }
                    self.0 = State::Between(frame.into_inner());
                }
            }
        }
    }
}
