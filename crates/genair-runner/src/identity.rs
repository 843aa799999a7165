//! A run's identity: everything that decides its numbers, hashed. Two runs with one identity are one
//! run, whatever sweep, folder or machine they belong to.

use genair_protocol::{RESULTS_VERSION, RunSpec};
use serde_json::{Value, json};

/// SHA-256, lower-case hex, over the canonical JSON of the run's spec (without its dataset's path and name: both may
/// change), the data's fingerprint, the plugin's hash and the version of the results.
pub fn identity(spec: &RunSpec, data_sha256: &str, plugin_sha256: Option<&str>) -> String {
    hash(what_decides(spec), data_sha256, plugin_sha256)
}

/// As [`identity`], but with the seed left out: runs of one configuration are repetitions of one
/// experiment, and only those may be averaged.
pub fn configuration(spec: &RunSpec, data_sha256: &str, plugin_sha256: Option<&str>) -> String {
    let mut spec = what_decides(spec);
    if let Value::Object(keys) = &mut spec {
        keys.remove("seed");
        // Of what its members are, too.
        let members = keys.get_mut("combination").map(|own| &mut own["members"]);
        let members = members.and_then(Value::as_array_mut);
        for member in members
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            member.remove("identity");
        }
    }
    hash(spec, data_sha256, plugin_sha256)
}

fn what_decides(spec: &RunSpec) -> Value {
    let mut spec = spec.clone();
    spec.dataset.path = None;
    let mut spec = json!(spec);
    if let Value::Object(keys) = &mut spec {
        keys.remove("dataset_name");
    }
    spec
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
    use std::collections::BTreeMap;

    use genair_test_support::run_spec;

    use super::*;

    fn spec() -> RunSpec {
        let mut spec = run_spec("sasrec", 44);
        spec.dataset.path = Some("/data/a".into());
        spec.backbone.params = json!({ "dropout": 0.5 }).as_object().unwrap().clone();
        spec
    }

    /// A spec in which no key is absent.
    fn full_spec() -> Value {
        let mut full = json!(spec());
        full["dataset"] = json!({
            "kind": "table", "interactions": "i.tsv", "items": "i.jsonl",
            "columns": { "user": "u", "item": "i", "time": "t", "rating": "r" },
            "unknown_items": "drop", "min_rating": 1.0,
            "k_core": { "mode": "iterative", "user": 5, "item": 5 }, "max_len": 50,
            "cohorts": { "long_user": 9, "head_item": 4 },
            "split": {
                "kind": "time", "quantile": 0.9, "date": "2014-05-01", "target": "last", "seed": 1,
                "validation": { "by": "time", "quantile": 0.8, "date": "2014-04-01" },
                "cold_items": { "share": 0.1, "validation": 0.05, "by": "random", "seed": 1 },
                "cold_in_history": "drop",
            },
            "users": 500, "catalogue": 300, "audiences": 6, "mean_length": 12, "seed": 1,
        });
        full["representation"] = json!({
            "name": "genair", "kind": "archetype",
            "frozen": {
                "source": { "file": { "recipe_sha256": "00" } }, "part": "both",
                "permuted": "groups", "scale": { "std": 0.1 },
                "finetune": false, "delta": { "max_norm": 0.5 },
                "adapter": { "kind": "mlp", "expansion": 2, "init_scale": 0.1, "dropout": 0.1 },
                "fusion": { "kind": "sum", "init": "random", "width": 3 },
            },
            "imputed": {
                "neighbours": 10, "source": { "file": { "recipe_sha256": "11" } }, "part": "both",
            },
            "calibration": {
                "alpha": 1e-4, "gamma": 4.0, "on": "items", "sample": 512, "warm_up": 1,
                "association": { "window": 10, "min_count": 2 },
            },
        });
        full["train"]["optimizer"]["clip_norm"] = json!(1.0);
        full["combination"] = json!({
            "rule": { "ensemble": { "weights": [0.5], "normalise": "z-score" } },
            "members": [{ "identity": "aa", "configuration": "bb" }],
        });
        full
    }

    /// The paths of all scalars and lists in a JSON tree.
    fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(entries) => entries
                .iter()
                .for_each(|(key, inner)| leaves(inner, &format!("{at}/{key}"), found)),
            _ => found.push(at.to_owned()),
        }
    }

    /// What a value may be instead; of names, those that enums of the spec have.
    fn others(value: &Value) -> Vec<Value> {
        let names = [
            "recbole",
            "keep",
            "single_pass",
            "text",
            "context",
            "linear",
            "concat",
            "targets",
            "cross-entropy",
            "popularity",
            "batch",
            "truncated-normal",
            "bfloat16",
            "hr@5",
            "cpu",
            "all",
            "vectors",
            "adamw",
            "cosine",
            "min-max",
            "leave-one-out",
            "first",
            "last-item",
            "newest",
        ];
        match value {
            Value::Number(number) => match number.as_u64() {
                Some(number) => vec![json!(number + 1)],
                None => vec![json!(number.as_f64().unwrap() / 2.0 + 0.01)],
            },
            Value::Bool(flag) => vec![json!(!flag)],
            Value::Array(values) => vec![json!(values[1..])],
            Value::String(text) => std::iter::once(json!(format!("{text}x")))
                .chain(names.map(Value::from))
                .collect(),
            Value::Null | Value::Object(_) => Vec::new(),
        }
    }

    #[test]
    fn the_folder_and_the_name_of_the_data_do_not_matter() {
        let mut elsewhere = spec();
        elsewhere.dataset.path = Some("/other".into());
        elsewhere.dataset_name = "other".to_owned();
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
    fn a_configuration_is_that_of_its_members_whatever_their_seeds() {
        let combined = |member: &str, configuration: &str| {
            let mut tree = full_spec();
            let own = &mut tree["combination"]["members"][0];
            own["identity"] = json!(member);
            own["configuration"] = json!(configuration);
            serde_json::from_value::<RunSpec>(tree).unwrap()
        };
        let (own, other_seed) = (combined("aa", "bb"), combined("cc", "bb"));
        let other = combined("aa", "cc");
        let of = |spec: &RunSpec| configuration(spec, "d", Some("p"));
        assert_eq!(of(&own), of(&other_seed));
        assert_ne!(of(&own), of(&other));
    }

    #[test]
    fn data_and_plugin_matter() {
        let own = identity(&spec(), "d", Some("p"));
        assert_ne!(own, identity(&spec(), "e", Some("p")));
        assert_ne!(own, identity(&spec(), "d", Some("q")));
        assert_ne!(own, identity(&spec(), "d", None));
    }

    /// Names that nothing else can stand for: enums of one variant.
    const ONLY: [&str; 1] = ["/representation/frozen/source/kind"];

    #[test]
    fn every_other_field_matters() {
        let full = full_spec();
        let read = |tree: &Value| serde_json::from_value::<RunSpec>(tree.clone());
        let of = |spec: &RunSpec| identity(spec, "d", Some("p"));
        let own = read(&full).unwrap();
        let mut seen = BTreeMap::from([(of(&own), "nothing".to_owned())]);
        let mut paths = Vec::new();
        leaves(&json!(own), "", &mut paths);
        assert!(paths.len() > 60, "{paths:?}");
        for path in paths.into_iter().filter(|path| path != "/dataset_name") {
            let value = full.pointer(&path).cloned();
            let value = value.unwrap_or_else(|| panic!("{path} is not in the full spec"));
            let changed = others(&value).into_iter().find_map(|other| {
                let mut tree = full.clone();
                *tree.pointer_mut(&path).unwrap() = other;
                read(&tree).ok().filter(|changed| *changed != own)
            });
            let Some(changed) = changed else {
                assert!(ONLY.contains(&path.as_str()), "{path} cannot be changed");
                continue;
            };
            let before = seen.insert(of(&changed), path.clone());
            assert_eq!(before, None, "{path} makes no difference");
        }
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
