//! Reading one table of a spec as a Rust type, without stopping at the first mistake.

use figment::error::Kind;
use serde::de::DeserializeOwned;
use toml::Table;

use crate::key_path::KeyPath;
use crate::problems::Problems;
use crate::suggestion::suggestion;

/// Mistakes that are looked for in one table: the table is read again after each.
const MOST_MISTAKES: usize = 100;

/// Reads `table`, which stands at `at` in the spec, as a `T`.
///
/// A key that does not fit is reported, taken out, and the rest is read again, so that one pass
/// finds every mistake. `None` if a key without a default is missing or wrong.
pub fn read_section<T: DeserializeOwned>(
    at: &KeyPath,
    table: &Table,
    problems: &mut Problems<'_>,
) -> Option<T> {
    // Figment says which key is wrong, and takes ten times as long.
    if let Ok(section) = table.clone().try_into() {
        return Some(section);
    }
    let mut rest = table.clone();
    for _ in 0..MOST_MISTAKES {
        if problems.is_full() {
            return None;
        }
        let error = match figment::value::Value::serialize(&rest) {
            Ok(value) => match value.deserialize::<T>() {
                Ok(section) => return Some(section),
                Err(error) => error,
            },
            Err(error) => error,
        };
        let mut removed = false;
        for error in error {
            let inner = KeyPath::new(error.path.clone());
            let mut wrong = vec![(inner.clone(), error.kind.clone())];
            if let Kind::UnknownField(name, known) = &error.kind {
                let around = section_of(&inner);
                let others = around.table(&rest).into_iter().map(|(other, _)| other);
                let others =
                    others.filter(|other| other != name && !known.contains(&other.as_str()));
                // Together, as reading again takes time.
                if inner == around.child(name) {
                    wrong.extend(others.map(|other| {
                        let key = around.child(&other);
                        (key, Kind::UnknownField(other, known))
                    }));
                }
            }
            for (key, kind) in wrong {
                let key = report(at, &key, kind, table, problems);
                // A path may lead into a list: then the whole list goes.
                removed |= (1..=key.keys().len())
                    .rev()
                    .any(|n| KeyPath::new(&key.keys()[..n]).remove(&mut rest).is_some());
            }
        }
        if !removed {
            return None;
        }
    }
    let message = format!("`{at}` has more than {MOST_MISTAKES} mistakes; mend the first of them");
    problems.report(at, message, None);
    None
}

/// Reports one error of serde's at `inner` within the section and returns the key to take out.
fn report(
    at: &KeyPath,
    inner: &KeyPath,
    kind: Kind,
    table: &Table,
    problems: &mut Problems<'_>,
) -> KeyPath {
    let key = at.join(inner.keys());
    match kind {
        Kind::UnknownField(name, known) => {
            let hint = problems.hint(&section_of(&key), &name, known);
            problems.report(&key, format!("unknown key `{key}`"), hint);
        }
        Kind::MissingField(name) => {
            let missing = inner.child(&name);
            // What was wrong and taken out is not missing.
            if missing.get(table).is_none() {
                problems.about(&key.child(&name), "is missing", None);
            }
            return missing;
        }
        Kind::UnknownVariant(name, known) => {
            let message = format!("is \"{name}\"; it can be {}", quoted(known));
            let hint = suggestion(&name, known).filter(|hint| hint.starts_with("did"));
            problems.about(&key, message, hint);
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let found = inner
                .get(table)
                .map_or_else(|| actual.to_string(), ToString::to_string);
            let message = format!("is {found}; it must be {}", plain(&expected));
            problems.about(&key, message, None);
        }
        other => problems.report(&key, format!("`{key}`: {other}"), None),
    }
    inner.clone()
}

/// The table that a key is in.
fn section_of(key: &KeyPath) -> KeyPath {
    let keys = key.keys();
    KeyPath::new(&keys[..keys.len().saturating_sub(1)])
}

fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Serde's name of a type in a spec's words.
fn plain(expected: &str) -> &str {
    match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, not negative",
        "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        "a string" | "string" | "path string" => "a string",
        "a boolean" | "bool" => "true or false",
        "a sequence" | "sequence" => "a list",
        "a map" | "map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("enum ") || other == "string or map" => "a name",
        other => other,
    }
}
