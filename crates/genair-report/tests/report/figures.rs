//! What figures show, and the files they come in.

use std::path::Path;

use genair_report::html::PageFigure;
use genair_report::{Figure, FigureFormat, Lacking, ReportSpec, make_report, write_report};

use crate::database::{Database, End, RUN, Run, main_sweep};

/// A search over alpha with pruned runs, beside the main sweep.
fn search() -> Vec<Run> {
    let mut runs = main_sweep();
    for (alpha, mean_rank, end) in [
        (&[("alpha", "0")], 40.0, End::Finished),
        (&[("alpha", "1e-4")], 25.0, End::Finished),
        (&[("alpha", "1e-2")], 55.0, End::Finished),
        (&[("alpha", "1")], 90.0, End::Pruned),
    ] {
        runs.extend([44, 45, 46].map(|seed| Run {
            sweep: "search",
            representation: "archetype",
            axes: alpha,
            seed,
            mean_rank,
            end,
            ..RUN
        }));
    }
    runs
}

fn figure(database: &mut Database, spec: &str) -> Figure {
    let spec = format!("[figure.f]\ncaption = \"A <figure> & more\"\n{spec}");
    let mut report = database.report(&spec, Lacking::Refuse).unwrap();
    assert_eq!(report.figures.len(), 1);
    report.figures.remove(0)
}

fn records(figure: &Figure) -> Vec<csv::StringRecord> {
    let mut reader = csv::Reader::from_reader(figure.csv.as_bytes());
    reader.records().map(Result::unwrap).collect()
}

const KINDS: [&str; 6] = [
    "kind = \"sensitivity\"\nsweeps = [\"search\"]\nx = \"alpha\"",
    "kind = \"cohorts\"\nsweeps = [\"main\"]",
    "kind = \"learning-curves\"\nsweeps = [\"main\"]",
    "kind = \"cost\"\nsweeps = [\"main\"]",
    "kind = \"item-space\"\nsweeps = [\"main\"]\nwhere = { backbone = [\"sasrec\"] }",
    "kind = \"trajectories\"\nsweeps = [\"search\"]",
];

#[test]
fn every_kind_is_drawn_in_every_format() {
    let mut database = Database::of(&search());
    for kind in KINDS {
        let figure = figure(&mut database, kind);
        assert!(figure.svg.starts_with("<svg "), "{kind}");
        assert!(
            figure
                .svg
                .contains("<title>A &lt;figure&gt; &amp; more</title>")
        );
        assert!(
            !figure.svg.contains("<text"),
            "letters are outlines: {kind}"
        );
        assert!(!figure.svg.contains("NaN"), "{kind}");
        let pdf = figure.bytes(FigureFormat::Pdf);
        assert!(pdf.starts_with(b"%PDF-"));
        let embedded = String::from_utf8_lossy(pdf).contains("Roboto");
        assert!(
            embedded || kind.contains("item-space"),
            "the typeface is embedded: {kind}"
        );
        let png = figure.bytes(FigureFormat::Png);
        assert!(png.starts_with(b"\x89PNG"));
        assert!(records(&figure).len() > 2, "{kind}: {}", figure.csv);
        assert!(!figure.notes.is_empty(), "{kind}");
    }
}

#[test]
fn the_same_results_give_the_same_files() {
    let mut database = Database::of(&search());
    for kind in KINDS {
        assert_eq!(
            figure(&mut database, kind),
            figure(&mut database, kind),
            "{kind}"
        );
    }
}

#[test]
fn a_backbone_has_its_colour_in_every_figure() {
    let colour = "#0072b2"; // sasrec is the first backbone with a plugin that the database met.
    let mut database = Database::of(&search());
    for kind in KINDS.iter().filter(|kind| !kind.contains("item-space")) {
        assert!(figure(&mut database, kind).svg.contains(colour), "{kind}");
    }
    let others = "kind = \"cost\"\nsweeps = [\"main\"]\nwhere = { backbone = [\"gru4rec\"], representation = [\"id\"] }";
    assert!(!figure(&mut database, others).svg.contains(colour));
    let own = "[report]\ncolours = { sasrec = \"#aa0011\" }\n[figure.f]\nkind = \"cost\"\nsweeps = [\"main\"]";
    let report = database.report(own, Lacking::Refuse).unwrap();
    assert!(report.figures[0].svg.contains("#aa0011"));
}

#[test]
fn a_learning_curve_is_the_mean_over_seeds() {
    let mut database = Database::of(&search());
    let figure = figure(&mut database, KINDS[2]);
    let of = |series: &str, curve: &str| -> Vec<f64> {
        let records = records(&figure);
        let chosen = records
            .iter()
            .filter(|row| &row[1] == series && &row[2] == curve);
        chosen.map(|row| row[4].parse().unwrap()).collect()
    };
    for (curve, expected) in [("loss", [0.75, 0.5]), ("valid", [2.0 / 40.0, 3.0 / 40.0])] {
        let found = of("sasrec, id", curve);
        assert_eq!(found.len(), 2);
        let close = |(found, expected): (&f64, f64)| (found - expected).abs() < 1e-12;
        assert!(found.iter().zip(expected).all(close), "{curve} {found:?}");
    }
}

#[test]
fn trajectories_hold_pruned_runs_and_finished_ones() {
    let mut database = Database::of(&search());
    let figure = figure(&mut database, KINDS[5]);
    let records = records(&figure);
    let steps = |state: &str| records.iter().filter(|row| &row[1] == state).count();
    assert_eq!((steps("pruned"), steps("finished")), (3, 9 * 2));
    assert_eq!(
        figure.notes[0],
        "Validation split. 12 runs, 3 of them pruned."
    );
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let mut database = Database::of(&search());
    let mut refusal = |spec: &str| database.refusal(&format!("[figure.f]\n{spec}"));
    insta::assert_snapshot!(refusal("kind = \"sensitivity\"\nsweeps = [\"search\"]\nx = \"gamma\""), @r"
    report.toml:1: `figure.f`: no run has the axis `gamma`
    hint: known here: alpha, sweep, dataset, backbone, representation, variant
    ");
    insta::assert_snapshot!(refusal("kind = \"sensitivity\"\nsweeps = [\"search\"]\nx = \"alpha\"\nwhere = { alpha = [\"0\"] }"), @"report.toml:4: `figure.f`: its runs have one value of `alpha`, which makes no curve; sweep it, or name another axis in `x`");
    insta::assert_snapshot!(refusal("kind = \"trajectories\"\nsweeps = [\"missing\"]"), @r"
    report.toml:3: `figure.f`: there is no sweep `missing`
    hint: known here: main, search
    ");

    let other = Run {
        sweep: "search",
        sequences: "07e507e507e507e5",
        axes: &[("alpha", "2")],
        ..RUN
    };
    let mut mixed = Database::of(&[search(), vec![other]].concat());
    let refused = mixed.refusal("[figure.f]\nkind = \"trajectories\"\nsweeps = [\"search\"]");
    assert!(refused.contains("differ in data"), "{refused}");
}

#[test]
fn a_report_leaves_out_what_has_no_results() {
    let mut database = Database::of(&main_sweep());
    let spec = r#"
[report]
sweeps = ["main"]
specs = { search = "../search.toml" }

[table.main]
preset = "main"

[figure.cost]
kind = "cost"

[figure.alpha]
kind = "sensitivity"
sweeps = ["search"]
x = "alpha"
"#;
    let refused = database
        .report(spec, Lacking::Refuse)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("there is no sweep `search`"), "{refused}");

    let parsed = ReportSpec::parse(Path::new("experiments/reports/paper.toml"), spec).unwrap();
    let report = make_report(&mut database.store, &parsed, &[], Lacking::Skip).unwrap();
    assert_eq!((report.tables.len(), report.figures.len()), (1, 1));
    let skipped: Vec<String> = report.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(
        skipped,
        ["figure.alpha: there is no sweep `search`; run `just sweep experiments/search.toml`"]
    );
    let folder = database.path("paper");
    let files = write_report(&report, &parsed, &folder).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "cost.csv",
            "cost.pdf",
            "cost.png",
            "cost.svg",
            "index.md",
            "index.tex",
            "main.csv",
            "main.json",
            "main.md",
            "main.tex"
        ]
    );
    assert_eq!(files.len(), names.len());
    let index = std::fs::read_to_string(folder.join("index.md")).unwrap();
    assert!(
        index.contains("![NDCG@10 against CPU seconds of a run.](cost.svg)")
            && index.contains(&skipped[0]),
        "{index}"
    );

    let only = ["alpha".to_owned()];
    let nothing = make_report(&mut database.store, &parsed, &only, Lacking::Skip).unwrap_err();
    assert!(
        nothing
            .to_string()
            .contains("no results for any table or figure"),
        "{nothing}"
    );
    let unknown = make_report(
        &mut database.store,
        &parsed,
        &["mian".to_owned()],
        Lacking::Skip,
    );
    let unknown = unknown.unwrap_err().to_string();
    assert!(unknown.contains("did you mean `main`?"), "{unknown}");
}

/// The report of the paper names sweeps that there are specs for.
#[test]
fn the_papers_report_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/reports/paper.toml");
    let spec = ReportSpec::read(&path).unwrap();
    assert!(!spec.specs.is_empty() && !spec.tables.is_empty() && !spec.figures.is_empty());
    for (sweep, file) in &spec.specs {
        let text = std::fs::read_to_string(path.parent().unwrap().join(file)).unwrap();
        let toml: toml::Table = text.parse().unwrap();
        assert_eq!(
            toml["sweep"]["name"].as_str(),
            Some(sweep.as_str()),
            "{file}"
        );
    }
    let tables = spec.tables.iter().flat_map(|table| &table.sweeps);
    let figures = spec.figures.iter().flat_map(|figure| &figure.sweeps);
    for sweep in tables.chain(figures) {
        assert!(
            spec.specs.contains_key(sweep),
            "no spec is named for sweep {sweep}"
        );
    }
}

#[test]
fn names_that_no_format_takes_are_drawn_with_escapes() {
    const HOSTILE: &str = "a\u{1b}[31m\0\n\u{202e}b";
    let mut runs = search();
    for run in &mut runs {
        (run.dataset, run.backbone) = (
            HOSTILE,
            if run.backbone == "sasrec" {
                HOSTILE
            } else {
                run.backbone
            },
        );
    }
    let mut database = Database::of(&runs);
    for kind in KINDS.map(|kind| kind.replace("where = { backbone = [\"sasrec\"] }", "")) {
        let figure = figure(&mut database, &kind);
        let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!figure.svg.contains(acts), "{kind}");
        assert!(!figure.notes.join("").contains(acts), "{kind}");
    }
}

#[test]
fn every_figure_has_a_caption() {
    let mut database = Database::of(&search());
    let expected = [
        "NDCG@10 by alpha.",
        "NDCG@10 by cohort of users.",
        "Validation and training loss by epoch.",
        "NDCG@10 against CPU seconds of a run.",
        "Item spaces before training and after.",
        "Validation of each run by epoch, until it was pruned or done.",
    ];
    for (kind, expected) in std::iter::zip(KINDS, expected) {
        let spec = format!("[figure.f]\n{kind}");
        let report = database.report(&spec, Lacking::Refuse).unwrap();
        let [figure] = report.figures.as_slice() else {
            panic!("{kind}")
        };
        assert_eq!(figure.caption, expected);
        assert!(
            figure
                .svg
                .contains(&format!("<title>{expected}</title><desc>")),
            "{kind}"
        );
        // The page shows it, and what there is to know.
        let shown = PageFigure::new("f", figure.svg.clone()).caption;
        assert_eq!(shown, format!("{expected} {}", figure.notes.join(" ")));
    }
    assert_eq!(
        PageFigure::new("made-before", "<svg/>".to_owned()).caption,
        "made before"
    );
}
