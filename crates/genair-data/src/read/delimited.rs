//! Tables with a header line and one record per line, and interactions from them.
//!
//! Owns what TSV, CSV and RecBole files share. Blank lines carry nothing and are passed over.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::ByteRecord;
use indexmap::IndexSet;

use super::file::{MAX_LINE, Rationed, TooLong};
use super::{ItemsFile, file};
use crate::interactions::{Interaction, Interactions, OrderedBy};
use crate::{DataError, LineProblem};
use genair_protocol::{DatasetSpec, UnknownItems};

/// Streams the records of a delimited file.
pub(super) struct Delimited {
    path: PathBuf,
    reader: csv::Reader<Rationed<Box<dyn Read>>>,
    /// Bytes that the reader may still take for the record at hand.
    allowance: Rc<Cell<u64>>,
    pub(super) header: Vec<String>,
    record: ByteRecord,
}

impl Delimited {
    /// Opens a file and reads its header. Tabs separate raw fields; commas, fields that may be quoted.
    pub(super) fn open(path: &Path, delimiter: u8) -> Result<Self, DataError> {
        // A last line without its newline would be counted otherwise than the others.
        let bytes: Box<dyn Read> = Box::new(file::open(path)?.chain(&b"\n"[..]));
        let (bytes, allowance) = Rationed::new(bytes);
        let reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(delimiter == b',')
            .has_headers(false)
            .flexible(true)
            // With the default, which takes CRLF as well, line numbers in such files lag by one.
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(bytes);
        let mut table = Self {
            path: path.to_owned(),
            reader,
            allowance,
            header: Vec::new(),
            record: ByteRecord::new(),
        };
        if !table.next_record()? {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        }
        let columns = 0..table.record.len();
        let header: Vec<&str> = columns
            .map(|column| table.text(column))
            .collect::<Result<_, _>>()?;
        table.refuse_duplicates(header.iter().copied())?;
        table.header = header.into_iter().map(str::to_owned).collect();
        Ok(table)
    }

    /// Refuses a header that names a column twice.
    pub(super) fn refuse_duplicates<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<(), DataError> {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name) {
                let column = name.to_owned();
                return Err(self.line_error(LineProblem::DuplicateColumn { column }));
            }
        }
        Ok(())
    }

    /// Moves to the next record; false at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool, DataError> {
        if !self.next_record()? {
            return Ok(false);
        }
        let (expected, found) = (self.header.len(), self.record.len());
        if found != expected {
            return Err(self.line_error(LineProblem::FieldCount { expected, found }));
        }
        Ok(true)
    }

    fn next_record(&mut self) -> Result<bool, DataError> {
        loop {
            self.allowance.set(MAX_LINE);
            if !self
                .reader
                .read_byte_record(&mut self.record)
                .map_err(|error| self.read_error(error))?
            {
                return Ok(false);
            }
            let is_blank = self.record.len() == 1 && &self.record[0] == b"\r";
            if !is_blank {
                return Ok(true);
            }
        }
    }

    /// Field of the current record.
    pub(super) fn text(&self, column: usize) -> Result<&str, DataError> {
        let field = &self.record[column];
        let is_last = column + 1 == self.record.len();
        let field = if is_last {
            field.strip_suffix(b"\r").unwrap_or(field)
        } else {
            field
        };
        std::str::from_utf8(field).map_err(|_| self.line_error(LineProblem::NotUtf8))
    }

    /// Field that must not be empty.
    pub(super) fn id(&self, column: usize) -> Result<&str, DataError> {
        match self.text(column)? {
            "" => Err(self.line_error(LineProblem::EmptyId {
                column: self.header[column].clone(),
            })),
            id => Ok(id),
        }
    }

    /// Field that must be a finite number.
    pub(super) fn number(&self, column: usize) -> Result<f64, DataError> {
        let text = self.text(column)?;
        let number = text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| {
            self.line_error(LineProblem::BadNumber {
                column: self.header[column].clone(),
                value: text.to_owned(),
            })
        })
    }

    /// Field that sorts rows: a finite number, and if it is an integer, kept exactly.
    fn time(&self, column: usize) -> Result<f64, DataError> {
        const EXACT_TO: f64 = (1_u64 << 53) as f64;
        let time = self.number(column)?;
        if time.abs() >= EXACT_TO {
            let text = self.text(column)?;
            if text
                .trim()
                .parse::<i128>()
                .is_ok_and(|integer| time as i128 != integer)
            {
                let (column, value) = (self.header[column].clone(), text.to_owned());
                return Err(self.line_error(LineProblem::InexactTime { column, value }));
            }
        }
        // Negative zero sorts before zero in a total order, though the file says the same time.
        Ok(time + 0.0)
    }

    /// The line the current record ends on, from 1.
    pub(super) fn line(&self) -> u64 {
        // The record's own position is before any blank lines; the reader's is past its end.
        self.reader.position().line() - 1
    }

    /// Why the next record cannot be read.
    fn read_error(&self, error: csv::Error) -> DataError {
        let source = match error.into_kind() {
            csv::ErrorKind::Io(source) => source,
            other => std::io::Error::other(format!("{other:?}")),
        };
        if source.get_ref().is_some_and(|inner| inner.is::<TooLong>()) {
            // Where the record begins: of an open quote, the place to mend.
            let begin = self.record.position().or(Some(self.reader.position()));
            return DataError::Line {
                path: self.path.clone(),
                line: begin.map_or(1, csv::Position::line),
                problem: LineProblem::TooLong { limit: MAX_LINE },
            };
        }
        file::read_error(&self.path, source)
    }

    /// A problem with the current record.
    pub(super) fn line_error(&self, problem: LineProblem) -> DataError {
        DataError::Line {
            path: self.path.clone(),
            line: self.line(),
            problem,
        }
    }

    /// Index of a column that must be there; `key` is how a spec names it.
    pub(super) fn column(&self, name: &str, key: &'static str) -> Result<usize, DataError> {
        self.find(name).ok_or_else(|| DataError::NoColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            key,
            header: self.header.clone(),
        })
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }
}

/// Where the meaningful columns of an interactions file are.
pub(super) struct Roles {
    pub(super) user: usize,
    pub(super) item: usize,
    /// None: the order of the file is that of time.
    pub(super) time: Option<usize>,
    pub(super) rating: Option<usize>,
}

impl Roles {
    /// Finds the columns a spec names, or the default ones.
    pub(super) fn find(table: &Delimited, spec: &DatasetSpec) -> Result<Self, DataError> {
        let columns = spec.columns.clone().unwrap_or_default();
        let time = match &columns.time {
            Some(name) => Some(table.column(name, "columns.time")?),
            None => table.find("timestamp").or(table.find("order")),
        };
        let rating = match &columns.rating {
            Some(name) => Some(table.column(name, "columns.rating")?),
            None => table.find("rating"),
        };
        if spec.min_rating.is_some() && rating.is_none() {
            return Err(DataError::NoRating {
                path: table.path.clone(),
                header: table.header.clone(),
            });
        }
        Ok(Self {
            user: table.column(&columns.user, "columns.user")?,
            item: table.column(&columns.item, "columns.item")?,
            time,
            rating,
        })
    }
}

/// Reads every interaction of an open table.
pub(super) fn interactions(
    mut table: Delimited,
    roles: &Roles,
    items: Option<ItemsFile>,
    spec: &DatasetSpec,
) -> Result<Interactions, DataError> {
    let min_rating = spec.min_rating.unwrap_or(0.0);
    let unknown_items = spec.unknown_items.unwrap_or_default();
    let mut result = Interactions {
        ordered_by: match roles.time {
            Some(_) => OrderedBy::Time,
            None => OrderedBy::FileOrder,
        },
        ..Interactions::default()
    };
    let mut rows_read = 0_u64;
    while table.advance()? {
        rows_read += 1;
        let (user, item) = (table.id(roles.user)?, table.id(roles.item)?);
        let time = match roles.time {
            Some(column) => table.time(column)?,
            None => rows_read as f64,
        };
        if let Some(rating) = roles.rating
            && table.number(rating)? <= min_rating
        {
            result.removed.low_rating += 1;
            continue;
        }
        let item = match result.items.get_index_of(item) {
            Some(item) => item,
            None => {
                if let Some(items) = &items
                    && !items.metadata.contains_key(item)
                {
                    match unknown_items {
                        UnknownItems::Keep => {}
                        UnknownItems::Drop => {
                            result.removed.unknown_item += 1;
                            continue;
                        }
                        UnknownItems::Error => {
                            let (item, items_file) = (item.to_owned(), items.name.clone());
                            return Err(
                                table.line_error(LineProblem::UnknownItem { item, items_file })
                            );
                        }
                    }
                }
                insert(&mut result.items, item, "items", &table)?
            }
        };
        let user = match result.users.get_index_of(user) {
            Some(user) => user,
            None => insert(&mut result.users, user, "users", &table)?,
        };
        result.rows.push(Interaction {
            user: user as u32,
            item: item as u32,
            time,
        });
    }
    if rows_read == 0 {
        return Err(DataError::Empty { path: table.path });
    }
    result.metadata = items.map(|items| items.metadata).unwrap_or_default();
    Ok(result)
}

/// Gives a new raw id its index, which fits 32 bits with 0 to spare for padding.
fn insert(
    set: &mut IndexSet<String>,
    id: &str,
    what: &'static str,
    table: &Delimited,
) -> Result<usize, DataError> {
    const LIMIT: u32 = u32::MAX - 1;
    let (index, _) = set.insert_full(id.to_owned());
    if index >= LIMIT as usize {
        return Err(DataError::TooMany {
            path: table.path.clone(),
            what,
            limit: LIMIT,
        });
    }
    Ok(index)
}
