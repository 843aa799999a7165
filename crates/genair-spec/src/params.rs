//! A backbone's settings against its plugin's JSON Schema: checked, then completed with defaults.
//!
//! Checks the part of JSON Schema that Rust types have: types, choices, keys, bounds and lengths. A plugin whose
//! schema says more is refused, so that nothing goes unchecked in silence.

use genair_protocol::{BackboneDescriptor, Ranges};
use genair_toml::{KeyPath, Problems, nearest};
use serde_json::{Map, Value};
use toml::Table;

use super::meant;
use super::settings::{choices, has_type, property_names, resolve, type_name};

/// Settings of a backbone, complete.
pub(crate) type Params = Map<String, Value>;

/// Keywords that are checked.
const CHECKED: [&str; 20] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "properties",
    "required",
    "type",
    "uniqueItems",
    "$defs",
    "definitions",
];

/// Keywords that only describe.
const DESCRIBING: [&str; 11] = [
    "$comment",
    "$id",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "format",
    "readOnly",
    "title",
    "writeOnly",
];

/// References within references that are followed.
const MAX_DEPTH: usize = 16;

/// Checks the table at `at` against the schema and fills in the schema's defaults, so that a run's
/// identity holds every value. `None` if there was anything to report.
pub(crate) fn check_params(
    descriptor: &BackboneDescriptor,
    at: &KeyPath,
    table: &Table,
    problems: &mut Problems<'_>,
) -> Option<Params> {
    let schema = match inline(&descriptor.parameters, &descriptor.parameters, 0) {
        Ok(schema) => schema,
        Err(reason) => {
            let plugin = &descriptor.name;
            let message = format!("the parameter schema of plugin `{plugin}` {reason}");
            problems.report(at, message, None);
            return None;
        }
    };
    let mut params = to_json_table(at, table, problems)?;
    complete(&schema, &schema, &mut params);
    let instance = Value::Object(params);
    let mut misfits = Vec::new();
    compare(&schema, &instance, &mut Vec::new(), &mut misfits);
    for problem in Ranges::stated_by(schema.clone()).problems(&instance) {
        misfits.push(Misfit {
            inside: problem.key,
            kind: Kind::Range(problem.message),
        });
    }
    for misfit in &misfits {
        report(misfit, &schema, at, problems);
    }
    match instance {
        Value::Object(params) if misfits.is_empty() => Some(params),
        _ => None,
    }
}

/// A value that does not fit the schema.
struct Misfit {
    /// The keys that lead to it.
    inside: Vec<String>,
    kind: Kind,
}

enum Kind {
    Unknown(String),
    Missing(String),
    Choice { value: Value, choices: Vec<String> },
    Type { value: Value, expected: String },
    Range(String),
}

fn report(misfit: &Misfit, schema: &Value, at: &KeyPath, problems: &mut Problems<'_>) {
    let key = at.join(&misfit.inside);
    match &misfit.kind {
        Kind::Unknown(name) => {
            let hint = meant::hint(&key, name, &property_names(schema, &misfit.inside));
            let key = key.child(name);
            problems.report(&key, format!("unknown key `{key}`"), hint);
        }
        Kind::Missing(name) => {
            let key = key.child(name);
            problems.report(&key, format!("`{key}` is missing"), None);
        }
        Kind::Choice { value, choices } => {
            let near = nearest(
                value.as_str().unwrap_or_default(),
                choices.iter().map(String::as_str),
            );
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            let choices = choices.join(", ");
            let message = format!("`{key}` is {value}; it must be one of {choices}");
            problems.report(&key, message, hint);
        }
        Kind::Type { value, expected } => {
            let message = format!("`{key}` is {value}; it must be {expected}");
            problems.report(&key, message, None);
        }
        Kind::Range(message) => problems.report(&key, format!("`{key}` {message}"), None),
    }
}

/// The schema with its own definitions in place of references to them.
fn inline(root: &Value, schema: &Value, depth: usize) -> Result<Value, String> {
    let Value::Object(keywords) = resolve(root, schema) else {
        return match schema {
            Value::Bool(_) => Ok(schema.clone()),
            other => Err(format!("has {other} in place of a schema")),
        };
    };
    if depth > MAX_DEPTH {
        return Err("refers to itself; write it without recursion".to_owned());
    }
    // What stands beside a reference adds to what it refers to.
    let beside = schema.as_object().filter(|own| own.contains_key("$ref"));
    let beside = beside
        .into_iter()
        .flatten()
        .filter(|(keyword, _)| *keyword != "$ref");
    let next = |schema| inline(root, schema, depth + 1);
    let mut inlined = Map::new();
    for (keyword, value) in keywords.iter().chain(beside) {
        let value = match (keyword.as_str(), value) {
            ("$defs" | "definitions", _) => continue,
            ("$ref", _) => return Err(format!("refers to {value}, which it does not define")),
            ("properties", Value::Object(properties)) => properties
                .iter()
                .map(|(name, schema)| Ok((name.clone(), next(schema)?)))
                .collect::<Result<Map<_, _>, String>>()?
                .into(),
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                all.iter().map(next).collect::<Result<Vec<_>, _>>()?.into()
            }
            ("items" | "additionalProperties", schema) => next(schema)?,
            (known, value) if CHECKED.contains(&known) || DESCRIBING.contains(&known) => {
                value.clone()
            }
            (unknown, _) => {
                return Err(format!(
                    "uses the keyword `{unknown}`, which GenAIR does not check; check it where the plugin makes its \
                     model"
                ));
            }
        };
        inlined.insert(keyword.clone(), value);
    }
    Ok(Value::Object(inlined))
}

/// Finds what does not fit: keys, types and choices; ranges are [`Ranges`]' business.
fn compare(schema: &Value, value: &Value, inside: &mut Vec<String>, misfits: &mut Vec<Misfit>) {
    let mut found = |inside: &[String], kind| {
        misfits.push(Misfit {
            inside: inside.to_vec(),
            kind,
        });
    };
    if let Some(choices) = choices(schema, schema) {
        if !choices.iter().any(|choice| is(value, choice)) {
            let value = value.clone();
            found(inside, Kind::Choice { value, choices });
        }
        return;
    }
    let has_own_type = !schema["type"].is_null();
    if has_own_type && !json_types(value).iter().any(|name| has_type(schema, name)) {
        let expected = match &schema["type"] {
            Value::String(one) => type_name(one).to_owned(),
            several => {
                let names = several.as_array().into_iter().flatten();
                let names = names
                    .filter_map(Value::as_str)
                    .filter(|&name| name != "null");
                names.map(type_name).collect::<Vec<_>>().join(" or ")
            }
        };
        let value = value.clone();
        found(inside, Kind::Type { value, expected });
        return;
    }
    for schema in schema["allOf"].as_array().into_iter().flatten() {
        compare(schema, value, inside, misfits);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(alternatives) = schema[keyword].as_array() {
            compare_with_one(alternatives, value, inside, misfits);
        }
    }
    match value {
        Value::Object(entries) => {
            let required = schema["required"].as_array().into_iter().flatten();
            for name in required.filter_map(Value::as_str) {
                if !entries.contains_key(name) {
                    misfits.push(Misfit {
                        inside: inside.clone(),
                        kind: Kind::Missing(name.to_owned()),
                    });
                }
            }
            for (name, value) in entries {
                let own = schema["properties"].get(name);
                match own.unwrap_or(&schema["additionalProperties"]) {
                    Value::Bool(false) => misfits.push(Misfit {
                        inside: inside.clone(),
                        kind: Kind::Unknown(name.clone()),
                    }),
                    schema => {
                        inside.push(name.clone());
                        compare(schema, value, inside, misfits);
                        inside.pop();
                    }
                }
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                inside.push(at.to_string());
                compare(&schema["items"], value, inside, misfits);
                inside.pop();
            }
        }
        _ => {}
    }
}

/// The value must fit one of the alternatives; else what is told is what keeps it from the nearest.
fn compare_with_one(
    alternatives: &[Value],
    value: &Value,
    inside: &[String],
    misfits: &mut Vec<Misfit>,
) {
    let kept_from = |schema: &Value| {
        let mut misfits = Vec::new();
        compare(schema, value, &mut inside.to_owned(), &mut misfits);
        misfits
    };
    if alternatives
        .iter()
        .any(|schema| kept_from(schema).is_empty())
    {
        return;
    }
    let not_null = |schema: &&Value| !has_type(schema, "null");
    let nearest = alternatives.iter().filter(not_null).map(kept_from);
    let nearest = nearest.min_by_key(Vec::len);
    misfits.extend(nearest.unwrap_or_default());
}

/// The JSON types of a value. A whole number is a number, too.
fn json_types(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        Value::Number(_) => &["integer", "number"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    }
}

/// Whether a value is the choice that reads so.
fn is(value: &Value, choice: &str) -> bool {
    match value {
        Value::String(text) => text == choice,
        other => format!("{other}") == choice,
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// All that Rust types make schemars write.
    fn schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "size": { "type": "integer", "format": "int64", "minimum": 1, "default": 64 },
                "rate": { "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0 },
                "users": { "type": ["integer", "null"] },
                "norm": { "$ref": "#/$defs/Norm", "default": "pre" },
                "inner": { "anyOf": [{ "$ref": "#/$defs/Inner" }, { "type": "null" }] },
                "heights": { "type": "array", "items": { "type": "integer", "minimum": 1 }, "minItems": 1, "uniqueItems": true },
                "either": { "anyOf": [{ "type": "string" }, { "type": "boolean" }] },
            },
            "required": ["rate"],
            "additionalProperties": false,
            "$defs": {
                "Norm": { "oneOf": [{ "type": "string", "const": "pre" }, { "type": "string", "enum": ["post"] }] },
                "Inner": { "type": "object", "properties": { "on": { "type": "boolean" } }, "additionalProperties": false },
            },
        })
    }

    fn fits(instance: &Value) -> bool {
        let schema = inline(&schema(), &schema(), 0).unwrap();
        let mut misfits = Vec::new();
        compare(&schema, instance, &mut Vec::new(), &mut misfits);
        misfits.is_empty() && Ranges::stated_by(schema).problems(instance).is_empty()
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-2_i64..3).prop_map(Value::from),
            (-1.0_f64..1.9).prop_map(|number| json!(number + 0.01)),
            any::<bool>().prop_map(Value::from),
            prop_oneof!["pre", "post", ""].prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(prop_oneof!["on", "off"], inner, 0..2)
                    .prop_map(|entries| json!(entries)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_full_validator_agrees(
            entries in prop::collection::btree_map(
                prop_oneof!["size", "rate", "users", "norm", "inner", "heights", "either", "other"],
                values(),
                0..5,
            )
        ) {
            let mut entries = json!(entries);
            // Most misfits would be this one.
            if let Some(entries) = entries.as_object_mut() {
                entries.entry("rate").or_insert(json!(0.5));
            }
            let validator = jsonschema::validator_for(&schema()).unwrap();
            prop_assert_eq!(fits(&entries), validator.is_valid(&entries), "{}", entries);
        }
    }

    #[test]
    fn a_schema_that_says_more_is_refused() {
        let refused = |schema: Value| inline(&schema, &schema, 0).unwrap_err();
        let told = refused(json!({ "properties": { "name": { "pattern": "^a" } } }));
        assert!(told.contains("`pattern`"), "{told}");
        let told = refused(json!({ "properties": { "x": { "$ref": "#/$defs/None" } } }));
        assert!(told.contains("#/$defs/None"), "{told}");
        let told = refused(json!({ "items": { "$ref": "#" } }));
        assert!(told.contains("itself"), "{told}");
        let told = refused(json!({ "items": 3 }));
        assert!(told.contains('3'), "{told}");
    }
}
