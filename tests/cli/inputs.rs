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
    insta::assert_snapshot!(lab.genair(["check", "typos.toml"]), @r#"
    exit: 2
    --- stdout
    typos.toml: 20 problems
    --- stderr
    error: typos.toml:2: unknown table or key `swep`
    hint: did you mean `sweep`?
    error: typos.toml:7: `sweep.seeds` lists `1` twice; list it once
    error: typos.toml:8: no backbone `sasrek`; there are sasrec, caser, gru4rec, random, bert4rec, item_knn, session_knn, popularity and 1 more
    hint: did you mean `sasrec`? plugins of other folders are found with --plugin-dir FOLDER or GENAIR_PLUGIN_PATH
    error: typos.toml:9: `sweep.representation` names `archetyp`, but there is no [representation.archetyp]
    hint: known here: id
    error: typos.toml:11: `dataset.d.path` is missing; name the folder of the data
    error: typos.toml:12: `dataset.d.kind` is "synthetik"; it can be "table", "recbole", "synthetic"
    hint: did you mean `synthetic`?
    error: typos.toml:13: `dataset.d.max_len` is 1; it must be at least 2
    error: typos.toml:16: `dataset.e.path`: there is no folder `nowhere`
    hint: relative paths start from the spec's folder; `genair data fetch` gets public data sets
    error: typos.toml:17: `dataset.e.k_core.user` is 0; it must be at least 1
    error: typos.toml:18: unknown key `dataset.e.usrs`
    hint: did you mean `users`?
    error: typos.toml:21: unknown key `backbone.sasrec.hiden_size`
    hint: did you mean `hidden_size`?
    error: typos.toml:22: `backbone.sasrec.dropout` is 1.5; it must be a finite number below 1, at least 0
    error: typos.toml:26: unknown key `backbone.popularity.power`
    hint: known here: days
    error: typos.toml:29: `train.batch_size` is 0; it must be at least 1
    error: typos.toml:30: `train.optimizer.kind` is "adma"; it can be "adam", "adamw"
    hint: did you mean `adam`?
    error: typos.toml:30: `train.optimizer.lr` is -1; it must be a finite number above 0
    error: typos.toml:31: `train.stop.metric`: `ndgc@10` is not a metric; write it as in `ndcg@10` (hr, ndcg, mrr, recall or map, then @ and a cut-off from 1)
    error: typos.toml:31: unknown key `train.stop.max_epoch`
    hint: did you mean `max_epochs`?
    error: typos.toml:34: `eval.k.0` is 0; it must be at least 1
    error: typos.toml:35: `eval.protocols.0` is "ful"; it can be "full", "sampled-100", "sampled-99", "sampled-100-popularity", "full-with-history", "cold"
    hint: did you mean `full`?
    "#);
    assert_eq!(lab.genair(["sweep", "typos.toml"]).code, Some(2));
    assert!(!lab.path("genair.db").exists());
}

/// What a sweep says about a table in the folder `data`, with more lines for its section.
fn sweep_of(interactions: impl AsRef<[u8]>, more: &str) -> Outcome {
    let lab = Lab::new();
    lab.write("data/interactions.tsv", interactions);
    lab.write(
        "data/items.jsonl",
        "{\"item_id\": \"a\", \"title\": \"A\"}\n{\"item_id\": \"b\", \"title\": \"B\"}\n",
    );
    let spec = tiny_spec("data", &["popularity"], "");
    let section = spec.split("[dataset.tiny]").next().unwrap_or_default();
    lab.write(
        "s.toml",
        format!("{section}[dataset.mine]\npath = \"data\"\n{more}"),
    );
    lab.genair(["data", "stats", "s.toml"])
}

#[test]
fn data_that_cannot_be_used_names_file_line_value_and_fix() {
    let header = "user_id\titem_id\ttimestamp\n";
    let table = |rows: &str| format!("{header}{rows}");
    let cases = [
        (
            "a column is missing",
            sweep_of("user_id\titem\ttimestamp\nu\ta\t1\n", ""),
        ),
        (
            "a number is none",
            sweep_of(table("u\ta\t1\nu\tb\tsoon\n"), ""),
        ),
        (
            "an item is unknown",
            sweep_of(table("u\ta\t1\nu\tc\t2\n"), ""),
        ),
        ("a field is missing", sweep_of(table("u\ta\t1\nu\tb\n"), "")),
        (
            "bytes are no text",
            sweep_of([header.as_bytes(), b"u\t\xff\t1\n"].concat(), ""),
        ),
        ("nothing but a header", sweep_of(header, "")),
        ("nothing at all", sweep_of("", "")),
        ("nothing left", sweep_of(table("u\ta\t1\nu\tb\t2\n"), "")),
        (
            "no folder",
            sweep_of(header, "interactions = \"other.tsv\"\n"),
        ),
    ];
    for (what, outcome) in &cases {
        assert_eq!(outcome.code, Some(2), "{what}: {outcome}");
    }
    let said: Vec<String> = cases
        .iter()
        .map(|(what, outcome)| format!("{what}\n{outcome}"))
        .collect();
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    a column is missing
    exit: 2
    --- stderr
    error: `[lab]/data/interactions.tsv` has no column `item_id` (it has user_id, item, timestamp); correct the file, or set `columns.item`

    a number is none
    exit: 2
    --- stderr
    error: [lab]/data/interactions.tsv:3: `timestamp` is `soon`; write a finite number or an ISO 8601 time, or name the form with `time_format`

    an item is unknown
    exit: 2
    --- stderr
    error: [lab]/data/interactions.tsv:3: item `c` is not in `items.jsonl`; add it there, or set `unknown_items` to "keep" or "drop"

    a field is missing
    exit: 2
    --- stderr
    error: [lab]/data/interactions.tsv:3: 2 fields where the header has 3; complete or remove the line

    bytes are no text
    exit: 2
    --- stderr
    error: [lab]/data/interactions.tsv:2: not UTF-8; set `format.encoding` to "latin-1" or "utf-16", or convert the file

    nothing but a header
    exit: 2
    --- stderr
    error: `[lab]/data/interactions.tsv` has no interactions; it needs one row per interaction, after the header if it has one

    nothing at all
    exit: 2
    --- stderr
    error: `[lab]/data/interactions.tsv` has no interactions; it needs one row per interaction, after the header if it has one

    nothing left
    exit: 2
    --- stderr
    error: no interaction is left of 2: 2 fell to users with fewer than 3 interactions; loosen the filter that took most

    no folder
    exit: 2
    --- stderr
    error: s.toml:9: `dataset.mine.interactions` names `[lab]/data/other.tsv`, which is not there
    hint: the folder has interactions.tsv, items.jsonl
    "#);
}

#[test]
fn data_that_turn_out_bad_in_the_worker_fail_the_run() {
    let lab = Lab::new();
    lab.write(
        "data/interactions.tsv",
        "user_id\titem_id\ttimestamp\nu\ta\t1\nu\tb\tsoon\n",
    );
    lab.write(
        "s.toml",
        "[sweep]\nname = \"d\"\nbackbone = \"popularity\"\n[dataset.mine]\npath = \"data\"\n",
    );
    insta::assert_snapshot!(lab.genair(["sweep", "s.toml"]), @r"
    exit: 3
    --- stdout
    no finished runs
    --- stderr
    1 run: 0 finished before, 1 to run, [cores] at once
    data of mine: starting
    run 1 (mine popularity none seed 44): starting
    [1/1] run 1 (mine popularity none seed 44): failed (invalid-data) after [time]
    error: run 1 (mine popularity none seed 44) failed while loading-data: [lab]/data/interactions.tsv:3: `timestamp` is `soon`; write a finite number or an ISO 8601 time, or name the form with `time_format`
    ");
    assert_eq!(
        lab.lines("SELECT state || ' ' || failure_kind FROM runs"),
        "failed invalid-data"
    );
}

#[test]
fn environment_and_command_line_override_in_their_order() {
    let lab = Lab::new();
    lab.write("s.toml", tiny_spec("order", &["sasrec"], ""));
    let device = |more: &[&str]| {
        let plan = lab
            .genair(
                ["plan", "s.toml", "--format", "json"]
                    .into_iter()
                    .chain(more.iter().copied()),
            )
            .expect(0)
            .json();
        plan[0]["spec"]["train"]["device"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(device(&[]), "cpu", "GENAIR_DEVICE, which the lab sets");
    assert_eq!(device(&["--set", "train.device=\"auto\""]), "auto");
    insta::assert_snapshot!(lab.genair(["plan", "s.toml", "--set", "train.optimiser.lr=1"]), @r"
    exit: 2
    --- stderr
    error: --set: unknown key `train.optimiser`
    hint: did you mean `optimizer`?
    ");
}

#[test]
fn files_that_are_not_there_are_found_by_the_check() {
    let lab = Lab::new();
    lab.write("d/log.csv", "user_id,item_id\na,x\n");
    lab.write(
        "s.toml",
        r#"
[sweep]
name = "files"
seeds = [1]
backbone = ["popularity"]
[dataset.file]
path = "d/log.csv"
[dataset.missing]
path = "d"
interactions = "logs.csv"
[dataset.items]
path = "d"
interactions = "log.csv"
items = ["items.zip/items.csv", "log.csv"]
"#,
    );
    let checked = lab.genair(["check", "s.toml"]);
    insta::assert_snapshot!(checked, @r#"
    exit: 2
    --- stdout
    s.toml: 3 problems
    --- stderr
    error: s.toml:7: `dataset.file.path` is the file `[lab]/d/log.csv`, and must be a folder
    hint: name the folder that it is in, and set `interactions` to "log.csv"
    error: s.toml:10: `dataset.missing.interactions` names `[lab]/d/logs.csv`, which is not there
    hint: did you mean `log.csv`?
    error: s.toml:14: `dataset.items.items` names `[lab]/d/items.zip/items.csv`, which is not there
    hint: the folder has log.csv
    "#);
}
