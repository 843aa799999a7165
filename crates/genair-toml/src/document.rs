//! One TOML file: what it says, and where each key of it stands. Its text is parsed once for both.

use std::ops::Range;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;
use toml::de::{DeString, DeTable, DeValue, Deserializer, Error};
use toml::{Spanned, Table};

use crate::problem::{Place, Problem, SpecError};

/// A TOML file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file as the user named it, or as the extending file's folder and name of it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What it says. Whoever reads the file may take keys out and change values; places stay.
    pub tree: Table,
    root: Spot,
    /// Byte offsets of the line ends of its text.
    line_ends: Vec<usize>,
}

/// Where a value stands, and the values inside it.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Byte offset of its key, or of itself in a list.
    pub(crate) offset: usize,
    inside: Inside,
}

#[derive(Clone, Debug)]
enum Inside {
    Scalar,
    /// In the order of the file.
    Table(IndexMap<String, Spot>),
    List(Vec<Spot>),
}

impl Document {
    /// Parses a file's text.
    ///
    /// # Errors
    /// The text is not TOML; the problem names line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let line_ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        let problem = |error: Error| {
            let Range { start, .. } = error.span().unwrap_or_default();
            let before = &text[..text.floor_char_boundary(start)];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            Problem {
                place: Place::File {
                    path: path.to_owned(),
                    line: Some(line_at(&line_ends, start)),
                    column: Some(before[line_start..].chars().count() + 1),
                },
                key: String::new(),
                message: format!("not TOML: {}", error.message().trim().replace('\n', ", ")),
                hint: None,
            }
        };
        let parsed = DeTable::parse(text).map_err(problem)?;
        let root = Spot::table(0, parsed.get_ref());
        let tree = Table::deserialize(Deserializer::from(parsed)).map_err(problem)?;
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tree,
            root,
            line_ends,
        })
    }

    /// The whole file as a value.
    pub fn root(&self) -> &Spot {
        &self.root
    }

    /// The line, from 1, of a byte offset.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        line_at(&self.line_ends, offset)
    }

    /// Where the deepest of `keys` that the file has was written.
    pub fn place(&self, keys: &[&str]) -> Place {
        let deepest = keys.iter().scan(&self.root, |spot, key| {
            *spot = spot.get(key)?;
            Some(spot.offset)
        });
        Place::File {
            path: self.path.clone(),
            line: deepest.last().map(|offset| self.line_at(offset)),
            column: None,
        }
    }
}

fn line_at(line_ends: &[usize], offset: usize) -> usize {
    line_ends.partition_point(|end| *end < offset) + 1
}

impl Spot {
    fn of(offset: usize, value: &DeValue<'_>) -> Self {
        let inside = match value {
            DeValue::Table(table) => return Self::table(offset, table),
            DeValue::Array(values) => {
                let spot =
                    |value: &Spanned<DeValue<'_>>| Self::of(value.span().start, value.get_ref());
                Inside::List(values.iter().map(spot).collect())
            }
            _ => Inside::Scalar,
        };
        Self { offset, inside }
    }

    fn table(offset: usize, table: &DeTable<'_>) -> Self {
        let mut keys: Vec<_> = table.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        let spot = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let name = key.get_ref().to_string();
            (name, Self::of(key.span().start, value.get_ref()))
        };
        Self {
            offset,
            inside: Inside::Table(keys.into_iter().map(spot).collect()),
        }
    }

    /// The value at a key of a table, or the table at a number, from 0, of a list.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.inside {
            Inside::Scalar => None,
            Inside::Table(table) => table.get(key),
            Inside::List(list) => {
                let at: usize = key.parse().ok()?;
                list.get(at).filter(|inner| inner.is_table())
            }
        }
    }

    /// Whether it is a table.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.inside, Inside::Table(_))
    }

    /// The keys of a table, in the order of the file; none of anything else.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let table = match &self.inside {
            Inside::Table(table) => Some(table),
            _ => None,
        };
        table
            .into_iter()
            .flat_map(IndexMap::keys)
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_errors_name_line_and_column() {
        for (text, place) in [
            ("[sweep]\nname = \n", "s.toml:2:8"),
            ("a = 1\nb = 99999999999999999999", "s.toml:2:5"),
            ("a = 1\n\na = 2", "s.toml:3:1"),
        ] {
            let error = Document::parse(Path::new("s.toml"), text).unwrap_err();
            assert_eq!(error.problems[0].place.to_string(), place, "{error}");
        }
    }

    #[test]
    fn keys_have_the_order_of_the_file_however_they_are_written() {
        let text =
            "z.b = 1\nz.a = 2\n[y.x]\n[[w]]\nq = 1\n[[w]]\np = { o = 1, n = [{ m = 1 }] }\n[y]\n";
        let file = Document::parse(Path::new("s.toml"), text).unwrap();
        assert_eq!(file.root().names().collect::<Vec<_>>(), ["z", "w", "y"]);
        let z = file.root().get("z").unwrap();
        assert_eq!(z.names().collect::<Vec<_>>(), ["b", "a"]);
        for (keys, line) in [
            (&["z", "a"][..], 2),
            (&["y", "x"], 3),
            (&["w", "0", "q"], 5),
            (&["w", "1"], 6),
            (&["w", "1", "p", "n", "0", "m"], 7),
            (&["w", "1", "p", "o", "none"], 7),
        ] {
            let place = file.place(keys).to_string();
            assert_eq!(place, format!("s.toml:{line}"), "{keys:?}");
        }
    }
}
