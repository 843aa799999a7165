//! Representations that are made before training: archetypes (by the fake engine, which only this
//! environment admits), imported vectors, noise; and calibration.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::{Value, json};

const REPRESENTATIONS: &str = r#"
[archetype]
engine = "fake"
generation = { max_new_tokens = 8 }

[representation.genair]
kind = "archetype"
components = 8
calibration = { alpha = 1e-3, gamma = 4.0 }

[representation.parts]
kind = "archetype"
components = 8
part = ["context", "archetype"]
fusion = "sum"

[representation.random]
kind = "random"
width = 12
finetune = true

[train.stop]
max_epochs = 3
"#;

fn spec(backbones: &[&str]) -> String {
    tiny_spec("made", backbones, REPRESENTATIONS).replace(
        "backbone =",
        "representation = [\"id\", \"genair\", \"parts\", \"random\"]\nbackbone =",
    )
}

fn lab() -> Lab {
    Lab::new().with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1")
}

#[test]
fn every_backbone_trains_on_every_representation() {
    let lab = lab();
    lab.write("s.toml", spec(&["sasrec", "bert4rec", "gru4rec", "caser"]));
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    assert_eq!(
        lab.count("SELECT run_id FROM runs WHERE state = 'finished'"),
        4 * 5
    );
    // Vectors for those that read a file; scores for all, since one representation is calibrated.
    let inputs = "SELECT representation, kind, count(*) FROM run_inputs JOIN runs USING (run_id)
        GROUP BY 1, 2 ORDER BY 1, 2";
    let expected = [
        ("genair", "associations", 4),
        ("genair", "vectors", 4),
        ("id", "associations", 4),
        ("parts", "associations", 8),
        ("parts", "vectors", 8),
        ("random", "associations", 4),
    ];
    let expected = expected.map(|(name, kind, runs)| vec![json!(name), json!(kind), json!(runs)]);
    assert_eq!(lab.rows(inputs), expected);
    let calibrated = "SELECT DISTINCT representation FROM epochs JOIN runs USING (run_id)
        WHERE calibration IS NOT NULL";
    assert_eq!(lab.rows(calibrated), [[json!("genair")]]);
    // Before training and at the best epoch, of every item space.
    let measured = "SELECT run_id FROM diagnostics GROUP BY run_id
        HAVING count(*) = 10 AND count(DISTINCT epoch) = 2";
    assert_eq!(lab.count(measured), 4 * 5);

    let texts = |lab: &Lab| -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(lab.path("cache/vectors")).unwrap();
        let mut files: Vec<_> = files
            .map(|file| {
                let path = file.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read(path).unwrap())
            })
            .collect();
        files.sort();
        files
    };
    let made = texts(&lab);
    assert_eq!(
        made.len(),
        4,
        "two files of vectors, of which one needs no answers, and their texts serve all runs"
    );
    // A second sweep makes nothing, and from nothing the same bytes come out.
    let again = lab
        .genair(["archetype", "generate", "s.toml", "--format", "json"])
        .expect(0)
        .json();
    let jobs = again.as_array().unwrap();
    assert!(!jobs.is_empty());
    for job in jobs {
        assert_eq!(job["counts"]["made"], json!(0), "{job}");
    }
    let again = self::lab();
    again.write("s.toml", spec(&["sasrec"]));
    again.genair(["archetype", "generate", "s.toml"]).expect(0);
    assert_eq!(texts(&again), made);
}

#[test]
fn made_up_archetypes_need_leave() {
    let lab = Lab::new();
    lab.write("s.toml", spec(&["sasrec"]));
    // What needs none is trained.
    let refused = lab.genair(["sweep", "s.toml"]).expect(3);
    assert!(
        refused.stderr.contains("GENAIR_ALLOW_FAKE_ENGINE"),
        "{}",
        refused.stderr
    );
}

#[test]
fn an_item_can_be_looked_at() {
    let lab = lab();
    lab.write("s.toml", spec(&["sasrec"]));
    let prompt = lab
        .genair(["archetype", "prompt", "s.toml", "--format", "json"])
        .expect(0)
        .json();
    let item = prompt["item"].as_str().unwrap().to_owned();
    assert!(
        prompt["prompt"].as_str().unwrap().contains("people who"),
        "{prompt}"
    );
    let shown = lab
        .genair([
            "archetype",
            "show",
            "s.toml",
            "--item",
            &item,
            "--format",
            "json",
        ])
        .expect(0)
        .json();
    assert_eq!(shown["prompt"], prompt["prompt"]);
    assert!(!shown["answer"].as_str().unwrap().is_empty());
    let parts: Vec<&Value> = shown["neighbours"].as_array().unwrap().iter().collect();
    assert_eq!(
        parts.iter().map(|part| &part["part"]).collect::<Vec<_>>(),
        ["context", "archetype"]
    );
    assert!(
        parts
            .iter()
            .all(|part| part["items"].as_array().unwrap().len() == 5)
    );
    lab.genair(["archetype", "report", "s.toml", "--out", "report"])
        .expect(0);
    let page = std::fs::read_to_string(lab.path("report/report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http-equiv=\"refresh\""));
    let missing = lab
        .genair(["archetype", "show", "s.toml", "--item", "no such"])
        .expect(2);
    assert!(missing.stderr.contains("no such"), "{}", missing.stderr);
}

#[test]
fn mistakes_are_named_where_they_were_made() {
    let lab = lab();
    let wrong = spec(&["sasrec"])
        .replace("width = 12", "width = 0\npart = \"both\"")
        .replace("generation = {", "generation = { top_p = 2.0,")
        .replace("alpha = 1e-3", "alpha = -1.0");
    lab.write("s.toml", wrong);
    let refused = lab.genair(["check", "s.toml"]).expect(2);
    for expected in [
        "`representation.random.width` is 0; it must be at least 1",
        "`representation.random.part` has no meaning for kind \"random\"",
        "`archetype.generation.top_p` is 2",
        "`representation.genair.calibration.alpha` is -1; it must be a finite number, at least 0",
    ] {
        let all = format!("{}{}", refused.stdout, refused.stderr);
        assert!(all.contains(expected), "{expected} is not in {all}");
    }
}

/// The encoder is a program beside `genair`; here it is one that notes what it is given and ends.
#[test]
fn no_encoder_sees_the_key_of_a_server() {
    let lab = Lab::new();
    lab.write(
        "encoder.sh",
        "#!/bin/sh\n{ echo started; env; } >> \"$LAB_NOTE\"\nexit 1\n",
    );
    std::fs::create_dir(lab.path("bin")).unwrap();
    // Copied by another process: a program that this one had open for writing may be too busy to start.
    for (from, to) in [
        (lab.program("genair"), "bin/genair"),
        (lab.path("encoder.sh"), "bin/genair-encoder"),
    ] {
        let mut copy = Command::new("install");
        copy.args(["-m", "755"]).arg(from).arg(lab.path(to));
        assert!(copy.status().unwrap().success());
    }
    let encoder = concat!(env!("CARGO_MANIFEST_DIR"), "/oracles/encoder/tiny");
    let more = format!(
        r#"
[representation.words]
kind = "text"
encoder = "{encoder}"

[representation.written]
kind = "archetype"
archetype.engine = "openai"
archetype.states = "local"
archetype.http = {{ base_url = "http://localhost:9/v1", model = "m", api_key_env = "LAB_SECRET" }}
"#
    );
    let spec = tiny_spec("key", &["sasrec"], &more);
    lab.write(
        "s.toml",
        spec.replace("backbone =", "representation = \"words\"\nbackbone ="),
    );
    let note = lab.path("note");
    let mut sweep = Command::new(lab.path("bin/genair"));
    sweep
        .args(["sweep", "s.toml", "--db", "genair.db"])
        .current_dir(lab.path(""))
        .env("GENAIR_TRAINER", lab.program("genair-trainer"))
        .env("GENAIR_PLUGIN_PATH", lab.program(""))
        .env("GENAIR_CACHE", "cache")
        .env("GENAIR_DEVICE", "cpu")
        .env("LAB_NOTE", &note)
        .env("LAB_SECRET", "sk-1234567890")
        .env("OPENAI_API_KEY", "sk-0987654321");
    let output = sweep.output().unwrap();
    assert!(!output.status.success(), "there are no vectors: {output:?}");
    let seen = std::fs::read_to_string(&note).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert!(seen.starts_with("started\n"), "{seen}");
    assert!(!seen.contains("sk-"), "{seen}");
}

/// What uses the states of prompts alone has no answers, in no record, and no seed of sampling in its recipe.
#[test]
fn the_context_alone_needs_no_answers() {
    let lab = lab();
    let context = "\n[archetype]\nengine = \"fake\"\n[representation.seen]\nkind = \"archetype\"\n\
                   part = \"context\"\ncomponents = 8\n[train.stop]\nmax_epochs = 1\n";
    let spec = tiny_spec("context", &["sasrec"], context)
        .replace("backbone =", "representation = \"seen\"\nbackbone =");
    lab.write("s.toml", &spec);
    let planned = lab.genair(["plan", "s.toml"]).expect(0);
    assert!(planned.stdout.contains("prompts"), "{planned}");
    lab.genair(["sweep", "s.toml"]).expect(0);
    assert_eq!(
        lab.count("SELECT run_id FROM runs WHERE state = 'finished'"),
        1
    );
    let read = |folder: &str, name: &str| -> Vec<String> {
        let found = std::fs::read_dir(lab.path(folder)).unwrap();
        let paths = found.map(|entry| entry.unwrap().path().join(name));
        let texts = paths.filter_map(|path| std::fs::read_to_string(path).ok());
        texts.collect()
    };
    let logs = read("cache/archetypes", "records.jsonl");
    assert_eq!(logs.len(), 1);
    let records = logs[0].lines();
    let records: Vec<Value> = records
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!records.is_empty());
    for record in &records {
        assert_eq!(record["text"], json!(""), "{record}");
        assert_eq!(record["archetype"], Value::Null, "{record}");
    }

    // The answers' seed decides nothing here.
    lab.write(
        "s.toml",
        spec.replace(
            "engine = \"fake\"",
            "engine = \"fake\"\ngeneration.seed = 9",
        ),
    );
    let of = |command: &str, more: &[&str]| {
        let arguments = ["archetype", command, "s.toml", "--format", "json"];
        lab.genair(arguments.into_iter().chain(more.iter().copied()))
    };
    let made = of("generate", &[]).expect(0).json();
    assert_eq!(made[0]["counts"]["made"], json!(0), "{made}");
    assert_eq!(made[0]["counts"]["empty_answers"], json!(0), "{made}");
    let texts = std::fs::read_to_string(made[0]["archetypes"].as_str().unwrap()).unwrap();
    let line: Value = serde_json::from_str(texts.lines().next().unwrap()).unwrap();
    assert_eq!(line["answer"], Value::Null, "{line}");
    let item = line["item"].as_str().unwrap();
    let shown = of("show", &["--item", item]).expect(0).json();
    assert_eq!(shown["answer"], Value::Null);
    assert_eq!(shown["neighbours"].as_array().unwrap().len(), 1);
    of("report", &["--out", "report"]).expect(0);
    let page = std::fs::read_to_string(lab.path("report/report.md")).unwrap();
    assert!(
        !page.contains("empty answers") && !page.contains("Answer ("),
        "{page}"
    );
    assert!(page.contains("| prompt |"), "{page}");

    // With a second part, both are made: one with answers, one without.
    lab.write(
        "s.toml",
        spec.replace("part = \"context\"", "part = [\"context\", \"both\"]"),
    );
    let made = of("generate", &[]).expect(0).json();
    let news = made.as_array().unwrap().iter();
    let news: Vec<bool> = news.map(|job| job["counts"]["made"] != json!(0)).collect();
    assert_eq!(news, [true, false], "{made}");
    let shown = of("show", &["--item", item]).expect(0).json();
    assert_eq!(shown["neighbours"].as_array().unwrap().len(), 2);
}

/// Kind `text` by a server: a fake one on this machine, which gives a text's length and first byte.
#[test]
fn texts_may_be_encoded_by_a_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                let lower = line.to_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let texts = body["input"].as_array().unwrap().iter().enumerate();
            let vectors = texts.map(|(index, text)| {
                let text = text.as_str().unwrap();
                json!({ "index": index, "embedding": [text.len(), text.as_bytes()[text.len() - 1]] })
            });
            // In another order than the texts.
            let vectors: Vec<Value> = vectors.collect::<Vec<_>>().into_iter().rev().collect();
            let said = json!({ "data": vectors }).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                said.len()
            );
            stream
                .write_all(format!("{head}{said}").as_bytes())
                .unwrap();
        }
    });
    let lab = Lab::new();
    let text = format!(
        "[representation.served]\nkind = \"text\"\narchetype.engine = \"openai\"\n\
         archetype.http = {{ base_url = \"http://{address}/v1\", model = \"m\", batch = 7 }}\n\
         [train.stop]\nmax_epochs = 1\n"
    );
    let spec = tiny_spec("served", &["sasrec"], &text)
        .replace("backbone =", "representation = \"served\"\nbackbone =");
    lab.write("s.toml", &spec);
    lab.genair(["sweep", "s.toml"]).expect(0);
    assert_eq!(
        lab.count("SELECT run_id FROM runs WHERE state = 'finished'"),
        1
    );
    let again = lab.genair(["archetype", "generate", "s.toml", "--format", "json"]);
    let again = again.expect(0).json();
    assert_eq!(again[0]["counts"]["made"], json!(0), "{again}");
    lab.write("s.toml", spec.replace("batch = 7", "batch = 0"));
    let refused = lab.genair(["check", "s.toml"]).expect(2);
    let all = format!("{}{}", refused.stdout, refused.stderr);
    assert!(
        all.contains("`representation.served.archetype.http.batch` is 0; it must be at least 1"),
        "{all}"
    );
}
