//! A backbone's settings against its plugin's JSON schema: checked, then completed with defaults.

use genair_protocol::BackboneDescriptor;
use genair_toml::{KeyPath, Problems, nearest};
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Map, Value};
use toml::Table;

use super::meant;
use super::settings::{choices, has_type, property_names, resolve, schema_at, type_name};

/// Settings of a backbone, complete.
pub(crate) type Params = Map<String, Value>;

/// Checks the table at `at` against the schema and fills in the schema's defaults, so that a run's
/// identity holds every value. `None` if there was anything to report.
pub(crate) fn check_params(
    descriptor: &BackboneDescriptor,
    at: &KeyPath,
    table: &Table,
    problems: &mut Problems<'_>,
) -> Option<Params> {
    let schema = &descriptor.parameters;
    let mut params = to_json_table(at, table, problems)?;
    complete(schema, schema, &mut params);
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => {
            problems.report(
                at,
                format!(
                    "plugin `{}` has a parameter schema that is none: {error}",
                    descriptor.name
                ),
                None,
            );
            return None;
        }
    };
    let instance = Value::Object(params.clone());
    let mut valid = true;
    for error in validator.iter_errors(&instance) {
        valid = false;
        let inside = error
            .instance_path()
            .as_str()
            .split('/')
            .skip(1)
            .map(unescape)
            .collect::<Vec<_>>();
        let key = at.join(&inside);
        let value = error.instance();
        let must = |requirement: String| format!("`{key}` is {value}; it must be {requirement}");
        let message = match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = property_names(schema, &inside);
                for name in unexpected {
                    let hint = meant::hint(&key, name, &known);
                    let key = key.child(name);
                    problems.report(&key, format!("unknown key `{key}`"), hint);
                }
                continue;
            }
            ValidationErrorKind::Required { property } => {
                let missing = key.child(property.as_str().unwrap_or_default());
                problems.report(&missing, format!("`{missing}` is missing"), None);
                continue;
            }
            ValidationErrorKind::Type {
                kind: TypeKind::Single(expected),
            } => must(type_name(&expected.to_string()).to_owned()),
            ValidationErrorKind::Minimum { limit } => must(format!("at least {limit}")),
            ValidationErrorKind::Maximum { limit } => must(format!("at most {limit}")),
            ValidationErrorKind::ExclusiveMinimum { limit } => must(format!("above {limit}")),
            ValidationErrorKind::ExclusiveMaximum { limit } => must(format!("below {limit}")),
            _ => match choices(schema, schema_at(schema, &inside)) {
                Some(choices) => {
                    let near = nearest(
                        value.as_str().unwrap_or_default(),
                        choices.iter().map(String::as_str),
                    );
                    let hint = near.map(|near| format!("did you mean `{near}`?"));
                    problems.report(&key, must(format!("one of {}", choices.join(", "))), hint);
                    continue;
                }
                None => format!("`{key}`: {error}"),
            },
        };
        problems.report(&key, message, None);
    }
    valid.then_some(params)
}

fn to_json_table(at: &KeyPath, table: &Table, problems: &mut Problems<'_>) -> Option<Params> {
    let mut params = Map::new();
    let mut valid = true;
    for (name, value) in table {
        match to_json(value) {
            Some(value) => drop(params.insert(name.clone(), value)),
            None => {
                let key = at.child(name);
                problems.report(
                    &key,
                    format!("`{key}` is {value}; it must be finite and no date"),
                    None,
                );
                valid = false;
            }
        }
    }
    valid.then_some(params)
}

/// A TOML value as JSON; `None` for what JSON lacks: dates, infinities, NaN.
fn to_json(value: &toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::Number(serde_json::Number::from_f64(*number)?),
        toml::Value::Boolean(flag) => Value::from(*flag),
        toml::Value::Datetime(_) => return None,
        toml::Value::Array(values) => {
            Value::Array(values.iter().map(to_json).collect::<Option<_>>()?)
        }
        toml::Value::Table(table) => {
            let entries = table
                .iter()
                .map(|(name, value)| Some((name.clone(), to_json(value)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
    })
}

/// Fills in defaults and writes whole numbers as floats where the schema says `number`, so that
/// `dropout = 0` and `dropout = 0.0` are the same run.
fn complete(root: &Value, schema: &Value, params: &mut Params) {
    let Some(properties) = resolve(root, schema)["properties"].as_object() else {
        return;
    };
    for (name, property) in properties {
        if let Some(default) = property.get("default") {
            params
                .entry(name.clone())
                .or_insert_with(|| default.clone());
        }
        let property = resolve(root, property);
        match params.get_mut(name) {
            Some(Value::Object(inner)) => complete(root, property, inner),
            Some(value) if has_type(property, "number") && !has_type(property, "integer") => {
                if let Some(number) = value.as_i64() {
                    *value = Value::from(number as f64);
                }
            }
            _ => {}
        }
    }
}

/// Undoes JSON Pointer's escapes.
fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}
