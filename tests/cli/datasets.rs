//! Data as the world publishes it: found out, named, read from Parquet, and nothing lost without a word.

use genair_test_support::lab::{Lab, tiny_spec};

/// The folder of a data set's small files in their published form.
fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/datasets");
    format!("{folder}/{name}")
}

/// A spec with this dataset.
fn spec_with(dataset: &str) -> String {
    let spec = tiny_spec("data", &["popularity"], "");
    let begin = spec
        .split("[dataset.tiny]")
        .next()
        .unwrap_or_default()
        .to_owned();
    format!("{begin}{dataset}\n")
}

#[test]
fn what_inspect_prints_is_a_dataset_that_works() {
    let lab = Lab::new();
    // Parquet too, which a worker reads.
    for name in ["movielens-1m", "amazon-2014-Beauty", "nested", "parquet"] {
        let found = lab.genair(["data", "inspect", &fixture(name)]).expect(0);
        lab.write("s.toml", spec_with(&found.stdout));
        let stats = lab
            .genair(["data", "stats", "s.toml", "--format", "json"])
            .expect(0);
        let read = stats.json();
        assert_eq!(read[0]["statistics"]["users"], 4, "{name}: {stats}");
    }
}

#[test]
fn a_parquet_file_is_the_table_that_its_csv_is() {
    let lab = Lab::new();
    let dataset = format!("[dataset.p]\npath = {:?}", fixture("parquet"));
    lab.write("s.toml", spec_with(&dataset));
    lab.genair(["data", "export", "s.toml", "--dataset", "p", "--out", "out"])
        .expect(0);
    let rows = std::fs::read_to_string(lab.path("out/interactions.tsv")).unwrap();
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut wanted = "user_id\titem_id\torder\n".to_owned();
    for user in expected["parquet"]["sequences"].as_array().unwrap() {
        for (order, item) in user[1].as_array().unwrap().iter().enumerate() {
            let (user, item) = (user[0].as_str().unwrap(), item.as_str().unwrap());
            wanted += &format!("{user}\t{item}\t{order}\n");
        }
    }
    assert_eq!(rows, wanted);
    let items = std::fs::read_to_string(lab.path("out/items.jsonl")).unwrap();
    assert!(
        items.contains("\"genres\":[\"Action\",\"Drama\"]"),
        "{items}"
    );
}

#[test]
fn a_sweep_says_what_it_leaves_out() {
    let lab = Lab::new();
    let rows: String = (0..40)
        .map(|row| format!("u{},i{},{},{row}\n", row % 5, row % 7, row % 3))
        .collect();
    lab.write(
        "data/interactions.csv",
        format!("user_id,item_id,rating,timestamp\n{rows}"),
    );
    lab.write(
        "s.toml",
        spec_with(
            "[dataset.mine]\npath = \"data\"\nrepeats = \"first\"\n[train.stop]\nmax_epochs = 1",
        ),
    );
    let swept = lab.genair(["sweep", "s.toml"]).expect(0);
    assert!(
        swept.stderr.contains(
            "of 40 rows, dropped: 14 with a rating of at most `min_rating` (0 by default)"
        ),
        "{swept}"
    );
}

#[test]
fn public_data_sets_are_listed_and_say_what_a_person_has_to_do() {
    let lab = Lab::new();
    let listed = lab
        .genair(["data", "list", "--format", "json"])
        .expect(0)
        .json();
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|own| own["name"].as_str())
        .collect();
    assert!(
        names.contains(&"ml-100k") && names.contains(&"amazon-2014"),
        "{names:?}"
    );
    let yelp = lab.genair(["data", "fetch", "yelp"]);
    assert!(
        yelp.stderr
            .contains("hint: https://www.yelp.com/dataset: accept the terms"),
        "{yelp}"
    );
    assert_eq!(yelp.code, Some(2), "{yelp}");
    let unknown = lab.genair(["data", "fetch", "movielens-1n"]);
    assert!(
        unknown.stderr.contains("did you mean `movielens-1m`?"),
        "{unknown}"
    );
}

#[test]
fn a_data_set_is_fetched_by_the_sweep_that_reads_it() {
    let server = Server::new(fixture("gowalla"));
    let lab = Lab::new();
    let fetched = lab
        .genair([
            "data",
            "fetch",
            "gowalla",
            "--dest",
            "g",
            "--url",
            &server.url,
        ])
        .expect(0);
    assert!(fetched.stdout.contains("g: fetched"), "{fetched}");
    lab.write(
        "s.toml",
        spec_with("[dataset.g]\nkind = \"gowalla\"\npath = \"g\""),
    );
    let stats = lab
        .genair(["data", "stats", "s.toml", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(stats[0]["statistics"]["users"], 4);
    let again = lab
        .genair([
            "data",
            "fetch",
            "gowalla",
            "--dest",
            "g",
            "--url",
            &server.url,
        ])
        .expect(0);
    assert!(
        again.stdout.contains("is there already, verified"),
        "{again}"
    );
}

/// Serves the files of a folder on this machine, for as long as the test goes on.
struct Server {
    url: String,
}

impl Server {
    fn new(folder: String) -> Self {
        use std::io::{BufRead, BufReader, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let lines = BufReader::new(&stream).lines();
                let lines: Vec<String> = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let path = lines
                    .first()
                    .and_then(|line| line.split(' ').nth(1))
                    .unwrap_or_default();
                let content = std::fs::read(format!("{folder}{path}")).unwrap_or_default();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    content.len()
                );
                let _ = stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(&content));
            }
        });
        Self { url }
    }
}
