//! Generation by the real engine and a real model, killed and taken up again: `just test-engines`, which
//! names the model in `GENAIR_LLAMA_MODEL`.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

use std::path::PathBuf;

use genair_test_support::lab::{Lab, Signal, send};

/// Records after which the generation is killed, each time anew.
const KILLS: [usize; 3] = [5, 40, 80];

fn spec() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the recipe speaks through the environment"
    )]
    let model = std::env::var("GENAIR_LLAMA_MODEL").expect("run `just test-engines`");
    format!(
        r#"
[sweep]
name = "real"
backbone = ["sasrec"]
representation = ["genair"]

[dataset.synthetic]
kind = "synthetic"
users = 60
catalogue = 120

[archetype]
engine = "llama-cpp"
model = "{model}"
generation = {{ min_new_tokens = 4, max_new_tokens = 24, stop = ["\n"] }}

[representation.genair]
kind = "archetype"
components = 16
"#
    )
}

/// Vectors and texts, by name.
fn made(lab: &Lab) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(lab.path("cache/vectors")).unwrap();
    let mut files: Vec<_> = files
        .map(|file| file.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Lines of the record log that are whole.
fn records(lab: &Lab) -> usize {
    let folders = std::fs::read_dir(lab.path("cache/archetypes"));
    let logs = folders.into_iter().flatten().flatten();
    let logs = logs.map(|folder| folder.path().join("records.jsonl"));
    logs.filter_map(|log: PathBuf| std::fs::read_to_string(log).ok())
        .map(|text| text.matches('\n').count())
        .sum()
}

#[test]
fn a_killed_generation_ends_in_the_bytes_of_an_uninterrupted_one() {
    let generate = ["archetype", "generate", "s.toml"];
    let killed = Lab::new();
    killed.write("s.toml", spec());
    for kill in KILLS {
        let running = killed.start(generate);
        killed.wait_for("records", |lab| (records(lab) >= kill).then_some(()));
        send(Signal::KILL, running.id());
        running.outcome();
    }
    let before = records(&killed);
    killed.genair(generate).expect(0);

    let whole = Lab::new();
    whole.write("s.toml", spec());
    whole.genair(generate).expect(0);
    assert!(before < records(&whole), "the last kill came too late");
    assert_eq!(
        records(&killed),
        records(&whole),
        "an item is lost or doubled"
    );
    assert_eq!(made(&whole), made(&killed));
    assert_eq!(made(&whole).len(), 2);
}
