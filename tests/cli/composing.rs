//! Specs of several files, profiles and overrides: what they come to, and where each value is from.

use std::path::Path;

use genair_test_support::lab::Lab;
use serde_json::{Value, json};

/// A spec on two files in two folders.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("shared/data/interactions.tsv", "");
    lab.write(
        "shared/base.toml",
        "[sweep]\nseeds = [1, 2]\n\n[dataset.disk]\npath = \"data\"\n\n[dataset.tiny]\nkind = \"synthetic\"\n\
         users = 80\ncatalogue = 60\naudiences = 3\nmean_length = 8\nmax_len = 12\n\n[train.stop]\n\
         max_epochs = 4\npatience = 2\n\n[profile.quick.train.stop]\nmax_epochs = 1\n",
    );
    lab.write(
        "specs/own.toml",
        "extends = [\"../shared/base.toml\"]\n\n[sweep]\nname = \"own\"\nbackbone = [\"sasrec\"]\ndataset = [\"tiny\"]\n\n\
         [train]\noptimizer.lr = [1e-3, 1e-2]\n\n[profile.quick]\nsweep.seeds = [1]\n",
    );
    lab
}

fn runs(lab: &Lab, arguments: &[&str]) -> Vec<Value> {
    let all = ["plan", "specs/own.toml", "--format", "json"];
    let plan = lab
        .genair(all.into_iter().chain(arguments.iter().copied()))
        .expect(0)
        .json();
    match plan {
        Value::Array(runs) => runs,
        other => panic!("no list: {other}"),
    }
}

#[test]
fn files_profiles_and_overrides_lie_on_top_of_each_other() {
    let lab = lab();
    let epochs = |run: &Value| run["spec"]["train"]["stop"]["max_epochs"].as_u64();
    let plain = runs(&lab, &[]);
    assert_eq!(
        plain.len(),
        4,
        "two rates of its own, two seeds of the base"
    );
    assert!(plain.iter().all(|run| epochs(run) == Some(4)));
    let quick = runs(&lab, &["--profile", "quick"]);
    assert_eq!(
        quick.len(),
        2,
        "one seed, by the profile of the file itself"
    );
    assert!(
        quick.iter().all(|run| epochs(run) == Some(1)),
        "by the profile of the base"
    );
    let set = runs(
        &lab,
        &["--profile", "quick", "--set", "train.stop.max_epochs=3"],
    );
    assert!(set.iter().all(|run| epochs(run) == Some(3)));
}

#[test]
fn a_sweep_keeps_the_whole_text_and_the_text_is_the_sweep() {
    let lab = lab();
    lab.genair([
        "sweep",
        "specs/own.toml",
        "--profile",
        "quick",
        "--set",
        "train.threads=1",
    ])
    .expect(0);
    lab.write("again.toml", lab.lines("SELECT spec_text FROM sweeps"));
    let again = lab
        .genair(["plan", "again.toml", "--format", "json"])
        .expect(0)
        .json();
    assert!(
        again
            .as_array()
            .unwrap()
            .iter()
            .all(|run| run["state"] == "finished"),
        "{again}"
    );
    let folder = lab.path("").display().to_string();
    let text = lab
        .lines("SELECT spec_text FROM sweeps")
        .replace(&folder, "[lab]/");
    insta::assert_snapshot!(text, @r#"
    # Put together from specs/own.toml, specs/../shared/base.toml, --profile quick, --set train.threads.
    [sweep]
    seeds = [1]
    name = "own"
    backbone = ["sasrec"]
    dataset = ["tiny"]

    [dataset.disk]
    path = "[lab]/specs/../shared/data"

    [dataset.tiny]
    kind = "synthetic"
    users = 80
    catalogue = 60
    audiences = 3
    mean_length = 8
    max_len = 12

    [train]
    threads = 1

    [train.stop]
    max_epochs = 1
    patience = 2

    [train.optimizer]
    lr = [0.001, 0.01]
    "#);
    // A spec of one file is kept as it is, comments and all.
    let own = "# Why.\n[sweep]\nname = \"one\"\nbackbone = \"popularity\"\n[dataset.d]\nkind = \"synthetic\"\n";
    lab.write("one.toml", own);
    lab.genair(["sweep", "one.toml"]).expect(0);
    assert_eq!(
        lab.lines("SELECT spec_text FROM sweeps WHERE name = 'one'"),
        own
    );
}

#[test]
fn every_problem_names_the_file_and_line_it_was_written_in() {
    let lab = lab();
    lab.write("shared/base.toml", "[sweep]\nseeds = [1, 1]\n\n[dataset.disk]\npath = \"nowhere\"\n\n[train]\nbatchsize = 4\n\
         loss = { kind = \"bce\", negatives = 0 }\n\n[profile.quick]\ntrain.threads = 0\n[profile.quick.trian]\nx = 1\n");
    lab.write(
        "specs/own.toml",
        "extends = \"../shared/base.toml\"\n[sweep]\nname = \"own\"\nbackbone = [\"sasrek\"]\n\n\
         [train]\nloss.kind = \"bec\"\n",
    );
    insta::assert_snapshot!(lab.genair(["check", "specs/own.toml", "--set", "train.stop.patience=0"]), @r#"
    exit: 2
    --- stdout
    specs/own.toml: 7 problems
    specs/own.toml --profile quick: 2 problems
    --- stderr
    error: specs/../shared/base.toml:2: `sweep.seeds` lists `1` twice; list it once
    error: specs/../shared/base.toml:5: `dataset.disk.path`: there is no folder `[lab]/specs/../shared/nowhere`
    hint: relative paths start from the spec's folder; `genair data fetch` gets public data sets
    error: specs/../shared/base.toml:8: unknown key `train.batchsize`
    hint: did you mean `batch_size`?
    error: specs/own.toml:7: `train.loss.kind` is "bec"; it can be "bce", "gbce", "cross-entropy", "sampled-softmax", "bpr"
    hint: did you mean `bce`?
    error: specs/../shared/base.toml:9: `train.loss.negatives` is 0; it must be at least 1
    error: specs/own.toml:4: no backbone `sasrek`; there are sasrec, caser, gru4rec, random, bert4rec, item_knn, session_knn, popularity and 1 more
    hint: did you mean `sasrec`? plugins of other folders are found with --plugin-dir FOLDER or GENAIR_PLUGIN_PATH
    error: --set: `train.stop.patience` is 0; it must be at least 1
    error: specs/../shared/base.toml:12: `train.threads` is 0; it must be at least 1
    error: specs/../shared/base.toml:13: unknown table or key `trian`
    hint: did you mean `train`?
    "#);
    insta::assert_snapshot!(lab.genair(["check", "specs/own.toml", "--profile", "quick"]), @r#"
    exit: 2
    --- stdout
    specs/own.toml: 8 problems
    --- stderr
    error: specs/../shared/base.toml:2: `sweep.seeds` lists `1` twice; list it once
    error: specs/../shared/base.toml:5: `dataset.disk.path`: there is no folder `[lab]/specs/../shared/nowhere`
    hint: relative paths start from the spec's folder; `genair data fetch` gets public data sets
    error: specs/../shared/base.toml:8: unknown key `train.batchsize`
    hint: did you mean `batch_size`?
    error: specs/own.toml:7: `train.loss.kind` is "bec"; it can be "bce", "gbce", "cross-entropy", "sampled-softmax", "bpr"
    hint: did you mean `bce`?
    error: specs/../shared/base.toml:9: `train.loss.negatives` is 0; it must be at least 1
    error: specs/own.toml:4: no backbone `sasrek`; there are sasrec, caser, gru4rec, random, bert4rec, item_knn, session_knn, popularity and 1 more
    hint: did you mean `sasrec`? plugins of other folders are found with --plugin-dir FOLDER or GENAIR_PLUGIN_PATH
    error: specs/../shared/base.toml:12: `train.threads` is 0; it must be at least 1
    error: specs/../shared/base.toml:13: unknown table or key `trian`
    hint: did you mean `train`?
    "#);
}

#[test]
fn files_that_are_missing_or_go_in_a_circle_are_told_with_the_way_to_them() {
    let lab = lab();
    lab.write(
        "a.toml",
        "extends = [\"b.toml\", \"bass.toml\"]\n[sweep]\nname = \"a\"\n",
    );
    lab.write("b.toml", "\nextends = \"c.toml\"\n");
    lab.write("c.toml", "extends = [\"a.toml\", \"gone/d.toml\"]\n");
    lab.write("base.toml", "");
    insta::assert_snapshot!(lab.genair(["check", "a.toml"]), @r"
    exit: 2
    --- stdout
    a.toml: 3 problems
    --- stderr
    error: c.toml:1: `extends` goes in a circle: a.toml -> b.toml -> c.toml -> a.toml
    hint: take one of these out of `extends`
    error: c.toml:1: cannot read `gone/d.toml`: No such file or directory (os error 2) (a.toml -> b.toml -> c.toml -> gone/d.toml)
    hint: relative names start from the folder of the file that extends
    error: a.toml:1: cannot read `bass.toml`: No such file or directory (os error 2)
    hint: did you mean `base.toml`?
    ");
    lab.write("c.toml", "extends = 3\n");
    lab.write("bass.toml", "[sweep\n");
    insta::assert_snapshot!(lab.genair(["check", "a.toml"]), @r#"
    exit: 2
    --- stdout
    a.toml: 2 problems
    --- stderr
    error: c.toml:1: `extends` is 3; it must be a spec file or a list of them
    hint: write it as in `extends = ["base.toml"]`
    error: bass.toml:1:7: not TOML: unclosed table, expected `]`
    "#);
    insta::assert_snapshot!(lab.genair(["check", "specs/own.toml", "--profile", "quik"]), @r"
    exit: 2
    --- stdout
    specs/own.toml: 1 problem
    --- stderr
    error: --profile: the spec has no profile `quik`
    hint: did you mean `quick`?
    ");
    insta::assert_snapshot!(lab.genair(["plan", "base.toml", "--profile", "quick"]), @r"
    exit: 2
    --- stderr
    error: --profile: the spec has no profile `quick`
    hint: the spec has no [profile.NAME] at all
    ");
}

#[test]
fn a_file_that_two_extend_counts_once() {
    let lab = Lab::new();
    lab.write("base.toml", "[train]\nthreads = 1\nbatch_size = 1\n");
    lab.write("left.toml", "extends = \"base.toml\"\ntrain.threads = 2\n");
    lab.write(
        "right.toml",
        "extends = \"base.toml\"\ntrain.batch_size = 2\n",
    );
    lab.write("both.toml", "extends = [\"left.toml\", \"right.toml\"]\n");
    let spec = lab
        .genair(["spec", "resolve", "both.toml", "--format", "json"])
        .expect(0)
        .json();
    let train = &spec["spec"]["train"];
    assert_eq!(
        (&train["threads"], &train["batch_size"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        spec["files"],
        json!(["base.toml", "left.toml", "right.toml", "both.toml"])
    );
}

#[test]
fn resolving_shows_each_value_with_its_origin_and_is_a_spec_itself() {
    let lab = lab();
    let arguments = [
        "spec",
        "resolve",
        "specs/own.toml",
        "--profile",
        "quick",
        "--set",
        "sweep.preset=recbole",
    ];
    let text = lab.genair(arguments).expect(0).stdout;
    let origin = |key: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_else(|| panic!("no {key} in\n{text}"));
        line.split_once(" # ").unwrap_or_default().1.to_owned()
    };
    for (key, expected) in [
        ("name = ", "specs/own.toml:4"),
        ("seeds = ", "specs/own.toml:12 (profile quick)"),
        ("preset = ", "--set"),
        ("lr = ", "specs/own.toml:9"),
        (
            "max_epochs = ",
            "specs/../shared/base.toml:20 (profile quick)",
        ),
        ("patience = ", "specs/../shared/base.toml:17"),
        ("device = ", "GENAIR_DEVICE"),
        ("weight_decay = ", "default"),
        ("metric = ", "preset recbole"),
        ("threads = ", "default"),
    ] {
        assert_eq!(origin(key), expected, "{key}\n{text}");
    }
    assert!(text.contains("# default of plugin sasrec"), "{text}");
    lab.write("elsewhere/resolved.toml", &text);
    let plan = |spec: &str, more: &[&str]| {
        let all = ["plan", spec, "--format", "json"];
        let plan = lab
            .genair(all.into_iter().chain(more.iter().copied()))
            .expect(0)
            .json();
        let runs = plan.as_array().unwrap().iter();
        runs.map(|run| run["identity"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        plan("elsewhere/resolved.toml", &[]),
        plan(
            "specs/own.toml",
            &["--profile", "quick", "--set", "sweep.preset=recbole"]
        ),
        "the same runs, from anywhere"
    );
    let json = lab
        .genair(arguments.into_iter().chain(["--format", "json"]))
        .expect(0)
        .json();
    let values = json["values"].as_array().unwrap();
    let name = values
        .iter()
        .find(|value| value["key"] == "sweep.name")
        .unwrap();
    assert_eq!(
        name["from"],
        json!({ "source": "file", "path": "specs/own.toml", "line": 4, "profile": null })
    );
    assert_eq!(json["profiles"], json!(["quick"]));
}

#[test]
fn paths_start_from_the_file_they_stand_in() {
    let lab = lab();
    lab.genair([
        "check",
        "specs/own.toml",
        "--set",
        "sweep.dataset=[\"disk\"]",
    ])
    .expect(0);
    std::fs::remove_dir_all(lab.path("shared/data")).unwrap();
    let wrong = lab
        .genair([
            "check",
            "specs/own.toml",
            "--set",
            "sweep.dataset=[\"disk\"]",
        ])
        .expect(2);
    assert!(
        wrong.stderr.contains("base.toml:5: `dataset.disk.path`"),
        "{wrong}"
    );
}

/// The schema that editors get, against every spec there is and the settings of the real plugins.
#[test]
fn the_schema_fits_the_specs_of_the_repository() {
    let lab = Lab::new();
    let schema = lab.genair(["schema"]).expect(0).json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
    let mut specs = 0;
    for entry in experiments.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let spec: Value = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let wrong: Vec<String> = validator
                .iter_errors(&spec)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(wrong, [""; 0], "{}", path.display());
            specs += 1;
        }
    }
    assert!(specs > 5);
    for (text, place) in [
        ("[backbone.sasrec]\nhiden_size = 1", "/backbone/sasrec"),
        (
            "[backbone.sasrec]\ndropout = [0.1, 1.5]",
            "/backbone/sasrec/dropout",
        ),
        (
            "[backbone.gru4rec]\nnum_layers = \"two\"",
            "/backbone/gru4rec/num_layers",
        ),
        ("[train]\nthreads = 0", "/train/threads"),
    ] {
        let spec: Value = toml::from_str(text).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&spec)
            .map(|error| error.instance_path().to_string())
            .collect();
        assert_eq!(wrong, [place], "{text}");
    }
}
