//! Vectors as a start and as a part of item vectors, their controls, and how states are scored.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::json;

/// Each backbone has item vectors of 8 numbers.
const REPRESENTATIONS: &str = r#"
[archetype]
engine = "fake"
generation = { max_new_tokens = 8 }

[representation.start]
kind = "archetype"
joint = true
components = WIDTH
whiten = "full"
scale = { std = 0.1 }
adapter.kind = "none"
finetune = true

[representation.shuffled]
kind = "permuted"
of = "start"

[representation.shuffled-within]
kind = "permuted"
of = "start"
within = "genres"

[representation.bounded]
kind = "archetype"
components = 8
scale = "unit"
finetune = true
delta = { max_norm = 0.5 }
adapter.dropout = 0.2
fusion = { kind = "dual", init = "vectors" }

[representation.null-space]
kind = "archetype"
joint = true
components = WIDTH
whiten = { ridge = 1.0 }
adapter.kind = "none"
fusion = "null-space"

[train]
loss = { kind = "cross-entropy", label_smoothing = 0.1 }
score = { kind = "cosine", temperature = 0.07 }

[train.optimizer]
kind = "adamw"
weight_decay = 0.01
clip_norm = 1.0
schedule = { kind = "cosine", warm_up = 1 }

[train.stop]
max_epochs = 3
"#;

fn spec(backbones: &[&str], width: usize) -> String {
    let names = [
        "start",
        "shuffled",
        "shuffled-within",
        "bounded",
        "null-space",
    ];
    let representations = REPRESENTATIONS.replace("WIDTH", &width.to_string());
    let names = format!("representation = {names:?}\nbackbone =");
    let widths = backbones
        .iter()
        .map(|name| format!("[backbone.{name}]\nhidden_size = 8\n"));
    let more = widths.collect::<String>() + &representations;
    tiny_spec("made", backbones, &more).replacen("backbone =", &names, 1)
}

fn lab() -> Lab {
    Lab::new().with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1")
}

#[test]
fn every_backbone_starts_from_vectors_and_says_how_long_they_are() {
    let lab = lab();
    lab.write(
        "s.toml",
        spec(&["sasrec", "bert4rec", "gru4rec", "caser"], 8),
    );
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    assert_eq!(
        lab.count("SELECT run_id FROM runs WHERE state = 'finished'"),
        4 * 5
    );
    // Rows of 8 components with a root mean square of .1 are some .28 long, also when they are shuffled.
    let norms =
        "SELECT DISTINCT representation, round(value, 1) FROM diagnostics JOIN runs USING (run_id)
        WHERE name = 'norm' AND epoch = 0 AND representation IN ('start', 'shuffled') ORDER BY 1";
    assert_eq!(
        lab.rows(norms),
        [
            vec![json!("shuffled"), json!(0.3)],
            vec![json!("start"), json!(0.3)]
        ]
    );
    // A control is another run, with other numbers.
    let losses = "SELECT DISTINCT loss FROM epochs JOIN runs USING (run_id) WHERE epoch = 1 AND backbone = 'sasrec'
        AND representation IN ('start', 'shuffled', 'shuffled-within')";
    assert_eq!(lab.count(losses), 3);
    // What is done again is the same, shuffles and all.
    let run =
        "SELECT run_id FROM runs WHERE representation = 'shuffled-within' AND backbone = 'sasrec'";
    let run = lab.rows(run)[0][0].to_string();
    lab.genair(["results", "reproduce", &run]).expect(0);
}

#[test]
fn vectors_of_another_width_than_the_models_are_refused_with_the_way_out() {
    let lab = lab();
    lab.write("s.toml", spec(&["sasrec"], 5));
    let outcome = lab.genair(["sweep", "s.toml"]);
    assert!(outcome.stderr.contains("components"), "{}", outcome.stderr);
    let failed = "SELECT representation FROM runs WHERE state = 'failed' ORDER BY 1";
    let names = ["null-space", "shuffled", "shuffled-within", "start"];
    assert_eq!(lab.rows(failed), names.map(|name| vec![json!(name)]));
    assert!(
        outcome
            .stderr
            .contains("have 5 components where the model needs 8"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_field_that_no_item_has_is_named_with_those_there_are() {
    let lab = lab();
    let text = spec(&["sasrec"], 8).replace("within = \"genres\"", "within = \"gnres\"");
    lab.write("s.toml", text);
    let outcome = lab.genair(["sweep", "s.toml"]);
    assert!(
        outcome.stderr.contains("no item has the field `gnres`"),
        "{}",
        outcome.stderr
    );
    let finished = "SELECT representation FROM runs WHERE state = 'finished'";
    assert_eq!(lab.count(finished), 4);
}
