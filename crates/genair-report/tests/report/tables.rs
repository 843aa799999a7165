//! What tables say.

use genair_protocol::Split;
use genair_report::Format;

use crate::database::{Database, RUN, Run, USERS, main_sweep};

const MAIN: &str = r#"
[report]
sweeps = ["main"]
names = { sasrec = "SASRec", gru4rec = "GRU4Rec", id = "ID", archetype = "GenAIR" }

[table.main]
preset = "main"
caption = "Main & only results"
baseline = { representation = "id" }
"#;

#[test]
fn the_main_table_as_markdown() {
    let text = Database::of(&main_sweep()).text(MAIN, Format::Markdown);
    insta::assert_snapshot!(text);
}

#[test]
fn the_main_table_as_latex() {
    let text = Database::of(&main_sweep()).text(MAIN, Format::Latex);
    insta::assert_snapshot!(text);
}

#[test]
fn a_cell_is_the_mean_over_its_runs() {
    let table = Database::of(&main_sweep()).table(MAIN);
    let row = table
        .rows
        .iter()
        .find(|row| row.labels[0].name == "sasrec" && row.labels[1].name == "archetype")
        .unwrap();
    assert_eq!(table.columns[0].labels.last().unwrap().name, "hr@10");
    let hits = |seed| {
        let run = Run {
            mean_rank: 25.0,
            seed,
            ..RUN
        };
        let ranks = run.ranks(Split::Test);
        ranks.iter().filter(|&&rank| rank < 10).count() as f64 / USERS as f64
    };
    let expected = (hits(44) + hits(45) + hits(46)) / 3.0;
    let cell = row.cells[0].as_ref().unwrap();
    assert!((cell.summary.mean - expected).abs() < 1e-12);
    assert_eq!(cell.runs.len(), 3);
    let test = cell.comparison.unwrap().test.unwrap();
    assert_eq!(test.users, USERS);
    assert!(test.p < test.p_holm && test.mean_difference > 0.0);
    // The mean over users of means over seeds is the mean over seeds of means over users.
    assert!((test.mean_difference - cell.comparison.unwrap().absolute).abs() < 1e-12);
}

#[test]
fn a_bootstrap_agrees_with_the_t_test() {
    let mut database = Database::of(&main_sweep());
    let test = |kind: &str, database: &mut Database| {
        let spec = format!(
            "{MAIN}test = {{ kind = \"{kind}\" }}\nmetrics = [\"ndcg@10\"]\nprotocols = [\"full\"]\n"
        );
        let table = database.table(&spec);
        let row = table
            .rows
            .iter()
            .find(|row| row.labels[1].name == "archetype")
            .unwrap();
        row.cells[0]
            .as_ref()
            .unwrap()
            .comparison
            .unwrap()
            .test
            .unwrap()
    };
    let (t, bootstrap) = (test("t", &mut database), test("bootstrap", &mut database));
    assert!(t.t.is_some() && bootstrap.t.is_none());
    for (a, b) in std::iter::zip(t.interval, bootstrap.interval) {
        assert!(
            (a - b).abs() < 0.1 * (t.interval[1] - t.interval[0]),
            "{a} {b}"
        );
    }
}

#[test]
fn swept_values_stand_in_order_of_their_size() {
    let alphas = [
        (&[("alpha", "1e-2")], 40.0),
        (&[("alpha", "0")], 30.0),
        (&[("alpha", "1e-4")], 20.0),
    ];
    let runs = alphas.map(|(alpha, mean_rank)| Run {
        axes: alpha,
        mean_rank,
        ..RUN
    });
    let text = Database::of(&runs).text(
        "[table.alpha]\npreset = \"sensitivity\"\nsweeps = [\"main\"]\nrows = [\"alpha\"]\nbest_within = []",
        Format::Markdown,
    );
    insta::assert_snapshot!(text);
}

#[test]
fn cohorts_traps_and_costs() {
    let mut runs = main_sweep();
    runs.extend([44, 45, 46].map(|seed| Run {
        sweep: "traps",
        axes: &[("causal", "false")],
        mean_rank: 38.0,
        seed,
        ..RUN
    }));
    runs.extend([44, 45, 46].map(|seed| Run {
        sweep: "traps",
        axes: &[("causal", "true")],
        mean_rank: 41.0,
        seed,
        ..RUN
    }));
    let mut database = Database::of(&runs);
    let texts: Vec<String> = [
        "[table.cohorts]\npreset = \"cohorts\"\nsweeps = [\"main\"]\nwhere = { backbone = [\"sasrec\"] }",
        "[table.traps]\npreset = \"traps\"\nsweeps = [\"traps\"]\nbaseline = { causal = \"true\" }\nprotocols = [\"full\"]",
        "[table.efficiency]\npreset = \"efficiency\"\nsweeps = [\"main\"]\nspread = \"none\"",
    ]
    .map(|spec| database.text(spec, Format::Markdown))
    .to_vec();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn csv_and_json_hold_every_cell() {
    let mut database = Database::of(&main_sweep());
    let text = database.text(MAIN, Format::Csv);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 5 * 4);
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    assert_eq!(&records[0][at("backbone")], "popularity");
    assert_eq!(&records[0][at("p_holm")], "");
    let json: serde_json::Value = serde_json::from_str(&database.text(MAIN, Format::Json)).unwrap();
    let mean: f64 = records[0][at("mean")].parse().unwrap();
    assert_eq!(json["rows"][0]["cells"][0]["summary"]["mean"], mean);
}

#[test]
fn a_run_of_two_sweeps_counts_once() {
    let mut runs = main_sweep();
    runs.push(Run {
        sweep: "other",
        ..RUN
    });
    let spec = MAIN.replace("[\"main\"]", "[\"main\", \"other\"]");
    let table = Database::of(&runs).table(&spec);
    let cells = table.rows.iter().flat_map(|row| &row.cells).flatten();
    assert!(cells.clone().count() == 20 && cells.clone().all(|cell| cell.summary.n == 3));
}

/// The one row of sasrec's archetype, beside ids that are as good as `mean_rank` says.
fn beside(mean_rank: f64) -> Database {
    let mut runs = main_sweep();
    runs.retain(|run| run.backbone == "sasrec" && run.representation == "archetype");
    runs.extend([44, 45, 46].map(|seed| Run {
        mean_rank,
        seed,
        ..RUN
    }));
    Database::of(&runs)
}

#[test]
fn a_mark_says_which_of_the_two_is_better() {
    for (mean_rank, verdict, markdown, latex) in [
        (40.0, "better", "\\*\\*", "$^{**}$"),
        (15.0, "worse", "\u{2020}\u{2020}", "$^{\\dagger\\dagger}$"),
        (25.0, "none", "", ""),
    ] {
        let mut database = beside(mean_rank);
        let spec = format!("{MAIN}metrics = [\"ndcg@10\"]\nprotocols = [\"full\"]\n");
        let [tex, text, csv, json] = Format::ALL.map(|format| database.text(&spec, format));
        let row = |text: &str| {
            let found = text.lines().find(|line| line.contains("GenAIR"));
            found.unwrap().to_owned()
        };
        let marks: String = row(&text)
            .split(" \u{b1} 0.00")
            .nth(1)
            .unwrap()
            .chars()
            .filter(|c| !c.is_ascii_digit() && !matches!(c, ' ' | '|'))
            .collect();
        assert_eq!(marks, markdown, "{text}");
        assert_eq!(row(&tex).contains("$^{"), !latex.is_empty());
        assert!(row(&tex).contains(latex), "{tex}");
        // Each says what its marks mean.
        let legend = "better than representation ID: \\* p &lt; 0.05, \\*\\* p &lt; 0.01; worse than representation ID: \u{2020} p &lt; 0.05, \u{2020}\u{2020} p &lt; 0.01";
        assert!(text.contains(legend), "{text}");
        assert!(
            tex.contains("worse than representation ID: \\ensuremath{\\dagger}"),
            "{tex}"
        );

        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let header = reader.headers().unwrap().clone();
        let at = |name: &str| header.iter().position(|column| column == name).unwrap();
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let tested: Vec<&str> = records.iter().map(|row| &row[at("verdict")]).collect();
        assert!(tested.contains(&verdict), "{csv}");
        assert!(tested.contains(&""), "the baseline is not tested: {csv}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let tests = json["rows"].as_array().unwrap().iter();
        let mut tests = tests.map(|row| &row["cells"][0]["comparison"]["test"]);
        let expected = match verdict {
            "none" => serde_json::Value::Null,
            verdict => verdict.into(),
        };
        assert!(tests.any(|test| test.is_object() && test["verdict"] == expected));
    }
}

#[test]
fn only_means_over_the_same_seeds_are_best() {
    let mut runs = main_sweep();
    // One run that is above every mean.
    runs.push(Run {
        backbone: "caser",
        mean_rank: 5.0,
        ..RUN
    });
    let spec = "[table.t]\nsweeps = [\"main\"]\nmay_differ = [\"seeds\"]\nmetrics = [\"ndcg@10\", \"parameters\"]";
    let text = Database::of(&runs).text(spec, Format::Markdown);
    let row = |name: &str| {
        text.lines()
            .find(|line| line.contains(name))
            .unwrap()
            .to_owned()
    };
    assert!(!row("| caser").contains("**"), "{text}");
    assert!(row("| sasrec | archetype").contains("**"), "{text}");
    assert!(
        text.contains("second underlined, among the means over the same seeds."),
        "{text}"
    );
}
