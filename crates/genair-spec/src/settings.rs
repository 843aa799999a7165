//! A plugin's settings as its JSON schema describes them.

use genair_protocol::BackboneDescriptor;
use serde_json::Value;

/// One setting of a backbone, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key under `[backbone.NAME]`.
    pub name: String,
    /// What it holds: a type, or the choices there are.
    pub kind: String,
    /// Its default as JSON; empty where there is none.
    pub default: String,
    /// Its bounds, such as `≥ 1`; empty where there are none.
    pub range: String,
    /// What it does.
    pub about: String,
}

/// The top-level settings of a backbone, by name.
pub fn settings(descriptor: &BackboneDescriptor) -> Vec<Setting> {
    let root = &descriptor.parameters;
    let properties = root["properties"].as_object().into_iter().flatten();
    let setting = |(name, property): (&String, &Value)| {
        let resolved = resolve(root, property);
        let bounds = [
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        ];
        let bounds = bounds
            .iter()
            .filter_map(|(key, sign)| Some(format!("{sign} {}", resolved.get(key)?)));
        let description = property
            .get("description")
            .or_else(|| resolved.get("description"));
        Setting {
            name: name.clone(),
            kind: choices(root, resolved)
                .map_or_else(|| types(resolved), |choices| choices.join(", ")),
            default: property.get("default").map(plain).unwrap_or_default(),
            range: bounds.collect::<Vec<_>>().join(", "),
            about: description
                .map(plain)
                .unwrap_or_default()
                .replace('\n', " "),
        }
    };
    properties.map(setting).collect()
}

/// Whether the schema wants a list at the top-level setting `name`, so that a list there is a value
/// and not an axis.
pub(crate) fn is_list(descriptor: &BackboneDescriptor, name: &str) -> bool {
    has_type(
        schema_at(&descriptor.parameters, &[name.to_owned()]),
        "array",
    )
}

/// Follows a `$ref` into the schema's own `$defs`.
pub(crate) fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let reference = schema.get("$ref").and_then(Value::as_str);
    let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
    pointer
        .and_then(|pointer| root.pointer(pointer))
        .unwrap_or(schema)
}

/// The schema of the setting some keys inside; null where there is none.
pub(crate) fn schema_at<'s>(root: &'s Value, inside: &[String]) -> &'s Value {
    inside.iter().fold(resolve(root, root), |schema, key| {
        resolve(root, &schema["properties"][key])
    })
}

/// Keys that a table may have.
pub(crate) fn property_names<'s>(root: &'s Value, inside: &[String]) -> Vec<&'s str> {
    let properties = schema_at(root, inside)["properties"]
        .as_object()
        .into_iter()
        .flatten();
    properties.map(|(name, _)| name.as_str()).collect()
}

/// Whether a value of the JSON type `name` fits.
pub(crate) fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(own) => own == name,
        Value::Array(any) => any.iter().any(|own| own == name),
        _ => false,
    }
}

/// The values of an enumeration, however the schema writes it; none if it is no enumeration.
pub(crate) fn choices(root: &Value, schema: &Value) -> Option<Vec<String>> {
    if let Some(options) = schema["enum"].as_array() {
        return Some(options.iter().map(plain).collect());
    }
    if let Some(only) = schema.get("const") {
        return Some(vec![plain(only)]);
    }
    let alternatives = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| schema[key].as_array())?;
    let choices = alternatives
        .iter()
        .map(|schema| choices(root, resolve(root, schema)));
    Some(choices.collect::<Option<Vec<_>>>()?.concat())
}

/// A JSON type in a spec's words.
pub(crate) fn type_name(name: &str) -> &str {
    match name {
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a string",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        other => other,
    }
}

fn types(schema: &Value) -> String {
    match &schema["type"] {
        Value::Array(any) => any.iter().map(plain).collect::<Vec<_>>().join(" or "),
        Value::Null => String::new(),
        one => plain(one),
    }
}

/// A JSON value without the quotes of a string.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_say_what_the_schema_says() {
        let parameters = json!({
            "properties": {
                "activation": { "$ref": "#/$defs/Activation", "default": "relu", "description": "Which\none." },
                "dropout": { "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0, "default": 0.5 },
                "users": { "type": ["integer", "null"] },
                "widths": { "type": "array" },
            },
            "$defs": { "Activation": { "oneOf": [{ "const": "relu" }, { "enum": ["gelu", "tanh"] }] } },
        });
        let [name, version, summary, reference] = ["x"; 4].map(str::to_owned);
        let descriptor = BackboneDescriptor {
            name,
            version,
            summary,
            reference,
            parameters,
        };
        let rows = settings(&descriptor).into_iter().map(
            |Setting {
                 name,
                 kind,
                 default,
                 range,
                 about,
             }| { format!("{name} | {kind} | {default} | {range} | {about}") },
        );
        assert_eq!(
            rows.collect::<Vec<_>>(),
            [
                "activation | relu, gelu, tanh | relu |  | Which one.",
                "dropout | number | 0.5 | ≥ 0.0, < 1.0 | ",
                "users | integer or null |  |  | ",
                "widths | array |  |  | ",
            ]
        );
        assert!(is_list(&descriptor, "widths"));
        assert!(!is_list(&descriptor, "dropout") && !is_list(&descriptor, "no such"));
    }
}
