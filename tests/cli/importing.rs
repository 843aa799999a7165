//! `genair archetype` as it is documented: every command of the docs, vectors made elsewhere, and every kind of
//! representation that has a prompt.

use std::fmt::Write;

use genair_test_support::lab::Lab;
use serde_json::{Value, json};

const DOCS: &str = include_str!("../../docs/archetypes.md");

/// A .npy file of f32, row by row.
fn npy(rows: usize, width: usize) -> Vec<u8> {
    let text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    let values = (0..rows * width).map(|at| (at as f32).sin());
    bytes.extend(values.flat_map(f32::to_le_bytes));
    bytes
}

/// A lab with items 1 to 6 in `data`, their vectors in `a.npy` and `b.npy`, their ids in `ids.txt`, and a spec
/// `s.toml` whose representations are `more`.
fn lab(more: &str) -> Lab {
    let lab = Lab::new().with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1");
    let (mut rows, mut items) = ("user_id\titem_id\ttimestamp\n".to_owned(), String::new());
    for item in 1..=6 {
        for user in ["u", "v", "w"] {
            writeln!(rows, "{user}\t{item}\t{item}").unwrap();
        }
        writeln!(items, "{{\"item_id\": {item}, \"title\": \"Film {item}\"}}").unwrap();
    }
    lab.write("data/interactions.tsv", rows);
    lab.write("data/items.jsonl", items);
    lab.write("a.npy", npy(6, 4));
    lab.write("b.npy", npy(6, 2));
    lab.write("ids.txt", "1\n2\n3\n4\n5\n6\n");
    lab.write(
        "s.toml",
        format!(
            "[sweep]\nname = \"s\"\nbackbone = \"popularity\"\n[dataset.mine]\npath = \"data\"\n\
             [archetype]\nengine = \"fake\"\ngeneration.max_new_tokens = 8\n{more}"
        ),
    );
    lab
}

const ARCHETYPE: &str = "[representation.genair]\nkind = \"archetype\"\ncomponents = 2\n";

#[test]
fn every_documented_command_does_what_it_says() {
    let commands: Vec<&str> = DOCS
        .lines()
        .filter_map(|line| line.strip_prefix("$ genair "))
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.contains("model fetch")) // From the network.
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let lab = lab(ARCHETYPE);
        let arguments = command.split_whitespace();
        let arguments = arguments.map(|word| if word == "SPEC" { "s.toml" } else { word });
        lab.genair(arguments).expect(0);
        if let Some((_, out)) = command.split_once("--out ") {
            assert!(lab.path(out).is_file(), "{command}");
        }
    }
}

fn parts(lab: &Lab, arguments: &[&str]) -> Value {
    let import = ["archetype", "import", "--format", "json"];
    let told = lab.genair(import.into_iter().chain(arguments.iter().copied()));
    told.expect(0).json()["parts"].clone()
}

#[track_caller]
fn refused(lab: &Lab, arguments: &[&str], expected: &str) {
    let told = lab.genair(["archetype"].into_iter().chain(arguments.iter().copied()));
    let told = told.expect(2);
    assert!(told.stderr.contains(expected), "{told}");
    assert!(!lab.path("x.safetensors").exists(), "{told}");
}

#[test]
fn all_files_of_an_import_are_parts_and_none_is_dropped() {
    let lab = lab("");
    let both = json!([{ "name": "context", "width": 4 }, { "name": "archetype", "width": 2 }]);
    let out = ["--out", "x.safetensors"];
    let listed = ["context=a.npy", "archetype=b.npy", "--items", "ids.txt"];
    assert_eq!(parts(&lab, &[&listed[..], &out].concat()), both);
    let of_spec = ["context=a.npy", "archetype=b.npy", "--spec", "s.toml"];
    assert_eq!(parts(&lab, &[&of_spec[..], &out].concat()), both);
    let one = json!([{ "name": "vectors", "width": 4 }]);
    assert_eq!(
        parts(
            &lab,
            &["a.npy", "--items", "ids.txt", "--out", "x.safetensors"]
        ),
        one
    );

    // With both, items without a row are told.
    lab.write("ids.txt", "1\n2\n3\n4\n5\nseven\n");
    let told = lab.genair([
        "archetype",
        "import",
        "a.npy",
        "--items",
        "ids.txt",
        "--spec",
        "s.toml",
        "--out",
        "x.safetensors",
    ]);
    let told = told.expect(0);
    let expected = "warning: ids.txt lacks 1 of the dataset's 6 items, the first is `6`";
    assert!(told.stderr.contains(expected), "{told}");
}

#[test]
fn an_import_that_cannot_be_meant_is_refused_and_writes_nothing() {
    let lab = lab("");
    let out = ["--out", "x.safetensors"];
    for (arguments, expected) in [
        (
            &["contxt=a.npy", "--items", "ids.txt"][..],
            "there is no part `contxt`; an array becomes one of context",
        ),
        (&["a.npy"], "--spec <SPEC>"),
        (
            &["a.npy", "s.toml", "--items", "ids.txt"],
            "write --spec s.toml",
        ),
        (
            &["a.npy", "b.npy", "--items", "ids.txt"],
            "there are two parts `vectors`",
        ),
        (
            &["a.npy", "--items", "ids.txt", "--dataset", "mine"],
            "--spec <SPEC>",
        ),
        (
            &["a.npy", "--spec", "s.toml", "--dataset", "nope"],
            "no dataset `nope` in s.toml; there are: mine",
        ),
        (
            &["./contxt=a.npy", "--items", "ids.txt"],
            "cannot read `./contxt=a.npy`",
        ),
        (
            &["/dev/zero", "--items", "ids.txt"],
            "it is a device; only regular files are read",
        ),
        (
            &["a.npy", "--items", "/dev/zero"],
            "it is a device; only regular files are read",
        ),
        (
            &["a.npy", "--spec", "/dev/zero"],
            "it is a device; only regular files are read",
        ),
    ] {
        refused(&lab, &[&["import"], arguments, &out].concat(), expected);
    }
}

#[test]
fn a_spec_may_name_the_file_that_is_about_to_be_written() {
    let vectors = "[representation.v]\nkind = \"vectors\"\npath = \"made/v.safetensors\"\n";
    let other = "[representation.w]\nkind = \"archetype\"\npart = \"no such part\"\n";
    let lab = lab(&format!("{vectors}{other}"));
    // Nothing but the dataset is looked at.
    let made = [
        "archetype",
        "import",
        "a.npy",
        "--spec",
        "s.toml",
        "--out",
        "made/v.safetensors",
    ];
    lab.genair(made).expect(0);
    let spec = std::fs::read_to_string(lab.path("s.toml")).unwrap();
    let spec = spec.replace(other, "").replace(
        "backbone = \"popularity\"",
        "backbone = \"sasrec\"\nrepresentation = \"v\"\nseeds = 1",
    );
    lab.write("s.toml", format!("{spec}[train]\nstop.max_epochs = 1\n"));
    lab.genair(["sweep", "s.toml"]).expect(0);
    // Again, over the file that is there.
    lab.genair(made).expect(0);
}

#[test]
fn representations_of_kind_text_have_prompts_and_vectors_too() {
    let encoder = concat!(env!("CARGO_MANIFEST_DIR"), "/oracles/encoder/tiny");
    let text = format!("[representation.words]\nkind = \"text\"\nencoder = \"{encoder}\"\n");
    let lab = lab(&format!(
        "{ARCHETYPE}{text}[representation.noise]\nkind = \"random\"\n"
    ));
    let of = |command: &str, more: &[&str]| {
        let arguments = ["archetype", command, "s.toml", "--format", "json"];
        lab.genair(arguments.into_iter().chain(more.iter().copied()))
    };
    let words = ["--representation", "words"];
    let item = ["--representation", "words", "--item", "3"];
    let prompt = of("prompt", &item).expect(0).json();
    assert_eq!(prompt["prompt"], json!("title is Film 3"));
    let made = of("generate", &words).expect(0).json();
    assert_eq!(made[0]["representation"], json!("words"));
    assert_eq!(made[0]["counts"]["made"], json!(6));
    let shown = of("show", &item).expect(0).json();
    assert_eq!(shown["prompt"], prompt["prompt"]);
    assert_eq!(
        (&shown["answer"], &shown["ended"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(shown["neighbours"][0]["items"].as_array().unwrap().len(), 5);
    let told = lab.genair([
        "archetype",
        "show",
        "s.toml",
        "--item",
        "3",
        "--representation",
        "words",
    ]);
    assert!(
        !told.clone().expect(0).stdout.contains("archetype\n"),
        "{told}"
    );
    lab.genair([
        "archetype",
        "report",
        "s.toml",
        "--representation",
        "words",
        "--out",
        "report",
    ])
    .expect(0);

    let all = of("generate", &[]).expect(0).json();
    let names: Vec<&Value> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["representation"])
        .collect();
    assert_eq!(names, [&json!("genair"), &json!("words")]);

    // Which one is meant is asked, and what there is is named.
    for command in ["prompt", "show", "report"] {
        let item: &[&str] = if command == "show" {
            &["--item", "3"]
        } else {
            &[]
        };
        let told = of(command, item).expect(2);
        let expected = "choose one with --representation: genair (archetype), words (text)";
        assert!(told.stderr.contains(expected), "{told}");
    }
    for command in ["prompt", "generate"] {
        for wrong in ["noise", "wrods"] {
            let told = of(command, &["--representation", wrong]).expect(2);
            let expected = format!(
                "no representation `{wrong}` of kind archetype or text; its representations: genair (archetype), \
                 words (text), noise (random)"
            );
            assert!(told.stderr.contains(&expected), "{told}");
        }
    }
}

/// A table whose rows are in another order than the catalogue, and have one item more.
const TABLE: &str = "item_id,x,y\n6,0.5,1\n5,1.5,2\n4,2.5,3\n3,3.5,4\n2,4.5,5\n1,5.5,6\nnew,0,1\n";

#[test]
fn a_spec_may_use_a_table_with_an_id_column() {
    let vectors =
        "[representation.v]\nkind = \"vectors\"\npath = \"v.csv\"\nid_column = \"item_id\"\n";
    let lab = lab(vectors);
    lab.write("v.csv", TABLE);
    let spec = std::fs::read_to_string(lab.path("s.toml")).unwrap();
    let spec = spec.replace(
        "backbone = \"popularity\"",
        "backbone = \"sasrec\"\nrepresentation = \"v\"\nseeds = 1",
    );
    let spec = format!("{spec}[train]\nstop.max_epochs = 1\n");
    lab.write("s.toml", &spec);
    lab.genair(["sweep", "s.toml"]).expect(0);
    assert_eq!(
        lab.count("SELECT run_id FROM runs WHERE state = 'finished'"),
        1
    );

    lab.write("s.toml", spec.replace("\"item_id\"", "\"id\""));
    let told = lab.genair(["sweep", "s.toml"]).expect(3);
    assert!(
        told.stderr
            .contains("has no column `id`; its columns are `item_id`, `x`, `y`"),
        "{told}"
    );
    lab.write(
        "s.toml",
        spec.replace("id_column", "items = \"ids.txt\"\nid_column"),
    );
    let told = lab.genair(["check", "s.toml"]).expect(2);
    let all = format!("{}{}", told.stdout, told.stderr);
    assert!(
        all.contains("`representation.v.id_column` is set, and `items` too"),
        "{all}"
    );
}

#[test]
fn tables_are_imported_and_parquet_files_like_csv() {
    let lab = lab("");
    lab.write("v.csv", TABLE);
    let width = json!([{ "name": "vectors", "width": 2 }]);
    let out = ["--out", "x.safetensors"];
    let column = ["--id-column", "item_id"];
    assert_eq!(
        parts(&lab, &[&["v.csv"], &column[..], &out].concat()),
        width
    );
    std::fs::remove_file(lab.path("x.safetensors")).unwrap();
    refused(
        &lab,
        &[&["import", "v.csv", "--spec", "s.toml"][..], &out].concat(),
        "name it with --id-column",
    );
    refused(
        &lab,
        &[
            &["import", "v.csv", "--items", "ids.txt"][..],
            &column,
            &out,
        ]
        .concat(),
        "cannot be used with",
    );

    // Written by pyarrow (snappy) and polars (zstd); tests/fixtures/README.md has the command.
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    for name in ["vectors_pyarrow.parquet", "vectors_polars.parquet"] {
        let path = format!("{fixtures}/{name}");
        let list = json!([{ "name": "embedding", "width": 3 }]);
        assert_eq!(
            parts(&lab, &[&[&*path], &column[..], &out].concat()),
            list,
            "{name}"
        );
        let found = genair_data::ItemVectors::read(&lab.path("x.safetensors")).unwrap();
        assert_eq!(found.items, ["1", "2"], "{name}");
        assert_eq!(
            found.parts[0].values,
            [0.5, -1.5, 1e-8, 0.1, 2.0, 3.0],
            "{name}"
        );
        std::fs::remove_file(lab.path("x.safetensors")).unwrap();
    }
    lab.write("v.parquet", "PAR1");
    refused(
        &lab,
        &[&["import", "v.parquet"][..], &column, &out].concat(),
        "v.parquet` cannot be read as vectors (it is no Parquet file",
    );
    let told = lab.genair([
        "archetype",
        "import",
        "v.csv",
        "--id-column",
        "item_id",
        "--spec",
        "s.toml",
        "--out",
        "x.safetensors",
    ]);
    assert!(
        !told.expect(0).stderr.contains("warning"),
        "all six items have a row"
    );
}

#[test]
fn answers_of_a_batch_take_the_place_of_a_server() {
    let encoder = concat!(env!("CARGO_MANIFEST_DIR"), "/oracles/encoder/tiny");
    // The tiny encoder does not know the titles, so their vectors do not differ.
    let lab = lab("[representation.genair]\nkind = \"archetype\"\ncomponents = 0\n");
    let spec = std::fs::read_to_string(lab.path("s.toml")).unwrap();
    let server = format!(
        "engine = \"openai\"\nstates = \"encoder\"\nstates_model = \"{encoder}\"\ngeneration.repetition_penalty = 1.0\n\
         http = {{ base_url = \"http://localhost:9/v1\", model = \"m\", retries = 0 }}\n"
    );
    lab.write("s.toml", spec.replace("engine = \"fake\"\n", &server));
    let of = |command: &str, more: &[&str]| {
        let arguments = ["archetype", command, "s.toml", "--format", "json"];
        lab.genair(arguments.into_iter().chain(more.iter().copied()))
    };
    let told = of("export-prompts", &["--out", "prompts.jsonl"])
        .expect(0)
        .json();
    assert_eq!(
        (&told["prompts"], &told["answered"]),
        (&json!(6), &json!(0))
    );
    let prompts = std::fs::read_to_string(lab.path("prompts.jsonl")).unwrap();
    let answers = prompts.lines().map(|line| {
        let request: Value = serde_json::from_str(line).unwrap();
        let body = json!({ "choices": [{ "text": "people who read", "finish_reason": "stop" }] });
        let line = json!({ "custom_id": request["custom_id"], "response": { "status_code": 200, "body": body } });
        format!("{line}\n")
    });
    lab.write("answers.jsonl", answers.collect::<String>());
    let told = of("import-answers", &["--answers", "answers.jsonl"])
        .expect(0)
        .json();
    assert_eq!((&told["kept"], &told["missing"]), (&json!(6), &json!(0)));
    // No server is there to be asked.
    let made = of("generate", &[]).expect(0).json();
    assert_eq!(made[0]["counts"]["empty_answers"], json!(0), "{made}");
    let shown = of("show", &["--item", "3"]).expect(0).json();
    assert_eq!(shown["answer"], json!("people who read"));
}
