//! Reading results on the command line: what is asked for, what leads, and what is deleted.

use std::collections::BTreeSet;

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::{Value, json};

fn swept() -> Lab {
    let lab = Lab::new();
    let spec = tiny_spec(
        "tiny-sweep",
        &["popularity", "sasrec"],
        "[train.stop]\nmax_epochs = 2\n",
    );
    lab.write("s.toml", spec.replace("seeds = [1]", "seeds = [1, 2]"));
    lab.genair(["sweep", "s.toml"]).expect(0);
    lab
}

#[test]
fn an_unknown_sweep_is_an_error_with_the_nearest_name() {
    let lab = swept();
    for command in ["leaderboard", "list"] {
        let refused = lab
            .genair(["results", command, "--sweep", "tiny-swep"])
            .expect(2);
        assert_eq!(
            refused.stderr.trim(),
            "error: database genair.db: there is no sweep `tiny-swep`\nhint: did you mean `tiny-sweep`?"
        );
        assert_eq!(refused.stdout, "");
    }
    let refused = lab
        .genair(["results", "delete", "--yes", "--sweep", "tiny-swep"])
        .expect(2);
    assert!(
        refused.stderr.contains("did you mean `tiny-sweep`?"),
        "{refused}"
    );
}

#[test]
fn a_leaderboard_shows_what_is_asked_for() {
    let lab = swept();
    let words = ["results", "leaderboard", "--sweep", "tiny-sweep"];
    let chosen = [
        "--metric",
        "mrr",
        "--k",
        "5",
        "--protocol",
        "sampled-100",
        "--cohort",
        "tail-item",
        "--split",
        "valid",
    ];
    insta::assert_snapshot!(lab.genair(words.into_iter().chain(chosen)), @r#"
    exit: 0
    --- stdout
    dataset  backbone    representation  variant  seeds     MRR@5 of 100
    tiny     sasrec      id              -            2  [....] ± [....]
    tiny     popularity  none            -            2  [....] ± [....]

    Validation split, cohort tail-item; against 100 sampled negatives.
    `tiny` is too small for the sample: some users have 34 negatives.
    "#);
    let csv = lab
        .genair(words.into_iter().chain(chosen).chain(["--format", "csv"]))
        .expect(0);
    let lines: Vec<&str> = csv.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "sweep,dataset,backbone,representation,variant,configuration,differences,seeds,protocol,metric,k,mean,std,valid,left_out"
    );
    assert_eq!(lines.len(), 3, "{csv}");
    let mean = lab.rows(
        "SELECT mean FROM leaderboard_mean WHERE backbone = 'sasrec' AND split = 'valid' AND cohort = 'tail-item'
           AND protocol = 'sampled-100' AND metric = 'mrr' AND k = 5",
    );
    let sasrec = lines.iter().find(|line| line.contains(",sasrec,")).unwrap();
    assert_eq!(
        sasrec.split(',').nth(11).unwrap().parse::<f64>().unwrap(),
        mean[0][0].as_f64().unwrap()
    );

    let wrong = lab
        .genair(["results", "leaderboard", "--metric", "ndgc"])
        .expect(2);
    assert!(
        wrong
            .stderr
            .contains("[possible values: hr, ndcg, mrr, recall, map, coverage,"),
        "{wrong}"
    );
    let absent = lab.genair(["results", "leaderboard", "--k", "7"]).expect(2);
    assert_eq!(
        absent.stderr.trim(),
        "error: no finished run was measured like that (split test, cohort all, k 7); there are the metrics coverage, gini, hr, mrr, ndcg, novelty, tail-share, at 5, 10, 20, 50, by the protocols full, sampled-100"
    );
}

#[test]
fn a_list_shows_what_is_asked_for() {
    let lab = swept();
    let words = [
        "results",
        "list",
        "--state",
        "finished",
        "--metric",
        "hr",
        "--k",
        "20",
        "--cohort",
        "head-item",
    ];
    let json = lab
        .genair(words.into_iter().chain(["--format", "json"]))
        .expect(0)
        .json();
    let value = lab.rows(
        "SELECT value FROM leaderboard WHERE run_id = 3 AND split = 'test' AND protocol = 'full'
           AND cohort = 'head-item' AND metric = 'hr' AND k = 20",
    );
    assert_eq!(json[2]["test"], value[0][0]);
    let text = lab.genair(words).expect(0).stdout;
    assert!(
        text.ends_with("valid, test: HR@20 among all items, cohort head-item\n"),
        "{text}"
    );
    let csv = lab
        .genair(words.into_iter().chain(["--format", "csv"]))
        .expect(0)
        .stdout;
    assert!(csv.starts_with("run,sweep,state,dataset,backbone,representation,variant,seed,valid,test,seconds\n1,tiny-sweep,finished,tiny,popularity,none,,1,"), "{csv}");
    assert_eq!(csv.lines().count(), 5);
    let none = lab
        .genair(["results", "list", "--state", "failed", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(none, json!([]));

    // Where there is no listing, the form is refused before anything happens.
    let refused = lab.genair(["sweep", "s.toml", "--format", "csv"]).expect(2);
    assert_eq!(
        refused.stderr.trim(),
        "error: `--format csv` is for `recommend`, `results list`, `results leaderboard` and `results sql`; this command has text and json"
    );
}

#[test]
fn a_run_is_shown_by_its_summary_first() {
    let lab = swept();
    let shown = lab.genair(["results", "show", "3"]).expect(0).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "run 3: sasrec id on tiny, seed 1");
    assert_eq!(lines[1], "of sweep tiny-sweep");
    assert!(
        lines[2].starts_with("finished at 2") && lines[2].contains(": best epoch "),
        "{shown}"
    );
    assert_eq!(lines[3], "");
    assert_eq!(
        lines[4]
            .split("  ")
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>(),
        [
            "all users",
            "NDCG@10",
            "HR@10",
            "NDCG@10 of 100",
            "HR@10 of 100"
        ]
    );
    assert!(
        lines[5].starts_with("test ") && lines[6].starts_with("validation "),
        "{shown}"
    );
}

#[test]
fn a_difference_leads_with_the_metrics_and_their_test() {
    let lab = swept();
    let text = lab.genair(["results", "diff", "1", "3"]).expect(0).stdout;
    let first = text.lines().next().unwrap();
    let headers: Vec<&str> = first
        .split("  ")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    assert_eq!(
        headers,
        [
            "test, all users",
            "metric",
            "run 1",
            "run 3",
            "difference",
            "95 % interval",
            "p"
        ]
    );
    let place = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("no `{part}` in {text}"))
    };
    assert!(place("paired t-test over 80 users") < place("backbone.name"));
    assert!(place("course") < place("run 1 higher"));

    let json = lab
        .genair(["results", "diff", "1", "3", "--format", "json"])
        .expect(0)
        .json();
    let test = json["tests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|test| test["protocol"] == "full" && test["metric"] == "ndcg" && test["k"] == 10);
    let of_results = json["results"].as_array().unwrap().iter().find(|pair| {
        pair["split"] == "test"
            && pair["protocol"] == "full"
            && pair["cohort"] == "all"
            && pair["metric"] == "ndcg"
            && pair["k"] == 10
    });
    let (mean, difference) = (
        test.unwrap()["mean_difference"].as_f64(),
        of_results.unwrap()["difference"].as_f64(),
    );
    assert!((mean.unwrap() - difference.unwrap()).abs() < 1e-12);
}

/// Every row of the database, by table.
fn rows(lab: &Lab) -> Vec<Vec<Vec<Value>>> {
    [
        "runs",
        "sweep_runs",
        "metrics",
        "ranks",
        "epochs",
        "configuration_metrics",
        "sweeps",
    ]
    .map(|table| lab.rows(&format!("SELECT * FROM {table}")))
    .into()
}

/// Folders of runs; `sweeps` has the specs, for a rebuild.
fn folders(lab: &Lab) -> usize {
    let names = lab.artefacts().read_dir().unwrap();
    let names = names.map(|entry| entry.unwrap().file_name());
    names.filter(|name| name != "sweeps").count()
}

#[test]
fn runs_are_deleted_with_their_files() {
    let lab = swept();
    lab.write(
        "again.toml",
        tiny_spec("again", &["popularity"], "[train.stop]\nmax_epochs = 2\n"),
    );
    lab.genair(["sweep", "again.toml"]).expect(0);
    let before = (rows(&lab), folders(&lab));

    insta::assert_snapshot!(lab.genair(["results", "delete", "9", "--yes"]), @r"
    exit: 2
    --- stderr
    error: database genair.db: there is no run 9; `genair results list` shows those there are
    ");
    let unasked = lab.genair(["results", "delete", "3"]).expect(2);
    assert!(
        unasked
            .stderr
            .starts_with("error: this would delete 1 run and ")
            && unasked.stderr.contains("`--yes`"),
        "{unasked}"
    );
    // All or none, also of runs some of which are not there.
    lab.genair(["results", "delete", "--yes", "3", "9"])
        .expect(2);
    assert_eq!((rows(&lab), folders(&lab)), before);

    let deleted = lab
        .genair(["results", "delete", "3", "--yes", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&deleted["runs"], &deleted["sweep"]),
        (&json!([3]), &Value::Null)
    );
    assert!(deleted["bytes"].as_u64() > Some(1000), "{deleted}");
    assert_eq!(folders(&lab), before.1 - 1);
    assert_eq!(
        lab.rows("SELECT count(*) FROM metrics WHERE run_id = 3"),
        [[json!(0)]]
    );
    assert_eq!(
        lab.rows("SELECT seeds FROM configurations WHERE backbone = 'sasrec'"),
        [[json!("2")]]
    );

    // A sweep goes with the runs that no other one has.
    let deleted = lab
        .genair(["results", "delete", "--sweep", "tiny-sweep", "--yes"])
        .expect(0);
    assert!(
        deleted
            .stdout
            .starts_with("deleted sweep `tiny-sweep` with 2 runs and ")
            && deleted
                .stdout
                .contains("; 1 run that other sweeps have stay"),
        "{deleted}"
    );
    assert_eq!(lab.rows("SELECT name FROM sweeps"), [[json!("again")]]);
    assert_eq!(lab.rows("SELECT run_id FROM runs"), [[json!(1)]]);
    assert_eq!(
        lab.rows("SELECT count(*) FROM pragma_foreign_key_check"),
        [[json!(0)]]
    );
    assert_eq!(
        lab.rows(
            "SELECT count(*), min(n), max(n) FROM configuration_metrics
             WHERE metric IN ('hr', 'ndcg', 'mrr')"
        ),
        [[json!(240), json!(1), json!(1)]]
    );
    assert_eq!(folders(&lab), 1);
    // What is gone is run again.
    lab.genair(["sweep", "s.toml"]).expect(0);
    assert_eq!(
        lab.rows("SELECT count(*) FROM runs WHERE state = 'finished'"),
        [[json!(4)]]
    );
}

#[test]
fn a_run_in_training_is_not_deleted() {
    let lab = Lab::new();
    let long = "[train.stop]\nmax_epochs = 500\npatience = 500\n";
    let spec = tiny_spec("long", &["sasrec"], long);
    lab.write("s.toml", spec.replace("seeds = [1]", "seeds = [1, 2]"));
    let sweep = lab.start(["sweep", "s.toml", "-j", "1"]);
    lab.wait_for_training();
    // The second one waits, and the process will want it.
    for what in [
        ["1", "--yes"].as_slice(),
        &["2", "--yes"],
        &["--sweep", "long", "--yes"],
    ] {
        let words = ["results", "delete"].into_iter();
        let refused = lab.genair(words.chain(what.iter().copied())).expect(2);
        assert!(
            refused.stderr.contains("run 1 is in training, by process "),
            "{refused}"
        );
    }
    drop(sweep);
    // The process is gone, so the run is anybody's.
    lab.wait_for("the end of the worker", |lab| {
        lab.workers().is_empty().then_some(())
    });
    lab.genair(["results", "delete", "1", "--yes"]).expect(0);
    assert_eq!(lab.rows("SELECT run_id FROM runs"), [[json!(2)]]);
}

/// The negatives of a user are the evaluation's, not the run's: seeds of one model that learns nothing agree.
#[test]
fn sampled_negatives_are_the_same_for_every_seed() {
    let lab = Lab::new();
    let spec = tiny_spec("s", &["popularity"], "").replace("seeds = [1]", "seeds = [1, 2]");
    // More items than are drawn.
    lab.write("s.toml", spec.replace("catalogue = 60", "catalogue = 300"));
    lab.genair(["sweep", "s.toml"]).expect(0);
    let ranks = |runs: &str| {
        lab.rows(&format!(
            "SELECT DISTINCT split, user, rank FROM ranks
             WHERE protocol = 'sampled-100' AND run_id IN ({runs}) ORDER BY split, user"
        ))
    };
    assert!(ranks("1").len() >= 80);
    assert_eq!(
        ranks("1, 2"),
        ranks("1"),
        "one rank of each user, whatever the seed"
    );
    assert_eq!(
        lab.rows("SELECT DISTINCT spec ->> '$.eval.seed' FROM runs"),
        [[json!(44)]]
    );
    lab.genair(["sweep", "s.toml", "--set", "eval.seed=45"])
        .expect(0);
    assert_eq!(
        lab.rows("SELECT count(*) FROM runs"),
        [[json!(4)]],
        "it is part of what a run is"
    );
    assert_eq!(ranks("3, 4"), ranks("3"));
    assert_ne!(ranks("3"), ranks("1"), "another draw");
}

/// Whoever is a long user on the test split is one on validation, too.
#[test]
fn cohorts_of_users_are_the_same_on_both_splits() {
    let lab = swept();
    let users = lab.rows(
        "SELECT DISTINCT cohort, users FROM metrics
         WHERE epoch IS NULL AND cohort IN ('long-user', 'short-user') ORDER BY cohort",
    );
    let cohorts: BTreeSet<&str> = users.iter().map(|row| row[0].as_str().unwrap()).collect();
    assert_eq!(cohorts.len(), 2);
    assert_eq!(users.len(), 2, "one size each, on both splits: {users:?}");
}

#[test]
fn a_run_tells_what_was_left_out_of_its_inputs() {
    let lab = Lab::new().with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1");
    // `rare` falls to the filter, `c` and `rare` have no metadata, and `a` and `b` have equal prompts.
    let rows = (1..4).flat_map(|user| {
        let items = ["a", "b", "c", "a", "b"].into_iter().enumerate();
        items.map(move |(time, item)| format!("u{user}\t{item}\t{time}\n"))
    });
    let rows: String = rows.collect();
    lab.write(
        "data/interactions.tsv",
        format!("user_id\titem_id\ttimestamp\n{rows}u1\trare\t9\n"),
    );
    lab.write(
        "data/items.jsonl",
        "{\"item_id\": \"a\", \"title\": \"same\"}\n{\"item_id\": \"b\", \"title\": \"same\"}\n",
    );
    lab.write(
        "s.toml",
        r#"
[sweep]
name = "counts"
seeds = [1]
backbone = ["sasrec"]
representation = ["genair"]
[dataset.d]
path = "data"
unknown_items = "keep"
k_core = { mode = "iterative", user = 2, item = 2 }
prompt = { fields = ["title"] }
[archetype]
engine = "fake"
[representation.genair]
kind = "archetype"
components = 0
[train]
stop.max_epochs = 1
"#,
    );
    lab.genair(["sweep", "s.toml"]).expect(0);
    let counts = lab.rows("SELECT input, what, count FROM input_counts ORDER BY 1, 2");
    assert_eq!(
        counts,
        [
            json!(["data", "fewest_negatives", 0]),
            json!(["data", "k_core", 1]),
            json!(["data", "rows_read", 16]),
            json!(["vectors", "empty_answers", 0]),
            json!(["vectors", "equal_prompts", 1]),
            json!(["vectors", "items", 4]),
            json!(["vectors", "without_metadata", 2]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let shown = lab.genair(["results", "show", "1"]).expect(0);
    assert!(shown.stdout.contains("equal_prompts"), "{shown}");
    let json = lab
        .genair(["results", "show", "1", "--format", "json"])
        .expect(0);
    assert_eq!(json.json()["counts"].as_array().unwrap().len(), 7);
}
