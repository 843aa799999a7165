//! The text of a TOML file that a person writes, fit to be parsed: the parser calls itself for each bracket in
//! another, those that are never closed included.

use std::io::{self, ErrorKind};
use std::path::Path;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use crate::regular_file::{self, MAX_TEXT};

/// Brackets that may be open at once; the parser's own limit is 80, but it does not hold for what is not TOML.
const MAX_OPEN: usize = 64;

/// Reads a file.
///
/// # Errors
/// Those of [`regular_file::read_to_string`], [`MAX_TEXT`] being the limit, and [`ErrorKind::InvalidData`] of
/// [`check`].
pub fn read(path: &Path) -> io::Result<String> {
    let text = regular_file::read_to_string(path, MAX_TEXT)?;
    check(&text)?;
    Ok(text)
}

/// Refuses a text whose brackets are nested too deep, whether it is TOML or not.
///
/// # Errors
/// [`ErrorKind::InvalidData`] with the line.
pub fn check(text: &str) -> io::Result<()> {
    let mut open = Vec::new();
    for token in Source::new(text).lex() {
        let closing = match token.kind() {
            TokenKind::LeftSquareBracket => TokenKind::RightSquareBracket,
            TokenKind::LeftCurlyBracket => TokenKind::RightCurlyBracket,
            kind => {
                // One that closes nothing is left to the parser.
                open.pop_if(|closing| *closing == kind);
                continue;
            }
        };
        open.push(closing);
        if open.len() > MAX_OPEN {
            let line = text[..token.span().start()].matches('\n').count() + 1;
            let message = format!("line {line}: more than {MAX_OPEN} brackets are open");
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_counted_outside_of_texts() {
        for fine in [
            "a = [[1], [2]]\n[b]\nc = { d = { e = [] } }\n[[f]]\n",
            &format!("a = \"{}\" # {}\n", "[".repeat(100), "{".repeat(100)),
            &format!("a = '''\n{}'''\nb = 1", "{\n".repeat(100)),
            &"a = [{}]\n".repeat(100),
            &"[[a]]\n".repeat(100),
        ] {
            check(fine).unwrap();
        }
        for (wrong, line) in [
            (format!("\na = {}", "[".repeat(65)), 2),
            (format!("a = {}", "{ b = ".repeat(100_000)), 1),
            ("[[a]]\nb = { c = 1\n".repeat(100), 127),
            (format!("a = {}", "[}".repeat(100)), 1),
        ] {
            let error = check(&wrong).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("line {line}: more than 64 brackets are open")
            );
        }
    }
}
