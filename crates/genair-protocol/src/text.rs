//! What a name may hold, and how text that people did not choose is shown to them.
//!
//! A name reaches terminals, LaTeX, SVG and folders. A control character in one moves a cursor or ends a
//! string in some of them, and a mark that turns the direction of writing shows another name than the one
//! that is stored. So a name has neither, and what has them nevertheless is shown with escapes.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character acts on what shows it: a control (C0 and C1, such as NUL, ESC and the line feed), a
/// separator of lines or paragraphs, or a mark of the direction of writing.
pub fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// A name with a character that no name may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds {} as its character {place}; a name has no control characters and no marks of the direction of writing", code(*.character))]
pub struct BadName {
    /// The first such character.
    pub character: char,
    /// Its place among the name's characters, from 1.
    pub place: usize,
}

/// Checks a name, whatever it names.
///
/// # Errors
/// A character that [`is_control`].
pub fn check_name(name: &str) -> Result<(), BadName> {
    let found = name.chars().zip(1..).find(|(own, _)| is_control(*own));
    match found {
        Some((character, place)) => Err(BadName { character, place }),
        None => Ok(()),
    }
}

/// `U+001B`.
fn code(character: char) -> String {
    format!("U+{:04X}", u32::from(character))
}

/// Text of one line: what [`is_control`] as TOML and JSON escape it.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// Text of several lines: as [`escaped`], but line feeds and tabs stay, and carriage returns before line feeds.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    escape(text, |rest| {
        rest.starts_with(['\n', '\t']) || rest.starts_with("\r\n")
    })
}

/// `1 run`, `2 runs`.
pub fn count(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// A TOML string, with its quotes.
pub fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped(&text))
}

fn escape(text: &str, stays: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            character if !is_control(character) || stays(&text[at..]) => shown.push(character),
            '\n' => shown += "\\n",
            '\r' => shown += "\\r",
            '\t' => shown += "\\t",
            character => {
                // A string takes every write.
                let _ = write!(shown, "\\u{:04x}", u32::from(character));
            }
        }
    }
    Cow::Owned(shown)
}

/// The most characters of one line of a message; see [`shortened`].
pub const LONGEST_LINE: usize = 1000;

/// A message whose lines have at most [`LONGEST_LINE`] characters, for it may quote a value of any size. Of
/// a longer line the middle is left out, which says how much that is; its place and what to do stay.
pub fn shortened(message: &str) -> Cow<'_, str> {
    if message.len() <= LONGEST_LINE {
        return Cow::Borrowed(message);
    }
    let lines: Vec<Cow<'_, str>> = message.split('\n').map(shortened_line).collect();
    Cow::Owned(lines.join("\n"))
}

fn shortened_line(line: &str) -> Cow<'_, str> {
    // Room for what stands in place of the middle.
    const KEPT: usize = LONGEST_LINE - 60;
    let length = line.chars().count();
    if length <= LONGEST_LINE {
        return Cow::Borrowed(line);
    }
    let (first, last) = (KEPT * 2 / 3, KEPT / 3);
    let start: String = line.chars().take(first).collect();
    let end: String = line.chars().skip(length - last).collect();
    let left_out = length - first - last;
    Cow::Owned(format!("{start}[... {left_out} characters ...]{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_acts_on_what_shows_it() {
        for name in [
            "sasrec",
            "ml-100k",
            "γ, weight of \"calibration\"",
            "データ",
            "<b>",
            "ნ👩‍🔬",
            "",
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
            assert_eq!(escaped(name), name);
        }
        for (name, place) in [
            ("a\0b", 2),
            ("\u{1b}[31m", 1),
            ("ab\n", 3),
            ("a\rb", 2),
            ("a\tb", 2),
            ("\u{7f}", 1),
            ("é\u{9b}31m", 2),
            ("a\u{202e}b", 2),
            ("a\u{2066}b", 2),
            ("a\u{2028}b", 2),
            ("\u{200f}", 1),
        ] {
            let bad = check_name(name).unwrap_err();
            assert_eq!(bad.place, place, "{name:?}");
            assert!(
                !escaped(name).contains(is_control),
                "{name:?}: {}",
                escaped(name)
            );
            let parsed: serde_json::Value = serde_json::from_str(&quoted(name)).unwrap();
            assert_eq!(parsed, name, "an escape reads back as what it is of");
        }
        assert_eq!(
            check_name("a\u{1b}b").unwrap_err().to_string(),
            "holds U+001B as its character 2; a name has no control characters and no marks of the direction of writing"
        );
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(escaped("a\nb\tc\0"), "a\\nb\\tc\\u0000");
        assert_eq!(
            escaped_lines("a\r\nb\tc\rd\u{1b}\n"),
            "a\r\nb\tc\\rd\\u001b\n"
        );
    }

    #[test]
    fn a_message_keeps_its_ends_whatever_it_quotes() {
        let short = "s.toml:3: `sweep.name` is 7; it must be a string";
        assert_eq!(shortened(short), short);
        let long = format!(
            "s.toml:3: `sweep.name` is {}; it must be a number\nhint: é{}",
            "x".repeat(1_000_000),
            "y".repeat(900)
        );
        let shown = shortened(&long);
        let lines: Vec<&str> = shown.split('\n').collect();
        assert!(lines[0].starts_with("s.toml:3: `sweep.name` is xxx"));
        assert!(lines[0].ends_with("xxx; it must be a number"));
        assert!(lines[0].contains("[... 999108 characters ...]"), "{shown}");
        assert!(lines[0].chars().count() <= LONGEST_LINE);
        assert_eq!(lines[1].chars().count(), 907, "what is short enough stays");
    }
}
