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
    clean: bool,
) -> Vec<Field> {
    // Sorted here, whatever order the map keeps.
    let sorted: BTreeMap<&String, &Value> = metadata.iter().collect();
    let names: Vec<&String> = match chosen {
        Some(names) => names.iter().collect(),
        None => sorted
            .keys()
            .copied()
            .filter(|name| is_told(name) && !is_noise(sorted[name]))
            .collect(),
    };
    let known = names.into_iter().filter_map(|name| {
        let mut text = text(sorted.get(name)?)?;
        if clean {
            text = cleaned(&text);
        }
        let text = without_special_tokens(&text);
        if text.trim().is_empty() {
            return None;
        }
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

/// Whether a field is told unless a spec says otherwise: addresses mean nothing to a language model, ratings and counts
/// are behaviour, and lists of other items would leak behaviour into content.
fn is_told(name: &str) -> bool {
    let name = name.to_lowercase();
    let related = [
        "related",
        "similar",
        "similar_item",
        "similar_items",
        "bought_together",
    ];
    let behaviour = [
        "rating",
        "stars",
        "review_count",
        "votes",
        "salesrank",
        "rank",
        "popular_shelves",
    ];
    let files = ["image", "video"];
    !(name.starts_with("also_")
        || files.iter().any(|word| name.contains(word))
        || name.ends_with("url")
        || name.ends_with("link")
        || behaviour.iter().any(|word| {
            name == *word
                || name.ends_with(&format!("_{word}"))
                || name.starts_with(&format!("{word}_"))
                || name.starts_with(&format!("{word}s"))
        })
        || related.contains(&name.as_str()))
}

/// Whether a value is told in no case without being asked for: addresses, and lists of records.
fn is_noise(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with("http://") || text.starts_with("https://"),
        Value::Array(values) => {
            !values.is_empty()
                && values
                    .iter()
                    .all(|value| value.is_object() || is_noise(value))
        }
        _ => false,
    }
}

/// Text without the tags of HTML, its entities as the characters they stand for, and spaces in one piece where there was
/// a tag.
fn cleaned(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        plain.push_str(before);
        let is_tag =
            tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        rest = match tag.find('>').filter(|_| is_tag) {
            Some(end) => {
                if !plain.is_empty() && !plain.ends_with(char::is_whitespace) {
                    plain.push(' ');
                }
                tag[end + 1..].trim_start()
            }
            None => {
                plain.push('<');
                &tag[1..]
            }
        };
    }
    plain.push_str(rest);
    html_escape::decode_html_entities(&plain).into_owned()
}

/// What language models have for tokens with a meaning of their own. An engine that parses them in a prompt would take
/// the text of an item for the end of a message.
const SPECIAL_TOKENS: [&str; 17] = [
    "<|",
    "<｜",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<mask>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
    "<think>",
    "</think>",
];

/// Text in which nothing is a special token: a space after its first character makes it plain text.
fn without_special_tokens(text: &str) -> String {
    let mut plain = text.to_owned();
    for token in SPECIAL_TOKENS {
        if plain.contains(token) {
            let first = token.chars().next().map_or(0, char::len_utf8);
            plain = plain.replace(token, &format!("{} {}", &token[..first], &token[first..]));
        }
    }
    plain
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
