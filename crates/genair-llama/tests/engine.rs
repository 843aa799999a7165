//! The worker against a real model, through its protocol. `GENAIR_LLAMA_MODEL` names a SmolLM2-135M-Instruct
//! GGUF file; `just test-engines` fetches it and sets the variable.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use genair_protocol::{
    AnswerEnd, EngineEvent, EngineItem, EngineRecord, EngineRequest, EngineTask, GenerationSpec,
};

const ORACLE: &str = include_str!("../../../tests/oracles/llama/hidden_means.json");

/// The model of `GENAIR_LLAMA_MODEL`.
fn model() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "says where the model is")]
    let path = std::env::var_os("GENAIR_LLAMA_MODEL");
    path.map(PathBuf::from)
        .expect("GENAIR_LLAMA_MODEL is not set; `just test-engines` sets it")
}

/// Runs a worker to its end; its events, and whether it ended well.
fn work(
    model: &Path,
    task: EngineTask,
    parallel: usize,
    threads: usize,
    items: &[EngineItem],
) -> (Vec<EngineEvent>, bool) {
    let folder = tempfile::tempdir().unwrap();
    let request = folder.path().join("request.json");
    let content = EngineRequest {
        model: model.to_owned(),
        task,
        parallel,
        threads,
    };
    std::fs::write(&request, serde_json::to_vec(&content).unwrap()).unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_genair-llama"))
        .arg("run")
        .arg(&request)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = worker.stdin.take().unwrap();
    for item in items {
        // A worker that failed reads no more; its events say why.
        let _ = writeln!(input, "{}", serde_json::to_string(item).unwrap());
    }
    drop(input);
    let output = worker.wait_with_output().unwrap();
    let events = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (events, output.status.success())
}

/// Records by key of a worker that must not fail.
fn records(
    model: &Path,
    task: EngineTask,
    parallel: usize,
    threads: usize,
    items: &[EngineItem],
) -> Vec<EngineRecord> {
    let (events, is_fine) = work(model, task, parallel, threads, items);
    assert!(is_fine, "{:?}", events.last());
    assert!(matches!(&events[0], EngineEvent::Ready { width: 576, .. }));
    let mut records: Vec<_> = events
        .into_iter()
        .skip(1)
        .map(|event| match event {
            EngineEvent::Record(record) => record,
            other => panic!("{other:?}"),
        })
        .collect();
    records.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(records.len(), items.len());
    records
}

/// The message and the hint of a worker that must fail.
fn failure(model: &Path, task: EngineTask, items: &[EngineItem]) -> (String, Option<String>) {
    let (mut events, is_fine) = work(model, task, 4, 1, items);
    assert!(!is_fine);
    match events.pop() {
        Some(EngineEvent::Failed { message, hint }) => (message, hint),
        other => panic!("{other:?}"),
    }
}

fn item(key: &str, prompt: &str) -> EngineItem {
    EngineItem {
        key: key.to_owned(),
        prompt: prompt.to_owned(),
        text: None,
    }
}

/// The oracle's items, and as their answers what it read.
fn oracle_items() -> (Vec<serde_json::Value>, Vec<EngineItem>) {
    let oracle: serde_json::Value = serde_json::from_str(ORACLE).unwrap();
    let mut entries = oracle["items"].as_array().unwrap().clone();
    entries.sort_by_key(|entry| entry["key"].as_str().unwrap().to_owned());
    let items = entries
        .iter()
        .map(|entry| EngineItem {
            key: entry["key"].as_str().unwrap().to_owned(),
            prompt: entry["prompt"].as_str().unwrap().to_owned(),
            text: Some(entry["text"].as_str().unwrap().to_owned()),
        })
        .collect();
    (entries, items)
}

/// Short prompts of different lengths, and the oracle's, one of which is longer than a batch.
fn many_items() -> Vec<EngineItem> {
    let (_, mut items) = oracle_items();
    for n in 0..15 {
        let genres = ["Drama", "Comedy", "Western", "Musical"][..n % 4 + 1].join(", ");
        items.push(item(
            &format!("film {n}"),
            &format!(
                "title is The {n}th Film; genres is {genres}; The potential users who align best with this \
                 movie are people who"
            ),
        ));
    }
    items.iter_mut().for_each(|item| item.text = None);
    items
}

fn sampled(max_new_tokens: usize) -> GenerationSpec {
    GenerationSpec {
        max_new_tokens,
        ..GenerationSpec::default()
    }
}

fn f32s(base64: &str) -> Vec<f32> {
    let bytes = STANDARD.decode(base64).unwrap();
    let (floats, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    floats
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

/// Normal numbers and zeros are all that the oracle holds.
fn f16s(base64: &str) -> Vec<f32> {
    let bytes = STANDARD.decode(base64).unwrap();
    let (halves, _) = bytes.as_chunks::<2>();
    halves
        .iter()
        .map(|&bytes| {
            let bits = u16::from_le_bytes(bytes);
            let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
            let magnitude = match exponent {
                0 => fraction * 2f32.powi(-24),
                _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
            };
            if bits >> 15 == 1 {
                -magnitude
            } else {
                magnitude
            }
        })
        .collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn hidden_means_match_numpy() {
    let model = model();
    let (oracle, items) = oracle_items();
    let records = records(&model, EngineTask::Read, 1, 1, &items);
    for (record, oracle) in records.iter().zip(&oracle) {
        assert_eq!(
            record.prompt_tokens, oracle["prompt_tokens"],
            "{}",
            record.key
        );
        assert_eq!(record.new_tokens, oracle["new_tokens"], "{}", record.key);
        let archetype = record.archetype.as_deref().unwrap();
        for (mean, expected) in [
            (record.context.as_str(), &oracle["context_f16"]),
            (archetype, &oracle["archetype_f16"]),
        ] {
            let similarity = cosine(&f32s(mean), &f16s(expected.as_str().unwrap()));
            println!("{} {similarity:.6}", record.key);
            assert!(similarity > 0.999, "{}: {similarity}", record.key);
        }
    }
}

#[test]
fn neither_company_nor_order_nor_threads_change_a_bit() {
    let model = model();
    let mut items = many_items();
    let task = EngineTask::Generate(sampled(24));
    let alone = records(&model, task.clone(), 1, 1, &items);
    assert!(alone.iter().all(|record| record.archetype.is_some()));
    assert_eq!(records(&model, task.clone(), 4, 1, &items), alone);
    items.reverse();
    assert_eq!(records(&model, task, 16, 2, &items), alone);
}

/// As many tokens as possible are shared: all but the last.
#[test]
fn what_a_prompt_shares_with_the_first_one_changes_no_bit() {
    let model = model();
    let prompt = "title is Toy Story; genres is Animation; people who would love this movie are";
    let items = ["young", "old", "wise"].map(|end| item(end, &format!("{prompt} {end}")));
    let task = EngineTask::Generate(sampled(8));
    let alone = items.iter().flat_map(|item| {
        let items = std::slice::from_ref(item);
        records(&model, task.clone(), 1, 1, items)
    });
    let mut alone: Vec<EngineRecord> = alone.collect();
    alone.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(records(&model, task.clone(), 1, 1, &items), alone);
    let read = |items: &[EngineItem]| records(&model, EngineTask::Prompt, 1, 1, items);
    let alone = items
        .iter()
        .flat_map(|item| read(std::slice::from_ref(item)));
    let mut alone: Vec<EngineRecord> = alone.collect();
    alone.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(read(&items), alone);
}

#[test]
fn means_of_writing_are_those_of_reading_what_was_written() {
    let model = model();
    let mut items = many_items();
    let spec = GenerationSpec {
        greedy: true,
        ..sampled(40)
    };
    let written = records(&model, EngineTask::Generate(spec), 16, 1, &items);
    items.sort_by(|a, b| a.key.cmp(&b.key));
    for (item, record) in items.iter_mut().zip(&written) {
        assert_eq!(item.key, record.key);
        item.text = Some(record.text.clone());
    }
    let read = records(&model, EngineTask::Read, 1, 1, &items);
    let mut compared = 0;
    for (written, read) in written.iter().zip(&read) {
        assert_eq!(written.prompt_tokens, read.prompt_tokens);
        assert_eq!(read.ended, AnswerEnd::Given);
        assert!(cosine(&f32s(&written.context), &f32s(&read.context)) > 0.999_999);
        // The last token of an answer that met the limit was never fed back.
        if written.ended == AnswerEnd::EndOfSequence && written.new_tokens == read.new_tokens {
            let (written, read) = (written.archetype.as_deref(), read.archetype.as_deref());
            assert!(cosine(&f32s(written.unwrap()), &f32s(read.unwrap())) > 0.999);
            compared += 1;
        }
    }
    assert!(compared > 0, "no answer ended by itself");
}

#[test]
fn prompts_alone_have_the_mean_of_those_that_are_answered() {
    let model = model();
    let mut items = many_items();
    let read = records(&model, EngineTask::Read, 1, 1, &items);
    let alone = records(&model, EngineTask::Prompt, 1, 1, &items);
    for (read, alone) in read.iter().zip(&alone) {
        assert_eq!(
            (&read.key, read.prompt_tokens),
            (&alone.key, alone.prompt_tokens)
        );
        assert_eq!((alone.text.as_str(), alone.new_tokens), ("", 0));
        assert_eq!((alone.ended, &alone.archetype), (AnswerEnd::Given, &None));
        assert!(cosine(&f32s(&read.context), &f32s(&alone.context)) > 0.999_999);
    }
    items.reverse();
    assert_eq!(records(&model, EngineTask::Prompt, 1, 2, &items), alone);
}

#[test]
fn answers_end_where_they_are_told() {
    let model = model();
    let items = many_items();
    let stopped = GenerationSpec {
        stop: vec![",".to_owned(), ".".to_owned()],
        min_new_tokens: 4,
        ..sampled(32)
    };
    let records_ = records(&model, EngineTask::Generate(stopped), 16, 1, &items);
    assert!(
        records_
            .iter()
            .any(|record| record.ended == AnswerEnd::Stop)
    );
    for record in &records_ {
        assert!((4..=32).contains(&record.new_tokens), "{record:?}");
        if record.ended == AnswerEnd::Length {
            assert_eq!(record.new_tokens, 32);
        }
    }
    let one = records(&model, EngineTask::Generate(sampled(1)), 16, 1, &items);
    for record in &one {
        // One token is drawn and none fed back: there is no state to average.
        assert_eq!(record.archetype, None);
        assert!(record.new_tokens <= 1);
    }
}

#[test]
fn tokens_spell_the_prompt() {
    let model = model();
    let prompt = "<|im_start|>user\nDix-neuf été, 19!<|im_end|>\n";
    let found = records(&model, EngineTask::Tokenize, 1, 1, &[item("a", prompt)]);
    let tokens = found[0].tokens.as_ref().unwrap();
    assert_eq!(tokens.concat(), prompt);
    assert_eq!(tokens.len(), found[0].prompt_tokens);
    assert_eq!(tokens[0], "<|im_start|>");
}

#[test]
fn an_item_that_does_not_fit_is_named() {
    let model = model();
    let items = [item("fits", "a"), item("too long", &"word ".repeat(3000))];
    let (message, hint) = failure(&model, EngineTask::Generate(sampled(8)), &items);
    assert!(
        message.starts_with("item `too long` needs 3009 tokens"),
        "{message}"
    );
    assert!(hint.unwrap().contains("max_new_tokens"));
    let (message, _) = failure(&model, EngineTask::Read, &[item("empty", "")]);
    assert_eq!(message, "item `empty` has an empty prompt");
}

#[test]
fn a_model_without_pooling_gives_no_vectors_of_texts() {
    let (message, hint) = failure(&model(), EngineTask::Encode, &[item("a", "a text")]);
    assert!(
        message.contains("_type`; a vector of a text needs mean (1)"),
        "{message}"
    );
    assert!(hint.unwrap().contains("an embedding model"));
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_loaded() {
    let missing = Path::new("/no/such/model.gguf");
    let check = |task, expected: &str| {
        let (message, _) = failure(missing, task, &[]);
        assert!(message.starts_with(expected), "{message}");
    };
    check(EngineTask::Encode, "cannot read /no/such/model.gguf: ");
    check(EngineTask::Read, "cannot read /no/such/model.gguf: ");
    let hot = GenerationSpec {
        top_p: 1.5,
        ..GenerationSpec::default()
    };
    check(EngineTask::Generate(hot), "generation.top_p is 1.5;");
}

#[test]
fn a_file_that_is_no_model_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.gguf");
    std::fs::write(&broken, b"GGUF, but not really").unwrap();
    let (message, hint) = failure(&broken, EngineTask::Read, &[]);
    assert!(message.contains("broken.gguf cannot be loaded as a GGUF model"));
    assert!(hint.is_some());

    let output = Command::new(env!("CARGO_BIN_EXE_genair-llama"))
        .arg("quantize")
        .args([&broken, &folder.path().join("out.gguf")])
        .arg("q8_0")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.gguf cannot be quantised"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
