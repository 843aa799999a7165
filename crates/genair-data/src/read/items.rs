//! Item metadata as JSON lines: one object per item, its id among the fields.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use super::file::MAX_LINE;
use super::{ItemsFile, file};
use crate::interactions::Metadata;
use crate::{DataError, LineProblem};

/// Reads an items file whose objects have their id, a string or an integer, under `key`.
pub(super) fn read(path: &Path, key: &str) -> Result<ItemsFile, DataError> {
    let mut reader = BufReader::new(file::open(path)?);
    let mut items = Items::new(path);
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        bytes.clear();
        if (&mut reader)
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut bytes)
            .map_err(|source| file::read_error(path, source))?
            == 0
        {
            return Ok(items.finish());
        }
        line += 1;
        let error = |problem| DataError::Line {
            path: path.to_owned(),
            line,
            problem,
        };
        if bytes.len() as u64 > MAX_LINE {
            return Err(error(LineProblem::TooLong { limit: MAX_LINE }));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| error(LineProblem::NotUtf8))?
            .trim();
        if text.is_empty() {
            continue;
        }
        let (id, metadata) = parse(text, key).map_err(error)?;
        items.add(id, metadata, line)?;
    }
}

fn parse(text: &str, key: &str) -> Result<(String, Metadata), LineProblem> {
    let mut object: Metadata =
        serde_json::from_str(text).map_err(|error| LineProblem::NotAnObject {
            reason: error.to_string(),
        })?;
    let bad_id = |found: String| LineProblem::BadItemId {
        key: key.to_owned(),
        found,
    };
    match object.remove(key) {
        Some(Value::String(id)) if !id.is_empty() => Ok((id, object)),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => Ok((id.to_string(), object)),
        Some(other) => Err(bad_id(other.to_string())),
        None => Err(bad_id("missing".to_owned())),
    }
}

/// Collects items, refusing a second one of the same id.
pub(super) struct Items<'a> {
    path: &'a Path,
    metadata: IndexMap<String, Metadata>,
    lines: HashMap<String, u64>,
}

impl<'a> Items<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        Self {
            path,
            metadata: IndexMap::new(),
            lines: HashMap::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        id: String,
        metadata: Metadata,
        line: u64,
    ) -> Result<(), DataError> {
        match self.lines.entry(id.clone()) {
            Entry::Occupied(first) => {
                let problem = LineProblem::DuplicateItem {
                    item: id,
                    first_line: *first.get(),
                };
                Err(DataError::Line {
                    path: self.path.to_owned(),
                    line,
                    problem,
                })
            }
            Entry::Vacant(entry) => {
                entry.insert(line);
                self.metadata.insert(id, metadata);
                Ok(())
            }
        }
    }

    pub(super) fn finish(self) -> ItemsFile {
        let name = self
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        ItemsFile {
            name,
            metadata: self.metadata,
        }
    }
}
