//! Rows whose field of the item has several: a row for each, the oldest first.

use std::borrow::Cow;
use std::path::Path;

use super::rows::{Role, Rows};
use crate::{DataError, LineProblem};

/// The rows of another file, by item.
pub(super) struct ItemLists {
    rows: Box<dyn Rows>,
    separator: String,
    items: std::vec::IntoIter<String>,
    item: String,
}

impl ItemLists {
    pub(super) fn new(rows: Box<dyn Rows>, separator: &str) -> Self {
        Self {
            rows,
            separator: separator.to_owned(),
            items: Vec::new().into_iter(),
            item: String::new(),
        }
    }
}

impl Rows for ItemLists {
    fn advance(&mut self) -> Result<bool, DataError> {
        if let Some(item) = self.items.next() {
            self.item = item;
            return Ok(true);
        }
        if !self.rows.advance()? {
            return Ok(false);
        }
        let field = self.rows.field(Role::Item)?;
        // An empty field is one item that is missing.
        let items = field
            .trim()
            .split(self.separator.as_str())
            .map(str::to_owned);
        self.items = items.collect::<Vec<_>>().into_iter();
        self.item = self.items.next().unwrap_or_default();
        Ok(true)
    }

    fn has(&self, role: Role) -> bool {
        self.rows.has(role)
    }

    fn field(&self, role: Role) -> Result<Cow<'_, str>, DataError> {
        match role {
            Role::Item => Ok(Cow::Borrowed(&self.item)),
            other => self.rows.field(other),
        }
    }

    fn column(&self, role: Role) -> String {
        self.rows.column(role)
    }

    fn path(&self) -> &Path {
        self.rows.path()
    }

    fn error(&self, problem: LineProblem) -> DataError {
        self.rows.error(problem)
    }
}
