//! What reaches a terminal: nothing that acts on it, nothing twice, nothing endless.

use genair_protocol::Labels;
use genair_store::{NewRun, Store};
use genair_test_support::lab::{Lab, Outcome, tiny_spec};

/// ESC, a line feed, NUL, a C1 control, and a mark that turns the direction of writing.
const HOSTILE: &str = "a\u{1b}[31m\nb\0\u{9b}c\u{202e}d";
const SHOWN: &str = "a\\u001b[31m\\nb\\u0000\\u009bc\\u202ed";

#[track_caller]
fn expect_calm(outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr] {
        let acts = |c: char| {
            c.is_control() && !matches!(c, '\n' | '\t') || ('\u{202a}'..='\u{202e}').contains(&c)
        };
        assert!(!text.contains(acts), "{text:?}");
    }
}

/// A database that no spec could make now, as an earlier program or another one may have.
fn hostile_database() -> Lab {
    let lab = Lab::new();
    let mut store = Store::open(lab.path("genair.db")).unwrap();
    let sweep = store.begin_sweep(HOSTILE, HOSTILE, "[sweep]").unwrap();
    let run = NewRun {
        identity: "1".repeat(64),
        configuration: "2".repeat(64),
        spec: r#"{"train": {"stop": {"metric": "ndcg@10", "max_epochs": 3}}}"#.to_owned(),
        spec_sha256: "5ec".to_owned(),
        labels: Labels {
            dataset: HOSTILE.to_owned(),
            backbone: HOSTILE.to_owned(),
            representation: HOSTILE.to_owned(),
            axes: [("x", HOSTILE)].into_iter().collect(),
            seed: 1,
        },
        data_sha256: "da7a".to_owned(),
        plugin_sha256: None,
        results_version: 1,
    };
    store.register(sweep, &[run]).unwrap();
    store.close().unwrap();
    lab
}

#[test]
fn what_a_database_holds_does_not_act_on_the_terminal() {
    let lab = hostile_database();
    let name = format!(
        "SELECT '{}' AS \"{}\"",
        HOSTILE.replace('\0', ""),
        "h\u{1b}[2J"
    );
    for command in [
        &["results", "list"][..],
        &["results", "show", "1"],
        &["results", "sql", "SELECT name FROM sweeps"],
        &[
            "results",
            "sql",
            "SELECT char(27) || '[2J' || char(10) || char(8238) AS x",
        ],
        &["results", "sql", &name],
        &["results", "leaderboard"],
        &["watch", "--once"],
        &["watch", "--once", "--sweep", "no\u{1b}such"],
        &["results", "html", "--sweep", "no\u{1b}such"],
        &["results", "html"],
    ] {
        let outcome = lab.genair(command.iter().copied());
        expect_calm(&outcome);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!said.is_empty());
    }
    let list = lab.genair(["results", "list"]).expect(0);
    assert!(list.stdout.contains(SHOWN), "{}", list.stdout);
    assert_eq!(
        list.stdout.lines().count(),
        4,
        "a row is one line: {}",
        list.stdout
    );
    // JSON is exact.
    let list = lab
        .genair(["results", "list", "--format", "json"])
        .expect(0);
    assert_eq!(list.json()[0]["sweep"], HOSTILE);
    assert_eq!(list.json()[0]["axes"]["x"], HOSTILE);
}

#[test]
fn a_name_that_would_act_on_a_terminal_is_refused_before_anything_is_stored() {
    let lab = Lab::new();
    let spec = tiny_spec("n", &["popularity"], "");
    for (from, to) in [
        ("name = \"n\"", "name = \"a\\u0000b\""),
        ("[dataset.tiny]", "[dataset.\"a\\u001b[31mb\"]"),
        ("[dataset.tiny]", "[dataset.\"a\\nb\"]"),
    ] {
        lab.write("s.toml", spec.replace(from, to));
        for command in ["check", "plan", "sweep"] {
            let outcome = lab.genair([command, "s.toml"]).expect(2);
            expect_calm(&outcome);
            assert!(outcome.stderr.contains("s.toml:"), "{outcome}");
            assert!(outcome.stderr.contains(" holds U+00"), "{outcome}");
            assert!(outcome.stderr.contains("hint: take it out"), "{outcome}");
        }
    }
    assert!(!lab.path("genair.db").exists());
    lab.write("s.toml", &spec);
    insta::assert_snapshot!(lab.genair(["check", "s.toml", "--set", "sweep.name=\"a\\u001b[31mb\""]), @r#"
    exit: 2
    --- stdout
    s.toml: 1 problem
    --- stderr
    error: --set: `sweep.name`: the name "a\u001b[31mb" holds U+001B as its character 2; a name has no control characters and no marks of the direction of writing
    hint: take it out; letters, digits, spaces and punctuation are fine
    "#);
    lab.write("r.toml", "[report]\nsweeps = [\"n\"]\nnames = { a = \"A\\u001b[31m\" }\n[table.t]\ncaption = \"x\\u0000\"\n");
    insta::assert_snapshot!(lab.genair(["report", "r.toml"]), @r#"
    exit: 2
    --- stderr
    error: r.toml:3: `report.names`: its text "A\u001b[31m" holds U+001B as its character 2; a name has no control characters and no marks of the direction of writing
    hint: take it out; letters, digits, spaces and punctuation are fine
    error: r.toml:5: `table.t.caption` is "x\u0000"; it holds a control character or a mark of the direction of writing
    hint: take it out; letters, digits, spaces and punctuation are fine
    "#);
}

#[test]
fn a_message_is_no_longer_than_can_be_read() {
    let lab = Lab::new();
    let long = "x".repeat(100_000);
    let specs = [
        tiny_spec(
            "n",
            &["popularity"],
            &format!("[train]\nbatch_size = \"{long}\"\n"),
        ),
        tiny_spec("n", &[&long], ""),
        tiny_spec("n", &["popularity"], &format!("[train]\n{long} = 1\n")),
    ];
    for spec in specs {
        lab.write("s.toml", spec);
        let outcome = lab.genair(["check", "s.toml"]).expect(2);
        let longest = outcome.stderr.lines().map(str::len).max();
        assert!(longest <= Some(1000), "{longest:?}");
        assert!(outcome.stderr.contains("s.toml:"), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains(" characters ...]"),
            "{}",
            outcome.stderr
        );
        let exact = lab
            .genair(["check", "s.toml", "--format", "json"])
            .expect(2);
        assert!(exact.json()[0]["problems"][0]["message"].to_string().len() > long.len());
    }
}

#[test]
fn what_is_wrong_is_told_once_and_what_is_nested_in_words() {
    let lab = Lab::new();
    let profiles =
        "[profile.a.train]\nthreads = 2\nbatch_size = 0\n[profile.b.train]\nthreads = 3\n";
    let spec = tiny_spec(
        "n",
        &["popularity"],
        &format!("[train]\nbatch_size = -1\n{profiles}"),
    );
    lab.write("s.toml", spec);
    let told = lab.genair(["check", "s.toml"]).expect(2).stderr;
    let mut lines: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("error"))
        .collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), all, "{told}");

    let spec = tiny_spec("n", &["popularity"], "");
    lab.write(
        "e.toml",
        format!("extends = [\"no.toml\", \"no.toml\"]\n{spec}"),
    );
    let twice = ["check", "e.toml", "--set", "a", "--set", "a"];
    let twice = lab.genair(twice).expect(2);
    assert_eq!(twice.stdout, "e.toml: 2 problems\n");
    assert_eq!(twice.stderr.matches("no.toml`").count(), 1, "{twice}");
    assert_eq!(twice.stderr.matches("`a` has no `=`").count(), 1, "{twice}");

    lab.write(
        "r.toml",
        "[table.t]\nsweeps = [\"n\"]\nrows = [\"alpha\", \"alpha\", \"alpha\"]\n",
    );
    let told = lab.genair(["report", "r.toml"]).expect(2).stderr;
    assert_eq!(told.matches("lists `alpha` twice").count(), 1, "{told}");

    lab.write("s.toml", tiny_spec("n", &["popularity"], ""));
    let stats = lab.genair(["data", "stats", "s.toml"]).expect(0).stdout;
    assert!(!stats.contains(['{', '"', '_']), "{stats}");
    let removed = stats
        .lines()
        .find(|line| line.starts_with("removed"))
        .unwrap();
    assert!(removed.contains("short user 0"), "{stats}");
}
