//! From the rows of a file to interactions, the same for every form of file.
//!
//! Owns the rules that judge a row by itself (missing fields, rating, unknown items) and counts what they drop.

use std::borrow::Cow;
use std::path::Path;

use indexmap::IndexSet;

use super::ItemsFile;
use super::times::{BadFormat, Times};
use crate::interactions::{Interaction, Interactions, OrderedBy};
use crate::{DataError, LineProblem};
use genair_protocol::{DatasetSpec, Missing, UnknownItems};

/// What a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Item,
    Time,
    Rating,
}

impl Role {
    pub(super) const ALL: [Self; 4] = [Self::User, Self::Item, Self::Time, Self::Rating];

    /// The key of a spec that names the column.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::User => "columns.user",
            Self::Item => "columns.item",
            Self::Time => "columns.time",
            Self::Rating => "columns.rating",
        }
    }
}

/// The rows of a file, one at a time.
pub(super) trait Rows {
    /// Moves to the next row; false at the end of the file.
    fn advance(&mut self) -> Result<bool, DataError>;

    /// Whether rows have a field of this role.
    fn has(&self, role: Role) -> bool;

    /// The text of a field of the row; empty where there is none. The file [has](Self::has) the role.
    fn field(&self, role: Role) -> Result<Cow<'_, str>, DataError>;

    /// What the file calls the column of a role.
    fn column(&self, role: Role) -> String;

    /// The file.
    fn path(&self) -> &Path;

    /// A problem with the row.
    fn error(&self, problem: LineProblem) -> DataError;
}

/// The column that has an interaction's position among those of its user.
const ORDER: &str = "order";

/// A log that is read file by file.
pub(super) struct Log<'s> {
    spec: &'s DatasetSpec,
    items: Option<ItemsFile>,
    times: Times,
    rows_read: u64,
    log: Interactions,
}

impl<'s> Log<'s> {
    pub(super) fn new(spec: &'s DatasetSpec, items: Option<ItemsFile>) -> Result<Self, DataError> {
        let format = spec.time_format.as_deref();
        let times = Times::new(format).map_err(|BadFormat| DataError::TimeFormat {
            format: format.unwrap_or_default().to_owned(),
        })?;
        let mut log = Interactions::default();
        if let Some(items) = &items {
            log.removed.duplicate_items = items.duplicates;
            log.removed.items_without_id = items.without_id;
        }
        Ok(Self {
            spec,
            items,
            times,
            rows_read: 0,
            log,
        })
    }

    /// Adds the rows of a file.
    pub(super) fn read(&mut self, rows: &mut dyn Rows) -> Result<(), DataError> {
        let has_time = rows.has(Role::Time);
        let ordered_by = match has_time {
            true if rows.column(Role::Time) == ORDER => OrderedBy::Position,
            true => OrderedBy::Time,
            false => OrderedBy::FileOrder,
        };
        if self.rows_read > 0 && ordered_by != self.log.ordered_by {
            return Err(DataError::TimesInSome {
                path: rows.path().to_owned(),
            });
        }
        self.log.ordered_by = ordered_by;
        let before = self.rows_read;
        while rows.advance()? {
            self.rows_read += 1;
            self.row(rows, has_time)?;
        }
        match self.rows_read == before {
            true => Err(DataError::Empty {
                path: rows.path().to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn row(&mut self, rows: &dyn Rows, has_time: bool) -> Result<(), DataError> {
        let (user, item) = (rows.field(Role::User)?, rows.field(Role::Item)?);
        let time = match has_time {
            true => Some(rows.field(Role::Time)?),
            false => None,
        };
        let missing = [
            (Role::User, Some(&user)),
            (Role::Item, Some(&item)),
            (Role::Time, time.as_ref()),
        ];
        let missing = missing
            .iter()
            .find(|(_, text)| text.is_some_and(|text| text.trim().is_empty()));
        if let Some((role, _)) = missing {
            if self.spec.missing == Some(Missing::Drop) {
                self.log.removed.missing += 1;
                return Ok(());
            }
            let column = rows.column(*role);
            return Err(rows.error(LineProblem::Missing { column }));
        }
        let time = match &time {
            Some(text) => {
                let column = || rows.column(Role::Time);
                let time = self.times.next(text, column, &self.log.rows);
                time.map_err(|problem| rows.error(problem))?
            }
            None => self.rows_read as f64,
        };
        if rows.has(Role::Rating) && self.rating(rows)? <= self.spec.min_rating.unwrap_or(0.0) {
            self.log.removed.low_rating += 1;
            self.times.forget_last();
            return Ok(());
        }
        let item = match self.log.items.get_index_of(&*item) {
            Some(item) => item,
            None if self.is_dropped(rows, &item)? => {
                self.log.removed.unknown_item += 1;
                self.times.forget_last();
                return Ok(());
            }
            None => insert(&mut self.log.items, &item, "items", rows.path())?,
        };
        let user = match self.log.users.get_index_of(&*user) {
            Some(user) => user,
            None => insert(&mut self.log.users, &user, "users", rows.path())?,
        };
        self.log.rows.push(Interaction {
            user: user as u32,
            item: item as u32,
            time,
        });
        Ok(())
    }

    fn rating(&self, rows: &dyn Rows) -> Result<f64, DataError> {
        let text = rows.field(Role::Rating)?;
        let number = text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| {
            rows.error(LineProblem::BadRating {
                column: rows.column(Role::Rating),
                value: text.clone().into_owned(),
            })
        })
    }

    /// Whether the row of an item that was not met before is left out.
    fn is_dropped(&self, rows: &dyn Rows, item: &str) -> Result<bool, DataError> {
        let Some(items) = &self.items else {
            return Ok(false);
        };
        if items.metadata.contains_key(item) {
            return Ok(false);
        }
        match self.spec.unknown_items.unwrap_or_default() {
            UnknownItems::Keep => Ok(false),
            UnknownItems::Drop => Ok(true),
            UnknownItems::Error => Err(rows.error(LineProblem::UnknownItem {
                item: item.to_owned(),
                items_file: items.name.clone(),
            })),
        }
    }

    /// All rows of all files, in their order.
    pub(super) fn finish(self) -> Interactions {
        let mut log = self.log;
        self.times.order(&mut log.rows);
        log.metadata = self.items.map(|items| items.metadata).unwrap_or_default();
        log
    }
}

/// Gives a new raw id its index, which fits 32 bits with 0 to spare for padding.
fn insert(
    set: &mut IndexSet<String>,
    id: &str,
    what: &'static str,
    path: &Path,
) -> Result<usize, DataError> {
    const LIMIT: u32 = u32::MAX - 1;
    let (index, _) = set.insert_full(id.to_owned());
    match index < LIMIT as usize {
        true => Ok(index),
        false => Err(DataError::TooMany {
            path: path.to_owned(),
            what,
            limit: LIMIT,
        }),
    }
}
