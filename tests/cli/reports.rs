//! From a sweep to the paper: tables, figures and queries from the database alone.

use std::path::Path;
use std::process::Command;

use genair_test_support::lab::{Lab, tiny_spec};

const REPORT: &str = r#"
[report]
sweeps = ["noise"]
names = { sasrec = "SASRec", gru4rec = "GRU4Rec", id = "ID", random = "Noise" }
specs = { noise = "s.toml", search = "search.toml" }

[table.main]
preset = "main"
caption = "IDs and noise"
baseline = { representation = "id" }

[table.cohorts]
preset = "cohorts"

[figure.cost]
kind = "cost"
x = "parameters"

[figure.curves]
kind = "learning-curves"

[figure.items]
kind = "item-space"

[figure.alpha]
kind = "sensitivity"
sweeps = ["search"]
x = "alpha"
"#;

/// Two backbones by ids and by frozen noise, two seeds.
fn lab() -> Lab {
    let lab = Lab::new();
    let more = "[representation.random]\nkind = \"random\"\n[train.stop]\nmax_epochs = 3\n";
    let spec = tiny_spec("noise", &["sasrec", "gru4rec"], more).replace(
        "seeds = [1]",
        "seeds = [1, 2]\nrepresentation = [\"id\", \"random\"]",
    );
    lab.write("s.toml", spec);
    lab.write("r.toml", REPORT);
    lab
}

#[test]
fn a_sweep_becomes_tables_and_figures() {
    let lab = lab();
    // Before the sweep.
    insta::assert_snapshot!(lab.genair(["report", "r.toml"]), @r"
    exit: 2
    --- stderr
    error: database genair.db: there is no such file; `genair sweep` creates it, `--db` names another
    ");
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);

    let refused = lab.genair(["report", "r.toml"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    insta::assert_snapshot!(refused, @r"
    exit: 2
    --- stderr
    error: r.toml:27: `figure.alpha`: there is no sweep `search`
    hint: known here: noise
    ");
    let made = lab.genair(["report", "r.toml", "--out", "paper", "--skip-missing"]);
    insta::assert_snapshot!(made, @r"
    exit: 0
    --- stdout
    2 tables and 3 figures in 22 files; overview: paper/index.md
    --- stderr
    skipped figure.alpha: there is no sweep `search`; run `just sweep search.toml`
    ");
    let bytes = |name: &str| std::fs::read(lab.path("paper").join(name)).unwrap();
    for name in ["cost", "curves", "items"] {
        assert!(bytes(&format!("{name}.svg")).starts_with(b"<svg "));
        assert!(bytes(&format!("{name}.pdf")).starts_with(b"%PDF-"));
        assert!(bytes(&format!("{name}.png")).starts_with(b"\x89PNG"));
    }
    // Numbers of a tiny sweep may differ from machine to machine, its table's shape may not.
    let table = String::from_utf8(bytes("main.md")).unwrap();
    let number =
        regex::Regex::new(r"(\*\*|<u>)?[01]\.\d{4}(\*\*|</u>)?( ± 0\.\d{4})?(\\\*)*").unwrap();
    let shape = number.replace_all(&table, "0").into_owned();
    assert!(
        shape
            .starts_with("**IDs and noise**\n\n| Backbone | Representation | full ranking HR@10 |"),
        "{table}"
    );
    for row in [
        "| SASRec | ID | 0 | 0 | 0 | 0 |",
        "| GRU4Rec | Noise | 0 | 0 | 0 | 0 |",
    ] {
        assert!(shape.contains(row), "{shape}");
    }
    assert!(
        shape.contains("Holm-corrected over the table's 8 tests"),
        "{table}"
    );

    // What the CSV says is what the database says.
    let csv = String::from_utf8(bytes("main.csv")).unwrap();
    let mean = lab.rows(
        "SELECT mean FROM leaderboard_mean WHERE backbone = 'sasrec' AND representation = 'random'
         AND split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10",
    );
    let mean = mean[0][0].as_f64().unwrap();
    let found = csv
        .split([',', '\n'])
        .filter_map(|cell| cell.parse::<f64>().ok());
    assert!(
        found.into_iter().any(|value| (value - mean).abs() < 1e-12),
        "{mean}: {csv}"
    );

    let json = lab
        .genair(["report", "r.toml", "--only", "main", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(json["tables"][0]["name"], "main");
    let text = lab.genair(["report", "r.toml", "--only", "main"]).expect(0);
    assert!(text.stdout.starts_with("**IDs and noise**"), "{text}");

    // A report of nothing but what is not there.
    let nothing = lab.genair(["report", "r.toml", "--only", "alpha", "--skip-missing"]);
    assert_eq!(nothing.code, Some(2), "{nothing}");
}

#[test]
fn queries_run_in_genair_and_in_the_shell() {
    let lab = lab();
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    // The shell where there is one, else Python's SQLite: in either case not the one that is built in.
    let shell = Command::new("sqlite3").arg("--version").output().is_ok();
    let python = "import sqlite3, sys
for row in sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute(sys.stdin.read()): print(row)";
    let other = || match shell {
        true => {
            let mut command = Command::new("sqlite3");
            command.args(["-readonly", "-list"]);
            command
        }
        false => {
            let mut command = Command::new("python3");
            command.args(["-c", python]);
            command
        }
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/queries");
    let mut answers = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.to_str().unwrap();
        let json = lab
            .genair(["results", "sql", "--file", file, "--format", "json"])
            .expect(0)
            .json();
        let rows = json["rows"].as_array().unwrap().len();
        answers += usize::from(rows > 0);
        let output = other()
            .arg(lab.path("genair.db"))
            .stdin(std::fs::File::open(&path).unwrap())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{file}: {output:?}"
        );
        assert_eq!(text.lines().count(), rows, "{file}: {text}");
    }
    assert!(answers >= 7, "{answers}");
}

#[test]
fn a_wrong_report_spec_names_every_line() {
    let lab = Lab::new();
    lab.write(
        "r.toml",
        "[table.t]\nrow = [\"backbone\"]\n[figure.f]\nkind = \"pie\"\n",
    );
    insta::assert_snapshot!(lab.genair(["report", "r.toml"]), @r#"
    exit: 2
    --- stderr
    error: r.toml:1: `table.t` names no sweep
    hint: name the sweeps here, or in [report] for all tables
    error: r.toml:2: unknown key `table.t.row`
    hint: did you mean `rows`?
    error: r.toml:4: `figure.f.kind` is "pie"; it can be "sensitivity", "cohorts", "learning-curves", "cost", "item-space", "trajectories"
    "#);
}
