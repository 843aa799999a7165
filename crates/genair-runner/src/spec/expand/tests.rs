//! Expansion of whole specs against two made-up plugins.

use std::path::Path;

use figment::providers::Env;
use genair_protocol::{BackboneDescriptor, PluginReport};
use serde_json::json;

use super::*;

/// A plugin with one setting of each kind.
fn plugin(name: &str, error: Option<&str>) -> PluginReport {
    let parameters = json!({
        "type": "object",
        "properties": {
            "hidden_size": { "type": "integer", "minimum": 1, "default": 64 },
            "dropout": { "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0, "default": 0.5 },
            "widths": { "type": "array", "items": { "type": "integer" }, "default": [2, 3] },
            "activation": { "$ref": "#/$defs/Activation", "default": "relu" },
        },
        "additionalProperties": false,
        "$defs": { "Activation": { "oneOf": [{ "const": "relu" }, { "const": "gelu" }] } },
    });
    PluginReport {
        name: name.to_owned(),
        path: format!("/plugins/libgenair_backbone_{name}.so").into(),
        sha256: "ab".repeat(32),
        abi: Some(1),
        libtorch: None,
        rustc: None,
        descriptor: error.is_none().then(|| BackboneDescriptor {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            summary: "for tests".to_owned(),
            reference: "none".to_owned(),
            parameters,
        }),
        capabilities: None,
        error: error.map(str::to_owned),
    }
}

fn expand(text: &str, overrides: &[&str]) -> Result<Sweep, SpecError> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    let file = SpecFile::parse(
        Path::new("s.toml"),
        text,
        &overrides,
        Env::raw().filter(|_| false),
    )?;
    let plugins = [
        plugin("sasrec", None),
        plugin("gru4rec", None),
        plugin("caser", Some("speaks ABI 7")),
    ];
    let accepts = |_: &PluginReport, params: &Params| match params["hidden_size"].as_u64() {
        Some(13) => Err("`hidden_size` is 13; choose an even number".to_owned()),
        _ => Ok(()),
    };
    file.expand(&Backbones {
        plugins: &plugins,
        accepts: &accepts,
    })
}

/// A spec on generated data, with further tables.
fn spec(backbone: &str, further: &str) -> String {
    format!(
        "[sweep]\nname = \"t\"\nbackbone = {backbone}\n[dataset.made]\nkind = \"synthetic\"\n{further}"
    )
}

fn labels(text: &str, overrides: &[&str]) -> Vec<String> {
    expand(text, overrides)
        .unwrap()
        .runs
        .into_iter()
        .map(|run| run.labels.to_string())
        .collect()
}

fn problems(text: &str) -> String {
    expand(text, &[]).unwrap_err().to_string()
}

#[test]
fn names_and_seeds_multiply() {
    let text = spec(
        "[\"sasrec\", \"gru4rec\"]",
        "[dataset.other]\nkind = \"synthetic\"\nseed = 2\n",
    );
    let expected = [
        "made sasrec id seed 1",
        "made sasrec id seed 2",
        "made gru4rec id seed 1",
        "made gru4rec id seed 2",
        "other sasrec id seed 1",
        "other sasrec id seed 2",
        "other gru4rec id seed 1",
        "other gru4rec id seed 2",
    ];
    assert_eq!(labels(&text, &["sweep.seeds=[1, 2]"]), expected);
    assert_eq!(
        labels(&text, &["sweep.dataset=other", "sweep.backbone=sasrec"]),
        ["other sasrec id seed 44"]
    );
}

#[test]
fn axes_apply_where_they_belong() {
    let further = "max_len = [20, 50]\n[backbone.sasrec]\ndropout = [0.2, 0.5]\nwidths = [4, 5]\n[train]\noptimizer = { lr = [1e-3, 1e-4] }\n";
    let text = spec("[\"sasrec\", \"gru4rec\", \"popularity\"]", further);
    insta::assert_snapshot!(labels(&text, &["train.batch_size=[64]"]).join("\n"), @r"
    made sasrec id max_len=20,dropout=0.2,lr=1e-3,batch_size=64 seed 44
    made sasrec id max_len=20,dropout=0.2,lr=1e-4,batch_size=64 seed 44
    made sasrec id max_len=20,dropout=0.5,lr=1e-3,batch_size=64 seed 44
    made sasrec id max_len=20,dropout=0.5,lr=1e-4,batch_size=64 seed 44
    made sasrec id max_len=50,dropout=0.2,lr=1e-3,batch_size=64 seed 44
    made sasrec id max_len=50,dropout=0.2,lr=1e-4,batch_size=64 seed 44
    made sasrec id max_len=50,dropout=0.5,lr=1e-3,batch_size=64 seed 44
    made sasrec id max_len=50,dropout=0.5,lr=1e-4,batch_size=64 seed 44
    made gru4rec id max_len=20,lr=1e-3,batch_size=64 seed 44
    made gru4rec id max_len=20,lr=1e-4,batch_size=64 seed 44
    made gru4rec id max_len=50,lr=1e-3,batch_size=64 seed 44
    made gru4rec id max_len=50,lr=1e-4,batch_size=64 seed 44
    made popularity none max_len=20 seed 44
    made popularity none max_len=50 seed 44
    ");
}

#[test]
fn a_run_holds_the_value_of_each_axis_and_every_default() {
    let text = spec(
        "\"sasrec\"",
        "[backbone.sasrec]\ndropout = [0, 0.5]\n[train]\nthreads = 2\noptimizer.lr = [1e-2, 1e-3]\n",
    );
    let runs = expand(&text, &[]).unwrap().runs;
    let run = &runs[1];
    assert_eq!(run.labels.variant, "dropout=0,lr=1e-3");
    assert_eq!(run.spec.train.threads, 2);
    assert_eq!(run.spec.train.optimizer.lr, 1e-3);
    let params =
        json!({ "hidden_size": 64, "dropout": 0.0, "widths": [2, 3], "activation": "relu" });
    assert_eq!(
        serde_json::Value::Object(run.spec.backbone.params.clone()),
        params
    );
    assert_eq!(
        run.plugin.as_ref().unwrap().path,
        Path::new("/plugins/libgenair_backbone_sasrec.so")
    );
}

#[test]
fn popularity_trains_nothing() {
    let text = spec(
        "\"popularity\"",
        "[train]\nthreads = 2\nbatch_size = [1, 2]\n",
    );
    let runs = expand(&text, &[]).unwrap().runs;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].spec.train, TrainSpec::default());
    assert_eq!(runs[0].spec.representation.kind, RepresentationKind::None);
    assert_eq!(runs[0].plugin, None);
}

#[test]
fn every_problem_is_reported_at_once() {
    let text = r#"
[sweep]
name = "typos"
seed = [1]
backbone = ["sasrek", "sasrec", "caser"]
representation = ["arche"]
dataset = ["mad", "made"]

[dataset.made]
kind = "synthetik"
max_len = 1
lenght = 3

[backbone.sasrec]
hiden_size = 64
dropout = [0.5, 1.0]
activation = "tanh"

[backbone.gru4re]

[train]
batch_size = "big"
threads = 0
device = "gpu"
optimizer = { kind = "adam", learning_rate = 1e-3, lr = [] }
stop = { metric = "ndgc@10", patience = -1 }

[evl]

[eval]
k = [10, 0]
"#;
    insta::assert_snapshot!(problems(text), @r#"
    s.toml:4: unknown key `sweep.seed`
    hint: did you mean `seeds`?
    s.toml:5: no backbone `sasrek`; there are sasrec, gru4rec, caser, popularity
    hint: did you mean `sasrec`?
    s.toml:5: plugin `caser` (/plugins/libgenair_backbone_caser.so) cannot be used: speaks ABI 7
    hint: rebuild the plugin with this version
    s.toml:6: `sweep.representation` names `arche`, but there is no [representation.arche]
    hint: known here: id
    s.toml:7: `sweep.dataset` names `mad`, but there is no [dataset.mad]
    hint: did you mean `made`?
    s.toml:9: `dataset.made.path` is missing; name the folder of the data
    s.toml:10: `dataset.made.kind` is "synthetik"; it can be "table", "recbole", "synthetic"
    hint: did you mean `synthetic`?
    s.toml:11: `dataset.made.max_len` is 1; a history has at least 2 items
    s.toml:12: unknown key `dataset.made.lenght`
    hint: known here: kind, path, interactions, items, columns, unknown_items, min_rating, k_core, max_len, cohorts, users, catalogue, audiences, mean_length, seed
    s.toml:15: unknown key `backbone.sasrec.hiden_size`
    hint: did you mean `hidden_size`?
    s.toml:16: `backbone.sasrec.dropout` is 1.0; it must be below 1.0
    s.toml:17: `backbone.sasrec.activation` is "tanh"; it must be one of relu, gelu
    s.toml:22: `train.batch_size` is "big"; it must be a whole number, not negative
    s.toml:23: `train.threads` is 0; it must be at least 1
    s.toml:24: `train.device` is "gpu"; it must be "auto", "cpu" or "cuda:N" with N from 0
    s.toml:25: unknown key `train.optimizer.learning_rate`
    hint: known here: kind, lr, weight_decay
    s.toml:25: `train.optimizer.lr` is an empty list; an axis needs at least one value
    s.toml:26: `train.stop.metric`: `ndgc@10` is not a metric; write it as in `ndcg@10` (hr, ndcg or mrr, then @ and a cut-off from 1)
    s.toml:26: `train.stop.patience` is -1; it must be a whole number, not negative
    s.toml:28: unknown table or key `evl`
    hint: did you mean `eval`?
    s.toml:31: `eval.k`: 0 is no cut-off; the least is 1
    "#);
}

#[test]
fn a_plugin_is_asked_about_what_its_schema_cannot_say() {
    let text = spec(
        "\"sasrec\"",
        "[backbone.sasrec]\nhidden_size = [12, 13]\n[train]\nthreads = [1, 2]\n",
    );
    insta::assert_snapshot!(problems(&text), @"s.toml:6: plugin `sasrec` rejects [backbone.sasrec]: `hidden_size` is 13; choose an even number");
}

#[test]
fn lists_that_are_no_axes() {
    let further = "columns = { user = [\"a\", \"b\"] }\n[train]\nthreads = [1, 1]\nloss = [{ kind = \"bce\" }]\n";
    insta::assert_snapshot!(problems(&spec("[\"sasrec\", \"sasrec\"]", further)), @r#"
    s.toml:3: `sweep.backbone` lists `sasrec` twice; list it once
    s.toml:6: `dataset.made.columns` has no meaning for `kind = "synthetic"`, which reads no file; remove it
    s.toml:6: `dataset.made.columns.user` is ["a", "b"]; it must be a string
    s.toml:8: `train.threads` lists 1 twice; list it once
    s.toml:9: `train.loss` lists { kind = "bce" }; an axis holds numbers, strings or booleans
    hint: list the values of the single setting that varies
    "#);
}

#[test]
fn what_is_missing() {
    insta::assert_snapshot!(problems("[sweep]\nseeds = []\n[dataset]\nx = 3\n"), @r#"
    s.toml:1: `sweep.name` is missing
    s.toml:1: `sweep.backbone` is missing
    s.toml:2: `sweep.seeds` is empty; name at least one
    s.toml:4: `dataset.x` is 3; it must be a table, [dataset.NAME]
    "#);
    let text = "[sweep]\nname = \"p\"\nbackbone = \"popularity\"\n[dataset.x]\npath = \"no/such/folder\"\n[dataset.y]\npath = \"${NO_SUCH_VARIABLE}/y\"";
    insta::assert_snapshot!(problems(text), @r#"
    s.toml:5: `dataset.x.path`: there is no folder `no/such/folder`
    hint: relative paths start from the spec's folder; `genair data fetch` gets public data sets
    s.toml:7: `dataset.y.path`: the environment variable `NO_SUCH_VARIABLE` is not set
    "#);
}

#[test]
fn unused_tables_are_warned_about() {
    let sweep = expand(&spec("\"sasrec\"", "[backbone.sasrce]\n"), &[]).unwrap();
    insta::assert_snapshot!(sweep.warnings[0], @r#"
    s.toml:6: [backbone.sasrce] is not used: `sweep.backbone` does not name it
    hint: did you mean [backbone.sasrec]?
    "#);
}

#[test]
fn a_slip_in_an_axis_does_not_make_a_million_runs() {
    let seeds: Vec<String> = (0..1001).map(|seed| seed.to_string()).collect();
    let text = spec(
        "\"sasrec\"",
        &format!(
            "[train]\nthreads = [{}]\n",
            (1..=100)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
                .join(",")
        ),
    );
    let error = expand(&text, &[&format!("sweep.seeds=[{}]", seeds.join(","))]).unwrap_err();
    assert!(
        error.to_string().contains("more than 100000 runs"),
        "{error}"
    );
}
