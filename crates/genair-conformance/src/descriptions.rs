//! What a plugin says of itself, and which parameters it takes.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::Subject;

/// Every text is there; every parameter has a description and a default, and no others are taken.
///
/// # Errors
/// What is missing.
pub(crate) fn the_handshake_is_complete(subject: &Subject) -> Result<()> {
    let descriptor = subject.plugin.descriptor();
    for (what, text) in [
        ("version", &descriptor.version),
        ("summary", &descriptor.summary),
        ("reference", &descriptor.reference),
    ] {
        ensure!(!text.trim().is_empty(), "the descriptor has no {what}");
    }
    for (name, declared) in subject.declared()? {
        let described = declared["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty());
        ensure!(
            described,
            "parameter `{name}` has no description: write a doc comment"
        );
        ensure!(
            declared.get("default").is_some(),
            "parameter `{name}` has no default: #[serde(default)]"
        );
    }
    ensure!(
        descriptor.parameters["additionalProperties"] == json!(false),
        "the schema allows unknown parameters: #[serde(deny_unknown_fields)]"
    );
    subject
        .plugin
        .capabilities(&Map::new())
        .context("the defaults do not work")?;
    Ok(())
}

/// A name that is no parameter is refused, and named.
///
/// # Errors
/// That it is taken.
pub(crate) fn unknown_parameters_are_refused(subject: &Subject) -> Result<()> {
    ensure_refused(subject, "no_such_parameter", json!(1))
}

/// Every bound of the schema holds.
///
/// # Errors
/// The first value beyond a bound that is taken.
pub(crate) fn parameters_out_of_range_are_refused(subject: &Subject) -> Result<()> {
    for (name, declared) in subject.declared()? {
        let integer = declared["type"] == json!("integer");
        for (bound, step) in [
            ("minimum", -1.0),
            ("exclusiveMinimum", 0.0),
            ("maximum", 1.0),
            ("exclusiveMaximum", 0.0),
        ] {
            if let Some(limit) = declared.get(bound).and_then(Value::as_f64) {
                let beyond = limit + step;
                let beyond = if integer {
                    json!(beyond as i64)
                } else {
                    json!(beyond)
                };
                ensure_refused(subject, name, beyond)?;
            }
        }
    }
    Ok(())
}

/// A text is no number and no switch, and a number is no text.
///
/// # Errors
/// The first parameter that takes one.
pub(crate) fn parameters_of_a_wrong_type_are_refused(subject: &Subject) -> Result<()> {
    for (name, declared) in subject.declared()? {
        let any_text = declared["type"] == json!("string") && declared.get("enum").is_none();
        let wrong = if any_text {
            json!(7)
        } else {
            json!("no such value")
        };
        let params = subject.with(name, wrong.clone());
        if subject.plugin.capabilities(&params).is_ok() {
            bail!("`{name}` = {wrong} is taken");
        }
    }
    Ok(())
}

fn ensure_refused(subject: &Subject, name: &str, value: Value) -> Result<()> {
    match subject
        .plugin
        .capabilities(&subject.with(name, value.clone()))
    {
        Ok(_) => bail!("`{name}` = {value} is taken"),
        Err(error) => {
            let message = error.to_string();
            ensure!(
                message.contains(name),
                "the refusal of `{name}` = {value} does not name it: {message}"
            );
            Ok(())
        }
    }
}
