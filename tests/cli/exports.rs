//! Results leave the database: tables, ranks, MLflow's files, the page.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::json;

fn lab() -> Lab {
    let lab = Lab::new();
    let spec = tiny_spec(
        "exports",
        &["popularity", "sasrec"],
        "[train.stop]\nmax_epochs = 2\n",
    );
    lab.write("s.toml", spec);
    lab.genair(["sweep", "s.toml"]).expect(0);
    lab
}

#[test]
fn every_table_leaves_as_csv_and_parquet() {
    let lab = lab();
    for format in ["csv", "parquet"] {
        let exported = lab
            .genair(["export", format, "--out", "out", "--format", "json"])
            .expect(0)
            .json();
        let files = exported.as_array().unwrap();
        let rows = |name: &str| {
            let found = files.iter().find(|file| file["table"] == name);
            found.map(|file| file["rows"].clone())
        };
        assert_eq!(rows("runs"), Some(json!(2)));
        assert_eq!(
            rows("ranks"),
            lab.rows("SELECT count(*) FROM ranks")[0].pop()
        );
        assert_eq!(rows("leaderboard"), None, "a view only by its name");
        for file in files {
            assert!(lab.path(file["file"].as_str().unwrap()).is_file());
        }
    }
    let one = lab
        .genair(["export", "csv", "leaderboard", "--out", "one"])
        .expect(0);
    let rows = lab.rows("SELECT count(*) FROM leaderboard");
    assert_eq!(
        one.stdout,
        format!("one/leaderboard.csv: {} rows\n", rows[0][0])
    );
    insta::assert_snapshot!(lab.genair(["export", "csv", "metric", "--out", "one"]), @r"
    exit: 2
    --- stderr
    error: database genair.db: there is no table or view `metric`
    hint: did you mean `metrics`?
    ");
}

#[test]
fn ranks_of_chosen_runs_leave_in_the_format_of_the_file() {
    let lab = lab();
    let exported = lab
        .genair([
            "results",
            "export-ranks",
            "--run",
            "2",
            "--out",
            "ranks.csv",
            "--format",
            "json",
        ])
        .expect(0)
        .json();
    assert_eq!(
        (&exported["runs"], &exported["rows"]),
        (&json!(1), &json!(80))
    );
    let text = std::fs::read_to_string(lab.path("ranks.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "run_id,sweep,dataset,backbone,representation,variant,axes,configuration,seed,user,user_id,target,rank"
    );
    let rank = lab.rows("SELECT rank FROM ranks WHERE run_id = 2 AND split = 'test' AND protocol = 'sampled-100' AND user = 1");
    lab.genair([
        "results",
        "export-ranks",
        "--run",
        "2",
        "--protocol",
        "sampled-100",
        "--out",
        "ranks.csv",
    ])
    .expect(0);
    let text = std::fs::read_to_string(lab.path("ranks.csv")).unwrap();
    let configuration = lab.lines("SELECT configuration FROM runs WHERE run_id = 2");
    let user = lab.lines("SELECT user_id FROM run_users WHERE run_id = 2 AND user = 1");
    let expected = format!(
        "2,exports,tiny,sasrec,id,,{{}},{configuration},1,1,{user},1,{}",
        rank[0][0]
    );
    assert_eq!(text.lines().nth(1), Some(expected.as_str()));

    lab.genair(["results", "export-ranks", "--out", "ranks.parquet"])
        .expect(0);
    assert!(
        std::fs::read(lab.path("ranks.parquet"))
            .unwrap()
            .starts_with(b"PAR1")
    );
    insta::assert_snapshot!(lab.genair(["results", "export-ranks", "--out", "ranks.xlsx"]), @r"
    exit: 2
    --- stderr
    error: ranks.xlsx: ranks are written as .csv or .parquet; the file's ending says which
    ");
    insta::assert_snapshot!(lab.genair(["results", "export-ranks", "--run", "9", "--out", "ranks.csv"]), @r"
    exit: 2
    --- stderr
    error: database genair.db: run 9 is not a finished run with test ranks of protocol full
    ");
}

#[test]
fn mlflow_s_files_are_written_once() {
    let lab = lab();
    let exported = lab.genair(["export", "mlflow"]).expect(0);
    assert_eq!(exported.stdout, "mlruns: 2 runs in 1 experiment\n");
    let meta = std::fs::read_to_string(lab.path("mlruns/1/meta.yaml")).unwrap();
    assert!(meta.contains("name: \"exports\"\n"), "{meta}");
    insta::assert_snapshot!(lab.genair(["export", "mlflow"]), @r"
    exit: 2
    --- stderr
    error: mlruns is not empty; name a folder that is, or one that is not there yet
    ");
    insta::assert_snapshot!(lab.genair(["export", "mlflow", "--sweep", "export", "--out", "other"]), @r"
    exit: 2
    --- stderr
    error: database genair.db: there is no sweep `export`
    hint: did you mean `exports`?
    ");
    assert!(!lab.path("other").exists());
}

#[test]
fn a_page_is_one_file() {
    let lab = lab();
    let written = lab
        .genair(["results", "html", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&written["runs"], &written["runs_with_ranks"]),
        (&json!(2), &json!(2))
    );
    let file = written["file"].as_str().unwrap();
    assert_eq!(file, "genair.html", "beside the database");
    std::fs::create_dir(lab.path("elsewhere")).unwrap();
    std::fs::copy(lab.path("genair.db"), lab.path("elsewhere/a.db")).unwrap();
    let told = lab
        .genair(["results", "html", "--db", "elsewhere/a.db"])
        .expect(0)
        .stdout;
    assert!(told.starts_with("elsewhere/a.html: 2 runs"), "{told}");
    assert!(lab.path("elsewhere/a.html").is_file());
    assert!(!lab.path("results").exists() && !lab.path("a.html").exists());
    let page = std::fs::read_to_string(lab.path(file)).unwrap();
    assert_eq!(written["bytes"], page.len());
    for reference in [
        "src=\"http",
        "href=\"http",
        "<link rel=\"stylesheet",
        "@import",
    ] {
        assert!(!page.contains(reference), "{reference}");
    }
    lab.write(
        "figures/a_b.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    );
    lab.genair([
        "results",
        "html",
        "--figures",
        "figures",
        "--out",
        "with.html",
    ])
    .expect(0);
    let page = std::fs::read_to_string(lab.path("with.html")).unwrap();
    assert!(page.contains("<figcaption>a b</figcaption>"));
    insta::assert_snapshot!(lab.genair(["results", "html", "--figures", "elsewhere", "--out", "no.html"]), @r"
    exit: 2
    --- stderr
    error: elsewhere holds no .svg file; `genair report SPEC.toml --out FOLDER` makes figures
    ");
    assert!(!lab.path("no.html").exists());
    insta::assert_snapshot!(lab.genair(["results", "html", "--db", "nowhere.db"]).stderr, @"error: database nowhere.db: there is no such file; `genair sweep` creates it, `--db` names another");
}
