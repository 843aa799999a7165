//! RecBole atomic files: tab-separated, the header saying `name:type` for each column.
//!
//! `token_seq` and `float_seq` fields are lists joined by spaces and become JSON arrays, but for titles and other
//! running texts, which stay texts. An empty field is a missing one.

use std::path::{Path, PathBuf};

use serde_json::{Number, Value};

use super::delimited::Delimited;
use super::items::Items;
use super::layout::Layout;
use super::rows::{Log, Role};
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
    let encoding = spec.format.as_ref().and_then(|format| format.encoding);
    let layout = Layout::recbole(encoding);
    let items = match files.items.as_slice() {
        [] => None,
        paths => Some(read_items(paths, &layout, spec)?),
    };
    let mut log = Log::new(spec, items)?;
    for path in &files.interactions {
        let (mut table, types) = open(path, &layout)?;
        table.find_roles(spec)?;
        for role in Role::ALL {
            let expected = match role {
                Role::User | Role::Item => Type::Token,
                Role::Time | Role::Rating => Type::Float,
            };
            if let Some(column) = table.role(role) {
                expect(&table, &types, column, expected)?;
            }
        }
        log.read(&mut table)?;
    }
    Ok(log.finish())
}

/// Opens a file, splitting the header into names (kept in the table) and types.
fn open(path: &Path, layout: &Layout) -> Result<(Delimited, Vec<Type>), DataError> {
    let mut table = Delimited::open(path, layout, None)?;
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

fn read_items(
    paths: &[PathBuf],
    layout: &Layout,
    spec: &DatasetSpec,
) -> Result<ItemsFile, DataError> {
    let id = spec.columns.clone().unwrap_or_default().item;
    let mut items = Items::new(spec);
    for path in paths {
        let (mut table, types) = open(path, layout)?;
        let key = table.column(&id, "columns.item")?;
        expect(&table, &types, key, Type::Token)?;
        items.begin(path);
        while table.advance()? {
            let mut metadata = Metadata::new();
            for (column, &t) in types.iter().enumerate() {
                let text = table.text(column)?.trim();
                if column == key || text.is_empty() {
                    continue;
                }
                let name = &table.header[column];
                let value = parse(name, text, t).ok_or_else(|| {
                    let (column, value) = (name.clone(), text.to_owned());
                    table.line_error(LineProblem::BadNumber { column, value })
                })?;
                metadata.insert(name.clone(), value);
            }
            items.add_record(&table, key, metadata)?;
        }
    }
    Ok(items.finish())
}

/// Words that the names of fields with running text have in them. RecBole writes such texts as sequences of tokens, as
/// it writes lists of genres.
const TEXTS: [&str; 6] = ["title", "name", "description", "summary", "review", "text"];

fn parse(name: &str, text: &str, t: Type) -> Option<Value> {
    let name = name.to_lowercase();
    match t {
        Type::TokenSeq if TEXTS.iter().any(|word| name.contains(word)) => Some(Value::from(text)),
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
