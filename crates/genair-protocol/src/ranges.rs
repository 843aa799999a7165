//! Ranges of values. A range is written once, as an attribute of its field: the JSON Schema of specs shows it, and
//! the check here reads it from that schema.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use crate::SpecProblem;

/// The ranges of a type's values: bounds of numbers, lengths of lists and texts, lists without repetition.
#[derive(Debug)]
pub struct Ranges(Value);

impl Ranges {
    /// Those that the schema of `T` states.
    pub fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
        Self(
            settings
                .into_generator()
                .into_root_schema_for::<T>()
                .to_value(),
        )
    }

    /// Those that a schema without references states.
    pub fn stated_by(schema: Value) -> Self {
        Self(schema)
    }

    /// Everything in `value`, which is of the type, that is out of its range.
    pub fn problems(&self, value: &impl Serialize) -> Vec<SpecProblem> {
        let mut found = Vec::new();
        // Plain data with text keys cannot fail to serialise.
        let value = serde_json::to_value(value).unwrap_or_default();
        check(&self.0, &value, &mut Vec::new(), &mut found);
        found
    }
}

fn check(schema: &Value, value: &Value, key: &mut Vec<String>, found: &mut Vec<SpecProblem>) {
    for alternatives in ["anyOf", "oneOf", "allOf"] {
        for schema in schema[alternatives].as_array().into_iter().flatten() {
            check(schema, value, key, found);
        }
    }
    let mut problem = |message: String| {
        found.push(SpecProblem {
            key: key.clone(),
            message,
        });
    };
    let least = |name: &str| schema[name].as_u64().unwrap_or_default();
    match value {
        // JSON has neither infinity nor NaN.
        Value::Null if schema["type"] == "number" => {
            problem(format!("is not finite; it must be {}", rule(schema)));
        }
        Value::Number(number) if number.as_f64().is_some_and(|number| !fits(schema, number)) => {
            let shown = match (number.as_f64(), schema["format"].as_str()) {
                (Some(single), Some("float")) => (single as f32).to_string(),
                (Some(double), Some("double")) => double.to_string(),
                _ => number.to_string(),
            };
            problem(format!("is {shown}; it must be {}", rule(schema)));
        }
        Value::String(text) if (text.len() as u64) < least("minLength") => {
            problem("is an empty text; take it out".to_owned());
        }
        Value::Array(values) => {
            if (values.len() as u64) < least("minItems") {
                let message = "is empty; name at least one value or leave the key out";
                problem(message.to_owned());
            }
            if schema["uniqueItems"] == true {
                for (at, value) in values.iter().enumerate() {
                    if values[..at].contains(value) {
                        let shown = value.as_str().map_or(value.to_string(), str::to_owned);
                        problem(format!("lists `{shown}` twice; list it once"));
                    }
                }
            }
            for (at, value) in values.iter().enumerate() {
                key.push(at.to_string());
                check(&schema["items"], value, key, found);
                key.pop();
            }
        }
        Value::Object(entries) => {
            for (name, value) in entries {
                let own = schema["properties"].get(name);
                key.push(name.clone());
                check(
                    own.unwrap_or(&schema["additionalProperties"]),
                    value,
                    key,
                    found,
                );
                key.pop();
            }
        }
        _ => {}
    }
}

fn fits(schema: &Value, number: f64) -> bool {
    let bound = |name: &str| schema[name].as_f64();
    bound("minimum").is_none_or(|least| number >= least)
        && bound("exclusiveMinimum").is_none_or(|above| number > above)
        && bound("maximum").is_none_or(|most| number <= most)
        && bound("exclusiveMaximum").is_none_or(|below| number < below)
}

/// What a number must be, in words.
fn rule(schema: &Value) -> String {
    let bound = |name: &str| schema[name].as_f64();
    let range = match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => return format!("from {least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => String::new(),
    };
    let ends = [
        bound("exclusiveMinimum").map(|above| format!("above {above}")),
        bound("exclusiveMaximum").map(|below| format!("below {below}")),
        Some(range).filter(|range| !range.is_empty()),
    ];
    let ends = ends.into_iter().flatten().collect::<Vec<_>>().join(", ");
    match (schema["type"] == "number", ends.as_str()) {
        (true, "") => "a finite number".to_owned(),
        (true, ends) if ends.starts_with("at ") => format!("a finite number, {ends}"),
        (true, ends) => format!("a finite number {ends}"),
        (false, _) => ends,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;

    use super::*;

    const MOST: usize = 9;

    #[derive(Serialize, JsonSchema)]
    struct Inner {
        #[schemars(extend("exclusiveMinimum" = 0))]
        rate: f64,
        #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
        share: f32,
    }

    #[derive(Serialize, JsonSchema)]
    struct Outer {
        #[schemars(range(min = 1, max = MOST))]
        whole: Option<usize>,
        #[schemars(range(min = 0))]
        weight: f64,
        inner: Option<Inner>,
        #[schemars(length(min = 1), inner(range(min = 1)), extend("uniqueItems" = true))]
        list: Vec<u32>,
        #[schemars(inner(length(min = 1)))]
        texts: Vec<String>,
        #[schemars(with = "BTreeMap<String, NonZeroUsize>")]
        named: BTreeMap<String, usize>,
    }

    fn problems(outer: &Outer) -> String {
        let mut found: Vec<String> = Ranges::of::<Outer>()
            .problems(outer)
            .iter()
            .map(ToString::to_string)
            .collect();
        found.sort();
        found.join("\n")
    }

    #[test]
    fn what_is_at_its_bounds_is_in_range() {
        let outer = Outer {
            whole: Some(MOST),
            weight: 0.0,
            inner: Some(Inner {
                rate: f64::MIN_POSITIVE,
                share: 1.0,
            }),
            list: vec![1, 2],
            texts: vec![" ".to_owned()],
            named: BTreeMap::from([("a".to_owned(), 1)]),
        };
        assert_eq!(problems(&outer), "");
        let none = Outer {
            whole: None,
            inner: None,
            ..outer
        };
        assert_eq!(problems(&none), "");
    }

    #[test]
    fn everything_out_of_range_is_told_with_its_key() {
        let outer = Outer {
            whole: Some(MOST + 1),
            weight: f64::NAN,
            inner: Some(Inner {
                rate: 0.0,
                share: 1.1,
            }),
            list: vec![3, 0, 3],
            texts: vec!["a".to_owned(), String::new()],
            named: BTreeMap::from([("v1.0".to_owned(), 0)]),
        };
        let expected = [
            "`inner.rate` is 0; it must be a finite number above 0",
            "`inner.share` is 1.1; it must be a finite number above 0, at most 1",
            "`list.1` is 0; it must be at least 1",
            "`list` lists `3` twice; list it once",
            "`named.v1.0` is 0; it must be at least 1",
            "`texts.1` is an empty text; take it out",
            "`weight` is not finite; it must be a finite number, at least 0",
            "`whole` is 10; it must be from 1 to 9",
        ];
        assert_eq!(problems(&outer), expected.join("\n"));
        let empty = Outer {
            list: Vec::new(),
            whole: Some(0),
            weight: -0.5,
            inner: None,
            texts: Vec::new(),
            named: BTreeMap::new(),
        };
        let expected = [
            "`list` is empty; name at least one value or leave the key out",
            "`weight` is -0.5; it must be a finite number, at least 0",
            "`whole` is 0; it must be from 1 to 9",
        ];
        assert_eq!(problems(&empty), expected.join("\n"));
    }
}
