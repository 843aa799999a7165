//! The category that tells an item from most others.

use std::collections::BTreeMap;

use genair_data::Catalogue;
use serde_json::Value;

/// A value that more than this share of the items has tells nothing apart.
const COMMON: f64 = 0.8;
/// Fields that hold categories, in order of preference.
const CATEGORY_FIELDS: [&str; 4] = ["genres", "genre", "categories", "category"];

/// A category of each item, by a metadata field or by the first of the usual ones that an item has: the first value
/// there that most items do not share.
pub(crate) fn telling(catalogue: &Catalogue, field: Option<&str>) -> Vec<Option<String>> {
    let has = |field: &&str| {
        catalogue
            .items
            .iter()
            .any(|item| item.metadata.contains_key(*field))
    };
    let field = field.or_else(|| CATEGORY_FIELDS.into_iter().find(has));
    let values: Vec<Vec<String>> = catalogue
        .items
        .iter()
        .map(|item| {
            field
                .and_then(|field| item.metadata.get(field))
                .map_or(Vec::new(), texts)
        })
        .collect();
    let frequent = count(values.iter().flatten());
    let limit = (catalogue.items.len() as f64 * COMMON) as usize;
    values
        .iter()
        .map(|values| {
            let telling = values.iter().find(|value| frequent[value] <= limit.max(1));
            telling.cloned()
        })
        .collect()
}

/// How often each value occurs.
pub(crate) fn count<'a>(values: impl Iterator<Item = &'a String>) -> BTreeMap<&'a String, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Bool(value) => vec![value.to_string()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Null | Value::Object(_) => Vec::new(),
    }
}
