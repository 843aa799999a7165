//! Bad input: every problem at once, with its place, its value and the fix; nothing recorded.

use genair_test_support::lab::{Lab, Outcome, tiny_spec};

#[test]
fn a_spec_full_of_typos_is_told_everything_at_once() {
    let lab = Lab::new();
    let spec = r#"
[swep]
nme = "x"

[sweep]
name = "typos"
seeds = [1, 1]
backbone = ["sasrek", "sasrec", "popularity"]
representation = ["archetyp"]

[dataset.d]
kind = "synthetik"
max_len = 1

[dataset.e]
path = "nowhere"
k_core = { mode = "single_pass", user = 0, item = 5 }
usrs = 4

[backbone.sasrec]
hiden_size = 64
dropout = 1.5
num_heads = 3

[backbone.popularity]
power = 2

[train]
batch_size = 0
optimizer = { kind = "adma", lr = -1 }
stop = { metric = "ndgc@10", max_epoch = 5 }

[eval]
k = [0]
protocols = ["ful"]
"#;
    lab.write("typos.toml", spec);
    insta::assert_snapshot!(lab.genair(["check", "typos.toml"]), @"");
    assert_eq!(lab.genair(["sweep", "typos.toml"]).code, Some(2));
    assert!(!lab.path("genair.db").exists());
}

/// What a sweep says about a table in the folder `data`, with more lines for its section.
fn sweep_of(interactions: impl AsRef<[u8]>, more: &str) -> Outcome {
    let lab = Lab::new();
    lab.write("data/interactions.tsv", interactions);
    lab.write("data/items.jsonl", "{\"item_id\": \"a\", \"title\": \"A\"}\n{\"item_id\": \"b\", \"title\": \"B\"}\n");
    let spec = tiny_spec("data", &["popularity"], "");
    let section = spec.split("[dataset.tiny]").next().unwrap_or_default();
    lab.write("s.toml", format!("{section}[dataset.mine]\npath = \"data\"\n{more}"));
    lab.genair(["data", "stats", "s.toml"])
}

#[test]
fn data_that_cannot_be_used_names_file_line_value_and_fix() {
    let header = "user_id\titem_id\ttimestamp\n";
    let table = |rows: &str| format!("{header}{rows}");
    let cases = [
        ("a column is missing", sweep_of("user_id\titem\ttimestamp\nu\ta\t1\n", "")),
        ("a number is none", sweep_of(table("u\ta\t1\nu\tb\tsoon\n"), "")),
        ("an item is unknown", sweep_of(table("u\ta\t1\nu\tc\t2\n"), "")),
        ("a field is missing", sweep_of(table("u\ta\t1\nu\tb\n"), "")),
        ("bytes are no text", sweep_of([header.as_bytes(), b"u\t\xff\t1\n"].concat(), "")),
        ("nothing but a header", sweep_of(header, "")),
        ("nothing at all", sweep_of("", "")),
        ("nothing left", sweep_of(table("u\ta\t1\nu\tb\t2\n"), "")),
        ("no folder", sweep_of(header, "interactions = \"other.tsv\"\n")),
    ];
    for (what, outcome) in &cases {
        assert_eq!(outcome.code, Some(2), "{what}: {outcome}");
    }
    let said: Vec<String> = cases.iter().map(|(what, outcome)| format!("{what}\n{outcome}")).collect();
    insta::assert_snapshot!(said.join("\n\n"), @"");
}

#[test]
fn data_that_turn_out_bad_in_the_worker_fail_the_run() {
    let lab = Lab::new();
    lab.write("data/interactions.tsv", "user_id\titem_id\ttimestamp\nu\ta\t1\nu\tb\tsoon\n");
    lab.write("s.toml", "[sweep]\nname = \"d\"\nbackbone = \"popularity\"\n[dataset.mine]\npath = \"data\"\n");
    insta::assert_snapshot!(lab.genair(["sweep", "s.toml"]), @"");
    assert_eq!(lab.lines("SELECT state || ' ' || failure_kind FROM runs"), "failed invalid-data");
}

#[test]
fn environment_and_command_line_override_in_their_order() {
    let lab = Lab::new();
    lab.write("s.toml", tiny_spec("order", &["sasrec"], ""));
    let device = |more: &[&str]| {
        let plan = lab.genair(["plan", "s.toml", "--format", "json"].into_iter().chain(more.iter().copied())).expect(0).json();
        plan[0]["spec"]["train"]["device"].as_str().unwrap().to_owned()
    };
    assert_eq!(device(&[]), "cpu", "GENAIR_DEVICE, which the lab sets");
    assert_eq!(device(&["--set", "train.device=\"auto\""]), "auto");
    insta::assert_snapshot!(lab.genair(["plan", "s.toml", "--set", "train.optimiser.lr=1"]), @"");
}
