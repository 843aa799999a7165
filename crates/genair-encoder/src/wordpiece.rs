//! Text to tokens: BERT's clean-up and its greedy WordPiece (arXiv:1810.04805; Wu et al. 2016,
//! arXiv:1609.08144), checked against Hugging Face's tokenizers.
//!
//! Own code because the `tokenizers` crate is 126 crates and 150 seconds of CPU for these rules.
//! Two deviations: the name of a special token inside a text, such as `[SEP]`, is plain text; and
//! characters are classed by today's Unicode, not by the older tables of `tokenizers` 0.23, which parts the
//! two on some 700 marks and signs of rare scripts (every character below U+32000 was tried in a word).

use std::collections::HashMap;
use std::path::Path;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::EncodeError;
use crate::folder::{TextConfig, read};

const UNKNOWN: &str = "[UNK]";
const START: &str = "[CLS]";
const END: &str = "[SEP]";
/// Marks a piece that goes on with a word.
const CONTINUED: &str = "##";
/// A longer word, in characters, is unknown as a whole.
const LONGEST_WORD: usize = 100;

/// A vocabulary and the rules that lead to it.
pub(crate) struct WordPiece {
    config: TextConfig,
    names: Vec<String>,
    ids: HashMap<String, i64>,
    unknown: i64,
    start: i64,
    end: i64,
}

impl WordPiece {
    /// Reads a vocabulary: one token a line, its id the number of lines before it.
    ///
    /// # Errors
    /// [`EncodeError::Read`], or [`EncodeError::Vocabulary`] where a special token is missing.
    pub(crate) fn read(path: &Path, config: TextConfig) -> Result<Self, EncodeError> {
        let bytes = read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<String> = text.lines().map(str::to_owned).collect();
        let ids: HashMap<String, i64> = names.iter().cloned().zip(0..).collect();
        let id = |token: &'static str| {
            ids.get(token)
                .copied()
                .ok_or_else(|| EncodeError::Vocabulary {
                    path: path.to_owned(),
                    token,
                })
        };
        Ok(Self {
            config,
            unknown: id(UNKNOWN)?,
            start: id(START)?,
            end: id(END)?,
            names,
            ids,
        })
    }

    /// Number of tokens of the vocabulary.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// A token's name.
    pub(crate) fn name(&self, token: i64) -> &str {
        usize::try_from(token)
            .ok()
            .and_then(|token| self.names.get(token))
            .map_or(UNKNOWN, String::as_str)
    }

    /// A text's tokens between `[CLS]` and `[SEP]`: at least those two, at most `max_tokens` (from 2);
    /// what is beyond is cut off.
    pub(crate) fn tokens(&self, text: &str, max_tokens: usize) -> Vec<i64> {
        let room = max_tokens - 1;
        let mut tokens = vec![self.start];
        let text = self.clean(text);
        for word in words(&text) {
            if tokens.len() >= room {
                break;
            }
            self.push_pieces(word, &mut tokens);
        }
        tokens.truncate(room);
        tokens.push(self.end);
        tokens
    }

    /// Drops what is no text, and differences that the vocabulary does not know.
    fn clean(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        for character in text.chars().filter(|&character| is_text(character)) {
            if self.config.split_ideographs && is_ideograph(character) {
                clean.extend([' ', character, ' ']);
            } else {
                clean.push(character);
            }
        }
        if self.config.strip_accents.unwrap_or(self.config.lowercase) {
            let is_accent =
                |character: &char| character.general_category() == GeneralCategory::NonspacingMark;
            clean = clean
                .nfd()
                .filter(|character| !is_accent(character))
                .collect();
        }
        if self.config.lowercase {
            // Character by character, as the reference does: a final sigma stays a plain one.
            clean = clean.chars().flat_map(char::to_lowercase).collect();
        }
        clean
    }

    /// The longest piece that the word begins with, then the longest of the rest; a word that does not
    /// come out even is unknown as a whole.
    fn push_pieces(&self, word: &str, tokens: &mut Vec<i64>) {
        if word.chars().count() > LONGEST_WORD {
            tokens.push(self.unknown);
            return;
        }
        let before = tokens.len();
        let mut rest = word;
        let mut candidate = String::new();
        while !rest.is_empty() {
            candidate.clear();
            if rest.len() < word.len() {
                candidate.push_str(CONTINUED);
            }
            let prefix = candidate.len();
            candidate.push_str(rest);
            let found = loop {
                if candidate.len() == prefix {
                    break None;
                }
                if let Some(&id) = self.ids.get(candidate.as_str()) {
                    break Some(id);
                }
                candidate.pop();
            };
            let Some(id) = found else {
                tokens.truncate(before);
                tokens.push(self.unknown);
                return;
            };
            tokens.push(id);
            rest = &rest[candidate.len() - prefix..];
        }
    }
}

/// Words and punctuation marks, in order.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let chunks = text
        .split_whitespace()
        .flat_map(|word| word.split_inclusive(is_punctuation));
    let parts = chunks.flat_map(|chunk| {
        // A chunk ends with its punctuation mark, if it has one.
        let mark = chunk
            .chars()
            .next_back()
            .filter(|&last| is_punctuation(last));
        let split = chunk.len() - mark.map_or(0, char::len_utf8);
        let (word, mark) = chunk.split_at(split);
        [word, mark]
    });
    parts.filter(|part| !part.is_empty())
}

/// Neither a control or format character nor one for private use; tab and line ends are text.
fn is_text(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffd}' => false,
        _ => !matches!(
            character.general_category(),
            GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse
        ),
    }
}

/// Also symbols such as `$` and `^`, where they are ASCII.
fn is_punctuation(character: char) -> bool {
    character.is_ascii_punctuation()
        || character.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// Unicode's blocks of CJK unified and compatibility ideographs, as the reference has them: of
/// extension E only the part from U+2B920.
fn is_ideograph(character: char) -> bool {
    matches!(
        u32::from(character),
        0x3400..=0x4dbf
            | 0x4e00..=0x9fff
            | 0xf900..=0xfaff
            | 0x2_0000..=0x2_a6df
            | 0x2_a700..=0x2_b73f
            | 0x2_b740..=0x2_b81f
            | 0x2_b920..=0x2_ceaf
            | 0x2_f800..=0x2_fa1f
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tiny() -> WordPiece {
        let oracles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles/encoder");
        WordPiece::read(&oracles.join("tiny/vocab.txt"), TextConfig::default()).unwrap()
    }

    fn names(vocabulary: &WordPiece, text: &str) -> Vec<String> {
        let tokens = vocabulary.tokens(text, usize::MAX);
        let names = tokens
            .iter()
            .map(|&token| vocabulary.name(token).to_owned());
        names.collect()
    }

    #[test]
    fn the_longest_piece_comes_first() {
        let found = names(&tiny(), "Titles IS titleing");
        assert_eq!(
            found,
            ["[CLS]", "title", "##s", "is", "title", "##ing", "[SEP]"]
        );
    }

    #[test]
    fn a_special_token_in_a_text_is_plain_text() {
        let found = names(&tiny(), "[SEP]");
        assert_eq!(
            found,
            ["[CLS]", UNKNOWN, "s", "##e", "##p", UNKNOWN, "[SEP]"]
        );
    }

    #[test]
    fn case_and_accents_stay_where_the_model_knows_them() {
        let mut vocabulary = tiny();
        vocabulary.config.lowercase = false;
        assert_eq!(
            names(&vocabulary, "is Is i\u{301}s")[1..4],
            ["is", UNKNOWN, UNKNOWN]
        );
        vocabulary.config.strip_accents = Some(true);
        assert_eq!(
            names(&vocabulary, "is Is i\u{301}s")[1..4],
            ["is", UNKNOWN, "is"]
        );
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>(), max_tokens in 2_usize..50) {
            let vocabulary = tiny();
            let all = vocabulary.tokens(&text, usize::MAX);
            let tokens = vocabulary.tokens(&text, max_tokens);
            prop_assert_eq!(tokens.len(), all.len().min(max_tokens));
            prop_assert_eq!(&tokens[..tokens.len() - 1], &all[..tokens.len() - 1]);
            prop_assert_eq!(tokens.last(), Some(&vocabulary.end));
            prop_assert!(tokens.iter().all(|&token| (token as usize) < vocabulary.len()));
        }

        #[test]
        fn a_space_parts_two_texts(left in any::<String>(), right in any::<String>()) {
            let vocabulary = tiny();
            let inner = |text: &str| {
                let tokens = vocabulary.tokens(text, usize::MAX);
                tokens[1..tokens.len() - 1].to_vec()
            };
            let both = inner(&format!("{left} {right}"));
            prop_assert_eq!(both, [inner(&left), inner(&right)].concat());
        }
    }
}
