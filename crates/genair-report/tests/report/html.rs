//! The page of a database, as a file. `tests/browser` looks at it in a browser.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use genair_protocol::{Protocol, Split};
use genair_report::html::{PageFigure, PageSpec, write_page};
use serde_json::Value;

use crate::database::{Database, End, RUN, Run, USERS, main_sweep};

const HOSTILE: &str = "</script><script>alert('x')</script>&\"";

pub(crate) struct Page {
    html: String,
    runs: usize,
    runs_with_ranks: usize,
}

impl Page {
    pub(crate) fn of(database: &mut Database, spec: &PageSpec) -> Self {
        let path = database.path("pages/report.html");
        let written = write_page(&mut database.store, spec, &path).unwrap();
        let html = std::fs::read_to_string(&path).unwrap();
        assert_eq!((written.bytes, &written.file), (html.len(), &path));
        // Nothing but the file is left.
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
        Self {
            html,
            runs: written.runs,
            runs_with_ranks: written.runs_with_ranks,
        }
    }

    fn block(&self, name: &str) -> Vec<u8> {
        let start = format!("data-block=\"{name}\">");
        let at = self.html.find(&start).unwrap() + start.len();
        let packed = self.html[at..].split('<').next().unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(STANDARD.decode(packed).unwrap().as_slice())
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.block(name)).unwrap()
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        let bytes = self.block(name);
        let (numbers, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty());
        numbers
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect()
    }
}

#[test]
fn a_page_has_the_database_s_numbers_bit_for_bit() {
    let mut runs = main_sweep();
    runs.push(Run {
        end: End::Pending,
        seed: 99,
        ..RUN
    });
    let mut database = Database::of(&runs);
    let page = Page::of(&mut database, &PageSpec::default());
    assert_eq!((page.runs, page.runs_with_ranks), (16, 15));
    let index = page.json("index");
    let measures = index["measures"].as_array().unwrap();
    for (at, measure) in measures.iter().enumerate() {
        let text = |key: &str| measure[key].as_str().unwrap().to_owned();
        let sql = format!(
            "SELECT value FROM runs LEFT JOIN metrics ON metrics.run_id = runs.run_id AND epoch IS NULL
               AND split = '{}' AND protocol = '{}' AND cohort = '{}' AND metric = '{}' AND k = {}
             ORDER BY runs.run_id",
            text("split"),
            text("protocol"),
            text("cohort"),
            text("metric"),
            measure["k"]
        );
        let expected = database.store.query(&sql).unwrap().rows;
        let found = page.numbers(&format!("measure-{at}"));
        assert_eq!(found.len(), 16);
        for (found, expected) in found.iter().zip(expected) {
            match expected[0].as_f64() {
                Some(value) => assert_eq!(found.to_bits(), value.to_bits()),
                None => assert!(found.is_nan()),
            }
        }
    }
    let sql =
        "SELECT count(*) FROM (SELECT DISTINCT split, protocol, cohort, metric, k FROM metrics)";
    assert_eq!(
        database.store.query(sql).unwrap().rows[0][0],
        measures.len()
    );

    let curves = page.json("curves-0");
    assert_eq!(curves[0]["epoch"], serde_json::json!([1, 2]));
    assert_eq!(curves[0]["valid"], serde_json::json!([0.022222, 0.033333]));
    assert_eq!(
        curves[15],
        Value::Null,
        "nothing is known of a run that has not begun"
    );
    let details = page.json("details-0");
    assert_eq!(details[0]["spec"]["dataset"]["max_len"], 50);
    assert_eq!(details[0]["provenance"]["code_revision"], "4b825dc");

    let listed = &index["ranks"];
    let clip = listed["clip"].as_u64().unwrap() as u32;
    let first = listed["of"].as_array().unwrap();
    let first = first
        .iter()
        .position(|of| of["run"] == 0 && of["protocol"] == "full");
    let bytes = page.block(&format!("ranks-{}", first.unwrap()));
    let (ranks, _) = bytes.as_chunks::<2>();
    let ranks: Vec<u32> = ranks
        .iter()
        .map(|r| u16::from_le_bytes(*r).into())
        .collect();
    let expected: Vec<u32> = runs[0]
        .ranks(Split::Test)
        .iter()
        .map(|&rank| rank.min(clip))
        .collect();
    assert_eq!((ranks, USERS), (expected, 120), "{}", Protocol::Full);
}

#[test]
fn what_a_database_says_is_never_markup() {
    let mut database = Database::of(&[Run {
        sweep: HOSTILE,
        dataset: HOSTILE,
        backbone: HOSTILE,
        axes: &[("x", HOSTILE)],
        ..RUN
    }]);
    let spec = PageSpec {
        title: Some(HOSTILE.to_owned()),
        sweeps: vec![HOSTILE.to_owned()],
        figures: vec![PageFigure {
            caption: HOSTILE.to_owned(),
            svg: "<svg><script>alert('x')</script></svg>".to_owned(),
        }],
    };
    let page = Page::of(&mut database, &spec);
    assert!(!page.html.contains("<script>alert"));
    assert!(page.html.contains("&lt;&#x2f;script&gt;&lt;script&gt;"));
    assert_eq!(page.json("index")["runs"][0]["dataset"], HOSTILE);
    // One script that runs, and it is the one that the policy names.
    assert_eq!(page.html.matches("<script>").count(), 1);
    assert_eq!(page.html.matches("script-src 'sha256-").count(), 1);
}

#[test]
fn a_page_may_be_of_some_sweeps() {
    let mut runs = main_sweep();
    runs.push(Run {
        sweep: "other",
        dataset: "yelp",
        ..RUN
    });
    let mut database = Database::of(&runs);
    let of = |sweep: &str| PageSpec {
        sweeps: vec![sweep.to_owned()],
        ..PageSpec::default()
    };
    let page = Page::of(&mut database, &of("other"));
    assert_eq!((page.runs, page.runs_with_ranks), (1, 1));
    assert_eq!(page.json("index")["runs"][0]["dataset"], "yelp");
    assert_eq!(page.json("index")["sweeps"].as_array().unwrap().len(), 1);

    let path = database.path("pages/report.html");
    let error = write_page(&mut database.store, &of("othr"), &path).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("there is no sweep `othr`\nhint: did you mean `other`?")
    );
    let mut empty = Database::of(&[]);
    let error = write_page(&mut empty.store, &PageSpec::default(), &path).unwrap_err();
    assert!(
        error.to_string().contains("it holds no sweep yet"),
        "{error}"
    );
}

/// The page has what the specs describe now, and averages what differs in nothing but the seed.
#[test]
fn a_page_has_the_present_runs_by_their_configurations() {
    let longer = Run {
        seed: 46,
        max_len: 200,
        ..RUN
    };
    let gone = Run { seed: 47, ..RUN };
    let waits = Run {
        seed: 48,
        end: End::Pending,
        ..RUN
    };
    let second = Run { seed: 45, ..RUN };
    let present = [RUN, second, longer];
    let mut database = Database::of(&[&present[..], &[gone, waits]].concat());
    let planned: Vec<_> = present.iter().map(Run::planned).collect();
    let sweep = database.store.begin_sweep("main", "main.toml", "").unwrap();
    database.store.register(sweep, &planned).unwrap();

    let page = Page::of(&mut database, &PageSpec::default());
    assert_eq!(page.runs, 3);
    let index = page.json("index");
    let of_runs = |key: &str| -> Vec<Value> {
        let runs = index["runs"].as_array().unwrap();
        runs.iter().map(|run| run[key].clone()).collect()
    };
    assert_eq!(of_runs("seed"), [44, 45, 46]);
    let configurations = of_runs("configuration");
    assert_eq!(configurations[0], configurations[1]);
    assert_ne!(configurations[0], configurations[2]);
    let places = index["places"].as_array().unwrap();
    let variants: Vec<&Value> = places.iter().map(|place| &place["variant"]).collect();
    assert_eq!(
        variants,
        [
            "dataset.max_len=50",
            "dataset.max_len=50",
            "dataset.max_len=200"
        ]
    );
}
