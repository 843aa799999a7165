//! The beginning of a file: its form, its columns and some rows.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use genair_protocol::{Encoding, FormatKind, TableFormat};
use serde_json::Value;

use super::columns::{Names, is_date, is_time};
use super::form;
use crate::DataError;
use crate::read::{self, python};

/// Bytes that are looked at.
const BYTES: u64 = 1 << 18;
/// Rows that are looked at.
const ROWS: usize = 500;
/// Separators that are tried, in this order; the first of those that split every line alike wins.
const SEPARATORS: [&str; 6] = ["::", "\t", ";", "|", ",", " "];

/// The beginning of a file.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Its name in the folder.
    pub(super) name: String,
    /// Its size, of a member that of its archive.
    pub(super) bytes: u64,
    pub(super) kind: FormatKind,
    separator: Option<String>,
    encoding: Option<Encoding>,
    quotes: Option<bool>,
    pub(super) has_header: bool,
    /// Names of columns, or keys of objects; positions where there is no header.
    pub(super) header: Vec<String>,
    /// Texts by row and column.
    pub(super) rows: Vec<Vec<String>>,
}

/// Looks at a file; `None` for one that is no table.
pub(super) fn sample(folder: &Path, name: &str) -> Result<Option<Sample>, DataError> {
    let path = folder.join(name);
    let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let is_parquet = name.ends_with(".parquet");
    let mut begin = Vec::new();
    let opened = if is_parquet {
        read::open_parquet(&path)?
    } else {
        read::open(&path)?
    };
    let read = opened.take(BYTES).read_to_end(&mut begin);
    read.map_err(|error| read::read_error(&path, error))?;
    let is_cut = begin.len() as u64 == BYTES;
    let Some((text, encoding)) = decoded(&begin) else {
        return Ok(None);
    };
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(ROWS)
        .collect();
    if is_cut && lines.len() > 1 && lines.len() < ROWS {
        lines.pop();
    }
    let Some(first) = lines.first() else {
        return Ok(None);
    };
    let mut sample = Sample {
        name: name.to_owned(),
        bytes,
        kind: FormatKind::Delimited,
        separator: None,
        encoding,
        quotes: None,
        has_header: true,
        header: Vec::new(),
        rows: Vec::new(),
    };
    if first.trim_start().starts_with('{') {
        sample.objects(&lines, is_parquet);
    } else {
        sample.delimited(&lines);
    }
    Ok(Some(sample).filter(|sample| !sample.rows.is_empty() && sample.header.len() > 1))
}

/// Text, and the encoding where a spec has to name it; `None` for what is no text.
fn decoded(bytes: &[u8]) -> Option<(String, Option<Encoding>)> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => Some((
            encoding_rs::UTF_16LE
                .decode_without_bom_handling(rest)
                .0
                .into_owned(),
            None,
        )),
        [0xfe, 0xff, rest @ ..] => Some((
            encoding_rs::UTF_16BE
                .decode_without_bom_handling(rest)
                .0
                .into_owned(),
            None,
        )),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            if bytes.contains(&0) {
                return None;
            }
            match str::from_utf8(bytes) {
                Ok(text) => Some((text.to_owned(), None)),
                // The last character may be cut.
                Err(error) if error.error_len().is_none() => Some((
                    String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned(),
                    None,
                )),
                Err(_) => Some((
                    encoding_rs::mem::decode_latin1(bytes).into_owned(),
                    Some(Encoding::Latin1),
                )),
            }
        }
    }
}

impl Sample {
    fn objects(&mut self, lines: &[&str], is_parquet: bool) {
        let parse = |line: &&str| serde_json::from_str::<Value>(line).ok();
        let is_json = parse(&lines[0]).is_some();
        let values = lines.iter().filter_map(|line| match is_json {
            true => parse(line),
            false => python::parse(line.trim()).ok(),
        });
        let values: Vec<Value> = values.collect();
        self.kind = match (is_parquet, is_json) {
            (true, _) => FormatKind::Parquet,
            (_, true) => FormatKind::JsonLines,
            _ => FormatKind::PythonLines,
        };
        let mut seen = HashSet::new();
        let mut flat = Vec::new();
        for value in &values {
            let mut fields = Vec::new();
            flatten("", value, &mut fields);
            for (key, _) in &fields {
                if seen.insert(key.clone()) {
                    self.header.push(key.clone());
                }
            }
            flat.push(fields);
        }
        let row = |fields: Vec<(String, String)>| {
            let field = |key: &String| {
                fields
                    .iter()
                    .find(|(own, _)| own == key)
                    .map(|(_, text)| text.clone())
            };
            self.header
                .iter()
                .map(|key| field(key).unwrap_or_default())
                .collect()
        };
        self.rows = flat.into_iter().map(row).collect();
    }

    fn delimited(&mut self, lines: &[&str]) {
        let split = |line: &str, separator: &str| -> Vec<String> {
            if matches!(separator, "," | ";") && line.contains('"') {
                let mut reader = csv::ReaderBuilder::new()
                    .delimiter(separator.as_bytes()[0])
                    .has_headers(false)
                    .from_reader(line.as_bytes());
                let record = reader.records().next().and_then(Result::ok);
                return record.map_or_else(Vec::new, |record| {
                    record.iter().map(str::to_owned).collect()
                });
            }
            line.split(separator).map(str::to_owned).collect()
        };
        let widths = |separator: &str| -> Option<usize> {
            let mut widths = lines.iter().map(|line| split(line, separator).len());
            let first = widths.next()?;
            // A quoted field may hold line ends, which cut a few lines here.
            let others = widths.filter(|width| *width != first).count();
            (first > 1 && others * 10 <= lines.len()).then_some(first)
        };
        let Some(separator) = SEPARATORS
            .into_iter()
            .find(|separator| widths(separator).is_some())
        else {
            // A user and items per line: lines of numbers and of different lengths.
            let fields = lines
                .iter()
                .map(|line| line.split_whitespace().map(str::to_owned).collect());
            self.rows = fields.collect();
            if self.rows.iter().any(|row| row.len() > 2)
                && self.rows.iter().all(|row| row.len() > 1)
            {
                self.kind = FormatKind::Sequences;
                self.has_header = false;
                self.header = vec!["user".to_owned(), "items".to_owned()];
            } else {
                self.rows.clear();
            }
            return;
        };
        let width = widths(separator).unwrap_or_default();
        let rows = lines
            .iter()
            .map(|line| split(line, separator))
            .filter(|row| row.len() == width);
        self.rows = rows.collect();
        self.separator = Some(separator.to_owned());
        let Some(first) = self.rows.first().cloned() else {
            return;
        };
        self.has_header = is_header(&first, &self.rows[1..]);
        if self.has_header {
            self.header = first;
            self.rows.remove(0);
        } else {
            self.header = (1..=width).map(|position| position.to_string()).collect();
        }
    }

    /// Whether a file is written as this one.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.kind, &self.separator, &self.header, self.has_header)
            == (
                other.kind,
                &other.separator,
                &other.header,
                other.has_header,
            )
    }

    /// Whether it is a RecBole atomic file.
    pub(super) fn is_recbole(&self) -> bool {
        self.has_header
            && self.header.iter().all(|name| name.contains(':'))
            && self.name.contains(".inter")
    }

    /// How a spec declares it, without what follows from its name.
    pub(super) fn format(&self) -> TableFormat {
        let named = read::form_of(Path::new(&self.name));
        let is_named = named.as_ref().is_some_and(|(kind, separator)| {
            *kind == self.kind && *separator == self.separator.as_deref()
        });
        TableFormat {
            kind: (self.kind != FormatKind::Delimited && !is_named).then_some(self.kind),
            separator: self.separator.clone().filter(|_| !is_named),
            header: (self.kind == FormatKind::Delimited && !self.has_header).then_some(false),
            encoding: self.encoding,
            quotes: self.quotes,
            ..TableFormat::default()
        }
    }

    /// The text of a column, by row.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows
            .iter()
            .filter_map(move |row| row.get(column))
            .map(String::as_str)
    }

    /// Columns with running text, titles first.
    pub(super) fn text_columns(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (column, name) in self.header.iter().enumerate() {
            let texts: Vec<&str> = self
                .column(column)
                .filter(|text| !text.is_empty())
                .collect();
            let has_words = texts
                .iter()
                .filter(|text| text.chars().any(char::is_alphabetic) && !text.starts_with("http"))
                .count();
            let distinct: HashSet<&&str> = texts.iter().collect();
            let is_id = name.to_lowercase().ends_with("id") || name.to_lowercase() == "asin";
            if has_words * 2 > texts.len() && distinct.len() > 1 && !is_id && !name.contains('.') {
                found.push(name.split(':').next().unwrap_or(name).to_owned());
            }
        }
        found.sort_by_key(|name| {
            let name = name.to_lowercase();
            !(name.contains("title") || name.contains("name"))
        });
        found
    }

    /// The column whose values are the items of a log, if this is a file of its items.
    pub(super) fn key_of_items(&self, names: &Names, log: &Sample) -> Option<String> {
        let items: HashSet<&str> = log.column(names.item).collect();
        let share = |column: usize| {
            let values: HashSet<&str> = self.column(column).collect();
            let met = values
                .iter()
                .filter(|value| items.contains(**value))
                .count();
            (met, values.len())
        };
        let name = &log.header[names.item];
        let of_name = self
            .header
            .iter()
            .position(|own| own == name)
            .filter(|_| self.has_header || self.kind != FormatKind::Delimited);
        let is_unique = |column: usize| {
            let (_, distinct) = share(column);
            distinct * 10 >= self.rows.len() * 9
        };
        if let Some(column) = of_name.filter(|column| is_unique(*column)) {
            return Some(
                self.header[column]
                    .split(':')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        let best = (0..self.header.len())
            .filter(|column| is_unique(*column))
            .max_by_key(|column| (share(*column).0, usize::MAX - column))?;
        (share(best).0 > 0).then(|| self.header[best].clone())
    }

    /// What it is, for people.
    pub(super) fn told(&self, parts: &[&Self], names: &Names) -> String {
        let files: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        let mut told = format!("{}: {}", files.join(", "), form(self.kind));
        if let Some(separator) = &self.separator {
            told += &format!(
                ", separator {separator:?}, {}",
                if self.has_header {
                    "with a header"
                } else {
                    "no header"
                }
            );
        }
        told += match self.encoding {
            Some(Encoding::Latin1) => ", Latin-1",
            _ => "",
        };
        if let Some(time) = names.time {
            told += &format!(", times in `{}` are {}", self.header[time], names.time_form);
        }
        told
    }
}

/// Whether the first line names columns: it has no numbers and no dates, or names that logs have, unlike the rows.
fn is_header(first: &[String], rows: &[Vec<String>]) -> bool {
    let is_value =
        |text: &String| text.trim().parse::<f64>().is_ok() || is_date(text) || is_time(text);
    if first.iter().any(is_value) || first.iter().any(|name| name.trim().is_empty()) {
        return false;
    }
    let known = first.iter().any(|name| super::columns::is_known(name));
    let has_values = rows.first().is_some_and(|row| row.iter().any(is_value));
    known || has_values || rows.is_empty()
}

fn flatten(prefix: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let key = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(&key, value, fields);
            }
        }
        Value::Array(values) if values.iter().all(Value::is_string) && !values.is_empty() => {
            let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            fields.push((prefix.to_owned(), texts.join(", ")));
        }
        Value::Array(_) | Value::Null => fields.push((prefix.to_owned(), String::new())),
        Value::String(text) => fields.push((prefix.to_owned(), text.clone())),
        other => fields.push((prefix.to_owned(), other.to_string())),
    }
}
