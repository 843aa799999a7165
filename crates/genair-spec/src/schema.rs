//! The spec's format as a JSON Schema, for editors: made from the types that read it and from the
//! plugins' own schemas.
//!
//! A file that others extend need not be a whole spec, so nothing is required: what is missing, and what
//! one key has to do with another, `genair check` tells.

use genair_archetype::{ArchetypeSpec, PromptSpec};
use genair_protocol::{
    BUILTIN_BACKBONES, DatasetSpec, EvalSpec, PluginReport, TrainSpec, builtin_descriptor,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::load::preset_names;
use super::recipes::{Recipe, recipes};
use super::representation::Section;
use super::settings::resolve;
use super::sweep::SweepSection;
use super::{combination, prune, schedule, search};

/// The names of public data sets that `kind` can be.
fn public_kinds() -> Value {
    let name = |(name, recipe): (&String, &Recipe)| match recipe.parts {
        Some(_) => format!("{name}:.+"),
        None => name.clone(),
    };
    let names: Vec<String> = recipes().iter().map(name).collect();
    json!({ "type": "string", "pattern": format!("^({})$", names.join("|")) })
}

/// How deep a plugin's schema may refer to itself.
const DEPTH: usize = 16;

/// Keys of `[sweep]` that take one name or several.
const LISTS: [&str; 4] = ["seeds", "backbone", "representation", "dataset"];

/// The schema of a spec file, draft 7, which editors know best. Backbones that are not among `plugins` may
/// have any settings.
pub fn schema(plugins: &[PluginReport]) -> Value {
    let mut sweep = section::<SweepSection>(false);
    for name in LISTS {
        let list = sweep["properties"][name].take();
        let one = list["items"].clone();
        sweep["properties"][name] = alternatives(&list, &[one, list.clone()]);
    }
    sweep["properties"]["preset"]["enum"] = json!(preset_names());

    let mut dataset = section::<DatasetSpec>(true);
    dataset["properties"]["prompt"] = prompt();
    let kind = dataset["properties"]["kind"].take();
    dataset["properties"]["kind"] = alternatives(&kind, &[kind.clone(), public_kinds()]);
    let mut archetype = section::<ArchetypeSpec>(false);
    archetype["properties"]["prompt"] = prompt();
    let mut representation = section::<Section>(true);
    representation["properties"]["archetype"]["properties"]["prompt"] = prompt();

    let builtin = BUILTIN_BACKBONES.into_iter().filter_map(builtin_descriptor);
    let of_plugins = plugins
        .iter()
        .filter_map(|report| report.descriptor.clone());
    let usable = of_plugins.chain(builtin).filter_map(|descriptor| {
        let mut own = inlined(&descriptor.parameters, &descriptor.parameters, DEPTH);
        for key in ["$defs", "definitions"] {
            own.as_object_mut()?.remove(key);
        }
        loosen(&mut own, true);
        own["description"] = descriptor.summary.as_str().into();
        Some((descriptor.name, own))
    });
    let backbones: Map<String, Value> = usable.collect();

    let tables = |of: &str, each: Value| json!({ "type": "object", "description": of, "additionalProperties": each });
    let mut pruning = section::<prune::Section>(false);
    let grace = pruning["properties"]["grace"].take();
    let epochs = grace["additionalProperties"].clone();
    pruning["properties"]["grace"] = alternatives(&grace, &[epochs, grace.clone()]);

    let definitions = json!({
        "sweep": sweep,
        "dataset": tables("Datasets by name.", dataset),
        "archetype": archetype,
        "backbone": {
            "type": "object",
            "description": "Settings of backbones by name.",
            "properties": backbones,
            "additionalProperties": { "type": "object" },
        },
        "representation": tables("Item representations by name; `id` needs none.", representation),
        "ensemble": tables("Ensembles of the runs of two representations, by name.", section::<combination::Ensemble>(false)),
        "rerank": tables("Runs re-ranked by the nearness of items, by name.", section::<combination::Rerank>(false)),
        "train": section::<TrainSpec>(true),
        "eval": section::<EvalSpec>(false),
        "search": section::<search::Section>(false),
        "schedule": section::<schedule::Section>(false),
        "prune": pruning,
    });
    let named = definitions.as_object().into_iter().flatten();
    let sections: Map<String, Value> = named
        .map(|(name, _)| {
            (
                name.clone(),
                json!({ "$ref": format!("#/definitions/{name}") }),
            )
        })
        .collect();
    let profile = json!({
        "type": "object",
        "properties": sections.clone(),
        "additionalProperties": false,
    });
    let mut properties = sections;
    let file = json!({ "type": "string", "minLength": 1 });
    let about = json!({ "description": "Spec files below this one, relative to it; later ones above earlier ones." });
    let files = json!({ "type": "array", "items": file });
    properties.insert("extends".to_owned(), alternatives(&about, &[file, files]));
    properties.insert(
        "profile".to_owned(),
        tables("What `--profile NAME` puts on top, by name.", profile),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "GenAIR spec",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "definitions": definitions,
    })
}

/// The schema of a type, as far as it is true of a part of a spec.
fn section<T: JsonSchema>(axes: bool) -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    loosen(&mut schema, axes);
    schema
}

/// A prompt: a preset's name, or a table.
fn prompt() -> Value {
    let mut table = section::<PromptSpec>(false);
    table["additionalProperties"] = false.into();
    alternatives(&table, &[json!({ "type": "string" }), table.clone()])
}

/// One of several schemas, with the description of `of`.
fn alternatives(of: &Value, schemas: &[Value]) -> Value {
    let mut either = json!({ "anyOf": schemas });
    for key in ["description", "default"] {
        if let Some(value) = of.get(key) {
            either[key] = value.clone();
        }
    }
    either
}

/// Takes out what a part of a spec need not keep: keys that are required, and nulls, which TOML does not
/// have. With `axes` a scalar may also be a list of them.
fn loosen(schema: &mut Value, axes: bool) {
    let Some(entries) = schema.as_object_mut() else {
        return;
    };
    for key in ["anyOf", "oneOf"] {
        // What may be absent is one schema or null.
        let Some(Value::Array(schemas)) = entries.get_mut(key) else {
            continue;
        };
        schemas.retain(|schema| schema["type"] != "null");
        if let [only] = schemas.as_slice() {
            let only = only.clone();
            entries.remove(key);
            for (name, value) in only.as_object().into_iter().flatten() {
                entries.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    for key in ["required", "title", "format", "$schema"] {
        entries.remove(key);
    }
    if let Some(Value::Array(types)) = entries.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            entries.insert("type".to_owned(), one);
        }
    }
    if entries.get("default") == Some(&Value::Null) {
        entries.remove("default");
    }
    if let Some(Value::Array(values)) = entries.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(schemas)) = entries.get_mut(key) {
            schemas.iter_mut().for_each(|schema| loosen(schema, axes));
        }
    }
    if let Some(items) = entries.get_mut("items") {
        loosen(items, false);
    }
    if let Some(Value::Object(properties)) = entries.get_mut("properties") {
        for property in properties.values_mut() {
            loosen(property, axes);
            if axes && is_scalar(property) {
                let list = json!({ "type": "array", "items": property, "minItems": 1, "uniqueItems": true });
                *property = alternatives(property, &[property.clone(), list, range()]);
            }
        }
    }
}

/// What `[search]` draws values from.
fn range() -> Value {
    let bounds = |kind: &str| {
        let number = json!({ "type": kind });
        json!({ "type": "array", "items": number, "minItems": 2, "maxItems": 2 })
    };
    json!({
        "type": "object",
        "properties": {
            "uniform": bounds("number"),
            "log_uniform": bounds("number"),
            "int": bounds("integer"),
            "choice": { "type": "array", "minItems": 1 },
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
    })
}

fn is_scalar(schema: &Value) -> bool {
    let plain = |kind: &Value| {
        matches!(
            kind.as_str(),
            Some("string" | "number" | "integer" | "boolean")
        )
    };
    let of_alternatives = || {
        let found = ["anyOf", "oneOf"]
            .iter()
            .find_map(|key| schema[*key].as_array());
        found.is_some_and(|schemas| !schemas.is_empty() && schemas.iter().all(is_scalar))
    };
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().all(plain),
        Value::Null => {
            schema.get("enum").is_some() || schema.get("const").is_some() || of_alternatives()
        }
        kind => plain(kind),
    }
}

/// A schema with what it refers to in its place; what refers to itself ends as anything.
fn inlined(root: &Value, schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return json!({});
    }
    let schema = match schema.get("$ref") {
        Some(_) => {
            let mut target = resolve(root, schema).clone();
            for (key, value) in schema.as_object().into_iter().flatten() {
                if key != "$ref" {
                    target[key] = value.clone();
                }
            }
            target
        }
        None => schema.clone(),
    };
    match schema {
        Value::Object(entries) => {
            let inner = |(key, value): (String, Value)| {
                let value = inlined(root, &value, depth - 1);
                (key, value)
            };
            Value::Object(entries.into_iter().map(inner).collect())
        }
        Value::Array(values) => {
            let values = values.iter().map(|value| inlined(root, value, depth - 1));
            Value::Array(values.collect())
        }
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use genair_protocol::BackboneDescriptor;

    use super::*;
    use crate::DEFAULT_SPEC;

    fn sasrec() -> PluginReport {
        PluginReport {
            name: "sasrec".to_owned(),
            path: "sasrec.so".into(),
            sha256: String::new(),
            abi: None,
            libtorch: None,
            rustc: None,
            descriptor: Some(BackboneDescriptor {
                name: "sasrec".to_owned(),
                version: "0.1.0".to_owned(),
                summary: "for tests".to_owned(),
                reference: "none".to_owned(),
                parameters: json!({
                    "type": "object",
                    "properties": {
                        "dropout": { "type": "number", "minimum": 0, "exclusiveMaximum": 1 },
                        "norm": { "$ref": "#/$defs/Norm" },
                    },
                    "additionalProperties": false,
                    "$defs": { "Norm": { "enum": ["pre", "post"] } },
                }),
            }),
            capabilities: None,
            error: None,
        }
    }

    /// What the schema says about a text: where it does not fit.
    fn misfits(text: &str) -> Vec<String> {
        let schema = schema(&[sasrec()]);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let instance: Value = toml::from_str(text).unwrap();
        let errors = validator.iter_errors(&instance);
        errors
            .map(|error| error.instance_path().to_string())
            .collect()
    }

    #[test]
    fn every_spec_of_the_repository_fits() {
        assert_eq!(misfits(DEFAULT_SPEC), [""; 0]);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let mut seen = 0;
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                // Backbones' own settings are checked by the real plugins' schemas, in tests/cli.
                let mut tree: toml::Table = toml::from_str(&text).unwrap();
                tree.remove("backbone");
                let text = toml::to_string(&tree).unwrap();
                assert_eq!(misfits(&text), [""; 0], "{}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 5, "{seen}");
    }

    #[test]
    fn what_composes_and_what_sweeps_fits() {
        let text = r#"
            extends = ["base.toml", "../shared/data.toml"]
            [sweep]
            seeds = 44
            backbone = "sasrec"
            [dataset.x]
            max_len = [50, 200]
            prompt = "continuation"
            [dataset.y]
            prompt = { preset = "continuation", fields = ["title"] }
            [backbone.sasrec]
            dropout = [0.2, 0.5]
            norm = "pre"
            [backbone.of_another]
            anything = { at = "all" }
            [representation.genair]
            kind = "archetype"
            calibration.alpha = [0, 1e-4]
            archetype = { generation = { greedy = true }, prompt = { chat = true } }
            [train]
            loss = { kind = ["bce", "gbce"], negatives = 4 }
            optimizer.lr = { log_uniform = [1e-4, 1e-2] }
            [search]
            kind = "sobol"
            runs = 8
            [[search.exclude]]
            train.optimizer.lr = { above = 3e-3 }
            [schedule]
            memory = "2 GiB"
            first = [{ backbone = "sasrec" }]
            [prune]
            kind = "asha"
            grace = { default = 5, sasrec = 8 }
            [profile.quick.train.stop]
            max_epochs = 2
        "#;
        assert_eq!(misfits(text), [""; 0]);
    }

    #[test]
    fn the_usual_mistakes_do_not_fit() {
        for (text, place) in [
            ("[trian]\nthreads = 1", ""),
            ("[train]\nbatchsize = 1", "/train"),
            ("[train]\nbatch_size = 0", "/train/batch_size"),
            ("[train]\nbatch_size = \"128\"", "/train/batch_size"),
            ("[train]\nthreads = []", "/train/threads"),
            ("[train]\nloss = \"bce\"", "/train/loss"),
            ("[train]\nloss.kind = \"bec\"", "/train/loss/kind"),
            ("[train]\nstop.metric = \"ndcg\"", "/train/stop/metric"),
            ("[train]\ndevice = \"gpu\"", "/train/device"),
            ("[sweep]\nseed = [1]", "/sweep"),
            ("[sweep]\nseeds = [\"1\"]", "/sweep/seeds"),
            ("[sweep]\npreset = \"paper\"", "/sweep/preset"),
            ("[dataset.x]\nkcore = 5", "/dataset/x"),
            (
                "[dataset.x]\nk_core = { mode = \"twice\" }",
                "/dataset/x/k_core/mode",
            ),
            ("[dataset.x]\nprompt = { field = [] }", "/dataset/x/prompt"),
            (
                "[backbone.sasrec]\ndropout = 1.5",
                "/backbone/sasrec/dropout",
            ),
            ("[backbone.sasrec]\nhidden = 1", "/backbone/sasrec"),
            (
                "[backbone.sasrec]\nnorm = \"none\"",
                "/backbone/sasrec/norm",
            ),
            (
                "[representation.r]\nkind = \"llm\"",
                "/representation/r/kind",
            ),
            (
                "[representation.r]\ncalibration.alpha = -1",
                "/representation/r/calibration/alpha",
            ),
            ("[eval]\nk = 10", "/eval/k"),
            ("[eval]\nmetrics = [\"auc\"]", "/eval/metrics/0"),
            ("[profile.quick.trian]\nx = 1", "/profile/quick"),
            (
                "[profile.quick.train]\nthreads = 0",
                "/profile/quick/train/threads",
            ),
            ("extends = 3", "/extends"),
            (
                "[train]\noptimizer.lr = { log = [1, 2] }",
                "/train/optimizer/lr",
            ),
            ("[search]\nkind = \"tpe\"", "/search/kind"),
            ("[schedule]\njob = 2", "/schedule"),
        ] {
            assert_eq!(misfits(text), [place], "{text}");
        }
    }
}
