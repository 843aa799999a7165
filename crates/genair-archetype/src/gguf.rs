//! What the head of a GGUF file says about chat: its template and the text of two special tokens.
//!
//! Reads versions 2 and 3, little-endian
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>). Trusts no length in the file, and
//! reads no tensor.

use std::io::{self, BufReader, Read};
use std::path::Path;

use genair_files::regular_file;

/// Longest head that is read: a vocabulary of a million tokens takes a third of it.
const MAX_HEAD: u64 = 128 << 20;
/// Longest text that is believed.
const MAX_TEXT: u64 = 16 << 20;
/// Deepest nesting of arrays that is believed.
const MAX_DEPTH: u32 = 4;

/// What is needed to render a model's chat template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GgufMetadata {
    /// Jinja, of `tokenizer.chat_template`.
    pub(crate) chat_template: Option<String>,
    /// Text of the token that begins a sequence.
    pub(crate) bos: Option<String>,
    /// Text of the token that ends one.
    pub(crate) eos: Option<String>,
}

/// Reads the head of a file.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] names what is no GGUF about it.
pub(crate) fn read(path: &Path) -> io::Result<GgufMetadata> {
    let file = regular_file::open(path)?;
    let length = file.metadata()?.len();
    metadata(BufReader::new(file), length.min(MAX_HEAD))
}

fn metadata(input: impl Read, length: u64) -> io::Result<GgufMetadata> {
    let mut head = Head {
        input: input.take(length),
    };
    if &head.bytes::<4>()? != b"GGUF" {
        return Err(wrong("it does not begin with `GGUF`"));
    }
    let version = head.u32()?;
    if !(2..=3).contains(&version) {
        return Err(wrong(format!(
            "it is of version {version}; 2 and 3 are known"
        )));
    }
    let _tensors = head.u64()?;
    let entries = head.u64()?;
    let mut found = GgufMetadata::default();
    let mut tokens = Vec::new();
    let (mut bos, mut eos) = (None, None);
    for _ in 0..entries {
        let key = head.text()?;
        let kind = head.u32()?;
        match (key.as_str(), kind) {
            ("tokenizer.chat_template", STRING) => found.chat_template = Some(head.text()?),
            ("tokenizer.ggml.bos_token_id", U32) => bos = Some(head.u32()?),
            ("tokenizer.ggml.eos_token_id", U32) => eos = Some(head.u32()?),
            ("tokenizer.ggml.tokens", ARRAY) => tokens = head.texts()?,
            _ => head.skip(kind, 0)?,
        }
    }
    let token = |id: Option<u32>| tokens.get(usize::try_from(id?).ok()?).cloned();
    found.bos = token(bos);
    found.eos = token(eos);
    Ok(found)
}

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The unread part of a head.
struct Head<R> {
    input: io::Take<R>,
}

impl<R: Read> Head<R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A length that fits what is left.
    fn length(&mut self, most: u64) -> io::Result<u64> {
        let length = self.u64()?;
        if length > most.min(self.input.limit()) {
            return Err(wrong(format!(
                "a length of {length} is more than there can be"
            )));
        }
        Ok(length)
    }

    fn text(&mut self) -> io::Result<String> {
        let length = self.length(MAX_TEXT)?;
        let mut bytes = Vec::new();
        (&mut self.input).take(length).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Vocabularies hold pieces of characters, which nobody asks for.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn texts(&mut self) -> io::Result<Vec<String>> {
        let kind = self.u32()?;
        if kind != STRING {
            return Err(wrong("its tokens are not text"));
        }
        let count = self.length(u64::MAX)?;
        (0..count).map(|_| self.text()).collect()
    }

    fn skip(&mut self, kind: u32, depth: u32) -> io::Result<()> {
        let size = match (kind, size_of_number(kind)) {
            (_, Some(size)) => size,
            (STRING, _) => self.length(u64::MAX)?,
            (ARRAY, _) if depth < MAX_DEPTH => {
                let kind = self.u32()?;
                let count = self.length(u64::MAX)?;
                match size_of_number(kind) {
                    // At once; one by one a large file would take minutes.
                    Some(size) => count.saturating_mul(size),
                    None => return (0..count).try_for_each(|_| self.skip(kind, depth + 1)),
                }
            }
            _ => return Err(wrong(format!("it has a value of unknown type {kind}"))),
        };
        let skipped = io::copy(&mut (&mut self.input).take(size), &mut io::sink())?;
        if skipped < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// Bytes of a value of a type that has always as many.
fn size_of_number(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        U32 | 5 | 6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn wrong(reason: impl Into<String>) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("not a GGUF file: {}", reason.into()),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [&text(key)[..], &kind.to_le_bytes(), value].concat()
    }

    fn sample() -> Vec<u8> {
        let list = |kind: u32, count: u64, values: &[u8]| {
            [&kind.to_le_bytes()[..], &count.to_le_bytes(), values].concat()
        };
        let entries = [
            entry("general.name", STRING, &text("Tiny")),
            entry("tokenizer.ggml.add_bos_token", 7, &[1]),
            entry("llama.rope.freq_base", 6, &1.5_f32.to_le_bytes()),
            entry("scores", ARRAY, &list(6, 2, &[0; 8])),
            entry("tokenizer.ggml.eos_token_id", U32, &1_u32.to_le_bytes()),
            entry("tokenizer.ggml.bos_token_id", U32, &7_u32.to_le_bytes()),
            entry(
                "tokenizer.ggml.tokens",
                ARRAY,
                &list(STRING, 2, &[text("<s>"), text("</s>")].concat()),
            ),
            entry(
                "tokenizer.chat_template",
                STRING,
                &text("{{ messages[0].content }}"),
            ),
        ];
        let mut file = b"GGUF".to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.extend((entries.len() as u64).to_le_bytes());
        file.extend(entries.concat());
        file
    }

    fn parse(bytes: &[u8]) -> io::Result<GgufMetadata> {
        metadata(bytes, bytes.len() as u64)
    }

    #[test]
    fn template_and_special_tokens_are_found_whatever_lies_between() {
        let found = parse(&sample()).unwrap();
        assert_eq!(
            found.chat_template.as_deref(),
            Some("{{ messages[0].content }}")
        );
        assert_eq!(found.eos.as_deref(), Some("</s>"));
        assert_eq!(found.bos, None, "token 7 is not in the vocabulary");
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_length_beyond_the_file_is_refused_before_it_is_allocated() {
        let mut file = sample();
        file[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = parse(&file).unwrap_err().to_string();
        assert!(
            error.contains("18446744073709551615 is more than there can be"),
            "{error}"
        );
    }

    #[test]
    fn sizes_that_lie_are_refused_in_time() {
        // A key, and after it a list whose elements are more than the file has bytes, or are as many.
        let list = |kind: u32, count: u64, bytes: usize| {
            let mut file = b"GGUF".to_vec();
            file.extend(3_u32.to_le_bytes());
            file.extend([0_u64, 1].map(u64::to_le_bytes).concat());
            file.extend(text("tokenizer.ggml.tokens"));
            file.extend([ARRAY, kind].map(u32::to_le_bytes).concat());
            file.extend(count.to_le_bytes());
            file.resize(file.len() + bytes, 0);
            file
        };
        let most = u64::MAX;
        for kind in [0, 3, U32, 12, STRING, ARRAY, 99] {
            for count in [most, most / 2, most / 8 + 1, 1 << 62, 1_000] {
                let mut file = list(kind, count, 64);
                assert!(parse(&file).is_err(), "{kind} {count}");
                // The same under a key that is passed over.
                file[32] = b'x';
                assert!(parse(&file).is_err(), "{kind} {count}");
            }
        }
        let mut bytes = list(0, 16 << 20, 16 << 20);
        bytes[32] = b'x';
        let begin = std::time::Instant::now();
        assert!(parse(&bytes).is_ok());
        assert!(begin.elapsed() < std::time::Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(position in 0..400_usize, byte: u8) {
            let mut file = sample();
            let position = position % file.len();
            file[position] = byte;
            let _ = parse(&file);
        }
    }
}
