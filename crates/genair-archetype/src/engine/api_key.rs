//! The key of a server, and how it is found in what a server says. An answer that repeats it would put it into
//! the cache, a report or a terminal.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ureq::http::HeaderValue;

use super::EngineError;

/// Bytes in a row that give a key away. Shorter keys, such as the `none` of a server at home, are no secrets.
const TELLTALE: usize = 8;

/// What a server checks requests by.
pub(crate) struct ApiKey {
    /// Name of the environment variable it is from.
    pub(crate) variable: String,
    value: String,
    /// Every part of the key that is long enough to be told, and those of its base64 forms.
    parts: HashSet<Vec<u8>>,
    encoded: HashSet<Vec<u8>>,
}

/// Characters of base64 that [`TELLTALE`] bytes decide alone, wherever in a group of three they begin.
const ENCODED_TELLTALE: usize = TELLTALE * 4 / 3;

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key in `{}`", self.variable)
    }
}

impl ApiKey {
    /// A key from an environment variable; white space around it does not belong to it.
    pub(crate) fn new(variable: impl Into<String>, value: &str) -> Self {
        let value = value.trim();
        let parts = windows(value.as_bytes(), TELLTALE);
        // Where the key begins within a group of three bytes decides its characters.
        let encoded = (0..3).flat_map(|before| {
            let text = STANDARD_NO_PAD.encode([&vec![0; before], value.as_bytes()].concat());
            // Characters that the bytes before, or those that would come after, have a share in.
            let start = (before * 4).div_ceil(3);
            let end = (before + value.len()) * 4 / 3;
            windows(
                text.get(start..end).unwrap_or_default().as_bytes(),
                ENCODED_TELLTALE,
            )
        });
        Self {
            variable: variable.into(),
            encoded: encoded.collect(),
            parts,
            value: value.to_owned(),
        }
    }

    /// The header that it is sent in.
    pub(crate) fn header(&self) -> Result<HeaderValue, EngineError> {
        let refused = |_| EngineError::Key {
            variable: self.variable.clone(),
        };
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", self.value)).map_err(refused)?;
        // Kept out of whatever prints headers.
        value.set_sensitive(true);
        Ok(value)
    }

    /// Whether a text has the key or a part of it, as it is, URL-encoded, or in base64.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let plain = text.as_bytes();
        let unescaped = percent_decoded(plain);
        let standard: Vec<u8> = unescaped
            .iter()
            .map(|&byte| standard_base64(byte))
            .collect();
        has_any(plain, &self.parts, TELLTALE)
            || has_any(&unescaped, &self.parts, TELLTALE)
            || has_any(&standard, &self.encoded, ENCODED_TELLTALE)
    }

    /// A text fit to be shown: a key that stands there whole is replaced; where a part is left, nothing is shown.
    pub(crate) fn hidden_in(&self, text: &str) -> String {
        let text = match self.value.is_empty() {
            true => text.to_owned(),
            false => text.replace(&self.value, "[the key]"),
        };
        match self.is_in(&text) {
            true => "[not shown: it repeats a part of the key]".to_owned(),
            false => text,
        }
    }
}

fn windows(bytes: &[u8], size: usize) -> HashSet<Vec<u8>> {
    bytes.windows(size).map(<[u8]>::to_vec).collect()
}

fn has_any(bytes: &[u8], parts: &HashSet<Vec<u8>>, size: usize) -> bool {
    !parts.is_empty() && bytes.windows(size).any(|window| parts.contains(window))
}

/// The alphabet for URLs as the usual one.
fn standard_base64(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;
    use proptest::prelude::*;

    use super::*;

    fn percent(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }

    proptest! {
        #[test]
        fn no_form_of_a_key_passes(
            key in "[!-~]{8,60}",
            before in "[ -~]{0,20}",
            after in "[ -~]{0,20}",
            cut in 0usize..60,
        ) {
            let found = ApiKey::new("KEY", &key);
            let cut = cut.min(key.len() - 8);
            let part = &key[cut..cut + 8];
            let around = |text: &str| format!("{before}{text}{after}");
            prop_assert!(found.is_in(&around(&key)));
            prop_assert!(found.is_in(&around(part)));
            prop_assert!(found.is_in(&around(&percent(&key))));
            let inside = around(&key);
            prop_assert!(found.is_in(&STANDARD_NO_PAD.encode(&inside)));
            let encoded = format!("x {} y", URL_SAFE.encode(&inside));
            prop_assert!(found.is_in(&encoded));
            prop_assert!(!found.hidden_in(&around(&key)).contains(&key));
            prop_assert!(!found.hidden_in(&around(part)).contains(part));
        }
    }

    #[test]
    fn other_texts_pass_and_short_keys_are_no_secrets() {
        let key = ApiKey::new("KEY", "sk-very-secret\n");
        for text in [
            "",
            "sk-very",
            "People who like very secret plots.",
            "c2stdmVy",
        ] {
            assert!(!key.is_in(text), "{text}");
            assert_eq!(key.hidden_in(text), text);
        }
        assert!(!ApiKey::new("KEY", "none").is_in("none of them"));
        assert!(!ApiKey::new("KEY", "").is_in("anything"));
    }
}
