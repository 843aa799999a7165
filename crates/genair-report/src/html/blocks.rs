//! The page's data, in blocks that its scripts unpack when they need them.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

/// Named blocks: gzip, then base64, in elements that no browser takes for a script.
#[derive(Default)]
pub(super) struct Blocks {
    html: String,
}

impl Blocks {
    /// Adds bytes. A name is made of letters, digits and `-`.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) {
        // What repeats in specs and curves is found at this level already.
        let mut packed = GzEncoder::new(Vec::new(), Compression::new(3));
        let packed = packed
            .write_all(bytes)
            .and_then(|()| packed.finish())
            .expect("memory takes every write");
        // As does a string.
        let _ = write!(
            self.html,
            "<script type=\"application/gzip\" data-block=\"{name}\">"
        );
        STANDARD.encode_string(&packed, &mut self.html);
        self.html += "</script>\n";
    }

    pub(super) fn add_json(&mut self, name: &str, value: &impl Serialize) {
        let json = serde_json::to_vec(value).expect("plain data has a JSON form");
        self.add(name, &json);
    }

    /// Eight bytes each, little-endian.
    pub(super) fn add_numbers(&mut self, name: &str, numbers: &[f64]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.add(name, &bytes);
    }

    pub(super) fn html(self) -> String {
        self.html
    }
}
