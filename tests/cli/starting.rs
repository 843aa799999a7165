//! The first minutes: examples, a first spec for a folder of data, the shell, and the tests of a plugin.

use std::path::Path;

use genair_test_support::lab::Lab;

#[test]
fn examples_are_specs_for_the_current_folder() {
    let lab = Lab::new();
    let listed = lab.genair(["example"]).expect(0);
    assert!(listed.stdout.contains("quickstart") && listed.stdout.contains("tiny"));
    for name in ["quickstart", "tiny"] {
        let text = lab.genair(["example", name]).expect(0).stdout;
        let json = lab.genair(["example", name, "--format", "json"]).expect(0);
        assert_eq!(
            json.json()["text"].as_str().unwrap().trim_end(),
            text.trim_end()
        );
        assert!(!text.contains("../data"), "{text}");
        lab.write("spec.toml", &text);
        // The data of one are not here yet; nothing else is wrong with either.
        let resolved = lab.genair(["spec", "resolve", "spec.toml"]).expect(0);
        assert!(resolved.stdout.contains(name), "{resolved}");
    }
    let wrong = lab.genair(["example", "quickstar"]).expect(2);
    assert!(
        wrong.stderr.contains("did you mean `quickstart`?"),
        "{wrong}"
    );
}

#[test]
fn a_sweep_of_an_example_writes_it_and_trains() {
    let lab = Lab::new();
    let arguments = [
        "sweep",
        "tiny",
        "--set",
        "sweep.representation=id",
        "--set",
        "sweep.backbone=popularity",
    ];
    let swept = lab.genair(arguments).expect(0);
    assert!(
        swept.stderr.contains("wrote the example tiny.toml"),
        "{swept}"
    );
    assert_eq!(
        lab.count("SELECT count(*) FROM runs WHERE state = 'finished'"),
        1
    );
    // What somebody has changed since is used, and not written over.
    let text = std::fs::read_to_string(lab.path("tiny.toml")).unwrap();
    lab.write("tiny.toml", text.replace("\"tiny\"", "\"mine\""));
    lab.genair(arguments).expect(0);
    assert_eq!(
        lab.count("SELECT count(*) FROM sweeps WHERE name = 'mine'"),
        1
    );
}

#[test]
fn a_first_spec_for_a_folder_of_data_trains() {
    let lab = Lab::new();
    let mut rows = "user_id\titem_id\ttimestamp\n".to_owned();
    let mut items = String::new();
    for user in 0..20 {
        for step in 0..8 {
            rows += &format!("u{user}\ti{}\t{step}\n", (user + step * 3) % 15);
        }
    }
    for item in 0..15 {
        items +=
            &format!("{{\"item_id\": \"i{item}\", \"title\": \"T{item}\", \"genres\": [\"a\"]}}\n");
    }
    std::fs::create_dir(lab.path("my data")).unwrap();
    lab.write("my data/interactions.tsv", rows);
    lab.write("my data/items.jsonl", items);
    let made = lab
        .genair(["init", "my data", "--format", "json"])
        .expect(0);
    assert_eq!(made.json()["users"], 20);
    assert_eq!(made.json()["items"], 15);
    lab.genair(["check", "first.toml"]).expect(0);
    let text = std::fs::read_to_string(lab.path("first.toml")).unwrap();
    assert!(text.contains("fields = [\"title\", \"genres\"]"), "{text}");
    lab.genair(["sweep", "first.toml", "--set", "sweep.backbone=popularity"])
        .expect(0);

    let again = lab.genair(["init", "my data"]).expect(2);
    assert!(
        again.stderr.contains("first.toml is there already"),
        "{again}"
    );
    let empty = lab.genair(["init", ".", "--out", "x.toml"]).expect(2);
    assert!(empty.stderr.contains("interactions.tsv"), "{empty}");
}

#[test]
fn shells_and_man_know_every_command() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = lab.genair(["completions", shell]).expect(0).stdout;
        assert!(script.contains("leaderboard"), "{shell}");
    }
    let page = lab.genair(["man"]).expect(0).stdout;
    assert!(
        page.contains(".TH genair") && page.contains("sweep"),
        "{page}"
    );
    let page = lab
        .genair(["man", "results", "leaderboard"])
        .expect(0)
        .stdout;
    assert!(page.contains("cohort"), "{page}");
    lab.genair(["man", "nothing"]).expect(2);
}

/// Every backbone, with the defaults and with each set of parameters that takes another path.
#[test]
fn every_backbone_passes_the_conformance_suite() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let lab = Lab::new();
    for name in ["sasrec", "bert4rec", "gru4rec", "caser"] {
        let sets = plugins.join(name).join("conformance.toml");
        let arguments = ["plugin", "test", name, "--params", sets.to_str().unwrap()];
        let tested = lab.genair(arguments).expect(0);
        assert!(
            tested
                .stdout
                .contains("ok      defaults: it_overfits_eight_users"),
            "{tested}"
        );
        let sets: toml::Table = toml::from_str(&std::fs::read_to_string(sets).unwrap()).unwrap();
        let checks = 14 * sets.len();
        let summary = format!("{name}: {checks} of {checks} checks passed");
        assert!(tested.stdout.contains(&summary), "{tested}");
    }
}

#[test]
fn a_plugin_that_does_not_conform_is_told_with_its_checks() {
    let lab = Lab::new();
    lab.install_plugin("libgenair_misbehaving.so", "misbehaving");
    lab.write(
        "sets.toml",
        "[ahead]\nfault = \"looks-ahead\"\nhidden_size = 64\n",
    );
    let arguments = [
        "plugin",
        "test",
        "misbehaving",
        "--plugin-dir",
        "plugins",
        "--params",
        "sets.toml",
        "--format",
        "json",
    ];
    let tested = lab.genair(arguments).expect(3).json();
    let failed = tested
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| !check["error"].is_null());
    let failed: Vec<&str> = failed
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["causality_is_as_declared"]);

    lab.write("sets.toml", "[gone]\nfault = \"abort\"\n");
    let gone = lab.genair(arguments[..7].iter().copied()).expect(2);
    assert!(
        gone.stderr.contains("ended its process") && gone.stderr.contains("gone: "),
        "{gone}"
    );
    lab.write("sets.toml", "");
    let none = lab.genair(arguments[..7].iter().copied()).expect(2);
    assert!(none.stderr.contains("[defaults]"), "{none}");
    lab.genair(["plugin", "test", "no_such"]).expect(2);
}
