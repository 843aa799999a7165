//! Python literals as JSON values: what `repr` writes of dictionaries, lists, texts, numbers, `True`, `False` and
//! `None`. A parser of its own, because nothing may ever be evaluated, and a whole log is written in this form.

use serde_json::{Map, Number, Value};

/// How deep values may lie in each other.
const MAX_DEPTH: usize = 64;

/// The value of a literal that fills a text.
///
/// # Errors
/// What was expected, and at which byte.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.space();
    match parser.rest().is_empty() {
        true => Ok(value),
        false => Err(parser.expected("the end of the line")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn expected(&self, what: &str) -> String {
        format!(
            "expected {what} at column {}",
            self.text[..self.at].chars().count() + 1
        )
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let is_there = self.rest().starts_with(token);
        self.at += if is_there { token.len() } else { 0 };
        is_there
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} values lie in each other"));
        }
        self.space();
        for (word, value) in [
            ("None", Value::Null),
            ("True", Value::Bool(true)),
            ("False", Value::Bool(false)),
        ] {
            if self.take(word) {
                return Ok(value);
            }
        }
        let rest = self.rest();
        let unprefixed = rest.strip_prefix(['u', 'U', 'b', 'B']).unwrap_or(rest);
        match unprefixed.as_bytes().first() {
            Some(b'\'' | b'"') => {
                self.at = self.text.len() - unprefixed.len();
                self.string().map(Value::String)
            }
            Some(b'{') if self.take("{") => self.dictionary(depth),
            Some(b'[') if self.take("[") => self.list("]", depth),
            Some(b'(') if self.take("(") => self.list(")", depth),
            Some(b'0'..=b'9' | b'-' | b'+' | b'.') if unprefixed.len() == rest.len() => {
                self.number()
            }
            _ => Err(self.expected("a literal")),
        }
    }

    fn list(&mut self, end: &str, depth: usize) -> Result<Value, String> {
        let mut values = Vec::new();
        loop {
            if self.take(end) {
                return Ok(Value::Array(values));
            }
            values.push(self.value(depth + 1)?);
            if !self.take(",") && !self.rest().trim_start().starts_with(end) {
                return Err(self.expected(&format!("`,` or `{end}`")));
            }
        }
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value, String> {
        let mut values = Map::new();
        loop {
            if self.take("}") {
                return Ok(Value::Object(values));
            }
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                _ => {
                    return Err(
                        self.expected("a key that is a text or a number, before this place,")
                    );
                }
            };
            if !self.take(":") {
                return Err(self.expected("`:`"));
            }
            values.insert(key, self.value(depth + 1)?);
            if !self.take(",") && !self.rest().trim_start().starts_with('}') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let text = rest[..length].replace('_', "");
        // Python 2 writes long integers with an `L`.
        let text = text.strip_suffix('L').unwrap_or(&text);
        let integer = text
            .parse::<i64>()
            .map(Number::from)
            .or_else(|_| text.parse::<u64>().map(Number::from));
        let number = match integer {
            Ok(integer) => Some(integer),
            Err(_) => text.parse().ok().and_then(Number::from_f64),
        };
        let number = number.ok_or_else(|| self.expected("a number"))?;
        self.at += length;
        Ok(Value::Number(number))
    }

    fn string(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let quote = &rest[..1];
        let triple = quote.repeat(3);
        let end = if rest.starts_with(&triple) {
            triple.as_str()
        } else {
            quote
        };
        self.at += end.len();
        let mut text = String::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(end) {
                self.at += end.len();
                return Ok(text);
            }
            match rest.chars().next() {
                None => return Err(self.expected("the quote that ends a text")),
                Some('\\') => {
                    self.at += 1;
                    self.escape(&mut text)?;
                }
                Some(c) => {
                    // As far as nothing has a meaning.
                    let plain = rest
                        .find(['\\', '\'', '"'])
                        .unwrap_or(rest.len())
                        .max(c.len_utf8());
                    text.push_str(&rest[..plain]);
                    self.at += plain;
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        let rest = self.rest();
        let Some(sign) = rest.chars().next() else {
            return Err(self.expected("a character after `\\`"));
        };
        self.at += sign.len_utf8();
        let simple = match sign {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '\'' | '"' => sign,
            'x' => return self.hex(2, text),
            'u' => return self.hex(4, text),
            'U' => return self.hex(8, text),
            '0'..='7' => {
                let length = rest
                    .bytes()
                    .take(3)
                    .take_while(|byte| (b'0'..=b'7').contains(byte))
                    .count();
                self.at += length - 1;
                let code = u32::from_str_radix(&rest[..length], 8).unwrap_or_default();
                text.extend(char::from_u32(code));
                return Ok(());
            }
            // Python keeps what it does not know.
            other => {
                text.push('\\');
                other
            }
        };
        text.push(simple);
        Ok(())
    }

    /// A character by its number in so many hexadecimal digits; of a pair of surrogates both.
    fn hex(&mut self, digits: usize, text: &mut String) -> Result<(), String> {
        let code = self.code(digits)?;
        let mut units = vec![code];
        if (0xd800..0xdc00).contains(&code) && self.rest().starts_with("\\u") {
            self.at += 2;
            units.push(self.code(4)?);
        }
        match <[u32; 2]>::try_from(units) {
            Ok([high, low]) => {
                let units = [high as u16, low as u16];
                text.push_str(&String::from_utf16_lossy(&units));
            }
            Err(_) => text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
        Ok(())
    }

    fn code(&mut self, digits: usize) -> Result<u32, String> {
        let code = self
            .rest()
            .get(..digits)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let code = code.ok_or_else(|| self.expected("hexadecimal digits"))?;
        self.at += digits;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn literals_are_what_python_makes_of_them() {
        for (text, expected) in [
            (
                "{'asin': '0001', 'price': 9.5, 'n': -3}",
                json!({"asin": "0001", "price": 9.5, "n": -3}),
            ),
            (
                "{u'user': u'caf\\xe9', u'ok': True, 'no': None}",
                json!({"user": "café", "ok": true, "no": null}),
            ),
            (
                r#"{"t": "it's \"big\"", 't2': 'a\'b\\c\nd'}"#,
                json!({"t": "it's \"big\"", "t2": "a'b\\c\nd"}),
            ),
            ("[('a', 1,), [], {}]", json!([["a", 1], [], {}])),
            (
                "{'e': u'\\ud83d\\ude00 \\u20ac', 'o': '\\101'}",
                json!({"e": "😀 €", "o": "A"}),
            ),
            ("{'d': 1L, 1: '''x'y'''}", json!({"d": 1, "1": "x'y"})),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("{'a': __import__('os')}", "expected a literal at column 7"),
            ("{'a': nan}", "expected a literal at column 7"),
            (
                "{'a': 'b",
                "expected the quote that ends a text at column 9",
            ),
            ("{'a': 1} x", "expected the end of the line at column 10"),
            ("{'a' 1}", "expected `:` at column 6"),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        }
        assert!(parse(&"[".repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\PC\\\\'\"{}\\[\\]:,u0-9]{0,60}") {
            let _ = parse(&text);
        }
    }
}
