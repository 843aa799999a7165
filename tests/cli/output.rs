//! Where output goes: whole to standard output or an error, and over nothing that a command reads.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::{Value, json};

const REPORT: &str = r#"
[report]
sweeps = ["out"]

[figure.cost]
kind = "cost"
x = "parameters"
"#;

const ARCHETYPES: &str = r#"
[archetype]
engine = "fake"
generation = { max_new_tokens = 8 }

[representation.genair]
kind = "archetype"
components = 4
"#;

/// Two runs, and specs of a sweep, of archetypes and of a report.
fn swept() -> Lab {
    let lab = Lab::new().with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1");
    let spec = tiny_spec(
        "out",
        &["popularity", "sasrec"],
        "[train.stop]\nmax_epochs = 1\n",
    );
    lab.write("s.toml", &spec);
    lab.write("a.toml", format!("{spec}{ARCHETYPES}"));
    lab.write("r.toml", REPORT);
    lab.genair(["sweep", "s.toml"]).expect(0);
    lab
}

/// Everything that writes to standard output.
const COMMANDS: [&[&str]; 48] = [
    &["--help"],
    &["--version"],
    &["help", "sweep"],
    &["results", "--help"],
    &["check", "s.toml"],
    &["plan", "s.toml"],
    &["plan", "s.toml", "--graph"],
    &["plan", "s.toml", "--graph", "dot"],
    &["plan", "s.toml", "--format", "json"],
    &["sweep", "s.toml"],
    &["sweep", "s.toml", "--format", "json"],
    &["watch", "--once"],
    &["watch", "--format", "json"],
    &["results", "list"],
    &["results", "show", "2"],
    &["results", "code", "2"],
    &["results", "diff", "1", "2"],
    &["results", "leaderboard"],
    &["results", "sql", "SELECT * FROM ranks"],
    &["results", "sql", "SELECT * FROM ranks", "--format", "json"],
    &["results", "sql", "SELECT 1"],
    &["results", "reproduce", "1"],
    &["results", "vacuum"],
    &["results", "html"],
    &["results", "backup", "copy.db"],
    &["results", "merge", "copy.db"],
    &["results", "export-ranks", "--out", "ranks.csv"],
    &["results", "delete", "1", "--yes", "--db", "copy.db"],
    &["recommend", "2", "--history", "item-3"],
    &["export", "recommendations", "2", "--out", "lists.csv"],
    &["export", "csv"],
    &["export", "parquet"],
    &["export", "tensorboard", "--out", "tensorboard"],
    &["export", "mlflow", "--out", "mlflow"],
    &["schema"],
    &["spec", "resolve", "s.toml"],
    &["plugin", "list"],
    &["plugin", "inspect", "sasrec"],
    &["plugin", "new", "made"],
    &["data", "stats", "s.toml"],
    &[
        "data",
        "export",
        "s.toml",
        "--dataset",
        "tiny",
        "--out",
        "data",
    ],
    &["archetype", "prompt", "a.toml"],
    &["archetype", "generate", "a.toml"],
    &["archetype", "show", "a.toml", "--item", "item-3"],
    &["archetype", "report", "a.toml"],
    &["archetype", "model", "list"],
    &["doctor"],
    &["report", "r.toml"],
];

#[test]
fn standard_output_that_is_full_is_an_error() {
    let lab = swept();
    for command in COMMANDS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let outcome = lab.genair_into(full, command.iter().copied());
        assert_eq!(outcome.code, Some(2), "{command:?}: {outcome}");
        let said = "error: standard output cannot be written: No space left on device";
        assert!(outcome.stderr.contains(said), "{command:?}: {outcome}");
    }
}

/// The subcommands that the help of a command names, and theirs.
fn commands_below(lab: &Lab, command: &[String]) -> Vec<Vec<String>> {
    let words = command.iter().map(String::as_str);
    let help = lab.genair(words.chain(["--help"])).expect(0).stdout;
    let named = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let named = named.take_while(|line| !line.is_empty());
    // A line that only goes on with a summary is indented further.
    let names = named.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut found = vec![command.to_vec()];
    for name in names.filter(|name| !["", "help"].contains(name)) {
        let below = [command, &[name.to_owned()]].concat();
        found.extend(commands_below(lab, &below));
    }
    found
}

/// The argument parser writes help and version by itself: a way to standard output of its own.
#[test]
fn help_that_cannot_be_written_is_an_error() {
    let lab = Lab::new();
    let commands = commands_below(&lab, &[]);
    assert!(commands.len() > 40, "{commands:?}");
    for command in commands {
        for flag in ["--help", "-h"] {
            let words = command.iter().map(String::as_str).chain([flag]);
            let full = File::options().write(true).open("/dev/full").unwrap();
            let outcome = lab.genair_into(full, words);
            assert_eq!(outcome.code, Some(2), "{command:?} {flag}: {outcome}");
            let said = "error: standard output cannot be written: No space left on device";
            assert!(
                outcome.stderr.contains(said),
                "{command:?} {flag}: {outcome}"
            );
        }
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let lab = swept();
    for command in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let outcome = lab.genair_into(writer, command.iter().copied());
        assert_eq!(outcome.code, Some(0), "{command:?}: {outcome}");
        assert!(!outcome.stderr.contains("error"), "{command:?}: {outcome}");
    }
    // How the command itself ended is still told.
    lab.write("bad.toml", "[sweep]\nnam = 1\n");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    lab.genair_into(writer, ["check", "bad.toml"]).expect(2);
}

#[test]
fn quiet_leaves_errors_alone() {
    let lab = Lab::new();
    lab.write(
        "none.toml",
        "[sweep]\nname = \"none\"\nbackbone = [\"popularity\"]\n",
    );
    lab.write("bad.toml", "[sweep]\nnaem = \"bad\"\n");
    let said = |arguments: &[&str], code| lab.genair(arguments.iter().copied()).expect(code).stderr;
    assert!(said(&["sweep", "none.toml"], 4).contains("nothing to run"));
    assert_eq!(said(&["sweep", "none.toml", "--quiet"], 4), "");
    assert!(said(&["check", "bad.toml", "--quiet"], 2).contains("naem"));
}

/// A statement of any number of rows: all are there, and memory does not grow with them.
#[test]
fn rows_are_written_as_they_come() {
    let lab = swept();
    let rows = 25_000;
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i, 'x' AS x FROM n"
    );
    let all = lab
        .genair(["results", "sql", &sql, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(all["columns"], json!(["i", "x"]));
    let all = all["rows"].as_array().unwrap();
    assert_eq!(all.len(), rows);
    assert_eq!(all[rows - 1], json!([rows, "x"]));
    let text = lab.genair(["results", "sql", &sql]).expect(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines.iter().filter(|line| line.contains("i  x")).count(),
        3,
        "a header a block"
    );
    assert_eq!(lines.len(), rows + 3 + 2);
    let none = lab
        .genair([
            "results",
            "sql",
            "SELECT 1 AS a WHERE 0",
            "--format",
            "json",
        ])
        .expect(0);
    assert_eq!(none.json(), json!({"columns": ["a"], "rows": []}));
    // `head` ends a query that never would.
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    lab.genair_into(writer, ["results", "sql", endless, "--format", "json"])
        .expect(0);
}

#[test]
fn what_is_not_one_reading_statement_is_refused() {
    let lab = swept();
    lab.write("nul.sql", "SELECT 1\0");
    lab.write("long.sql", vec![b' '; (4 << 20) + 1]);
    let made = lab.path("made.db");
    let into = format!("VACUUM INTO '{}'", made.display());
    let attach = format!("ATTACH '{}' AS other", made.display());
    for (arguments, said) in [
        (
            vec!["--file", "nul.sql"],
            "NUL character at line 1, column 9",
        ),
        (
            vec!["--file", "long.sql"],
            "cannot read long.sql: it is larger than",
        ),
        (vec!["--file", "/dev/zero"], "cannot read /dev/zero"),
        (vec![""], "there is no statement"),
        (
            vec!["SELECT 1 AS a; SELECT 'x' AS b"],
            "more than one statement",
        ),
        (vec![&into], "the statement writes"),
        (vec![&attach], "the statement writes"),
        (vec!["PRAGMA journal_mode = DELETE"], "the statement writes"),
    ] {
        let begin = Instant::now();
        let refused = lab.genair(
            ["results", "sql"]
                .into_iter()
                .chain(arguments.iter().copied()),
        );
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused}");
        assert!(refused.stderr.contains(said), "{arguments:?}: {refused}");
        assert_eq!(refused.stdout, "", "{arguments:?}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{arguments:?}");
    }
    assert!(!made.exists());
}

/// A file of the folder as it is: which one, and what is in it.
fn file(lab: &Lab, name: &str) -> (u64, Vec<u8>) {
    let path = lab.path(name);
    (path.metadata().unwrap().ino(), std::fs::read(path).unwrap())
}

#[test]
fn no_command_writes_over_what_it_reads_or_over_a_database() {
    let lab = swept();
    lab.genair(["results", "backup", "other.db"]).expect(0);
    let hard = |from: &str, to: &str| std::fs::hard_link(lab.path(from), lab.path(to)).unwrap();
    let soft = |from: &str, to: &str| {
        std::os::unix::fs::symlink(lab.path(from), lab.path(to)).unwrap();
    };
    lab.write(
        "figures/a.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    );
    lab.write("v.safetensors", "");
    hard("genair.db", "hard.html");
    soft("genair.db", "soft.html");
    soft("other.db", "ranks.csv");
    std::fs::create_dir(lab.path("tables")).unwrap();
    soft("genair.db", "tables/runs.csv");
    hard("other.db", "tables/cost.svg");
    hard("r.toml", "tables/index.md");
    let kept = [
        "genair.db",
        "other.db",
        "r.toml",
        "s.toml",
        "figures/a.svg",
        "v.safetensors",
    ];
    let before: Vec<_> = kept.iter().map(|name| file(&lab, name)).collect();
    for arguments in [
        &["results", "html", "--out", "genair.db"][..],
        &["results", "html", "--out", "./tables/../genair.db"],
        &["results", "html", "--out", "hard.html"],
        &["results", "html", "--out", "soft.html"],
        &["results", "html", "--out", "other.db"],
        &["results", "html", "--out", "genair.db-wal"],
        &["results", "html", "--out", "other.db-journal"],
        &[
            "results",
            "html",
            "--figures",
            "figures",
            "--out",
            "figures/a.svg",
        ],
        &["results", "html", "--out", "/dev/null"],
        &["results", "export-ranks", "--out", "ranks.csv"],
        &["results", "backup", "genair.db"],
        &["results", "backup", "other.db-wal"],
        &["export", "csv", "runs", "--out", "tables"],
        &["report", "r.toml", "--out", "tables"],
        &[
            "archetype",
            "import",
            "v.safetensors",
            "--out",
            "v.safetensors",
        ],
        &[
            "archetype",
            "import",
            "v.safetensors",
            "--items",
            "s.toml",
            "--out",
            "other.db",
        ],
    ] {
        let refused = lab.genair(arguments.iter().copied());
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused}");
        for (name, before) in kept.iter().zip(&before) {
            assert!(file(&lab, name) == *before, "{arguments:?} changed {name}");
        }
    }
    assert_eq!(
        lab.rows("SELECT count(*) FROM runs WHERE state = 'finished'"),
        [[json!(2)]]
    );
    lab.genair(["results", "html", "--out", "page.html"])
        .expect(0);
    lab.genair(["results", "html", "--out", "page.html"])
        .expect(0);
}

/// Draws on a terminal that says it is as large as a terminal can say.
#[test]
fn a_terminal_of_any_size_is_drawn_on() {
    let lab = swept();
    let genair = std::env::current_exe().unwrap();
    let genair = genair.ancestors().nth(2).unwrap().join("genair");
    for size in ["rows 65535 cols 65535", "rows 24 cols 80", "rows 1 cols 1"] {
        let drawn = lab.path("drawn");
        let shell = format!(
            "stty {size} && exec {} watch --db {}",
            genair.display(),
            lab.path("genair.db").display()
        );
        let script = Command::new("script")
            .args(["-q", "-e", "-f", "-c", &shell])
            .arg(&drawn)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut script = match script {
            Ok(script) => script,
            Err(error) => {
                eprintln!("SKIPPED: there is no `script` to make a terminal: {error}");
                return;
            }
        };
        let mut keys = script.stdin.take().unwrap();
        let status = lab.wait_for("the end of `watch`", |_| {
            // It may not listen yet, or not any more.
            let _ = keys.write_all(b"q");
            std::thread::sleep(Duration::from_millis(200));
            script.try_wait().unwrap()
        });
        assert_eq!(
            status.code(),
            Some(0),
            "{size}: {:?}",
            std::fs::read(drawn).map(|all| all.len())
        );
    }
}

#[test]
fn the_last_rows_are_in_a_file_that_is_said_to_be_whole() {
    let lab = swept();
    let full: Value = lab
        .genair(["results", "sql", "SELECT * FROM ranks", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        json!(full["rows"].as_array().unwrap().len()),
        lab.rows("SELECT count(*) FROM ranks")[0][0]
    );
}
