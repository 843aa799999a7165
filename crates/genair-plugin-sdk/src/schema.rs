//! Parameters from JSON, checked against the schema that the configuration type declares.

use serde_json::{Map, Value};

use crate::{Backbone, Error, Result};

/// The JSON schema of a backbone's parameters.
pub(crate) fn parameters<B: Backbone>() -> Value {
    schemars::schema_for!(B::Config).to_value()
}

/// Reads parameters and checks each against its declared range.
///
/// # Errors
/// [`Error::Parameter`] naming the first parameter that is unknown, of the wrong type or out of range.
pub(crate) fn parse<B: Backbone>(json: &str) -> Result<B::Config> {
    let params: Map<String, Value> = serde_json::from_str(json)
        .map_err(|error| Error::parameter("(all)", format!("not a JSON object: {error}")))?;
    let schema = parameters::<B>();
    for (key, value) in &params {
        if let Some(declared) = schema["properties"].get(key) {
            check_range(key, value, declared)?;
        }
    }
    serde_json::from_value(Value::Object(params))
        .map_err(|error| Error::parameter(B::NAME, error.to_string()))
}

fn check_range(key: &str, value: &Value, declared: &Value) -> Result<()> {
    let Some(number) = value.as_f64() else {
        return Ok(());
    };
    let bound = |name: &str| declared.get(name).and_then(Value::as_f64);
    let wrong = |rule: &str, limit: f64| {
        Err(Error::parameter(
            key,
            format!("{value} is out of range; it must be {rule} {limit}"),
        ))
    };
    match () {
        () if bound("minimum").is_some_and(|least| number < least) => {
            wrong("at least", bound("minimum").unwrap_or_default())
        }
        () if bound("maximum").is_some_and(|most| number > most) => {
            wrong("at most", bound("maximum").unwrap_or_default())
        }
        () if bound("exclusiveMinimum").is_some_and(|limit| number <= limit) => {
            wrong("above", bound("exclusiveMinimum").unwrap_or_default())
        }
        () if bound("exclusiveMaximum").is_some_and(|limit| number >= limit) => {
            wrong("below", bound("exclusiveMaximum").unwrap_or_default())
        }
        () => Ok(()),
    }
}
