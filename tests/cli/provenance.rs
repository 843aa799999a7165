//! From the database alone: what exactly was run, and whether the same comes out again.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::{Value, json};

/// A small log on disk, so that a test can change it.
fn log(salt: u32) -> String {
    let mut text = "user_id\titem_id\ttimestamp\n".to_owned();
    for user in 0..40_u32 {
        for step in 0..8 {
            let item = (user * 7 + step * (3 + user % 2) + salt * step * step) % 29;
            text += &format!("u{user}\ti{item}\t{step}\n");
        }
    }
    text
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("data/interactions.tsv", log(0));
    lab.write(
        "s.toml",
        "[sweep]\nname = \"kept\"\nseeds = [1]\nbackbone = [\"popularity\", \"sasrec\"]\n\
         representation = [\"id\", \"calibrated\"]\n\
         [dataset.d]\npath = \"data\"\nmax_len = 10\n\
         [representation.calibrated]\nkind = \"id\"\ncalibration.alpha = 1e-3\n\
         [train.stop]\nmax_epochs = 2\n",
    );
    lab.genair(["sweep", "s.toml", "-j", "1"]).expect(0);
    lab
}

fn run_of(lab: &Lab, backbone: &str, representation: &str) -> String {
    let sql = format!(
        "SELECT CAST(run_id AS TEXT) FROM runs WHERE backbone = '{backbone}' AND representation = '{representation}'"
    );
    lab.lines(&sql)
}

#[test]
fn every_run_comes_out_again_bit_for_bit() {
    let lab = lab();
    for (backbone, representation) in [
        ("popularity", "none"),
        ("sasrec", "id"),
        ("sasrec", "calibrated"),
    ] {
        let run = run_of(&lab, backbone, representation);
        let again = lab
            .genair(["results", "reproduce", &run, "--format", "json"])
            .expect(0)
            .json();
        assert_eq!(again["reproduced"], json!(true), "{again}");
        let what: Vec<&Value> = again["comparisons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|own| &own["what"])
            .collect();
        let expected = match (backbone, representation) {
            ("popularity", _) => vec!["data and model", "metrics", "ranks"],
            _ => vec![
                "data and model",
                "epochs",
                "metrics",
                "ranks",
                "item space",
                "weights",
            ],
        };
        assert_eq!(what, expected);
        assert!(
            again["comparisons"]
                .as_array()
                .unwrap()
                .iter()
                .all(|own| own["values"].as_u64() > Some(0))
        );
    }
    // Association scores that are gone are counted anew.
    std::fs::remove_dir_all(lab.path("cache/associations")).unwrap();
    lab.genair([
        "results",
        "reproduce",
        &run_of(&lab, "sasrec", "calibrated"),
    ])
    .expect(0);
    let before = lab.rows("SELECT run_id, attempts, finished_at FROM runs");
    assert_eq!(before.len(), 3, "nothing was recorded");
}

#[test]
fn what_changed_or_is_missing_is_told_before_anything_starts() {
    let lab = lab();
    let run = run_of(&lab, "sasrec", "id");
    lab.write("moved/interactions.tsv", log(0));
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    let missing = lab.genair(["results", "reproduce", &run]).expect(2);
    assert!(
        missing.stderr.contains("error: data missing: "),
        "{missing}"
    );
    assert!(
        missing.stderr.contains("cannot be repeated: data missing"),
        "{missing}"
    );
    lab.genair(["results", "reproduce", &run, "--data", "moved"])
        .expect(0);

    lab.write("moved/interactions.tsv", log(1));
    let popularity = run_of(&lab, "popularity", "none");
    let changed = lab
        .genair(["results", "reproduce", &popularity, "--data", "moved"])
        .expect(5);
    assert!(
        changed.stderr.contains("warning: data changed: "),
        "{changed}"
    );
    assert!(changed.stdout.contains("DIFFERS"), "{changed}");
    assert!(
        changed.stdout.contains("did not come out again"),
        "{changed}"
    );

    let unknown = lab.genair(["results", "reproduce", "99"]).expect(2);
    assert!(unknown.stderr.contains("there is no run 99"), "{unknown}");
}

#[test]
fn a_run_without_results_has_nothing_to_reproduce() {
    let lab = Lab::new();
    lab.write(
        "s.toml",
        tiny_spec(
            "bad",
            &["sasrec"],
            "[train.optimizer]\nlr = 1e30\n[train.stop]\nmax_epochs = 3\n",
        ),
    );
    lab.genair(["sweep", "s.toml"]).expect(3);
    insta::assert_snapshot!(lab.genair(["results", "reproduce", "1"]), @r"
    exit: 2
    --- stderr
    error: run 1 is failed; only a finished run has results to compare with
    ");
}

#[test]
fn two_runs_are_compared_in_spec_and_result() {
    let lab = Lab::new();
    lab.write(
        "s.toml",
        tiny_spec(
            "two",
            &["sasrec"],
            "[train]\noptimizer.lr = [1e-3, 1e-2]\nstop.max_epochs = 2\n",
        ),
    );
    lab.genair(["sweep", "s.toml", "-j", "1"]).expect(0);
    let text = lab.genair(["results", "diff", "1", "2"]).expect(0).stdout;
    assert!(text.contains("train.optimizer.lr  0.001  0.01"), "{text}");
    assert!(text.contains("provenance: the same"), "{text}");
    let difference = lab
        .genair(["results", "diff", "1", "2", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        difference["spec"],
        json!([{ "key": "train.optimizer.lr", "a": 0.001, "b": 0.01 }])
    );
    assert_eq!(difference["provenance"], json!([]));
    let rows = lab.rows(
        "SELECT run_id, value FROM leaderboard WHERE split = 'test' AND protocol = 'full'
                         AND cohort = 'all' AND metric = 'ndcg' AND k = 10 ORDER BY 1",
    );
    let pair = difference["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|pair| {
            [
                &pair["split"],
                &pair["protocol"],
                &pair["cohort"],
                &pair["metric"],
            ] == ["test", "full", "all", "ndcg"]
                && pair["k"] == 10
        });
    let pair = pair.unwrap();
    assert_eq!((&pair["a"], &pair["b"]), (&rows[0][1], &rows[1][1]));
    let ranks = &difference["ranks"][0];
    let users = ["a_better", "b_better", "equal"].map(|key| ranks[key].as_u64().unwrap());
    assert_eq!(users.iter().sum::<u64>(), 80, "{ranks}");
    let same = lab.genair(["results", "diff", "1", "1"]).expect(0).stdout;
    assert!(
        same.contains("spec: the same") && same.contains("bit for bit"),
        "{same}"
    );
    let unknown = lab.genair(["results", "diff", "1", "7"]).expect(2);
    assert!(unknown.stderr.contains("there is no run 7"), "{unknown}");
}

#[test]
fn a_run_shows_its_item_space_its_machine_and_its_source() {
    let lab = lab();
    let run = run_of(&lab, "sasrec", "calibrated");
    let shown = lab.genair(["results", "show", &run]).expect(0).stdout;
    let part = |title: &str| {
        let parts: Vec<&str> = shown.split("\n\n").collect();
        parts
            .into_iter()
            .find(|part| part.starts_with(title))
            .unwrap_or_else(|| panic!("no {title} in {shown}"))
            .to_owned()
    };
    let space = part("item space");
    for name in [
        "norm",
        "uniformity",
        "alignment",
        "association_pearson",
        "association_spearman",
    ] {
        let line = space
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in {space}"));
        assert_eq!(
            line.split_whitespace().count(),
            3,
            "before and after training: {line}"
        );
    }
    assert!(part("cores").contains("\nsystem "), "the machine");
    assert!(part("input").contains("associations"), "what it read");
    let json = lab
        .genair(["results", "show", &run, "--format", "json"])
        .expect(0)
        .json();
    assert!(json["diagnostics"].as_array().unwrap().len() >= 6);

    let code = lab
        .genair(["results", "code", &run, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(code["revision"], json["run"]["code_revision"]);
    assert_eq!(
        code["dirty"] == json!(true),
        code["diff"].is_string(),
        "a difference is kept where there is one"
    );
    if let Some(diff) = code["diff"].as_str() {
        assert!(
            diff.contains("diff --git") || diff.contains("new file"),
            "{diff}"
        );
        assert_eq!(
            lab.rows("SELECT count(*) FROM code_diffs"),
            [[json!(1)]],
            "once for all runs"
        );
    }
    let text = lab.genair(["results", "code", &run]).expect(0).stdout;
    assert!(text.starts_with("commit "), "{text}");
}

/// RecBole #1443, #1682, #1754, #1789: numbers that cannot be compared because nobody knows the protocol.
#[test]
fn complaint_numbers_without_their_protocol() {
    let lab = lab();
    let specs = lab.rows("SELECT spec FROM runs");
    assert!(!specs.is_empty() && lab.count("SELECT 1 FROM metrics") > 0);
    for row in specs {
        let spec: Value = serde_json::from_str(row[0].as_str().unwrap()).unwrap();
        for key in [
            "/dataset/max_len",
            "/dataset/kind",
            "/eval/protocols",
            "/eval/metrics",
            "/eval/k",
            "/seed",
            "/train/stop/metric",
        ] {
            assert!(spec.pointer(key).is_some(), "{key} is not in {spec}");
        }
    }
    let unknown = "SELECT 1 FROM runs WHERE data_sha256 IS NULL OR sequences_sha256 IS NULL OR head_item IS NULL
                   OR long_user IS NULL OR results_version IS NULL";
    assert_eq!(lab.rows(unknown).len(), 0);
    let unnamed =
        "SELECT 1 FROM metrics WHERE split = '' OR protocol = '' OR cohort = '' OR users = 0";
    assert_eq!(lab.rows(unnamed).len(), 0);
}
