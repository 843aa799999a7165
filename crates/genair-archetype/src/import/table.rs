//! Vectors out of tables: csv and csv.gz files, tsv files, and Parquet files, which the worker `genair-report`
//! writes as csv.
//!
//! A table has a header. One column may have the ids of items. The others are either all numbers, which are the
//! components in their order, or all lists of numbers (JSON), each of which is an array of its own name.

use std::io::Read;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};
use flate2::read::MultiGzDecoder;
use genair_files::doing;
use genair_files::regular_file::{self, MAX_VECTORS};

use super::ImportError;
use super::array::{Array, MAX_ARRAYS, MAX_WIDTH};

/// The form of a table, as the name of its file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Csv,
    Tsv,
    Parquet,
}

impl Form {
    /// Of a file that is a table; none of another.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        match plain.rsplit_once('.')?.1 {
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" | "pq" if plain == name => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// What a table holds.
#[derive(Debug)]
pub(super) struct Table {
    /// Raw ids in the order of the rows, if a column has them.
    pub(super) ids: Option<Vec<String>>,
    pub(super) arrays: Vec<Array>,
}

/// Reads the csv or tsv file `text`, which is `path` itself or was made of it. `id_column` names the column with the
/// ids of items.
///
/// # Errors
/// [`ImportError::File`], [`ImportError::Column`] or [`ImportError::Cell`].
pub(super) fn read(
    path: &Path,
    text: &Path,
    form: Form,
    id_column: Option<&str>,
) -> Result<Table, ImportError> {
    let file = regular_file::open(text).map_err(doing("read", path))?;
    let is_packed = text
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    // What a packed file grows to has the limit of a file that is not.
    let input: Box<dyn Read> = match is_packed {
        true => Box::new(MultiGzDecoder::new(file).take(MAX_VECTORS)),
        false => Box::new(file.take(MAX_VECTORS)),
    };
    let delimiter = if form == Form::Tsv { b'\t' } else { b',' };
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(input);
    let unread = |error: csv::Error| broken(path, form, error);
    let header = reader.headers().map_err(unread)?.clone();
    let mut columns = Columns::new(path, &header, id_column)?;
    let mut record = StringRecord::new();
    let mut row = 0;
    while reader.read_record(&mut record).map_err(unread)? {
        row += 1;
        // The record's own position is before the end of the line above it; the reader's is past its end.
        let line = reader.position().line() - 1;
        let place = match form {
            Form::Parquet => format!("row {row}"),
            Form::Csv | Form::Tsv => format!("line {line}"),
        };
        columns.push(path, &place, &record)?;
    }
    columns.finish(path)
}

/// The reader's own complaint.
fn broken(path: &Path, form: Form, error: csv::Error) -> ImportError {
    let reason = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => doing("read", path)(source).into(),
        _ => ImportError::Column {
            path: path.to_owned(),
            problem: match form {
                Form::Parquet => format!("cannot be read ({reason})"),
                Form::Csv | Form::Tsv => format!("is no table ({reason})"),
            },
        },
    }
}

/// The columns of a table while it is read.
struct Columns {
    names: Vec<String>,
    /// Place of the ids.
    id: Option<usize>,
    ids: Vec<String>,
    /// What the first row says the others are.
    kind: Option<Kind>,
    /// One array of all numbers, or one for each list.
    arrays: Vec<Array>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Numbers,
    Lists,
}

impl Columns {
    fn new(
        path: &Path,
        header: &StringRecord,
        id_column: Option<&str>,
    ) -> Result<Self, ImportError> {
        let refuse = |problem: String| ImportError::Column {
            path: path.to_owned(),
            problem,
        };
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        let place = |name: &str| names.iter().position(|own| own == name);
        let id = match id_column {
            None => None,
            Some(name) => Some(place(name).ok_or_else(|| {
                let known = shown(&names);
                refuse(format!("has no column `{name}`; its columns are {known}"))
            })?),
        };
        if let Some(name) = names.iter().enumerate().find_map(|(at, name)| {
            let is_repeated = place(name) != Some(at);
            is_repeated.then_some(name)
        }) {
            return Err(refuse(format!(
                "has two columns `{name}`; rename one of them"
            )));
        }
        let is_index = |name: &String| {
            name.trim().is_empty()
                || name.starts_with("Unnamed: ")
                || name.starts_with("__index_level_")
        };
        if let Some(at) = names.iter().position(is_index) {
            return Err(refuse(format!(
                "has no name for column {}, which looks like the index of a pandas table; write the table with \
                 `index=False`",
                at + 1
            )));
        }
        let others = names.len() - usize::from(id.is_some());
        if others == 0 {
            return Err(refuse("has no column with numbers".to_owned()));
        }
        if others as u64 > MAX_WIDTH {
            return Err(refuse(format!(
                "has {others} columns; at most {MAX_WIDTH} are read"
            )));
        }
        Ok(Self {
            names,
            id,
            ids: Vec::new(),
            kind: None,
            arrays: Vec::new(),
        })
    }

    fn push(&mut self, path: &Path, place: &str, record: &StringRecord) -> Result<(), ImportError> {
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let others = (0..self.names.len()).filter(|&at| Some(at) != self.id);
        let others: Vec<usize> = others.collect();
        let is_list = |at: &usize| cell(*at).trim_start().starts_with('[');
        let kind = *self
            .kind
            .get_or_insert_with(|| match others.iter().any(is_list) {
                true => Kind::Lists,
                false => Kind::Numbers,
            });
        if self.arrays.is_empty() {
            let array = |name: Option<String>, width| Array {
                name,
                width,
                values: Vec::new(),
            };
            self.arrays = match kind {
                Kind::Numbers => vec![array(None, others.len())],
                // The first row says how wide a list is.
                Kind::Lists => others
                    .iter()
                    .map(|&at| array(Some(self.names[at].clone()), 0))
                    .collect(),
            };
            if self.arrays.len() > MAX_ARRAYS {
                let problem = format!(
                    "has {} columns of lists; at most {MAX_ARRAYS} are read",
                    self.arrays.len()
                );
                let path = path.to_owned();
                return Err(ImportError::Column { path, problem });
            }
        }
        let refuse = |at: usize, problem: String| ImportError::Cell {
            path: path.to_owned(),
            place: place.to_owned(),
            column: self.names[at].clone(),
            problem,
        };
        if let Some(id) = self.id {
            let text = cell(id).trim();
            if text.is_empty() {
                return Err(refuse(id, "is empty; each row needs an id".to_owned()));
            }
            self.ids.push(text.to_owned());
        }
        for (place, &at) in others.iter().enumerate() {
            match kind {
                Kind::Numbers => {
                    let number = number(cell(at), self.id.is_some());
                    let number = number.map_err(|problem| refuse(at, problem))?;
                    self.arrays[0].values.push(number);
                }
                Kind::Lists => {
                    let numbers = list(cell(at)).map_err(|problem| refuse(at, problem))?;
                    let array = &mut self.arrays[place];
                    if array.width == 0 {
                        array.width = numbers.len();
                    }
                    if numbers.len() != array.width {
                        let problem = format!(
                            "has {} numbers, and the first row has {}",
                            numbers.len(),
                            array.width
                        );
                        return Err(refuse(at, problem));
                    }
                    array.values.extend(numbers);
                }
            }
        }
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<Table, ImportError> {
        if self.arrays.is_empty() {
            return Err(ImportError::Column {
                path: path.to_owned(),
                problem: "has no rows".to_owned(),
            });
        }
        Ok(Table {
            ids: self.id.map(|_| self.ids),
            arrays: self.arrays,
        })
    }
}

/// The first names of a table's columns.
fn shown(names: &[String]) -> String {
    const MOST: usize = 8;
    let first: Vec<String> = names
        .iter()
        .take(MOST)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len().saturating_sub(MOST);
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn number(cell: &str, has_ids: bool) -> Result<f32, String> {
    let text = cell.trim();
    let value: Result<f32, _> = text.parse();
    match value {
        Ok(value) if value.is_finite() => Ok(value),
        _ if text.is_empty() => Err("is empty; each row needs a number there".to_owned()),
        Ok(_) => Err(format!("is `{text}`, which is no finite number")),
        Err(_) if has_ids => Err(format!(
            "is `{text}`, which is no number; remove the column"
        )),
        Err(_) => Err(format!(
            "is `{text}`, which is no number; if the column has the ids of the items, name it with --id-column (in a \
             spec, `id_column`)"
        )),
    }
}

/// The numbers of a cell such as `[0.5, 1.5]`.
fn list(cell: &str) -> Result<Vec<f32>, String> {
    let numbers: Vec<f32> = serde_json::from_str(cell.trim()).map_err(|error| {
        let start: String = cell.trim().chars().take(40).collect();
        format!("is `{start}`, which is no list of numbers such as [0.5, 1.5] ({error})")
    })?;
    if numbers.is_empty() {
        return Err("is an empty list".to_owned());
    }
    if numbers.len() as u64 > MAX_WIDTH {
        let found = numbers.len();
        return Err(format!(
            "has {found} numbers; a row has at most {MAX_WIDTH}"
        ));
    }
    match numbers.iter().position(|number| !number.is_finite()) {
        Some(at) => Err(format!("has {} at place {at}", numbers[at])),
        None => Ok(numbers),
    }
}
