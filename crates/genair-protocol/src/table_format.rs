//! How the files of a dataset are written: their form, the columns, and what becomes of rows that lack something.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One file of the folder or several that are read as one, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FileNames {
    /// A name, or a pattern with `*` and `?`, whose files are read in the order of their names.
    One(String),
    /// Names and patterns, at least one.
    Several(Vec<String>),
}

impl FileNames {
    /// The names and patterns, at least one.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

impl From<&str> for FileNames {
    fn from(name: &str) -> Self {
        Self::One(name.to_owned())
    }
}

impl fmt::Display for FileNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(", "))
    }
}

/// Which column or field has a meaning: its name, a path into JSON such as `user.id`, its position from 1, or false
/// for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The name in the header, or the key or path in a JSON object.
    Name(String),
    /// The position in a file without a header, from 1.
    Position(u32),
    /// No column, even if there is one of the default name.
    Off,
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Position(position) => position.fmt(f),
            Self::Off => f.write_str("false"),
        }
    }
}

impl Serialize for Column {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => serializer.serialize_str(name),
            Self::Position(position) => serializer.serialize_u32(*position),
            Self::Off => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Column;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a column, its position from 1, or false")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Column, E> {
                Ok(Column::from(name))
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<Column, E> {
                match on {
                    false => Ok(Column::Off),
                    true => Err(E::invalid_value(Unexpected::Bool(true), &self)),
                }
            }

            fn visit_i64<E: Error>(self, position: i64) -> Result<Column, E> {
                let valid = u32::try_from(position)
                    .ok()
                    .filter(|position| *position > 0);
                valid
                    .map(Column::Position)
                    .ok_or_else(|| E::invalid_value(Unexpected::Signed(position), &self))
            }

            fn visit_u64<E: Error>(self, position: u64) -> Result<Column, E> {
                self.visit_i64(i64::try_from(position).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Column {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Column".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

/// Which columns of the interactions have a meaning; `item` names the key column of a RecBole `.item` and of the
/// items file, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The user's id. Default: `user_id`; in a file without a header, the first column.
    pub user: Column,
    /// The item's id. Default: `item_id`; in a file without a header, the second column.
    pub item: Column,
    /// What a user's rows are ordered by. Default: `timestamp` if the file has it, else `order`, else the order of
    /// the file. `false`: the order of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Column>,
    /// The rating. Default: `rating` if the file has it; otherwise, and with `false`, every row counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<Column>,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            user: "user_id".into(),
            item: "item_id".into(),
            time: None,
            rating: None,
        }
    }
}

/// How a file of rows is written. What is absent follows from the file's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TableFormat {
    /// The form. Default: that of the name's ending, `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FormatKind>,
    /// What stands between two fields: any text such as `::`, or `whitespace` for any number of spaces and tabs.
    /// Default: a comma in `.csv`, a tab in `.tsv`. For `delimited`, as all keys below but `encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Whether the first line names the columns. Default: true, or false with `names`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Names for the columns of a file without a header, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub names: Option<Vec<String>>,
    /// Whether fields can be quoted with `"`. Default: true between commas and semicolons, else false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotes: Option<bool>,
    /// The encoding. Default: UTF-8, or what a byte order mark says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// What stands between the items of a field that has several, the oldest first. Default: a field is one item.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub item_separator: Option<String>,
}

/// The form of a file of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FormatKind {
    /// A row per line, its fields separated.
    Delimited,
    /// A JSON object per line.
    JsonLines,
    /// A Python dictionary per line, as `repr` writes it. It is parsed and never evaluated.
    PythonLines,
    /// A user per line: the user's id, then items, the oldest first.
    Sequences,
    /// A Parquet file.
    Parquet,
}

/// How characters are written as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1, a byte per character.
    #[serde(rename = "latin-1")]
    Latin1,
    /// UTF-16, in the byte order of the mark, or little-endian without one.
    #[serde(rename = "utf-16")]
    Utf16,
}

/// How the items file is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ItemsFormat {
    /// The form. Default: that of the name's ending, `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FormatKind>,
    /// As that of the interactions' `format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// As that of the interactions' `format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// As those of the interactions' `format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub names: Option<Vec<String>>,
    /// As those of the interactions' `format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotes: Option<bool>,
    /// As that of the interactions' `format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The column or key of the item's id. Default: `columns.item` if that is a name, else the first column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Column>,
    /// Fields of a delimited file that are lists, with what stands between their values: `{ genres = "|" }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lists: Option<BTreeMap<String, String>>,
    /// A JSON file of the folder whose object says which id of the interactions stands for which id of the items file:
    /// `id_map.json`, or `id_map.json#item2id` for an object in it. Items that it lacks are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub id_map: Option<String>,
    /// What to do with a line without an id. Default: `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Which of several lines of one item counts. Default: `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<Duplicates>,
}

impl ItemsFormat {
    /// How its rows are written.
    pub fn table(&self) -> TableFormat {
        TableFormat {
            kind: self.kind,
            separator: self.separator.clone(),
            header: self.header,
            names: self.names.clone(),
            quotes: self.quotes,
            encoding: self.encoding,
            item_separator: None,
        }
    }
}

/// Which of several lines of one item counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// None: loading ends, naming both lines.
    #[default]
    Error,
    /// The first; the others are counted.
    First,
    /// The last; the others are counted.
    Last,
}

/// What becomes of a row without a user, an item or a time, or of an item without an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Loading ends, naming the line.
    #[default]
    Error,
    /// The row is dropped, and counted.
    Drop,
}

/// What becomes of a user's interactions with an item that the user has met before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repeats {
    /// All count.
    #[default]
    Keep,
    /// The first interaction with an item counts.
    First,
    /// The last interaction with an item counts.
    Last,
    /// Of those that follow each other, the first counts.
    Consecutive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_a_name_a_position_or_off() {
        let columns: Columns = toml::from_str("user = 1\nitem = \"a.b\"\nrating = false").unwrap();
        let expected = [Column::Position(1), "a.b".into(), Column::Off];
        assert_eq!(
            [
                columns.user.clone(),
                columns.item.clone(),
                columns.rating.clone().unwrap()
            ],
            expected
        );
        let json = serde_json::to_string(&columns).unwrap();
        assert_eq!(json, r#"{"user":1,"item":"a.b","rating":false}"#);
        assert_eq!(serde_json::from_str::<Columns>(&json).unwrap(), columns);
        for wrong in ["user = 0", "user = -1", "user = true", "user = 1.5"] {
            let error = toml::from_str::<Columns>(wrong).unwrap_err().to_string();
            assert!(
                error.contains("the name of a column, its position from 1, or false"),
                "{error}"
            );
        }
    }
}
