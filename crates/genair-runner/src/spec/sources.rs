//! Where each value of a spec was written: the file with its lines, `--set`, or the environment.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TableLike};

use super::key_path::KeyPath;
use super::problem::{Place, Problem, SpecError};

/// The variable that may say where training happens.
pub(crate) const DEVICE_VARIABLE: &str = "GENAIR_DEVICE";

/// The texts a spec was put together from.
#[derive(Debug)]
pub(crate) struct Sources {
    path: PathBuf,
    document: Document<String>,
    overrides: Vec<KeyPath>,
    /// Whether `GENAIR_DEVICE` is set.
    device_variable: bool,
}

impl Sources {
    /// Parses the spec file's text; a syntax error names line and column.
    pub(crate) fn parse(
        path: &Path,
        text: &str,
        overrides: Vec<KeyPath>,
        device_variable: bool,
    ) -> Result<Self, SpecError> {
        let document = Document::parse(text.to_owned()).map_err(|error| {
            let (line, column) = error
                .span()
                .map_or((1, 1), |span| line_and_column(text, span.start));
            Problem {
                place: Place::File {
                    path: path.to_owned(),
                    line: Some(line),
                    column: Some(column),
                },
                key: String::new(),
                message: format!("not TOML: {}", error.message().trim().replace('\n', ", ")),
                hint: None,
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            document,
            overrides,
            device_variable,
        })
    }

    /// The spec file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The spec file's text.
    pub(crate) fn text(&self) -> &str {
        self.document.raw()
    }

    /// Where the value at `key`, or the deepest table around it that exists, was written.
    pub(crate) fn place(&self, key: &KeyPath) -> Place {
        let only_there = || {
            self.overrides
                .iter()
                .any(|path| path.keys().starts_with(key.keys()))
        };
        if self.overridden(key).is_some() || !self.in_file(key) && only_there() {
            return Place::CommandLine;
        }
        if self.device_variable && key.starts_with(&["train", "device"]) {
            return Place::Environment {
                variable: DEVICE_VARIABLE.to_owned(),
            };
        }
        let line = self
            .offset(key)
            .map(|offset| line_and_column(self.text(), offset).0);
        Place::File {
            path: self.path.clone(),
            line,
            column: None,
        }
    }

    /// A number to sort keys by: their order in the file, then on the command line.
    pub(crate) fn position(&self, key: &KeyPath) -> usize {
        match self.overridden(key) {
            Some(at) if !self.in_file(key) => self.text().len() + at,
            _ => self.offset(key).unwrap_or_default(),
        }
    }

    /// Keys of the table at `key`, in the order of the file and then of the command line.
    pub(crate) fn names(&self, key: &KeyPath) -> Vec<String> {
        let depth = key.keys().len();
        let in_file = self.item(key).and_then(Item::as_table_like);
        let in_file = in_file.map(|table| {
            table
                .iter()
                .map(|(name, _)| name.to_owned())
                .collect::<Vec<_>>()
        });
        let mut names = in_file.unwrap_or_default();
        for path in &self.overrides {
            if let Some((around, [name, ..])) = path.keys().split_at_checked(depth)
                && around == key.keys()
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        names
    }

    fn overridden(&self, key: &KeyPath) -> Option<usize> {
        self.overrides
            .iter()
            .rposition(|path| key.keys().starts_with(path.keys()))
    }

    fn in_file(&self, key: &KeyPath) -> bool {
        self.item(key).is_some()
    }

    fn item(&self, key: &KeyPath) -> Option<&Item> {
        key.keys()
            .iter()
            .try_fold(self.document.as_item(), |item, name| {
                item.as_table_like()?.get(name)
            })
    }

    /// Byte offset of the deepest key along the path that is in the file.
    fn offset(&self, key: &KeyPath) -> Option<usize> {
        let mut table: &dyn TableLike = self.document.as_table();
        let mut offset = None;
        for name in key.keys() {
            let Some((key, item)) = table.get_key_value(name) else {
                break;
            };
            offset = key
                .span()
                .or_else(|| item.span())
                .map(|span| span.start)
                .or(offset);
            match item.as_table_like() {
                Some(inner) => table = inner,
                None => break,
            }
        }
        offset
    }
}

/// Line and column, both from 1, of a byte offset.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[sweep]\nname = \"x\"\n\n[train]\noptimizer = { lr = 1e-3 }\nstop.patience = 3\n\n[dataset.b]\npath = \"b\"\n[dataset.a]\npath = \"a\"\n";

    fn line(sources: &Sources, key: &[&str]) -> Option<usize> {
        match sources.place(&KeyPath::new(key.iter().copied())) {
            Place::File { line, .. } => line,
            _ => None,
        }
    }

    #[test]
    fn every_way_to_write_a_key_has_its_line() {
        let sources = Sources::parse(Path::new("s.toml"), TEXT, Vec::new(), false).unwrap();
        for (key, expected) in [
            (&["sweep", "name"][..], Some(2)),
            (&["train", "optimizer", "lr"], Some(5)),
            (&["train", "stop", "patience"], Some(6)),
            (&["train", "loss", "kind"], Some(4)), // Not written: the table around it.
            (&["dataset", "a", "path"], Some(11)),
            (&["eval"], None),
        ] {
            assert_eq!(line(&sources, key), expected, "{key:?}");
        }
    }

    #[test]
    fn names_keep_the_order_of_the_file() {
        let extra = KeyPath::new(["dataset", "c", "path"]);
        let sources =
            Sources::parse(Path::new("s.toml"), TEXT, vec![extra.clone()], false).unwrap();
        assert_eq!(sources.names(&KeyPath::new(["dataset"])), ["b", "a", "c"]);
        assert_eq!(sources.place(&extra), Place::CommandLine);
        let around = KeyPath::new(["dataset", "c"]);
        assert_eq!(
            sources.place(&around),
            Place::CommandLine,
            "a table that the file lacks"
        );
        assert!(
            sources.position(&extra) > sources.position(&KeyPath::new(["dataset", "a", "path"]))
        );
    }

    #[test]
    fn syntax_errors_name_line_and_column() {
        let error = Sources::parse(Path::new("s.toml"), "[sweep]\nname = \n", Vec::new(), false)
            .unwrap_err();
        assert_eq!(error.problems[0].place.to_string(), "s.toml:2:8");
    }
}
