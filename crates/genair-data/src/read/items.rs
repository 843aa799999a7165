//! Item metadata of any form of file: one object or record per item, its id among the fields.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use genair_files::{doing, regular_file};
use genair_protocol::{Column, Columns, DatasetSpec, Duplicates, FormatKind, Missing};
use indexmap::IndexMap;
use serde_json::Value;

use super::ItemsFile;
use super::delimited::Delimited;
use super::layout::Layout;
use super::objects;
use crate::interactions::Metadata;
use crate::{DataError, LineProblem};

/// The key of a spec that names the ids.
const ID: &str = "items_format.id";

/// Reads the items files of a `table` spec.
pub(super) fn read(paths: &[impl AsRef<Path>], spec: &DatasetSpec) -> Result<ItemsFile, DataError> {
    let format = spec.items_format.clone().unwrap_or_default();
    let table = format.table();
    let mut items = Items::new(spec);
    if let Some((path, key)) = super::id_map_of(spec) {
        items.id_map = Some(id_map(&path, key)?);
    }
    for path in paths {
        let path = path.as_ref();
        let layout = Layout::of(path, Some(&table), "items_format")?;
        items.begin(path);
        match layout.kind {
            FormatKind::Delimited => delimited(path, &layout, spec, &mut items)?,
            _ => of_objects(path, &layout, spec, &mut items)?,
        }
    }
    Ok(items.finish())
}

/// Reads an object of ids, of texts or whole numbers.
fn id_map(path: &Path, key: Option<&str>) -> Result<HashMap<String, String>, DataError> {
    let refused = |reason: String| DataError::IdMap {
        path: path.to_owned(),
        reason,
    };
    let file = regular_file::open(path).map_err(doing("read", path))?;
    let whole: Value = serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|error| refused(error.to_string()))?;
    let value = match key {
        Some(key) => whole
            .get(key)
            .ok_or_else(|| refused(format!("it has no `{key}`")))?,
        None => &whole,
    };
    let object = value
        .as_object()
        .ok_or_else(|| refused("it is no object".to_owned()))?;
    let id = |(from, to): (&String, &Value)| match to {
        Value::String(to) => Ok((from.clone(), to.clone())),
        Value::Number(to) if to.is_i64() || to.is_u64() => Ok((from.clone(), to.to_string())),
        other => Err(refused(format!(
            "`{from}` is {other}; an id is a text or a whole number"
        ))),
    };
    object.iter().map(id).collect()
}

fn of_objects(
    path: &Path,
    layout: &Layout,
    spec: &DatasetSpec,
    items: &mut Items,
) -> Result<(), DataError> {
    let key = match id(spec) {
        Some(Column::Name(name)) => name,
        _ => Columns::default().item.to_string(),
    };
    let is_python = layout.kind == FormatKind::PythonLines;
    let mut lines = objects::lines(path, layout)?;
    while lines.advance()? {
        let text = lines.text()?;
        let parsed = objects::parse(text, is_python).and_then(|object| with_id(object, &key));
        match parsed {
            Ok((id, metadata)) => items.add(id, metadata, lines.number())?,
            Err(LineProblem::BadItemId { found: None, .. }) if items.drops_missing => {
                items.without_id += 1
            }
            Err(problem) => return Err(lines.error(problem)),
        }
    }
    Ok(())
}

/// The column of ids that a spec names.
fn id(spec: &DatasetSpec) -> Option<Column> {
    let own = spec
        .items_format
        .as_ref()
        .and_then(|format| format.id.clone());
    own.or_else(|| spec.columns.as_ref().map(|columns| columns.item.clone()))
}

fn with_id(mut object: Metadata, key: &str) -> Result<(String, Metadata), LineProblem> {
    let value = match object.remove(key) {
        Some(value) => Some(value),
        None => objects::at(&object, key).cloned(),
    };
    let bad_id = |found| LineProblem::BadItemId {
        key: key.to_owned(),
        found,
    };
    match value {
        Some(Value::String(id)) if !id.is_empty() => Ok((id, object)),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => Ok((id.to_string(), object)),
        Some(Value::Null) | None => Err(bad_id(None)),
        Some(other) => Err(bad_id(Some(other.to_string()))),
    }
}

fn delimited(
    path: &Path,
    layout: &Layout,
    spec: &DatasetSpec,
    items: &mut Items,
) -> Result<(), DataError> {
    let lists = spec
        .items_format
        .as_ref()
        .and_then(|format| format.lists.clone());
    let mut table = Delimited::open(path, layout, None)?;
    if let Some(name) = lists
        .iter()
        .flat_map(|lists| lists.keys())
        .find(|name| table.find(name).is_none())
    {
        table.column(&Column::from(name.as_str()), "items_format.lists")?;
    }
    let own = spec
        .items_format
        .as_ref()
        .and_then(|format| format.id.clone());
    let names = [id(spec), Some(Columns::default().item)];
    let names = names
        .into_iter()
        .flatten()
        .filter(|column| matches!(column, Column::Name(_)));
    let key = match own {
        Some(own) => table.column(&own, ID)?,
        // Of a file without names, the first column.
        None if layout.header == Some(false) && layout.names.is_none() => 0,
        None => {
            let names: Vec<Column> = names.collect();
            let found = names
                .iter()
                .find(|name| table.find(&name.to_string()).is_some());
            table.column(found.unwrap_or(&names[0]), ID)?
        }
    };
    while table.advance()? {
        let mut metadata = Metadata::new();
        for column in 0..table.header.len() {
            let text = table.text(column)?.trim();
            if column == key || text.is_empty() {
                continue;
            }
            let name = &table.header[column];
            let separator = lists.as_ref().and_then(|lists| lists.get(name));
            let value = match separator {
                Some(separator) => text
                    .split(separator.as_str())
                    .map(str::trim)
                    .map(Value::from)
                    .collect(),
                None => Value::from(text),
            };
            metadata.insert(name.clone(), value);
        }
        items.add_record(&table, key, metadata)?;
    }
    Ok(())
}

/// Collects items; a second one of the same id is an error, or counted.
pub(super) struct Items {
    path: std::path::PathBuf,
    names: Vec<String>,
    duplicates: Duplicates,
    dropped: u64,
    drops_missing: bool,
    /// Ids of the interactions by those of the items file; absent: they are the same.
    id_map: Option<HashMap<String, String>>,
    without_id: u64,
    metadata: IndexMap<String, Metadata>,
    /// The number of the file and the line of each item.
    lines: HashMap<String, (usize, u64)>,
}

impl Items {
    pub(super) fn new(spec: &DatasetSpec) -> Self {
        let format = spec.items_format.as_ref();
        Self {
            path: std::path::PathBuf::new(),
            names: Vec::new(),
            duplicates: format
                .and_then(|format| format.duplicates)
                .unwrap_or_default(),
            dropped: 0,
            drops_missing: format.and_then(|format| format.missing) == Some(Missing::Drop),
            id_map: None,
            without_id: 0,
            metadata: IndexMap::new(),
            lines: HashMap::new(),
        }
    }

    /// The items that follow are of this file.
    pub(super) fn begin(&mut self, path: &Path) {
        self.path = path.to_owned();
        let name = path.file_name().unwrap_or_default();
        self.names.push(name.to_string_lossy().into_owned());
    }

    pub(super) fn add(
        &mut self,
        id: String,
        metadata: Metadata,
        line: u64,
    ) -> Result<(), DataError> {
        let id = match &self.id_map {
            None => id,
            Some(map) => match map.get(&id) {
                Some(id) => id.clone(),
                // An item of another log.
                None => return Ok(()),
            },
        };
        match self.lines.entry(id.clone()) {
            Entry::Occupied(first) => {
                let (file, first_line) = *first.get();
                self.dropped += 1;
                match self.duplicates {
                    Duplicates::First => {}
                    Duplicates::Last => {
                        self.metadata.insert(id, metadata);
                    }
                    Duplicates::Error => {
                        let problem = LineProblem::DuplicateItem {
                            item: id,
                            first_line,
                            first_file: (file + 1 < self.names.len())
                                .then(|| self.names[file].as_str().into()),
                        };
                        return Err(DataError::Line {
                            path: self.path.clone(),
                            line,
                            problem,
                        });
                    }
                }
            }
            Entry::Vacant(entry) => {
                entry.insert((self.names.len() - 1, line));
                self.metadata.insert(id, metadata);
            }
        }
        Ok(())
    }

    /// The record at hand, whose id is in column `key`.
    pub(super) fn add_record(
        &mut self,
        table: &Delimited,
        key: usize,
        metadata: Metadata,
    ) -> Result<(), DataError> {
        let id = table.text(key)?;
        if !id.trim().is_empty() {
            return self.add(id.to_owned(), metadata, table.line());
        }
        if self.drops_missing {
            self.without_id += 1;
            return Ok(());
        }
        let column = table.header[key].clone();
        Err(table.line_error(LineProblem::Missing { column }))
    }

    pub(super) fn finish(self) -> ItemsFile {
        ItemsFile {
            name: self.names.join(", "),
            metadata: self.metadata,
            duplicates: self.dropped,
            without_id: self.without_id,
        }
    }
}
