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
    type Holds = fn(&f64, &f64) -> bool;
    let rules: [(&str, &str, Holds); 4] = [
        ("minimum", "at least", f64::ge),
        ("maximum", "at most", f64::le),
        ("exclusiveMinimum", "above", f64::gt),
        ("exclusiveMaximum", "below", f64::lt),
    ];
    for (name, rule, holds) in rules {
        let limit = declared.get(name).and_then(Value::as_f64);
        if let Some(limit) = limit.filter(|limit| !holds(&number, limit)) {
            let reason = format!("{value} is out of range; it must be {rule} {limit}");
            return Err(Error::parameter(key, reason));
        }
    }
    Ok(())
}
