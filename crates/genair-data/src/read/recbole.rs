//! RecBole atomic files: tab-separated, the header saying `name:type` for each column.
//!
//! `token_seq` and `float_seq` fields are lists joined by spaces and become JSON arrays. An empty
//! field is a missing one.

use std::path::Path;

use serde_json::{Number, Value};

use super::delimited::{self, Delimited, Roles};
use super::items::Items;
use super::{Files, ItemsFile};
use crate::interactions::{Interactions, Metadata};
use crate::{DataError, LineProblem};
use genair_protocol::DatasetSpec;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Token,
    TokenSeq,
    Float,
    FloatSeq,
}

impl Type {
    fn parse(name: &str) -> Option<Self> {
        [Self::Token, Self::TokenSeq, Self::Float, Self::FloatSeq]
            .into_iter()
            .find(|t| t.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::TokenSeq => "token_seq",
            Self::Float => "float",
            Self::FloatSeq => "float_seq",
        }
    }
}

pub(super) fn read(files: &Files, spec: &DatasetSpec) -> Result<Interactions, DataError> {
    let (table, types) = open(&files.interactions)?;
    let roles = Roles::find(&table, spec)?;
    expect(&table, &types, roles.user, Type::Token)?;
    expect(&table, &types, roles.item, Type::Token)?;
    for column in [roles.time, roles.rating].into_iter().flatten() {
        expect(&table, &types, column, Type::Float)?;
    }
    let key = spec.columns.clone().unwrap_or_default().item;
    let items = files
        .items
        .as_deref()
        .map(|path| read_items(path, &key))
        .transpose()?;
    delimited::interactions(table, &roles, items, spec)
}

/// Opens a file, splitting the header into names (kept in the table) and types.
fn open(path: &Path) -> Result<(Delimited, Vec<Type>), DataError> {
    let mut table = Delimited::open(path, b'\t')?;
    let mut types = Vec::new();
    let mut names = Vec::new();
    for field in &table.header {
        let parsed = field
            .split_once(':')
            .and_then(|(name, t)| Some((name, Type::parse(t)?)));
        let Some((name, t)) = parsed else {
            return Err(table.line_error(LineProblem::BadColumnType {
                column: field.clone(),
            }));
        };
        names.push(name.to_owned());
        types.push(t);
    }
    table.refuse_duplicates(names.iter().map(String::as_str))?;
    table.header = names;
    Ok((table, types))
}

fn expect(
    table: &Delimited,
    types: &[Type],
    column: usize,
    expected: Type,
) -> Result<(), DataError> {
    if types[column] == expected {
        return Ok(());
    }
    let (found, expected) = (types[column].name(), expected.name());
    Err(table.line_error(LineProblem::WrongColumnType {
        column: table.header[column].clone(),
        found,
        expected,
    }))
}

fn read_items(path: &Path, key: &str) -> Result<ItemsFile, DataError> {
    let (mut table, types) = open(path)?;
    let key = table.column(key, "columns.item")?;
    expect(&table, &types, key, Type::Token)?;
    let mut items = Items::new(path);
    while table.advance()? {
        let mut metadata = Metadata::new();
        for (column, &t) in types.iter().enumerate() {
            let text = table.text(column)?.trim();
            if column != key && !text.is_empty() {
                let value = parse(text, t).ok_or_else(|| {
                    let (column, value) = (table.header[column].clone(), text.to_owned());
                    table.line_error(LineProblem::BadNumber { column, value })
                })?;
                metadata.insert(table.header[column].clone(), value);
            }
        }
        items.add(table.id(key)?.to_owned(), metadata, table.line())?;
    }
    Ok(items.finish())
}

fn parse(text: &str, t: Type) -> Option<Value> {
    match t {
        Type::Token => Some(Value::from(text)),
        Type::Float => number(text),
        Type::TokenSeq => Some(text.split_whitespace().map(Value::from).collect()),
        Type::FloatSeq => text.split_whitespace().map(number).collect(),
    }
}

fn number(text: &str) -> Option<Value> {
    let integer = text.parse::<i64>().ok().map(Number::from);
    integer
        .or_else(|| Number::from_f64(text.parse().ok()?))
        .map(Value::Number)
}
