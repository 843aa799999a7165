//! What is said instead of a table that would mislead.

use crate::database::{Database, End, RUN, Run, main_sweep};

const TABLE: &str = "[table.t]\nsweeps = [\"main\"]\n";

fn with(run: Run) -> Vec<Run> {
    let mut runs = main_sweep();
    runs.push(run);
    runs
}

fn refusal(runs: &[Run], spec: &str) -> String {
    Database::of(runs).refusal(spec)
}

#[test]
fn nothing_to_report() {
    insta::assert_snapshot!(refusal(&[], TABLE), @"database FOLDER/results.db: it holds no sweep yet; `genair sweep` fills it, `--db` names another");
    insta::assert_snapshot!(refusal(&main_sweep(), "[table.t]\nsweeps = [\"mian\"]"), @r#"
    report.toml:2: `table.t`: there is no sweep `mian`
    hint: did you mean `main`?
    "#);
    let planned = [Run {
        end: End::Pending,
        ..RUN
    }];
    insta::assert_snapshot!(refusal(&planned, TABLE), @"report.toml:2: `table.t`: no finished run passes its filters; 1 pending");
}

#[test]
fn labels_that_are_not_there() {
    let spec = format!("{TABLE}where = {{ backbone = [\"sasrek\"] }}");
    insta::assert_snapshot!(refusal(&main_sweep(), &spec), @r#"
    report.toml:3: `table.t`: no run has backbone `sasrek`
    hint: did you mean `sasrec`?
    "#);
    let spec = format!("{TABLE}rows = [\"backbonne\"]");
    insta::assert_snapshot!(refusal(&main_sweep(), &spec), @r#"
    report.toml:3: `table.t`: no run has the axis `backbonne`
    hint: did you mean `backbone`?
    "#);
    let spec = format!("{TABLE}baseline = {{ representation = \"ids\" }}");
    insta::assert_snapshot!(refusal(&main_sweep(), &spec), @r#"
    report.toml:3: `table.t`: no run has representation `ids`
    hint: did you mean `id`?
    "#);
    let spec = format!("{TABLE}metrics = [\"ndcg@7\"]");
    insta::assert_snapshot!(refusal(&main_sweep(), &spec), @r#"
    report.toml:3: `table.t`: no finished run measured ndcg@7 (full, all)
    hint: they measured hr@10, hr@20, hr@5, hr@50, mrr@10, mrr@20, mrr@5, mrr@50, ndcg@10, ndcg@20, ndcg@5, ndcg@50
    "#);
}

#[test]
fn runs_of_other_data() {
    let other = Run {
        representation: "text",
        sequences: "07e507e507e507e5",
        ..RUN
    };
    insta::assert_snapshot!(refusal(&with(other.clone()), TABLE), @r#"
    report.toml:2: `table.t`: column `beauty full all hr@10` would compare runs that differ in data:
      sequences 07e507e507e5: sasrec text on beauty (run 16)
      sequences 5e95e95e95e9: popularity none on beauty (runs 1, 6, 11), sasrec id on beauty (runs 2, 7, 12), sasrec archetype on beauty (runs 3, 8, 13), 2 more
    hint: show them in different tables or columns, leave some out with `where`
    "#);
    let spec = format!("{TABLE}may_differ = [\"data\"]");
    assert!(refusal(&with(other), &spec).contains("differ in data"));
}

#[test]
fn runs_of_other_settings() {
    let longer = [44, 45, 46].map(|seed| Run {
        representation: "text",
        max_len: 200,
        seed,
        ..RUN
    });
    let runs = [main_sweep(), longer.to_vec()].concat();
    insta::assert_snapshot!(refusal(&runs, TABLE), @r#"
    report.toml:2: `table.t`: column `beauty full all hr@10` would compare runs that differ in max-len:
      200: sasrec text on beauty (runs 16, 17, 18)
      50: popularity none on beauty (runs 1, 6, 11), sasrec id on beauty (runs 2, 7, 12), sasrec archetype on beauty (runs 3, 8, 13), 2 more
    hint: show them in different tables or columns, leave some out with `where`, or say with may_differ = ["max-len"] that this is meant
    "#);
    let spec = format!("{TABLE}may_differ = [\"max-len\"]");
    assert!(Database::of(&runs).tables(&spec).is_ok());

    let thresholds = [44, 45, 46].map(|seed| Run {
        representation: "text",
        head_item: 9,
        seed,
        ..RUN
    });
    let runs = [main_sweep(), thresholds.to_vec()].concat();
    assert!(Database::of(&runs).tables(TABLE).is_ok());
    let spec = format!("{TABLE}cohorts = [\"tail-item\"]\nmetrics = [\"ndcg@10\"]");
    assert!(refusal(&runs, &spec).contains("differ in head-item"));

    let elsewhere = [44, 45, 46].map(|seed| Run {
        representation: "text",
        host: "laptop",
        seed,
        ..RUN
    });
    let runs = [main_sweep(), elsewhere.to_vec()].concat();
    assert!(Database::of(&runs).tables(TABLE).is_ok());
    let spec = "[table.t]\npreset = \"efficiency\"\nsweeps = [\"main\"]";
    assert!(refusal(&runs, spec).contains("differ in machine:\n  bench, cpu, threads 1: "));
}

#[test]
fn other_seeds() {
    let one = with(Run {
        representation: "text",
        ..RUN
    });
    insta::assert_snapshot!(refusal(&one, TABLE), @r#"
    report.toml:2: `table.t`: column `beauty full all hr@10` would compare runs that differ in seeds:
      44: sasrec text on beauty (run 16)
      44, 45, 46: popularity none on beauty (runs 1, 6, 11), sasrec id on beauty (runs 2, 7, 12), sasrec archetype on beauty (runs 3, 8, 13), 2 more
    hint: show them in different tables or columns, leave some out with `where`, or say with may_differ = ["seeds"] that this is meant
    "#);
    assert!(
        Database::of(&one)
            .tables(&format!("{TABLE}seeds = [44]"))
            .is_ok()
    );
}

#[test]
fn a_baseline_that_is_not_there() {
    let unfinished: Vec<Run> = main_sweep()
        .into_iter()
        .map(|run| {
            let end = match (run.backbone, run.representation) {
                ("gru4rec", "id") => End::Pending,
                _ => End::Finished,
            };
            Run { end, ..run }
        })
        .collect();
    let spec = format!("{TABLE}baseline = {{ representation = \"id\" }}");
    insta::assert_snapshot!(refusal(&unfinished, &spec), @r#"
    report.toml:3: `table.t`: gru4rec archetype on beauty has no baseline: no finished run is gru4rec id on beauty (its runs: 3 pending)
    hint: finish them first
    "#);
    let swept = [
        RUN,
        Run {
            representation: "archetype",
            axes: &[("alpha", "0")],
            ..RUN
        },
    ];
    insta::assert_snapshot!(refusal(&swept, &spec), @r#"
    report.toml:3: `table.t`: sasrec archetype on beauty (alpha=0) has no baseline: no finished run is sasrec id on beauty (alpha=0)
    hint: there is one without a variant: add variant = "" to `baseline`
    "#);
    let spec = format!("{TABLE}baseline = {{ representation = \"id\", variant = \"\" }}");
    assert!(Database::of(&swept).tables(&spec).is_ok());
}

#[test]
fn two_configurations_in_one_cell() {
    let spec = format!("{TABLE}rows = [\"backbone\"]");
    insta::assert_snapshot!(refusal(&main_sweep(), &spec), @"report.toml:3: `table.t`: sasrec id on beauty and sasrec archetype on beauty fall into one cell; add `representation` to rows or columns, or leave one out with `where`");
    let twice = [
        RUN,
        Run {
            sweep: "again",
            mean_rank: 41.0,
            ..RUN
        },
    ];
    let spec = "[table.t]\nsweeps = [\"main\", \"again\"]";
    insta::assert_snapshot!(refusal(&twice, spec), @"report.toml:1: `table.t`: runs 1 and 2 are both sasrec id on beauty with seed 44, from different sweeps; name one sweep, or add `sweep` to rows or columns");
}

/// A mean is over runs that differ in nothing but the seed.
#[test]
fn runs_of_one_label_that_are_other_experiments() {
    let longer = Run {
        seed: 45,
        max_len: 200,
        ..RUN
    };
    let again = Run {
        sweep: "again",
        ..longer.clone()
    };
    let spec = "[table.t]\nsweeps = [\"main\", \"again\"]";
    insta::assert_snapshot!(refusal(&[RUN, again], spec), @r"
    report.toml:1: `table.t`: runs 1 and 2 are both sasrec id on beauty, but differ in more than their seeds, so they have no mean
    hint: `genair results diff 1 2` shows in what; name one sweep, add `sweep` to rows or columns, or leave one out with `seeds`
    ");
    // Of one sweep, as a merge may leave them, they say themselves in what they differ.
    let one_cell = "[table.t]\nsweeps = [\"main\"]\nrows = [\"backbone\"]";
    insta::assert_snapshot!(refusal(&[RUN, longer.clone()], one_cell), @"report.toml:3: `table.t`: sasrec id on beauty (dataset.max_len=50) and sasrec id on beauty (dataset.max_len=200) fall into one cell; add `variant` to rows or columns, or leave one out with `where`");
    let apart = "[table.t]\nsweeps = [\"main\"]\nrows = [\"variant\"]\nmay_differ = [\"max-len\", \"seeds\"]";
    let table = Database::of(&[RUN, longer]).table(apart);
    let rows: Vec<&str> = table
        .rows
        .iter()
        .map(|row| row.labels[0].name.as_str())
        .collect();
    assert_eq!(rows, ["dataset.max_len=50", "dataset.max_len=200"]);
}

#[test]
fn a_bootstrap_too_coarse_for_its_levels() {
    let spec = format!(
        "{TABLE}baseline = {{ representation = \"id\" }}\ntest = {{ kind = \"bootstrap\", resamples = 100 }}"
    );
    insta::assert_snapshot!(refusal(&main_sweep(), &spec), @"report.toml:4: `table.t`: 4 tests at level 0.01 need at least 800 resamples, not 100; raise test.resamples");
}
