//! The bounds that the JSON Schema shows are those that the check keeps.

use serde_json::Value as Json;

use super::tests::expand;
use crate::schema;

const SPEC: &str = r#"
[sweep]
name = "t"
backbone = "sasrec"
representation = ["told", "noise", "words"]
[dataset.made]
kind = "synthetic"
audiences = 1
mean_length = 5
k_core = { mode = "iterative", user = 5, item = 5 }
[archetype]
engine = "fake"
[representation.told]
kind = "archetype"
[representation.noise]
kind = "random"
[representation.words]
kind = "text"
"#;

/// Every number that the schema bounds, by its key.
fn bounded(schema: &Json, key: &str, found: &mut Vec<(String, Json)>) {
    if ["integer", "number"]
        .iter()
        .any(|kind| schema["type"] == *kind)
    {
        let bounds = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"];
        if bounds.iter().any(|bound| !schema[*bound].is_null()) {
            found.push((key.to_owned(), schema.clone()));
        }
    }
    let either = schema["anyOf"].as_array().into_iter().flatten();
    // Of a scalar that may be swept: its list and its range bound nothing further.
    let swept = either
        .clone()
        .any(|one| one["type"] == "integer" || one["type"] == "number");
    for one in either.filter(|one| !swept || one["type"] != "array") {
        bounded(one, key, found);
    }
    if schema["items"].is_object() {
        bounded(&schema["items"], &format!("{key}.0"), found);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        bounded(property, &format!("{key}.{name}"), found);
    }
    if schema["additionalProperties"].is_object() {
        let name = match key {
            "dataset" => "made",
            "representation" => "told",
            _ => "sasrec",
        };
        bounded(
            &schema["additionalProperties"],
            &format!("{key}.{name}"),
            found,
        );
    }
}

/// What a key needs to mean anything.
fn context(key: &str) -> Vec<String> {
    let sets: &[&str] = match key {
        "search.runs" => &[
            "search.kind=random",
            "train.optimizer.lr={ log_uniform = [1e-4, 1e-2] }",
        ],
        "representation.told.fusion.width" => &["representation.told.fusion.kind=null-space"],
        "representation.told.delta.max_norm" => &["representation.told.finetune=true"],
        "representation.told.impute.neighbours" => &["representation.told.impute.by=told"],
        "dataset.made.split.quantile" => &["dataset.made.split.kind=time"],
        "dataset.made.split.validation.quantile" => &[
            "dataset.made.split.kind=time",
            "dataset.made.split.quantile=0.9",
        ],
        "dataset.made.split.seed" => &[
            "dataset.made.split.kind=time",
            "dataset.made.split.quantile=0.9",
            "dataset.made.split.target=random",
        ],
        "dataset.made.split.cold_items.validation" | "dataset.made.split.cold_items.seed" => {
            &["dataset.made.split.cold_items.share=0.05"]
        }
        "train.loss.label_smoothing" => &["train.loss.kind=cross-entropy"],
        _ if key.starts_with("train.optimizer.schedule.") => {
            &["train.optimizer.schedule.kind=plateau"]
        }
        "prune.min_runs" => &["prune.kind=median"],
        _ if key.starts_with("prune.") => &["prune.kind=asha"],
        _ if key.starts_with("representation.words.archetype.http.") => &[
            "engine=openai",
            "http.base_url=http://localhost/v1",
            "http.model=m",
        ],
        _ if key.contains("archetype.http.") => &[
            "engine=openai",
            "states=local",
            "generation.repetition_penalty=1",
            "http.base_url=http://localhost/v1",
            "http.model=m",
        ],
        _ => &[],
    };
    let (before, is_http) = match key.split_once("http.") {
        Some((before, _)) => (before, true),
        None => ("", false),
    };
    let set = |set: &&str| {
        if is_http {
            format!("{before}{set}")
        } else {
            (*set).to_owned()
        }
    };
    sets.iter().map(set).collect()
}

/// Whether the check refuses a value at a key, by that key.
fn refuses(key: &str, value: f64) -> bool {
    let key = match key {
        "representation.told.width" => "representation.noise.width",
        // For texts alone.
        _ if key.ends_with("http.batch") => "representation.words.archetype.http.batch",
        _ if key.ends_with("http.dimensions") => "representation.words.archetype.http.dimensions",
        key => key,
    };
    let set = match key.strip_suffix(".0") {
        Some(list) => format!("{list}=[{value}]"),
        None => format!("{key}={value}"),
    };
    let backbone = key
        .strip_prefix("backbone.")
        .and_then(|own| own.split('.').next());
    let backbone = backbone.map(|name| format!("sweep.backbone={name:?}"));
    let overrides = [backbone.into_iter().collect(), context(key), vec![set]].concat();
    let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
    let problems = match expand(SPEC, &overrides) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems,
    };
    // One number may stand for a list or a table of them.
    let inside = format!("{key}.");
    let is_of_key = |found: &str| found == key || found.starts_with(&inside);
    problems.iter().any(|problem| is_of_key(&problem.key))
}

#[test]
fn the_check_keeps_the_bounds_of_the_schema() {
    let schema = schema(&[]);
    let mut all = Vec::new();
    for (section, own) in schema["definitions"].as_object().unwrap() {
        bounded(own, section, &mut all);
    }
    let mut checked = 0;
    for (key, schema) in &all {
        let step = if schema["type"] == "integer" {
            1.0
        } else {
            0.125
        };
        for (bound, outwards, is_in) in [
            ("minimum", -step, true),
            ("exclusiveMinimum", -step, false),
            ("maximum", step, true),
            ("exclusiveMaximum", step, false),
        ] {
            let Some(limit) = schema[bound].as_f64() else {
                continue;
            };
            checked += 1;
            assert_eq!(refuses(key, limit), !is_in, "{key} = {limit}");
            let beyond = limit + if is_in { outwards } else { -outwards };
            assert_eq!(refuses(key, beyond), is_in, "{key} = {beyond}");
        }
    }
    assert!(checked > 50, "{checked}: {all:?}");
}
