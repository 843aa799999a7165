//! What is said about a mistake in a report spec.

use std::path::Path;

use genair_report::ReportSpec;

fn problems(text: &str) -> String {
    match ReportSpec::parse(Path::new("report.toml"), text) {
        Ok(_) => "fine".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_problem_has_its_line() {
    let text = r#"
[report]
sweep = ["main"]

[table.main]
preset = "mian"
metrics = ["ndcg@10", "precision@10"]
rows = ["backbone", "metric"]
digits = 40

[table.ablation]
preset = "ablation"
sweeps = ["a", "a"]
best_within = ["dataset"]
test = { level = 0.05 }

[figure.main]
kind = "cost"
x = "ndcg@10"

[figure.alpha]
kind = "sensitivity"
sweeps = ["a"]
serie = ["backbone"]

[figure.curves]
kind = "learning-curves"
sweeps = ["a"]
x = "epoch"

[figure.index]
sweeps = ["a"]

[plot.x]
"#;
    insta::assert_snapshot!(problems(text), @r#"
    report.toml:3: unknown key `report.sweep`
    hint: did you mean `sweeps`?
    report.toml:5: `table.main` names no sweep
    hint: name the sweeps here, or in [report] for all tables
    report.toml:5: `metric` is in both rows and columns; name it once
    report.toml:6: `table.main.preset` is "mian"; it can be "main", "ablation", "sensitivity", "cohorts", "traps", "efficiency"
    hint: did you mean `main`?
    report.toml:7: `table.main.metrics.1`: `precision@10` is not a metric; write one of hr, ndcg, mrr, recall, map, coverage, gini, novelty, tail-share, intra-list-similarity with a cut-off, as in `ndcg@10`, or one of parameters, epochs, seconds-per-epoch, cpu-seconds, peak-memory-mib
    report.toml:8: `table.main.rows` names `metric`
    hint: here go labels of runs: sweep, dataset, backbone, representation, variant or a swept axis
    report.toml:9: `table.main.digits` is 40; it must be from 1 to 8
    report.toml:11: `table.ablation.baseline` is missing: the table shows differences from it
    hint: name it, as in baseline = { representation = "id" }
    report.toml:13: `table.ablation.sweeps` lists `a` twice; list it once
    report.toml:14: `table.ablation.best_within` names `dataset`, which is not in rows
    report.toml:15: unknown key `table.ablation.test.level`
    hint: did you mean `levels`?
    report.toml:17: there is a table `main`, too
    hint: give it another name: both would write the same files
    report.toml:17: `figure.main` names no sweep
    hint: name the sweeps here, or in [report] for all tables
    report.toml:19: `figure.main.x` is "ndcg@10"; it must be a cost
    report.toml:21: `figure.alpha.x` is missing
    hint: name a swept axis, as in x = "alpha"
    report.toml:24: unknown key `figure.alpha.serie`
    hint: did you mean `series`?
    report.toml:29: `figure.curves.x` is "epoch"; a figure of kind learning-curves has none
    report.toml:31: `index` is taken
    hint: give it another name: `index` is the report's overview
    report.toml:31: `figure.index.kind` is missing; it can be sensitivity, cohorts, learning-curves, cost, item-space, trajectories
    report.toml:34: unknown key `plot`
    hint: known here: report, table, figure
    "#);
}

#[test]
fn several_measures_need_a_column_dimension() {
    let text =
        "[table.t]\nsweeps = [\"s\"]\ncolumns = [\"dataset\"]\nmetrics = [\"hr@10\", \"hr@20\"]";
    insta::assert_snapshot!(problems(text), @r#"
    report.toml:4: `table.t.metrics` lists several, but columns lack `metric`
    hint: add "metric" to columns, or list one
    "#);
}

#[test]
fn what_is_no_report() {
    insta::assert_snapshot!(problems(""), @r#"
    report.toml: the report has no table and no figure
    hint: add one, such as
    [table.main]
    preset = "main"
    "#);
    insta::assert_snapshot!(problems("[table.main\npreset = 1"), @"report.toml:1:12: not TOML: unclosed table, expected `]`");
    insta::assert_snapshot!(problems("report = 3\ntable = 4"), @r#"
    report.toml:1: `report` is 3; it must be a table
    report.toml:2: `table` is 4; it must be a table
    "#);
    insta::assert_snapshot!(problems("[table.\"../x\"]\nsweeps = [\"s\"]"), @r#"
    report.toml:1: `../x` cannot name a file
    hint: name it with letters, digits, `-` and `_`
    "#);
}

#[test]
fn presets_are_complete() {
    for preset in ["main", "sensitivity", "cohorts", "efficiency"] {
        assert_eq!(
            problems(&format!(
                "[table.t]\nsweeps = [\"s\"]\npreset = \"{preset}\""
            )),
            "fine"
        );
    }
    for preset in ["ablation", "traps"] {
        let text = format!("[table.t]\nsweeps = [\"s\"]\npreset = \"{preset}\"");
        assert!(
            problems(&text).contains("`table.t.baseline` is missing"),
            "{preset}"
        );
        assert_eq!(
            problems(&format!("{text}\nbaseline = {{ representation = \"id\" }}")),
            "fine"
        );
    }
}
