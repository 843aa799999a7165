//! The `genair` program as a whole, with a shell script in the trainer's place.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What a good worker of the popularity baseline says.
const EVENTS: &str = concat!(
    r#"{"event":"started","machine":{"host":"here","device":"cpu","threads":1,"libtorch":"2.13.0","trainer":"0.1.0","cpu":"made","cores":8,"memory_bytes":null,"system":"linux"},"#,
    r#""data":{"users":2,"items":3,"interactions":8,"sequences_sha256":"00","head_item":2,"long_user":3},"parameters":0}"#,
    "\n",
    r#"{"event":"metrics","epoch":null,"split":"test","protocol":"full","#,
    r#""rows":[{"cohort":"all","metric":"ndcg","k":10,"value":0.25,"users":2}]}"#,
    "\n",
    r#"{"event":"finished","best_epoch":0,"epochs":0,"seconds":0.5,"train_seconds":0.0,"cpu_seconds":null,"peak_memory_bytes":null}"#,
    "\n",
);

/// What a worker says of a plugin's file.
const REPORT: &str = r#"{"name":"good","path":"/good.so","sha256":"00","abi":1,"libtorch":null,"rustc":null,"descriptor":null,"capabilities":null,"error":null}"#;

const SPEC: &str = "[sweep]\nname = \"t\"\nbackbone = \"popularity\"\nseeds = [1, 2, 3, 4]\n[dataset.made]\nkind = \"synthetic\"\n";

/// A folder to run the program in, with a shell script as trainer.
struct ScriptedTrainer(TempDir);

impl ScriptedTrainer {
    /// `run` is what the worker does; `$here` is the folder, `$here/starts` gets a line per start.
    fn new(run: &str) -> Self {
        let scripted = Self(tempfile::tempdir().unwrap());
        scripted.write("events", EVENTS);
        scripted.write("s.toml", SPEC);
        scripted.write(
            "trainer",
            &format!(
                "#!/bin/sh\nhere={}\ncase $1 in\nplugins) echo '[{REPORT}]';;\nrun) echo x >> $here/starts\n{run};;\nesac\n",
                scripted.0.path().display()
            ),
        );
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(scripted.0.path().join("trainer"), executable).unwrap();
        scripted
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.0.path().join(name))
            .unwrap_or_default()
            .lines()
            .count()
    }

    fn wait_for_lines(&self, name: &str, lines: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.lines(name) < lines {
            assert!(Instant::now() < deadline, "{name} never got {lines} lines");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_genair"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("GENAIR_TRAINER", self.0.path().join("trainer"));
        for variable in ["GENAIR_DB", "GENAIR_PLUGIN_PATH", "GENAIR_DEVICE"] {
            command.env_remove(variable);
        }
        command
    }

    /// Exit code, standard output and standard error.
    fn genair(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        said(self.command(arguments).output().unwrap())
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Run states and attempts, as the database has them.
    fn states(&self) -> String {
        let sql = "SELECT state || ' ' || attempts FROM runs ORDER BY run_id";
        let (_, json, _) = self.genair(&["results", "sql", sql, "--format", "json"]);
        let result: serde_json::Value = serde_json::from_str(&json).unwrap();
        let rows = result["rows"].as_array().unwrap().iter();
        rows.map(|row| row[0].as_str().unwrap())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn signal(child: &Child, name: &str) {
    // The shell's own `kill`: a bare Debian has no program of that name.
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_sweep_ends_with_the_leaderboard_and_a_second_one_does_nothing() {
    let scripted = ScriptedTrainer::new("cat $here/events");
    let (code, out, err) = scripted.genair(&["sweep", "s.toml"]);
    assert_eq!(code, Some(0), "{err}");
    insta::assert_snapshot!(out, @r#"
    dataset  backbone    representation  variant  seeds          NDCG@10  HR@10  NDCG@10 of 100  HR@10 of 100
    made     popularity  none            -            4  0.2500 ± 0.0000      -               -             -

    Test split, all users; "of 100": against 100 sampled negatives, otherwise among all items.
    "#);
    let (code, out, _) = scripted.genair(&["sweep", "s.toml", "--format", "json"]);
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(summary["runs"][3]["outcome"], "finished-before");
    assert_eq!(summary["leaderboard"][0]["scores"][0]["mean"], 0.25);
    assert_eq!(scripted.lines("starts"), 4);
    let (code, out, _) = scripted.genair(&["plan", "s.toml", "--set", "sweep.seeds=[4, 5]"]);
    assert_eq!(code, Some(0));
    insta::with_settings!({filters => vec![(r"[0-9a-f]{12}", "[identity]")]}, {
        insta::assert_snapshot!(out, @r"
        state     dataset  backbone    representation  variant  seed  identity
        finished  made     popularity  none            -           4  [identity]
        new       made     popularity  none            -           5  [identity]

        2 runs, 1 finished
        ");
    });
}

#[test]
fn exit_codes_say_what_happened() {
    let scripted = ScriptedTrainer::new("exit 3");
    scripted.write("bad.toml", &SPEC.replace("seeds", "seds"));
    scripted.write(
        "empty.toml",
        "[sweep]\nname = \"e\"\nbackbone = \"popularity\"\n",
    );
    for (arguments, code, complaint) in [
        (&["check", "s.toml"][..], 0, ""),
        (
            &["check", "s.toml", "bad.toml"],
            2,
            "bad.toml:4: unknown key `sweep.seds`\nhint: did you mean `seeds`?",
        ),
        (
            &["sweep", "none.toml"],
            2,
            "none.toml: cannot read the spec",
        ),
        (&["plan", "empty.toml"], 4, ""),
        (&["sweep", "empty.toml"], 4, "nothing to run"),
        (&["results", "list"], 2, "there is no such file"),
        (
            &["sweep", "s.toml", "--plugin-dir", "nowhere"],
            2,
            "nowhere for plugins",
        ),
        (
            &["sweep", "s.toml"],
            3,
            "ended with exit code 3 without a result",
        ),
        (
            &["sweep", "s.toml", "--retry", "none"],
            3,
            "`--retry failed` tries runs again",
        ),
        (
            &["results", "sql", "DELETE FROM runs"],
            2,
            "queries may only read",
        ),
        (&["plugin", "inspect", "sasrec"], 2, "no plugin `sasrec`"),
    ] {
        let (found, _, err) = scripted.genair(arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {err}");
        assert!(err.contains(complaint), "{arguments:?}: {err}");
    }
}

#[test]
fn two_sweeps_on_one_database_share_the_runs() {
    let scripted =
        ScriptedTrainer::new("while [ ! -e $here/go ]; do sleep 0.05; done; cat $here/events");
    let first = scripted.start(&["sweep", "s.toml", "-j", "4"]);
    scripted.wait_for_lines("starts", 4);
    let log = std::fs::File::create(scripted.0.path().join("second")).unwrap();
    let second = scripted
        .command(&["sweep", "s.toml", "-j", "4"])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    scripted.wait_for_lines("second", 2);
    let told = std::fs::read_to_string(scripted.0.path().join("second")).unwrap();
    assert!(
        told.contains(&format!(
            "waiting for 4 runs that process {} on ",
            first.id()
        )),
        "{told}"
    );
    scripted.write("go", "");
    let [first, second] = [first, second].map(|sweep| said(sweep.wait_with_output().unwrap()));
    assert_eq!((first.0, second.0), (Some(0), Some(0)), "{}", first.2);
    assert_eq!(first.1, second.1);
    assert_eq!(scripted.lines("starts"), 4);
    assert_eq!(
        scripted.states(),
        "finished 1, finished 1, finished 1, finished 1"
    );
}

#[test]
fn ctrl_c_leaves_runs_that_the_same_command_continues() {
    let scripted =
        ScriptedTrainer::new("[ -e $here/go ] || { cat > /dev/null; exit 3; }; cat $here/events");
    let sweep = scripted.start(&["sweep", "s.toml", "-j", "2"]);
    scripted.wait_for_lines("starts", 2);
    signal(&sweep, "INT");
    let (code, _, err) = said(sweep.wait_with_output().unwrap());
    assert_eq!(code, Some(130), "{err}");
    assert!(
        err.ends_with("interrupted: 4 runs left; the same command continues\n"),
        "{err}"
    );
    assert_eq!(
        scripted.states(),
        "pending 1, pending 1, pending 0, pending 0"
    );
    scripted.write("go", "");
    assert_eq!(scripted.genair(&["sweep", "s.toml", "-j", "2"]).0, Some(0));
    assert_eq!(
        scripted.states(),
        "finished 2, finished 2, finished 1, finished 1"
    );
}

#[test]
fn a_killed_sweep_takes_its_workers_along_and_is_taken_over() {
    let scripted = ScriptedTrainer::new(
        "[ -e $here/go ] || { cat > /dev/null; echo x >> $here/ended; exit 3; }; cat $here/events",
    );
    let mut sweep = scripted.start(&["sweep", "s.toml", "-j", "2"]);
    scripted.wait_for_lines("starts", 2);
    signal(&sweep, "KILL");
    sweep.wait().unwrap();
    scripted.wait_for_lines("ended", 2);
    assert_eq!(
        scripted.states(),
        "running 1, running 1, pending 0, pending 0"
    );
    scripted.write("go", "");
    let (code, _, err) = scripted.genair(&["sweep", "s.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        scripted.states(),
        "finished 2, finished 2, finished 1, finished 1"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let scripted = ScriptedTrainer::new("cat $here/events");
    assert_eq!(
        scripted.genair(&["sweep", "s.toml", "--quiet"]),
        (Some(0), String::new(), String::new())
    );
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n";
    let mut reader = scripted.start(&["results", "sql", sql]);
    drop(reader.stdout.take());
    let (code, _, err) = said(reader.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn a_trainer_that_dies_of_a_plugin_still_tells_of_the_others() {
    let scripted = ScriptedTrainer::new("");
    let (deadly, good) = (plugin_file("deadly"), plugin_file("good"));
    for file in [&deadly, &good] {
        scripted.write(file, "not a library");
    }
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n--version) echo 1;;\n\
         *{deadly}*) echo 'symbol lookup error' >&2; kill -SEGV $$;;\n*) echo '[{REPORT}]';;\nesac\n"
    );
    scripted.write("trainer", &script);
    let (code, out, err) =
        scripted.genair(&["plugin", "list", "--plugin-dir", ".", "--format", "json"]);
    assert_eq!(code, Some(0), "{err}");
    let reports: serde_json::Value = serde_json::from_str(&out).unwrap();
    let reports = reports.as_array().unwrap();
    let named = |name: &str| {
        reports
            .iter()
            .find(|report| report["name"] == name)
            .unwrap()
    };
    assert_eq!(named("good")["error"], serde_json::Value::Null);
    let error = named("deadly")["error"].as_str().unwrap();
    assert!(
        error.contains("was ended by SIGSEGV") && error.contains("symbol lookup error"),
        "{error}"
    );
    assert!(Path::new(named("deadly")["path"].as_str().unwrap()).ends_with(&deadly));
}

fn plugin_file(name: &str) -> String {
    format!(
        "libgenair_backbone_{name}.{}",
        std::env::consts::DLL_EXTENSION
    )
}

#[test]
fn an_exported_data_set_is_a_data_set() {
    let scripted = ScriptedTrainer::new("");
    let export = [
        "data",
        "export",
        "s.toml",
        "--dataset",
        "made",
        "--out",
        "made",
    ];
    let (code, out, err) = scripted.genair(&export);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("made: 500 users, 300 items, "), "{out}");
    scripted.write(
        "again.toml",
        &SPEC.replace("kind = \"synthetic\"", "path = \"made\""),
    );
    let statistics = |spec| {
        let (_, json, err) = scripted.genair(&["data", "stats", spec, "--format", "json"]);
        let described: serde_json::Value =
            serde_json::from_str(&json).unwrap_or_else(|_| panic!("{err}"));
        described[0]["statistics"].clone()
    };
    // An export has the places of interactions in their sequences, and no times.
    let mut expected = statistics("s.toml");
    assert_eq!(expected["ordered_by"], "time");
    expected["ordered_by"] = "position".into();
    assert_eq!(statistics("again.toml"), expected);

    let (code, _, err) = scripted.genair(&export);
    assert_eq!(code, Some(2));
    assert!(err.contains("made/items.jsonl` is there already"), "{err}");
    let (code, _, err) =
        scripted.genair(&["data", "export", "s.toml", "--dataset", "mad", "--out", "x"]);
    assert_eq!(code, Some(2));
    assert!(
        err.contains("no such dataset in s.toml; there are: made"),
        "{err}"
    );
}
