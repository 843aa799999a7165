//! A user per line: the user's id, then items, the oldest first.

use std::borrow::Cow;
use std::path::Path;

use super::file;
use super::layout::{Layout, Separator};
use super::rows::{Role, Rows};
use super::text::Lines;
use crate::{DataError, LineProblem};

/// Streams the items of the users.
pub(super) struct Sequences {
    lines: Lines,
    separator: Separator,
    user: String,
    items: std::vec::IntoIter<String>,
    item: String,
}

impl Sequences {
    pub(super) fn open(path: &Path, layout: &Layout) -> Result<Self, DataError> {
        let bytes = file::open(path)?;
        Ok(Self {
            lines: Lines::new(path, bytes, layout.encoding, layout.encoding_key())?,
            separator: layout.separator.clone(),
            user: String::new(),
            items: Vec::new().into_iter(),
            item: String::new(),
        })
    }
}

impl Rows for Sequences {
    fn advance(&mut self) -> Result<bool, DataError> {
        loop {
            if let Some(item) = self.items.next() {
                self.item = item;
                return Ok(true);
            }
            if !self.lines.advance()? {
                return Ok(false);
            }
            let text = self.lines.text()?.trim();
            let fields: Vec<String> = match &self.separator {
                Separator::Whitespace => text.split_whitespace().map(str::to_owned).collect(),
                Separator::Byte(byte) => text.split(char::from(*byte)).map(str::to_owned).collect(),
                Separator::Text(separator) => {
                    text.split(separator.as_str()).map(str::to_owned).collect()
                }
            };
            let mut fields = fields.into_iter();
            self.user = fields.next().unwrap_or_default();
            self.items = fields;
        }
    }

    fn has(&self, role: Role) -> bool {
        matches!(role, Role::User | Role::Item)
    }

    fn field(&self, role: Role) -> Result<Cow<'_, str>, DataError> {
        Ok(Cow::Borrowed(match role {
            Role::User => &self.user,
            _ => &self.item,
        }))
    }

    fn column(&self, role: Role) -> String {
        match role {
            Role::User => "the user".to_owned(),
            _ => "an item".to_owned(),
        }
    }

    fn path(&self) -> &Path {
        self.lines.path()
    }

    fn error(&self, problem: LineProblem) -> DataError {
        self.lines.error(problem)
    }
}
