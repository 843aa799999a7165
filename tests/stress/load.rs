//! Eight workers that say as much as they can, one process that writes, and a reader that has the database open
//! all the while.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use genair_store::Store;
use genair_test_support::lab::Lab;
use serde_json::json;

const WORKERS: usize = 8;
/// Of each worker.
const EVENTS: usize = 10_000;

/// What the trainer says of any plugin's file.
const PLUGIN: &str = r#"{"name":"other","path":"/other.so","sha256":"","abi":null,"libtorch":null,"rustc":null,"descriptor":null,"capabilities":null,"error":"not for this test"}"#;

const COUNT: &str = "SELECT count(*) FROM epochs;";

/// A folder whose trainer is a script that says a run of many short epochs at once.
fn lab() -> Lab {
    let lab = Lab::new();
    let mut events = String::from(concat!(
        r#"{"event":"started","machine":{"host":"here","device":"cpu","threads":1,"libtorch":"2.13.0","trainer":"0.1.0","cpu":"made","cores":8,"memory_bytes":null,"system":"linux"},"#,
        r#""data":{"users":2,"items":3,"interactions":8,"sequences_sha256":"00","head_item":2,"long_user":3},"parameters":0}"#,
        "\n"
    ));
    for epoch in 1..=EVENTS {
        let event = json!({
            "event": "epoch", "epoch": epoch, "max_epochs": EVENTS, "loss": 1.0 / epoch as f64,
            "train_seconds": 0.001, "valid": null, "best": false,
        });
        events += &format!("{event}\n");
    }
    events += concat!(
        r#"{"event":"metrics","epoch":null,"split":"test","protocol":"full","rows":[{"cohort":"all","metric":"ndcg","k":10,"value":0.25,"users":2}]}"#,
        "\n",
        r#"{"event":"finished","best_epoch":0,"epochs":0,"seconds":0.5,"train_seconds":0.0,"cpu_seconds":null,"peak_memory_bytes":null}"#,
        "\n"
    );
    lab.write("events", events);
    let here = lab.path("");
    let here = here.display();
    let script = format!(
        "#!/bin/sh\ncase $1 in\nplugins) echo '[{PLUGIN}]';;\nrun) cat {here}/events;;\nesac\n"
    );
    lab.write("trainer", script);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(lab.path("trainer"), executable).unwrap();
    lab.write(
        "s.toml",
        format!("[sweep]\nname = \"load\"\nbackbone = \"popularity\"\nseeds = {:?}\n[dataset.made]\nkind = \"synthetic\"\n", (1..=WORKERS).collect::<Vec<_>>()),
    );
    let trainer = lab.path("trainer").display().to_string();
    lab.with_variable("GENAIR_TRAINER", trainer)
}

/// Whoever reads: the sqlite3 shell where there is one, otherwise a connection of this process.
enum Reader {
    Shell(Child, ChildStdin, BufReader<ChildStdout>),
    Connection(Box<Store>),
}

impl Reader {
    fn open(database: &Path) -> Self {
        let shell = Command::new("sqlite3")
            .args(["-readonly", "-batch"])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut shell) = shell else {
            return Self::Connection(Box::new(Store::open_read_only(database).unwrap()));
        };
        let input = shell.stdin.take().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        Self::Shell(shell, input, output)
    }

    fn count(&mut self) -> u64 {
        match self {
            Self::Shell(_, input, output) => {
                writeln!(input, "{COUNT}").unwrap();
                input.flush().unwrap();
                let mut line = String::new();
                output.read_line(&mut line).unwrap();
                line.trim().parse().unwrap()
            }
            Self::Connection(store) => store.query(COUNT).unwrap().rows[0][0].as_u64().unwrap(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Self::Shell(shell, ..) = self {
            let _ = shell.kill();
            let _ = shell.wait();
        }
    }
}

/// Writers and readers lock each other out: "database is locked"
/// (<https://github.com/optuna/optuna/issues/820>).
#[test]
fn optuna_820_database_is_locked() {
    let lab = lab();
    let mut sweep = lab.start(["sweep", "s.toml", "-j", "8"]);
    lab.wait_for("the first events", |lab| {
        (lab.count("SELECT 1 FROM epochs LIMIT 1") > 0).then_some(())
    });
    let begin = Instant::now();
    let mut reader = Reader::open(&lab.path("genair.db"));
    let before = reader.count();
    let (mut seen, mut looks) = (before, 0);
    while sweep.is_running() {
        let now = reader.count();
        assert!(now >= seen, "what was committed stays");
        seen = now;
        looks += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    let seconds = begin.elapsed().as_secs_f64();
    sweep.outcome().expect(0);
    assert!(looks > 3, "the reader looked {looks} times");
    let all = (WORKERS * EVENTS) as u64;
    assert_eq!(reader.count(), all);
    let rows = lab.rows(
        "SELECT count(*), min(n), max(n), min(first), max(last) FROM
         (SELECT count(*) AS n, min(epoch) AS first, max(epoch) AS last FROM epochs GROUP BY run_id)",
    );
    assert_eq!(rows, [[WORKERS, EVENTS, EVENTS, 1, EVENTS]]);
    let shell = matches!(reader, Reader::Shell(..));
    let rate = (all - before) as f64 / seconds;
    eprintln!("{rate:.0} events a second, {looks} looks by a reader (sqlite3 shell: {shell})");
}
