//! The cache through the crate's public API, with the fake engine and workers that are shell scripts.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use genair_archetype::{
    ArchetypeError, ArchetypeSpec, EngineKind, FakeEngineSettings, Generated, GenerationProgress,
    Installation, Stage, StateSource, decode_vector, export_archetypes, generate, prompt,
    recipe_sha256,
};
use genair_data::{Catalogue, CatalogueItem};
use genair_files::Cache;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A cache of its own, where the fake engine is allowed.
struct Generator {
    folder: TempDir,
    installation: Installation,
    spec: ArchetypeSpec,
}

impl Generator {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let installation = Installation {
            cache: Cache::new(folder.path().join("cache")),
            trainer: folder.path().join("genair-trainer"),
            llama: folder.path().join("genair-llama"),
            encoder: folder.path().join("genair-encoder"),
            report: folder.path().join("genair-report"),
            build_llama: None,
            fake_engine: Some(FakeEngineSettings::default()),
        };
        let spec = ArchetypeSpec {
            engine: EngineKind::Fake,
            ..ArchetypeSpec::default()
        };
        Self {
            folder,
            installation,
            spec,
        }
    }

    fn generate(&self, catalogue: &Catalogue) -> Result<Generated, ArchetypeError> {
        self.watched(catalogue, &mut |_| {}, &|| false)
    }

    fn watched(
        &self,
        catalogue: &Catalogue,
        progress: &mut dyn FnMut(GenerationProgress),
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Generated, ArchetypeError> {
        generate(
            catalogue,
            &self.spec,
            &self.installation,
            progress,
            interrupted,
        )
    }

    fn record_files(&self) -> Vec<PathBuf> {
        record_files(self.installation.cache.root())
    }

    fn exported(&self, generated: &Generated) -> String {
        let path = self.folder.path().join("archetypes.jsonl");
        export_archetypes(generated, &path).unwrap();
        std::fs::read_to_string(path).unwrap()
    }
}

fn record_files(cache: &Path) -> Vec<PathBuf> {
    let Ok(folders) = std::fs::read_dir(cache.join("archetypes")) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = folders
        .map(|folder| folder.unwrap().path().join("records.jsonl"))
        .filter(|file| file.exists())
        .collect();
    files.sort();
    files
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn catalogue(items: &[(&str, Value)]) -> Catalogue {
    let items = items.iter().map(|(id, metadata)| CatalogueItem {
        id: (*id).to_owned(),
        metadata: metadata.as_object().unwrap().clone(),
    });
    Catalogue {
        items: items.collect(),
    }
}

fn movies(count: usize) -> Catalogue {
    let items: Vec<(String, Value)> = (0..count)
        .map(|n| (format!("m{n}"), json!({"title": format!("Movie {n}")})))
        .collect();
    let items: Vec<(&str, Value)> = items
        .iter()
        .map(|(id, value)| (id.as_str(), value.clone()))
        .collect();
    catalogue(&items)
}

#[test]
fn each_item_gets_its_record_once_and_items_with_one_prompt_share_it() {
    let generator = Generator::new();
    let items = catalogue(&[
        ("a", json!({"title": "Emma"})),
        ("b", json!({})),
        ("c", json!({"title": "Solaris"})),
        ("d", json!({"title": "Emma"})),
    ]);
    let first = generator.generate(&items).unwrap();
    assert_eq!(first.counts.items, 4);
    assert_eq!(first.counts.without_metadata, 1);
    assert_eq!(first.counts.prompts, 2);
    assert_eq!(first.counts.made, 2);
    assert_eq!(first.items[0].record, first.items[3].record);
    assert_eq!(
        (&first.items[1].prompt, &first.items[1].record),
        (&None, &None)
    );
    let record = first.items[2].record.as_ref().unwrap();
    assert!(decode_vector(&record.context, 16).is_ok());
    assert_eq!(first.settings[0].engine, "fake 1");

    let again = generator.generate(&items).unwrap();
    assert_eq!(again.counts.made, 0);
    assert_eq!(again.items, first.items);
    assert_eq!(lines(&generator.record_files()[0]).len(), 2);

    let exported = generator.exported(&first);
    let exported: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        exported[1],
        json!({"item": "b", "prompt": null, "answer": null, "tokens": null, "ended": null})
    );
    assert_eq!(exported[2]["answer"], record.text.as_str());
    assert_eq!(
        exported[2]["prompt"],
        prompt(
            &items.items[2].metadata,
            &generator.spec,
            &generator.installation
        )
        .unwrap()
        .unwrap()
    );
}

#[test]
fn changing_one_item_makes_that_item_alone_and_changing_the_settings_all() {
    let mut generator = Generator::new();
    let mut items = movies(20);
    let first = generator.generate(&items).unwrap();
    items.items[7]
        .metadata
        .insert("year".to_owned(), json!(1999));
    let second = generator.generate(&items).unwrap();
    assert_eq!(second.counts.made, 1);
    let changed: Vec<usize> = (0..20)
        .filter(|&n| first.items[n] != second.items[n])
        .collect();
    assert_eq!(changed, [7]);
    generator.spec.generation.seed += 1;
    assert_eq!(generator.generate(&items).unwrap().counts.made, 20);
    assert_eq!(generator.record_files().len(), 2);
}

#[test]
fn how_many_are_at_work_changes_no_byte_of_the_export() {
    let (one, mut many) = (Generator::new(), Generator::new());
    many.spec.parallel = 5;
    many.spec.threads = Some(2);
    let items = movies(30);
    let exports =
        [&one, &many].map(|generator| generator.exported(&generator.generate(&items).unwrap()));
    assert_eq!(exports[0], exports[1]);
    assert_ne!(
        lines(&one.record_files()[0]),
        lines(&many.record_files()[0]),
        "the order of completion differs, or this test shows nothing"
    );
}

#[test]
fn a_request_to_stop_keeps_what_is_done() {
    let generator = Generator::new();
    let items = movies(20);
    let done = Cell::new(0);
    let error = generator
        .watched(
            &items,
            &mut |event| {
                if let GenerationProgress::Advanced {
                    done: now, total, ..
                } = event
                {
                    assert_eq!(total, 20);
                    done.set(now);
                }
            },
            &|| done.get() == 6,
        )
        .unwrap_err();
    assert!(error.is_interruption(), "{error}");
    let mut started = Vec::new();
    let rest = generator.watched(
        &items,
        &mut |event| {
            if let GenerationProgress::Started { .. } = event {
                started.push(event);
            }
        },
        &|| false,
    );
    assert_eq!(rest.unwrap().counts.made, 14);
    let expected = GenerationProgress::Started {
        stage: Stage::Answers,
        done: 6,
        total: 20,
    };
    assert_eq!(started, [expected]);
}

#[test]
fn a_record_that_was_cut_is_repaired_with_a_word_and_made_again() {
    let generator = Generator::new();
    let items = movies(5);
    let first = generator.generate(&items).unwrap();
    let path = generator.record_files().remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 10]).unwrap();
    let mut repaired = Vec::new();
    let again = generator.watched(
        &items,
        &mut |event| {
            if let GenerationProgress::Repaired { .. } = event {
                repaired.push(event);
            }
        },
        &|| false,
    );
    let again = again.unwrap();
    assert_eq!((again.counts.made, &again.items), (1, &first.items));
    let bytes = text.lines().last().unwrap().len() as u64 + 1 - 10;
    let expected = GenerationProgress::Repaired {
        path: path.clone(),
        bytes,
    };
    assert_eq!(repaired, [expected]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn the_fake_engine_needs_leave_from_outside_the_spec() {
    let mut generator = Generator::new();
    generator.installation.fake_engine = None;
    let error = generator.generate(&movies(1)).unwrap_err();
    assert!(matches!(error, ArchetypeError::FakeEngine), "{error}");
    assert!(generator.record_files().is_empty());
}

#[test]
fn a_recipe_is_known_without_models_and_changes_with_what_decides_the_outcome() {
    let generator = Generator::new();
    let items = movies(3);
    let of = |items: &Catalogue, spec: &ArchetypeSpec| {
        recipe_sha256(items, spec, &generator.installation).unwrap()
    };
    let spec = ArchetypeSpec::default();
    let base = of(&items, &spec);
    let mut other = items.clone();
    other.items[0].metadata.insert("year".to_owned(), json!(1));
    assert_ne!(of(&other, &spec), base);
    for text in [
        "prompt = \"paper-question\"",
        "prompt = { item_type = \"movie\" }",
        "generation.seed = 1",
        "engine = \"encoder\"",
    ] {
        assert_ne!(of(&items, &toml::from_str(text).unwrap()), base, "{text}");
    }
    for text in [
        "parallel = 1\nthreads = 2",
        "model = \"smollm2-135m\"",
        "prompt = { item_type = \"item\", max_chars = 100 }",
    ] {
        assert_eq!(of(&items, &toml::from_str(text).unwrap()), base, "{text}");
    }
}

fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// A server that answers each chat alike, for as long as the test runs.
fn server(answer: &'static str) -> String {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let body = json!({"choices": [{"text": answer}]}).to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

/// A worker that gives every item the vector (1.0), and notes what it was given.
fn worker(path: &Path, engine: &str, width: usize, key: &str) {
    let text = r#"
echo '{"event":"ready","engine":"ENGINE","width":WIDTH,"context":256}'
while read -r line; do
  echo "$line" >> "$0.items"
  key=${line#*:\"}; key=${key%%\"*}
  echo "{\"event\":\"record\",\"key\":\"KEY\",\"text\":\"\",\"prompt_tokens\":4,\"new_tokens\":0,\"ended\":\"given\",\"context\":\"AACAPw==\"}"
done"#;
    let text = text.replace("ENGINE", engine).replace("KEY", key);
    script(path, &text.replace("WIDTH", &width.to_string()));
}

#[test]
fn answers_of_a_server_get_their_vectors_from_a_worker_on_this_machine() {
    let mut generator = Generator::new();
    let engine = concat!("genair-encoder ", env!("CARGO_PKG_VERSION"), ", 16 rows");
    worker(&generator.installation.encoder, engine, 1, "$key");
    let model = generator.folder.path().join("encoder");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("model.safetensors"), "weights").unwrap();
    let url = server("People who read.");
    generator.spec = toml::from_str(&format!(
        "engine = \"openai\"\nstates = \"encoder\"\nstates_model = \"{}\"\ngeneration.repetition_penalty = 1.0\n\
         [http]\nbase_url = \"{url}\"\nmodel = \"tiny\"",
        model.display()
    ))
    .unwrap();
    assert_eq!(generator.spec.states, Some(StateSource::Encoder));
    let items = movies(3);
    let generated = generator.generate(&items).unwrap();
    // Three answers, three prompts to encode, and one answer to encode: all are the same.
    assert_eq!(generated.counts.made, 7);
    assert_eq!(generated.counts.empty_answers, 0);
    assert_eq!(generated.settings.len(), 2);
    for item in &generated.items {
        let record = item.record.as_ref().unwrap();
        assert_eq!(record.text, "People who read.");
        assert_eq!(decode_vector(&record.context, 1).unwrap(), [1.0]);
        assert!(record.archetype.is_some());
        assert_eq!((record.prompt_tokens, record.new_tokens), (4, 4));
    }
    let asked = PathBuf::from(format!(
        "{}.items",
        generator.installation.encoder.display()
    ));
    assert_eq!(lines(&asked).len(), 4);
    let mut folders = generator.record_files();
    assert_eq!(folders.len(), 2);

    // The texts are kept by themselves: losing the vectors costs no request.
    folders.retain(|file| !std::fs::read_to_string(file).unwrap().contains("People"));
    std::fs::remove_file(&folders[0]).unwrap();
    assert_eq!(generator.generate(&items).unwrap().counts.made, 4);
}

#[test]
fn a_record_nobody_asked_for_and_a_bad_vector_are_found_out() {
    let generator = || {
        let mut generator = Generator::new();
        let model = generator.folder.path().join("own.gguf");
        std::fs::write(&model, "weights").unwrap();
        generator.spec = ArchetypeSpec {
            model: Some(model.display().to_string()),
            ..ArchetypeSpec::default()
        };
        generator
    };
    for (width, key, expected) in [
        (
            1,
            "other",
            "gave a record `other` that it was not asked for",
        ),
        (2, "$key", "the context vector of record"),
    ] {
        let generator = generator();
        worker(
            &generator.installation.llama,
            "llama-cpp-2 0.1.160",
            width,
            key,
        );
        let message = generator.generate(&movies(2)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(
            lines(&generator.record_files()[0]),
            [""; 0],
            "nothing is kept of it"
        );
    }
}

/// The example of this crate that generates slowly.
fn start(cache: &Path, out: &Path, milliseconds: u32) -> Child {
    let tests = std::env::current_exe().unwrap();
    let example = tests
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/generate_fake");
    Command::new(&example)
        .args([cache, out])
        .arg(milliseconds.to_string())
        .env("GENAIR_ALLOW_FAKE_ENGINE", "1")
        .stdin(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{}: {error}; run the tests of the whole package",
                example.display()
            )
        })
}

/// Waits until the cache has more than `count` records.
fn await_records(cache: &Path, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let there = || {
        record_files(cache).iter().any(|file| {
            std::fs::read(file)
                .unwrap()
                .iter()
                .filter(|&&b| b == b'\n')
                .count()
                > count
        })
    };
    while !there() {
        assert!(Instant::now() < deadline, "no more than {count} records");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_again_and_again_it_ends_with_the_same_records_and_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let undisturbed = start(&path("a"), &path("a.jsonl"), 0).wait().unwrap();
    assert!(undisturbed.success());
    for count in [0, 30, 60, 90] {
        let mut child = start(&path("b"), &path("b.jsonl"), 4);
        await_records(&path("b"), count);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!path("b.jsonl").exists(), "killed before its end");
    }
    assert!(
        start(&path("b"), &path("b.jsonl"), 0)
            .wait()
            .unwrap()
            .success()
    );
    let records = |cache: &str| {
        let files = record_files(&path(cache));
        assert_eq!(files.len(), 1);
        let mut lines = lines(&files[0]);
        lines.sort();
        lines
    };
    assert_eq!(records("a").len(), 200);
    assert_eq!(records("a"), records("b"));
    let export = |name: &str| std::fs::read(path(name)).unwrap();
    assert_eq!(export("a.jsonl"), export("b.jsonl"));
}

#[test]
fn two_processes_on_one_cache_make_each_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut children: Vec<Child> = ["1.jsonl", "2.jsonl", "3.jsonl"]
        .iter()
        .map(|out| start(&path("cache"), &path(out), 2))
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(lines(&record_files(&path("cache"))[0]).len(), 200);
    let export = |name: &str| std::fs::read(path(name)).unwrap();
    assert_eq!(export("1.jsonl"), export("2.jsonl"));
    assert_eq!(export("1.jsonl"), export("3.jsonl"));
}
