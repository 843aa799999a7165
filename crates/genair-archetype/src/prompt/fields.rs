//! An item's fields as text: which are told, and how their values are written.

use std::collections::BTreeMap;

use genair_data::Metadata;
use serde_json::Value;

/// What a list without content is written as.
const NONE: &str = "none";

/// A field as a template sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
}

/// The fields of an item that are told, in order; empty if they say nothing.
///
/// What is absent, null or blank is left out: it is not known. An empty list is known to be empty, and
/// told if there is anything else to tell.
pub(super) fn fields(
    metadata: &Metadata,
    chosen: Option<&[String]>,
    max_chars: usize,
) -> Vec<Field> {
    // Sorted here, whatever order the map keeps.
    let sorted: BTreeMap<&String, &Value> = metadata.iter().collect();
    let names: Vec<&String> = match chosen {
        Some(names) => names.iter().collect(),
        None => sorted
            .keys()
            .copied()
            .filter(|name| is_told(name))
            .collect(),
    };
    let known = names.into_iter().filter_map(|name| {
        let text = text(sorted.get(name)?)?;
        let value = text.chars().map(tame).take(max_chars).collect();
        Some(Field {
            name: name.clone(),
            value,
        })
    });
    let fields: Vec<Field> = known.collect();
    if fields.iter().all(|field| field.value == NONE) {
        return Vec::new();
    }
    fields
}

/// Whether a field is told unless a spec says otherwise: addresses of images mean nothing to a
/// language model, and lists of other items would leak behaviour into content.
fn is_told(name: &str) -> bool {
    let name = name.to_lowercase();
    let related = ["related", "similar", "similar_item", "similar_items"];
    !(name.starts_with("also_")
        || name.contains("image")
        || name.ends_with("url")
        || related.contains(&name.as_str()))
}

/// A value on one line; `None` where it says nothing.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Array(values) => Some(joined(values.iter().filter_map(text))),
        Value::Object(values) => {
            let sorted: BTreeMap<&String, &Value> = values.iter().collect();
            Some(joined(sorted.into_iter().filter_map(|(name, value)| {
                Some(format!("{name}: {}", text(value)?))
            })))
        }
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

fn joined(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    if values.is_empty() {
        NONE.to_owned()
    } else {
        values.join(", ")
    }
}

/// Keeps a value apart from the fields around it.
fn tame(character: char) -> char {
    match character {
        '\n' | '\r' => ' ',
        ';' => '.',
        other => other,
    }
}
