//! Tables with one record per line, with a header or without.
//!
//! Owns what TSV, CSV and RecBole files share. Blank lines carry nothing and are passed over.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::ByteRecord;

use super::file::{self, MAX_LINE};
use super::layout::{Layout, Separator};
use super::quotes::{StrayQuote, StrictQuotes};
use super::rows::{Role, Rows};
use super::text::{self, Lines, Rationed, TooLong};
use crate::{DataError, LineProblem};
use genair_protocol::{Column, Columns, DatasetSpec};

/// Streams the records of a delimited file.
pub(super) struct Delimited {
    path: PathBuf,
    records: Records,
    /// Names of the columns; of a file without a header, their positions from 1.
    pub(super) header: Vec<String>,
    has_header: bool,
    /// The first record is a row and there already.
    is_ahead: bool,
    /// The column of each role, in the order of [`Role::ALL`].
    roles: [Option<usize>; 4],
    layout: Layout,
}

/// The records of a file.
enum Records {
    /// Fields between single bytes, which can be quoted.
    Csv {
        reader: csv::Reader<Rationed<Box<dyn Read>>>,
        /// Bytes that the reader may still take for the record at hand.
        allowance: Rc<Cell<u64>>,
        record: ByteRecord,
    },
    /// Fields between other separators.
    Split {
        lines: Lines,
        separator: Separator,
        fields: Vec<Range<usize>>,
    },
}

impl Delimited {
    /// Opens a file and reads its header, if it has one. `columns` may say by positions that it has none.
    pub(super) fn open(
        path: &Path,
        layout: &Layout,
        columns: Option<&Columns>,
    ) -> Result<Self, DataError> {
        let has_positions = columns.is_some_and(|columns| {
            let positions = [
                Some(&columns.user),
                Some(&columns.item),
                columns.time.as_ref(),
                columns.rating.as_ref(),
            ];
            positions
                .iter()
                .any(|column| matches!(column, Some(Column::Position(_))))
        });
        let mut table = Self {
            path: path.to_owned(),
            records: Records::open(path, layout)?,
            header: Vec::new(),
            has_header: layout.header.unwrap_or(!has_positions),
            is_ahead: false,
            roles: [None; 4],
            layout: layout.clone(),
        };
        if !table.next_record()? {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        }
        let first: Vec<String> = (0..table.len())
            .map(|column| table.text(column).map(str::to_owned))
            .collect::<Result<_, _>>()?;
        table.is_ahead = !table.has_header;
        table.header = match (&layout.names, table.has_header) {
            (Some(names), _) if names.len() != first.len() => {
                let (expected, found) = (names.len(), first.len());
                return Err(table.line_error(LineProblem::NameCount {
                    expected,
                    found,
                    key: layout.key,
                }));
            }
            (Some(names), _) => names.clone(),
            (None, true) => first,
            (None, false) => (1..=first.len())
                .map(|position| position.to_string())
                .collect(),
        };
        table.refuse_duplicates(table.header.iter().map(String::as_str))?;
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
                if self.looks_headless() {
                    return Err(self.no_header());
                }
                let column = name.to_owned();
                return Err(self.line_error(LineProblem::DuplicateColumn { column }));
            }
        }
        Ok(())
    }

    /// Whether what should be a header has a number in it, as rows have.
    fn looks_headless(&self) -> bool {
        self.has_header
            && self
                .header
                .iter()
                .any(|name| name.trim().parse::<f64>().is_ok())
    }

    fn no_header(&self) -> DataError {
        DataError::NoHeader {
            path: self.path.clone(),
            first: self.header.clone(),
            key: self.layout.key,
        }
    }

    /// Finds the columns that a spec names, or the default ones.
    pub(super) fn find_roles(&mut self, spec: &DatasetSpec) -> Result<(), DataError> {
        let columns = spec.columns.clone().unwrap_or_default();
        let is_nameless = !self.has_header && self.layout.names.is_none();
        if is_nameless && spec.columns.is_none() && self.header.len() > 2 {
            return Err(self.no_positions());
        }
        let default = Columns::default();
        for (place, role) in Role::ALL.into_iter().enumerate() {
            let named = match role {
                // Of a file without names, the first two columns.
                Role::User if is_nameless && columns.user == default.user => {
                    Some(Column::Position(1))
                }
                Role::Item if is_nameless && columns.item == default.item => {
                    Some(Column::Position(2))
                }
                Role::User => Some(columns.user.clone()),
                Role::Item => Some(columns.item.clone()),
                Role::Time => columns.time.clone(),
                Role::Rating => columns.rating.clone(),
            };
            self.roles[place] = match (named, role) {
                (Some(Column::Off), _) => None,
                (Some(column), _) => Some(self.column(&column, role.key())?),
                (None, Role::Time) => self.find("timestamp").or(self.find("order")),
                (None, _) => self.find("rating"),
            };
        }
        let mut seen = HashSet::new();
        if !self
            .roles
            .iter()
            .flatten()
            .all(|column| seen.insert(*column))
        {
            return Err(self.no_positions());
        }
        if spec.min_rating.is_some() && !self.has(Role::Rating) {
            return Err(DataError::NoRating {
                path: self.path.clone(),
                header: self.header.clone(),
            });
        }
        Ok(())
    }

    fn no_positions(&self) -> DataError {
        let first = (0..self.len()).map(|column| self.text(column).unwrap_or_default().to_owned());
        DataError::NoPositions {
            path: self.path.clone(),
            first: first.collect(),
        }
    }

    /// Index of a column that must be there; `key` is how a spec names it.
    pub(super) fn column(&self, column: &Column, key: &'static str) -> Result<usize, DataError> {
        let found = match column {
            Column::Name(name) => self.find(name),
            Column::Position(position) => {
                Some(*position as usize - 1).filter(|at| *at < self.header.len())
            }
            Column::Off => None,
        };
        found.ok_or_else(|| match (column, self.looks_headless()) {
            (Column::Name(_), true) => self.no_header(),
            _ => DataError::NoColumn {
                path: self.path.clone(),
                column: column.to_string(),
                key,
                header: self.header.clone(),
            },
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The column of a role.
    pub(super) fn role(&self, role: Role) -> Option<usize> {
        self.roles[role as usize]
    }

    /// Moves to the next record; false at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool, DataError> {
        if std::mem::take(&mut self.is_ahead) {
            return Ok(true);
        }
        if !self.next_record()? {
            return Ok(false);
        }
        let (expected, found) = (self.header.len(), self.len());
        if found != expected {
            let has_header = self.has_header;
            return Err(self.line_error(LineProblem::FieldCount {
                expected,
                found,
                has_header,
            }));
        }
        Ok(true)
    }

    fn next_record(&mut self) -> Result<bool, DataError> {
        match &mut self.records {
            Records::Csv {
                reader,
                allowance,
                record,
            } => loop {
                allowance.set(MAX_LINE);
                if !reader
                    .read_byte_record(record)
                    .map_err(|error| csv_error(&self.path, record, reader, error))?
                {
                    return Ok(false);
                }
                let is_blank = record.len() == 1 && &record[0] == b"\r";
                if !is_blank {
                    return Ok(true);
                }
            },
            Records::Split {
                lines,
                separator,
                fields,
            } => {
                if !lines.advance()? {
                    return Ok(false);
                }
                split(lines.text()?, separator, fields);
                Ok(true)
            }
        }
    }

    /// Fields of the current record.
    fn len(&self) -> usize {
        match &self.records {
            Records::Csv { record, .. } => record.len(),
            Records::Split { fields, .. } => fields.len(),
        }
    }

    /// Field of the current record.
    pub(super) fn text(&self, column: usize) -> Result<&str, DataError> {
        match &self.records {
            Records::Csv { record, .. } => {
                let field = &record[column];
                let is_last = column + 1 == record.len();
                let field = if is_last {
                    field.strip_suffix(b"\r").unwrap_or(field)
                } else {
                    field
                };
                str::from_utf8(field).map_err(|_| {
                    let key = self.layout.encoding_key();
                    self.line_error(LineProblem::NotUtf8 { key })
                })
            }
            Records::Split { lines, fields, .. } => Ok(&lines.text()?[fields[column].clone()]),
        }
    }

    /// The line the current record ends on, from 1.
    pub(super) fn line(&self) -> u64 {
        match &self.records {
            // The record's own position is before any blank lines; the reader's is past its end.
            Records::Csv { reader, .. } => reader.position().line() - 1,
            Records::Split { lines, .. } => lines.number(),
        }
    }

    /// A problem with the current record.
    pub(super) fn line_error(&self, problem: LineProblem) -> DataError {
        DataError::Line {
            path: self.path.clone(),
            line: self.line(),
            problem,
        }
    }
}

impl Records {
    fn open(path: &Path, layout: &Layout) -> Result<Self, DataError> {
        let bytes = file::open(path)?;
        let Separator::Byte(separator) = layout.separator else {
            return Ok(Self::Split {
                lines: Lines::new(path, bytes, layout.encoding, layout.encoding_key())?,
                separator: layout.separator.clone(),
                fields: Vec::new(),
            });
        };
        let text = text::decoded(bytes, layout.encoding);
        let text = text.map_err(|source| file::read_error(path, source))?;
        // A last line without its newline would be counted otherwise than the others.
        let text = text.chain(&b"\n"[..]);
        let text: Box<dyn Read> = match layout.quotes {
            true => Box::new(StrictQuotes::new(text, separator)),
            false => Box::new(text),
        };
        let (text, allowance) = Rationed::new(text);
        let reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .quoting(layout.quotes)
            .has_headers(false)
            .flexible(true)
            // With the default, which takes CRLF as well, line numbers in such files lag by one.
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(text);
        Ok(Self::Csv {
            reader,
            allowance,
            record: ByteRecord::new(),
        })
    }
}

/// Why the next record cannot be read.
fn csv_error<R: Read>(
    path: &Path,
    record: &ByteRecord,
    reader: &csv::Reader<R>,
    error: csv::Error,
) -> DataError {
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        other => std::io::Error::other(format!("{other:?}")),
    };
    let at = |line, problem| DataError::Line {
        path: path.to_owned(),
        line,
        problem,
    };
    let inner = source.get_ref();
    if inner.is_some_and(|inner| inner.is::<TooLong>()) {
        // Where the record begins: of an open quote, the place to mend.
        let begin = record.position().unwrap_or(reader.position());
        return at(begin.line(), LineProblem::TooLong { limit: MAX_LINE });
    }
    match inner.and_then(|inner| inner.downcast_ref::<StrayQuote>()) {
        Some(stray) => at(stray.line, LineProblem::StrayQuote),
        None => file::read_error(path, source),
    }
}

fn split(text: &str, separator: &Separator, fields: &mut Vec<Range<usize>>) {
    fields.clear();
    let start = |field: &str| field.as_ptr() as usize - text.as_ptr() as usize;
    let range = |field: &str| start(field)..start(field) + field.len();
    match separator {
        Separator::Whitespace => fields.extend(text.split_whitespace().map(range)),
        Separator::Text(separator) => fields.extend(text.split(separator.as_str()).map(range)),
        Separator::Byte(byte) => fields.extend(text.split(char::from(*byte)).map(range)),
    }
}

impl Rows for Delimited {
    fn advance(&mut self) -> Result<bool, DataError> {
        Self::advance(self)
    }

    fn has(&self, role: Role) -> bool {
        self.role(role).is_some()
    }

    fn field(&self, role: Role) -> Result<Cow<'_, str>, DataError> {
        self.role(role).map_or(Ok(Cow::Borrowed("")), |column| {
            self.text(column).map(Cow::Borrowed)
        })
    }

    fn column(&self, role: Role) -> String {
        let column = self.role(role).unwrap_or_default();
        match self.has_header || self.layout.names.is_some() {
            true => self.header[column].clone(),
            false => format!("column {}", column + 1),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, problem: LineProblem) -> DataError {
        self.line_error(problem)
    }
}
