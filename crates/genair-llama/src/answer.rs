//! An answer while it is written: its bytes, where each token ended, and where a stop string begins.

/// An answer while it is written.
///
/// Text is kept as bytes, because a token may end in the middle of a character.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    stop: &'a [String],
    min_tokens: usize,
    text: Vec<u8>,
    /// Length of the text after each token.
    ends: Vec<usize>,
    /// Where the first stop string begins, once one is there.
    cut: Option<usize>,
}

impl<'a> Answer<'a> {
    /// Nothing yet. A stop string (none is empty) ends the answer where it begins, but only after
    /// `min_tokens` tokens: one that begins earlier is ordinary text.
    pub fn new(stop: &'a [String], min_tokens: usize) -> Self {
        Self {
            stop,
            min_tokens,
            text: Vec::new(),
            ends: Vec::new(),
            cut: None,
        }
    }

    /// Appends the bytes of one token; whether a stop string is now complete.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let before = self.text.len();
        self.text.extend_from_slice(piece);
        self.ends.push(self.text.len());
        if let Some(floor) = self.floor() {
            self.cut = self
                .stop
                .iter()
                .filter_map(|stop| {
                    // Only a match that ends in this piece is new.
                    let from = floor.max(before.saturating_sub(stop.len() - 1));
                    find(&self.text, stop.as_bytes(), from)
                })
                .min();
        }
        self.cut.is_some()
    }

    /// Tokens so far, those of a stop string included.
    pub fn tokens(&self) -> usize {
        self.ends.len()
    }

    /// Tokens before the first that carries a part of the stop string; all of them where there is none.
    pub fn kept_tokens(&self) -> usize {
        match self.cut {
            Some(cut) => self.ends.partition_point(|&end| end <= cut),
            None => self.ends.len(),
        }
    }

    /// The text, without the stop string. A character that the limit of tokens cut in two is left
    /// out, and other bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        let kept = &self.text[..self.cut.unwrap_or(self.text.len())];
        let mut text = String::with_capacity(kept.len());
        for chunk in kept.utf8_chunks() {
            text.push_str(chunk.valid());
            let is_last = chunk.invalid().as_ptr_range().end == kept.as_ptr_range().end;
            if !chunk.invalid().is_empty() && !is_last {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    /// Where the earliest stop string may begin; `None` while the answer is too short to end.
    fn floor(&self) -> Option<usize> {
        match self.min_tokens {
            0 => Some(0),
            min => self.ends.get(min - 1).copied(),
        }
    }
}

/// Where `needle` first begins in `haystack`, from `from` on.
fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    haystack
        .get(from..)?
        .windows(needle.len())
        .position(|window| window == needle)
        .map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pushes pieces until one ends the answer; text and kept tokens.
    fn write(pieces: &[&str], stop: &[&str], min_tokens: usize) -> (String, usize, bool) {
        let stop: Vec<String> = stop.iter().map(|&stop| stop.to_owned()).collect();
        let mut answer = Answer::new(&stop, min_tokens);
        let stopped = pieces.iter().any(|piece| answer.push(piece.as_bytes()));
        (answer.text(), answer.kept_tokens(), stopped)
    }

    #[test]
    fn a_stop_string_may_span_tokens_and_takes_them_along() {
        let pieces = ["like", " films", ".\n", "\n", "Also"];
        assert_eq!(
            write(&pieces, &["\n\n"], 0),
            ("like films.".to_owned(), 2, true)
        );
        assert_eq!(
            write(&pieces, &["Als"], 0),
            ("like films.\n\n".to_owned(), 4, true)
        );
        assert_eq!(
            write(&pieces, &["xyz"], 0),
            ("like films.\n\nAlso".to_owned(), 5, false)
        );
    }

    #[test]
    fn the_earliest_of_several_stop_strings_counts() {
        let (text, kept, _) = write(&["a", "b; c. d"], &[".", ";"], 0);
        assert_eq!((text.as_str(), kept), ("ab", 1));
    }

    #[test]
    fn a_stop_string_waits_for_the_least_number_of_tokens() {
        assert_eq!(write(&["\n", "\n"], &["\n"], 0), (String::new(), 0, true));
        assert_eq!(write(&["\n", "\n"], &["\n"], 1), ("\n".to_owned(), 1, true));
        assert_eq!(
            write(&["a\n", "b", "c\n"], &["\n"], 2),
            ("a\nbc".to_owned(), 2, true)
        );
    }

    #[test]
    fn a_character_cut_in_two_is_left_out() {
        let mut answer = Answer::new(&[], 0);
        answer.push(b"caf");
        answer.push(&[0xc3]);
        assert_eq!(answer.text(), "caf");
        answer.push(&[0xa9]);
        assert_eq!(answer.text(), "café");
        answer.push(&[0xff, b'!']);
        assert_eq!(answer.text(), "café\u{fffd}!");
    }

    proptest! {
        /// Against the whole text searched at once: how it was cut into tokens changes nothing.
        #[test]
        fn tokens_do_not_matter(pieces in prop::collection::vec("[ab.]{0,3}", 0..12), stop in "[ab.]{1,3}") {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (text, kept, stopped) = write(&pieces, &[&stop], 0);
            let whole = pieces.concat();
            prop_assert_eq!(stopped, whole.contains(&stop));
            prop_assert_eq!(&text, whole.split(&stop).next().unwrap());
            prop_assert!(text.starts_with(&pieces[..kept].concat()));
        }
    }
}
