//! Expansion of whole specs against two made-up plugins.

use std::path::Path;

use figment::providers::Env;
use genair_protocol::{BackboneDescriptor, PluginReport, RepresentationKind};
use serde_json::json;

use super::*;
use crate::SpecOptions;
use crate::params::Params;

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

pub(super) fn expand(text: &str, overrides: &[&str]) -> Result<Sweep, SpecError> {
    let options = SpecOptions {
        overrides: overrides.iter().map(|&text| text.to_owned()).collect(),
        ..SpecOptions::default()
    };
    let none = Env::raw().filter(|_| false);
    let file = SpecFile::parse(Path::new("s.toml"), text, &options, none)?;
    let plugins = [
        plugin("sasrec", None),
        plugin("gru4rec", None),
        plugin("caser", Some("speaks ABI 7")),
    ];
    let accepts = |_: &PluginReport, all: &[Params]| {
        let verdict = |params: &Params| match params["hidden_size"].as_u64() {
            Some(13) => Err("`hidden_size` is 13; choose an even number".to_owned()),
            _ => Ok(()),
        };
        all.iter().map(verdict).collect()
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

pub(super) fn problems(text: &str) -> String {
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
    assert_eq!(run.labels.axes.to_string(), "dropout=0,lr=1e-3");
    assert_eq!(run.spec.0.train.threads, 2);
    assert_eq!(run.spec.0.train.optimizer.lr, 1e-3);
    let params =
        json!({ "hidden_size": 64, "dropout": 0.0, "widths": [2, 3], "activation": "relu" });
    assert_eq!(
        serde_json::Value::Object(run.spec.0.backbone.params.clone()),
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
    assert_eq!(runs[0].spec.0.train, TrainSpec::default());
    assert_eq!(runs[0].spec.0.representation.kind, RepresentationKind::None);
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
    s.toml:5: no backbone `sasrek`; there are sasrec, gru4rec, caser, popularity, random, item_knn, session_knn, content_knn
    hint: did you mean `sasrec`? plugins of other folders are found with --plugin-dir FOLDER or GENAIR_PLUGIN_PATH
    s.toml:5: plugin `caser` (/plugins/libgenair_backbone_caser.so) cannot be used: speaks ABI 7
    hint: rebuild the plugin with this version
    s.toml:6: `sweep.representation` names `arche`, but there is no [representation.arche]
    hint: known here: id
    s.toml:7: `sweep.dataset` names `mad`, but there is no [dataset.mad]
    hint: did you mean `made`?
    s.toml:9: `dataset.made.path` is missing; name the folder of the data
    s.toml:10: `dataset.made.kind` is "synthetik"; it can be "table", "recbole", "synthetic"
    hint: did you mean `synthetic`?
    s.toml:11: `dataset.made.max_len` is 1; it must be at least 2
    s.toml:12: unknown key `dataset.made.lenght`
    hint: known here: kind, path, interactions, items, format, items_format, columns, time_format, missing, repeats, unknown_items, min_rating, k_core, max_len, cohorts, split, users, catalogue, audiences, mean_length, seed
    s.toml:15: unknown key `backbone.sasrec.hiden_size`
    hint: did you mean `hidden_size`?
    s.toml:16: `backbone.sasrec.dropout` is 1.0; it must be a finite number below 1, at least 0
    s.toml:17: `backbone.sasrec.activation` is "tanh"; it must be one of relu, gelu
    s.toml:22: `train.batch_size` is "big"; it must be a whole number, not negative
    s.toml:23: `train.threads` is 0; it must be at least 1
    s.toml:24: `train.device` is "gpu"; it must be "auto", "cpu" or "cuda:N" with N from 0
    s.toml:25: unknown key `train.optimizer.learning_rate`
    hint: did you mean `lr`?
    s.toml:25: `train.optimizer.lr` is an empty list; an axis needs at least one value
    s.toml:26: `train.stop.metric`: `ndgc@10` is not a metric; write it as in `ndcg@10` (hr, ndcg, mrr, recall or map, then @ and a cut-off from 1)
    s.toml:26: `train.stop.patience` is -1; it must be a whole number, not negative
    s.toml:28: unknown table or key `evl`
    hint: did you mean `eval`?
    s.toml:31: `eval.k.1` is 0; it must be at least 1
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
    s.toml:6: `dataset.made.columns.user` is ["a", "b"]; it must be the name of a column, its position from 1, or false
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
        error.to_string().contains("more than 20000 runs"),
        "{error}"
    );
}

const DRAWN: &str = "[backbone.sasrec]\ndropout = { uniform = [0.1, 0.6] }\nhidden_size = { int = [1, 4] }\n[train]\noptimizer.lr = { log_uniform = [1e-4, 1e-2] }\n";

/// A spec that draws from the ranges of [`DRAWN`].
fn drawn(backbone: &str, search: &str) -> String {
    spec(backbone, &format!("{DRAWN}[search]\n{search}"))
}

fn variants(text: &str) -> Vec<String> {
    let runs = expand(text, &[]).unwrap().runs;
    runs.into_iter()
        .map(|run| run.labels.axes.to_string())
        .collect()
}

#[test]
fn points_are_drawn_from_the_seed_alone() {
    for kind in ["random", "sobol"] {
        let points = |search: &str| {
            variants(&drawn(
                "\"sasrec\"",
                &format!("kind = \"{kind}\"\n{search}"),
            ))
        };
        let eight = points("runs = 8");
        assert_eq!(eight.len(), 8);
        assert_eq!(eight, points("runs = 8"), "{kind}");
        assert_eq!(
            eight,
            points("runs = 12")[..8],
            "{kind}: more runs leave the first ones"
        );
        assert_ne!(eight, points("runs = 8\nseed = 2"), "{kind}");
    }
    insta::assert_snapshot!(variants(&drawn("\"sasrec\"", "kind = \"sobol\"\nruns = 4")).join("\n"), @r"
    dropout=0.315,hidden_size=3,lr=1.1e-4
    dropout=0.589,hidden_size=1,lr=0.00115
    dropout=0.187,hidden_size=2,lr=0.00476
    dropout=0.462,hidden_size=4,lr=5.43e-4
    ");
    insta::assert_snapshot!(variants(&drawn("\"sasrec\"", "kind = \"random\"\nruns = 4")).join("\n"), @r"
    dropout=0.269,hidden_size=1,lr=1.7e-4
    dropout=0.339,hidden_size=1,lr=4.02e-4
    dropout=0.222,hidden_size=1,lr=0.00106
    dropout=0.529,hidden_size=3,lr=0.0014
    ");
}

#[test]
fn a_sobol_search_has_its_points_in_every_part_of_a_range() {
    let text = drawn("\"sasrec\"", "kind = \"sobol\"\nruns = 16");
    let runs = expand(&text, &[]).unwrap().runs;
    let mut parts = [0; 4];
    for run in &runs {
        let dropout = run.spec.0.backbone.params["dropout"].as_f64().unwrap();
        parts[((dropout - 0.1) / 0.125) as usize] += 1;
    }
    assert_eq!(parts, [4; 4]);
}

#[test]
fn ranges_of_a_backbone_are_for_its_runs_alone() {
    let text = drawn(
        "[\"sasrec\", \"gru4rec\", \"popularity\"]",
        "kind = \"sobol\"\nruns = 3",
    );
    let runs = expand(&text, &[]).unwrap().runs;
    let of = |backbone: &str| -> Vec<&SweepRun> {
        runs.iter()
            .filter(|run| run.labels.backbone == backbone)
            .collect()
    };
    let [sasrec, gru4rec] = ["sasrec", "gru4rec"].map(of);
    assert_eq!(
        (sasrec.len(), gru4rec.len(), of("popularity").len()),
        (3, 3, 1)
    );
    for (one, other) in sasrec.iter().zip(&gru4rec) {
        let [one, other] = [one, other].map(|run| run.labels.axes.to_string());
        assert!(one.ends_with(&other), "what they share is alike");
        assert!(other.starts_with("lr="), "{other}");
    }
}

/// Optuna #2021, #3256, #5489: small spaces gave the same trial again and again.
#[test]
fn optuna_2021_3256_5489_no_point_is_drawn_twice() {
    let further = "[backbone.sasrec]\nhidden_size = { int = [1, 3] }\nactivation = { choice = [\"relu\", \"gelu\"] }\n[search]\nkind = \"random\"\nruns = 6\n";
    let mut all = variants(&spec("\"sasrec\"", further));
    all.sort();
    insta::assert_snapshot!(all.join("\n"), @r"
    hidden_size=1,activation=gelu
    hidden_size=1,activation=relu
    hidden_size=2,activation=gelu
    hidden_size=2,activation=relu
    hidden_size=3,activation=gelu
    hidden_size=3,activation=relu
    ");
    let more = expand(
        &spec("\"sasrec\"", &further.replace("runs = 6", "runs = 7")),
        &[],
    )
    .unwrap();
    assert_eq!(more.runs.len(), 6);
    insta::assert_snapshot!(more.warnings[0], @"s.toml:11: `search.runs` is 7, but made sasrec id has only 6 different points");
}

#[test]
fn lists_and_seeds_multiply_with_points() {
    let text = drawn("\"sasrec\"", "kind = \"random\"\nruns = 2\n")
        .replace("[train]", "[train]\nbatch_size = [1, 2]");
    let runs = expand(&text, &["sweep.seeds=[1, 2]"]).unwrap().runs;
    assert_eq!(runs.len(), 8);
    let rates: BTreeSet<String> = runs
        .iter()
        .map(|run| run.spec.0.train.optimizer.lr.to_string())
        .collect();
    assert_eq!(rates.len(), 2, "every point has both batch sizes");
}

#[test]
fn excluded_points_are_replaced() {
    let exclude = "kind = \"random\"\nruns = 20\n[[search.exclude]]\nbackbone.sasrec.hidden_size = [1, 2]\ntrain.optimizer.lr = { above = 1e-3 }\n";
    let runs = expand(&drawn("[\"sasrec\", \"gru4rec\"]", exclude), &[])
        .unwrap()
        .runs;
    assert_eq!(runs.len(), 40);
    let (mut kept, mut others) = (0, 0);
    for run in &runs {
        let (lr, small) = (
            run.spec.0.train.optimizer.lr,
            run.spec.0.backbone.params["hidden_size"].as_u64() < Some(3),
        );
        match run.labels.backbone.as_str() {
            "sasrec" => assert!(!small || lr <= 1e-3, "{}", run.labels),
            _ => others += usize::from(lr > 1e-3),
        }
        kept += usize::from(small && lr <= 1e-3);
    }
    assert!(
        kept > 0 && others > 0,
        "only runs for which all of it holds: {kept} {others}"
    );
}

#[test]
fn excludes_thin_out_a_grid_and_keep_from_the_plugin_what_it_refuses() {
    let further = "[backbone.sasrec]\nhidden_size = [12, 13]\n[train]\nthreads = [1, 2]\n[search]\n[[search.exclude]]\nbackbone.sasrec.hidden_size = 13\n[[search.exclude]]\nrepresentation = \"id\"\ntrain.threads = { at_least = 2 }\n";
    assert_eq!(
        variants(&spec("\"sasrec\"", further)),
        ["hidden_size=12,threads=1"]
    );
}

#[test]
fn points_are_as_listed() {
    let further = "[backbone.sasrec]\ndropout = 0.3\n[search]\nkind = \"points\"\n[[search.point]]\nbackbone.sasrec.dropout = 0.1\ntrain.optimizer.lr = 1e-3\n[[search.point]]\nbackbone.sasrec.dropout = 0.2\ntrain.optimizer.lr = 1e-3\n[[search.point]]\ntrain.optimizer.lr = 1e-2\n";
    let text = spec("[\"sasrec\", \"gru4rec\"]", further);
    insta::assert_snapshot!(labels(&text, &[]).join("\n"), @r"
    made sasrec id dropout=0.1,lr=1e-3 seed 44
    made sasrec id dropout=0.2,lr=1e-3 seed 44
    made sasrec id lr=0.01 seed 44
    made gru4rec id lr=1e-3 seed 44
    made gru4rec id lr=0.01 seed 44
    ");
    let runs = expand(&text, &[]).unwrap().runs;
    assert_eq!(
        runs[2].spec.0.backbone.params["dropout"], 0.3,
        "what a point does not set is as elsewhere"
    );
}

#[test]
fn every_mistake_of_a_search_is_reported_at_once() {
    let text = r#"
[sweep]
name = "t"
backbone = ["sasrec"]
[dataset.made]
kind = "synthetic"
[backbone.sasrec]
dropout = { uniform = [0.6, 0.1] }
hidden_size = { log_uniform = [1, 64] }
widths = [1, 2]
activation = { choice = ["relu", "tanh"] }
[train]
optimizer.lr = { unifrom = [1e-4, 1e-2] }
batch_size = { int = [0, 4] }
[search]
kind = "sobel"
runs = 0
[[search.exclude]]
backbone = "gru4rec"
train.optimizer.rate = 3
[[search.exclude]]
train.optimizer.lr = { over = 3 }
[[search.exclude]]
sweep.seeds = 1
train.batch_size = { above = "big" }
[schedule]
jobs = 0
memory_limit = "4 GiBi"
time_limit = "-3h"
first = [{ dataset = "mad" }]
[prune]
kind = "asha"
reduction = 1
grace = { default = 0, bert4rec = 30 }
min_runs = 3
across = ["dataset"]
"#;
    insta::assert_snapshot!(problems(text), @r#"
    s.toml:8: `backbone.sasrec.dropout.uniform` is [0.6, 0.1]; it must be two finite numbers, the lowest and the highest
    s.toml:13: `train.optimizer.lr`: there is no range `unifrom`
    hint: did you mean `uniform`?
    s.toml:14: `train.batch_size` is 0; it must be at least 1
    s.toml:16: `search.kind` is "sobel"; it can be "grid", "points", "random", "sobol"
    hint: did you mean `sobol`?
    s.toml:17: `search.runs` is 0; it must be at least 1
    s.toml:19: `search.exclude.0.backbone` is "gru4rec", which the sweep does not have
    hint: known here: sasrec
    s.toml:20: `search.exclude.0.train.optimizer.rate`: no run has a setting `train.optimizer.rate`
    hint: known here: kind, schedule, weight_decay
    s.toml:22: `search.exclude.1.train.optimizer.lr.over`: no run has a setting `train.optimizer.lr.over`
    s.toml:24: unknown key `search.exclude.2.sweep`
    hint: known here: dataset, backbone, representation, train
    s.toml:25: `search.exclude.2.train.batch_size.above` is "big"; it must be a number
    s.toml:27: `schedule.jobs` is 0; it must be at least 1
    s.toml:28: `schedule.memory_limit`: `4 GiBi` is no size; write it as in "2 GiB" or "500 MB"
    s.toml:29: `schedule.time_limit`: `-3h` is no time; write it as in "2h", "1h 30m" or "45s"
    s.toml:30: `schedule.first.0.dataset` is "mad", which the sweep does not have
    hint: did you mean `made`?
    s.toml:33: `prune.reduction` is 1; it must be at least 2
    s.toml:34: `prune.grace.default` is 0; it must be at least 1
    s.toml:34: `prune.grace.bert4rec`: `sweep.backbone` does not name `bert4rec`
    hint: known here: sasrec
    s.toml:35: `prune.min_runs` belongs to `prune.kind = "median"`; remove it
    s.toml:36: `prune.across.0` is "dataset"; it can be "backbone", "representation", "seed"
    "#);
}

#[test]
fn what_a_search_needs_is_said() {
    let wrong = [
        drawn("\"sasrec\"", ""),
        drawn("\"sasrec\"", "kind = \"random\""),
        drawn("\"sasrec\"", "kind = \"points\""),
        spec("\"sasrec\"", "[search]\nkind = \"sobol\"\nruns = 3\n"),
        spec("\"sasrec\"", "[search]\nruns = 3\n"),
        spec(
            "\"sasrec\"",
            "[search]\nkind = \"points\"\n[[search.point]]\ntrain.optimizer.rate = 1\n[[search.point]]\nsweep.seeds = 1\n",
        ),
    ];
    insta::assert_snapshot!(wrong.map(|text| problems(&text)).join("\n---\n"), @r#"
    s.toml:7: `backbone.sasrec.dropout` is a range, but nothing draws from it
    hint: draw from ranges with [search] kind = "sobol", runs = 32
    s.toml:8: `backbone.sasrec.hidden_size` is a range, but nothing draws from it
    hint: draw from ranges with [search] kind = "sobol", runs = 32
    s.toml:10: `train.optimizer.lr` is a range, but nothing draws from it
    hint: draw from ranges with [search] kind = "sobol", runs = 32
    ---
    s.toml:11: `search.runs` is missing; say how many points to draw
    ---
    s.toml:7: `backbone.sasrec.dropout` is a range, but nothing draws from it
    hint: draw from ranges with [search] kind = "sobol", runs = 32
    s.toml:8: `backbone.sasrec.hidden_size` is a range, but nothing draws from it
    hint: draw from ranges with [search] kind = "sobol", runs = 32
    s.toml:10: `train.optimizer.lr` is a range, but nothing draws from it
    hint: draw from ranges with [search] kind = "sobol", runs = 32
    s.toml:11: there is no [[search.point]], though `search.kind` is "points"
    ---
    s.toml:7: `search.kind` draws from ranges, but no setting is one
    hint: write one as in `optimizer.lr = { log_uniform = [1e-4, 1e-2] }`
    ---
    s.toml:7: `search.runs` has no meaning for this `search.kind`; remove it
    ---
    s.toml:9: unknown key `train.optimizer.rate`
    hint: known here: kind, lr, weight_decay, clip_norm, schedule
    s.toml:11: unknown key `search.point.1.sweep`
    hint: known here: dataset, backbone, representation, train
    "#);
}

#[test]
fn pruning_judges_by_what_runs_are_validated_by() {
    let text = spec(
        "\"sasrec\"",
        "[prune]\nkind = \"median\"\nmetric = \"hr@10\"\n",
    );
    insta::assert_snapshot!(problems(&text), @r#"
    s.toml:8: `prune.metric` is hr@10, but runs are validated by ndcg@10 every epoch
    hint: leave it out, or set `train.stop.metric = "hr@10"`
    "#);
    let sweep = expand(&text.replace("hr@10", "ndcg@10"), &["prune.grace=50"]).unwrap();
    insta::assert_snapshot!(sweep.warnings[0], @"--set: no run of sasrec is pruned: its grace of 50 epochs is all of its 50");
    let grace = |overrides: &[&str]| {
        let pruning = expand(&text.replace("hr@10", "ndcg@10"), overrides)
            .unwrap()
            .pruning
            .unwrap();
        ["sasrec", "gru4rec"].map(|backbone| pruning.grace_of(backbone))
    };
    assert_eq!(grace(&[]), [5, 5]);
    assert_eq!(grace(&["prune.grace=7"]), [7, 7]);
    assert_eq!(grace(&["prune.grace.sasrec=30"]), [30, 5]);
}

#[test]
fn runs_that_come_first_are_named_by_conditions() {
    let further = "[train]\noptimizer.lr = [1e-2, 1e-3]\n[schedule]\nmemory = \"12 GiB\"\nmemory_limit = \"500 MB\"\ntime_limit = \"1h 30m\"\nfirst = [{ backbone = \"gru4rec\", train.optimizer.lr = 0.001 }, { backbone = [\"gru4rec\"] }]\n";
    let sweep = expand(&spec("[\"sasrec\", \"gru4rec\"]", further), &[]).unwrap();
    let priorities: Vec<usize> = sweep.runs.iter().map(|run| run.priority).collect();
    assert_eq!(priorities, [2, 2, 1, 0]);
    assert_eq!(sweep.schedule.memory, Some(12 << 30));
    assert_eq!(sweep.schedule.memory_limit, Some(500_000_000));
    assert_eq!(sweep.schedule.time_limit.unwrap().as_secs(), 5400);
}

/// Every place of a name, with every kind of character that no name has.
#[test]
fn a_name_with_a_control_character_is_refused_wherever_it_is() {
    let places = [
        "[sweep]\nname = \"a?b\"\nbackbone = [\"sasrec\"]\n[dataset.made]\nkind = \"synthetic\"",
        "[sweep]\nname = \"t\"\nbackbone = [\"sasrec\", \"a?b\"]\n[dataset.made]\nkind = \"synthetic\"",
        "[sweep]\nname = \"t\"\nbackbone = [\"sasrec\"]\nrepresentation = \"a?b\"\n[dataset.made]\nkind = \"synthetic\"",
        "[sweep]\nname = \"t\"\nbackbone = [\"sasrec\"]\n[dataset.\"a?b\"]\nkind = \"synthetic\"",
        "[sweep]\nname = \"t\"\nbackbone = [\"sasrec\"]\n[dataset.made]\nkind = \"synthetic\"\n[representation.\"a?b\"]\nkind = \"text\"",
        "[sweep]\nname = \"t\"\nbackbone = [\"sasrec\"]\n[dataset.made]\nkind = \"synthetic\"\n[backbone.sasrec]\nactivation = [\"relu\", \"a?b\"]",
        "[sweep]\nname = \"t\"\nbackbone = [\"sasrec\"]\n[dataset.made]\nkind = \"synthetic\"\n[backbone.sasrec]\nactivation = { choice = [\"relu\", \"a?b\"] }\n[search]\nkind = \"random\"\nruns = 2",
        "[sweep]\nname = \"t\"\nbackbone = [\"sasrec\"]\n[dataset.made]\nkind = \"synthetic\"\n[search]\nkind = \"points\"\npoint = [{ backbone.sasrec.activation = \"a?b\" }]",
        "[sweep]\nname = \"t\"\nbackbone = [\"sasrec\"]\n[dataset.made]\nkind = \"synthetic\"\n[profile.\"a?b\".train]\nthreads = 2",
    ];
    for escape in [
        "\\u0000", "\\u001b", "\\n", "\\r", "\\t", "\\u007f", "\\u009b", "\\u202e", "\\u2066",
        "\\u2028",
    ] {
        // The value of an axis is a text, and may have several lines.
        let in_a_text = matches!(escape, "\\n" | "\\r" | "\\t");
        let may_be_there = |place: &&str| in_a_text && place.contains("activation");
        for place in places.iter().filter(|place| !may_be_there(place)) {
            let found = problems(&place.replace('?', escape));
            let line = found
                .lines()
                .find(|line| line.contains(&format!("\"a{escape}b\" holds U+")))
                .unwrap_or_else(|| panic!("{escape} in {place}: {found}"));
            let key = line.split('`').nth(1).unwrap();
            assert!(line.starts_with("s.toml:") && key.contains('.'), "{line}");
        }
    }
}
