//! A run's identity: everything that decides its numbers, hashed. Two runs with one identity are one
//! run, whatever sweep, folder or machine they belong to.

use genair_protocol::{RESULTS_VERSION, RunSpec};
use serde_json::{Value, json};

/// SHA-256, lower-case hex, over the canonical JSON of the run's spec (without its dataset's path),
/// the data's fingerprint, the plugin's hash and the version of the results.
pub fn identity(spec: &RunSpec, data_sha256: &str, plugin_sha256: Option<&str>) -> String {
    hash(what_decides(spec), data_sha256, plugin_sha256)
}

/// As [`identity`], but with the seed left out: runs of one configuration are repetitions of one
/// experiment, and only those may be averaged.
pub fn configuration(spec: &RunSpec, data_sha256: &str, plugin_sha256: Option<&str>) -> String {
    let mut spec = what_decides(spec);
    if let Value::Object(keys) = &mut spec {
        keys.remove("seed");
    }
    hash(spec, data_sha256, plugin_sha256)
}

fn what_decides(spec: &RunSpec) -> Value {
    let mut spec = spec.clone();
    spec.dataset.path = None;
    json!(spec)
}

fn hash(spec: Value, data_sha256: &str, plugin_sha256: Option<&str>) -> String {
    genair_files::sha256(canonical(&json!({
        "results_version": RESULTS_VERSION,
        "run": spec,
        "data_sha256": data_sha256,
        "plugin_sha256": plugin_sha256,
    })))
}

/// JSON with sorted keys and no spaces, whatever features serde_json was built with.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => format!(
            "[{}]",
            values.iter().map(canonical).collect::<Vec<_>>().join(",")
        ),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use genair_protocol::DatasetSpec;
    use genair_protocol::EvalSpec;
    use genair_protocol::{BackboneSpec, RepresentationKind, RepresentationSpec, TrainSpec};

    use super::*;

    fn spec() -> RunSpec {
        RunSpec {
            dataset_name: "a".to_owned(),
            dataset: DatasetSpec {
                path: Some("/data/a".into()),
                ..DatasetSpec::default()
            },
            backbone: BackboneSpec {
                name: "sasrec".to_owned(),
                params: json!({ "dropout": 0.5 }).as_object().unwrap().clone(),
            },
            representation: RepresentationSpec {
                name: "id".to_owned(),
                kind: RepresentationKind::Id,
                frozen: None,
                calibration: None,
            },
            train: TrainSpec::default(),
            eval: EvalSpec::default(),
            seed: 44,
        }
    }

    /// Every scalar in a JSON tree, changed one at a time.
    fn variations(value: &Value) -> Vec<Value> {
        match value {
            Value::Object(entries) => entries
                .iter()
                .flat_map(|(key, inner)| {
                    variations(inner)
                        .into_iter()
                        .map(move |inner| (key.clone(), inner))
                })
                .map(|(key, inner)| {
                    let mut entries = entries.clone();
                    entries.insert(key, inner);
                    Value::Object(entries)
                })
                .collect(),
            Value::Number(number) => vec![json!(number.as_f64().unwrap() + 1.0)],
            Value::String(text) => vec![json!(format!("{text}x"))],
            Value::Array(values) => vec![json!(values[1..])],
            Value::Bool(flag) => vec![json!(!flag)],
            Value::Null => vec![json!(1)],
        }
    }

    #[test]
    fn the_data_folder_does_not_matter() {
        let mut elsewhere = spec();
        elsewhere.dataset.path = Some("/other".into());
        assert_eq!(
            identity(&spec(), "d", Some("p")),
            identity(&elsewhere, "d", Some("p"))
        );
    }

    #[test]
    fn a_configuration_is_an_identity_but_for_the_seed() {
        let own = configuration(&spec(), "d", Some("p"));
        let mut other_seed = spec();
        other_seed.seed += 1;
        assert_eq!(own, configuration(&other_seed, "d", Some("p")));
        let mut other_rate = spec();
        other_rate.train.optimizer.lr *= 2.0;
        for other in [
            configuration(&other_rate, "d", Some("p")),
            configuration(&spec(), "e", Some("p")),
            configuration(&spec(), "d", Some("q")),
            configuration(&spec(), "d", None),
        ] {
            assert_ne!(own, other);
        }
    }

    #[test]
    fn data_and_plugin_matter() {
        let own = identity(&spec(), "d", Some("p"));
        assert_ne!(own, identity(&spec(), "e", Some("p")));
        assert_ne!(own, identity(&spec(), "d", Some("q")));
        assert_ne!(own, identity(&spec(), "d", None));
    }

    #[test]
    fn every_other_field_matters() {
        let mut spec = spec();
        spec.dataset.path = None;
        let own = serde_json::to_value(&spec).unwrap();
        let variations = variations(&own);
        assert!(variations.len() > 20, "{variations:?}");
        let identities: std::collections::BTreeSet<_> =
            variations.iter().chain([&own]).map(canonical).collect();
        assert_eq!(identities.len(), variations.len() + 1);
    }

    #[test]
    fn canonical_json_sorts_keys() {
        // Checked with `printf ... | sha256sum`.
        assert_eq!(
            canonical(&json!({ "b": [1, 0.5, null], "a": "\"" })),
            r#"{"a":"\"","b":[1,0.5,null]}"#
        );
        assert_eq!(
            genair_files::sha256("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
