//! The real worker against answers of sentence-transformers (`tests/oracles/encoder/generate.py`): of a
//! random tiny BERT always, of all-MiniLM-L6-v2 where `GENAIR_ENCODER_MODEL` names its folder.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use genair_encoder::{Info, info};
use genair_protocol::{AnswerEnd, EngineEvent, EngineRecord};
use serde::Deserialize;
use serde_json::{Value, json};
use tch::Tensor;
use tempfile::NamedTempFile;

/// One text and what the reference makes of it.
#[derive(Deserialize)]
struct Answer {
    text: String,
    tokens: Vec<usize>,
    vector: String,
}

fn oracles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles/encoder")
}

fn tiny() -> PathBuf {
    oracles().join("tiny")
}

fn answers(path: &str) -> Vec<Answer> {
    serde_json::from_slice(&std::fs::read(oracles().join(path)).unwrap()).unwrap()
}

fn request(model: &Path, task: &str, threads: usize) -> Value {
    json!({"model": model, "task": task, "parallel": 2, "threads": threads})
}

/// One item per text, its key the text's index.
fn items<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let item = |(key, text)| json!({"key": format!("{key}"), "prompt": text}).to_string();
    texts.into_iter().enumerate().map(item).collect()
}

/// The worker and its request, which it may still have to read.
fn start(request: &Value) -> (Child, NamedTempFile) {
    let mut file = NamedTempFile::new().unwrap();
    write!(file, "{request}").unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_genair-encoder"))
        .arg("run")
        .arg(file.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    (child, file)
}

fn events(output: &Output) -> Vec<EngineEvent> {
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Sends every line, closes standard input, and gives what the worker said.
fn run(request: &Value, lines: &[String]) -> (Vec<EngineEvent>, bool) {
    let (mut child, _file) = start(request);
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        // A worker that refused its request is gone already.
        let _ = writeln!(input, "{line}");
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    (events(&output), output.status.success())
}

/// The records of a run that goes well, by key; the first event must be `ready`.
fn records(request: &Value, lines: &[String]) -> HashMap<String, EngineRecord> {
    let (events, ok) = run(request, lines);
    assert!(ok, "{events:?}");
    assert!(matches!(events[0], EngineEvent::Ready { .. }));
    let record = |event| match event {
        EngineEvent::Record(record) => (record.key.clone(), record),
        other => panic!("not a record: {other:?}"),
    };
    let records: HashMap<_, _> = events.into_iter().skip(1).map(record).collect();
    assert_eq!(records.len(), lines.len());
    records
}

/// The message of a run that must fail, and that it says so last and with a failing exit code.
fn failure(request: &Value, lines: &[String]) -> String {
    let (mut events, ok) = run(request, lines);
    assert!(!ok);
    match events.pop() {
        Some(EngineEvent::Failed { message, .. }) => message,
        other => panic!("no failure: {other:?}"),
    }
}

fn vector(base64: &str) -> Vec<f32> {
    let bytes = STANDARD.decode(base64).unwrap();
    let chunks = bytes.chunks_exact(4);
    chunks
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()))
        .collect()
}

/// Largest distance of two components, and the cosine.
fn compare(found: &[f32], expected: &[f32]) -> (f64, f64) {
    assert_eq!(found.len(), expected.len());
    let pairs = || {
        found
            .iter()
            .zip(expected)
            .map(|(&a, &b)| (f64::from(a), f64::from(b)))
    };
    let distance = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let dot = |pairs: &mut dyn Iterator<Item = (f64, f64)>| pairs.map(|(a, b)| a * b).sum::<f64>();
    let (aa, bb) = (
        dot(&mut pairs().map(|(a, _)| (a, a))),
        dot(&mut pairs().map(|(_, b)| (b, b))),
    );
    (distance, dot(&mut pairs()) / (aa * bb).sqrt())
}

/// Rounding of another order of sums: the reference computes the same in f32.
const TOLERANCE: f64 = 2e-6;

fn assert_answers(model: &Path, answers: &[Answer]) {
    let texts = items(answers.iter().map(|answer| answer.text.as_str()));
    let records = records(&request(model, "encode", 1), &texts);
    for (key, answer) in answers.iter().enumerate() {
        let record = &records[&key.to_string()];
        let (distance, cosine) = compare(&vector(&record.context), &vector(&answer.vector));
        assert!(
            distance < TOLERANCE && cosine > 0.999_999,
            "{:?}: {distance:e}, cosine {cosine}",
            answer.text
        );
        assert_eq!(
            record.prompt_tokens,
            answer.tokens.len(),
            "{:?}",
            answer.text
        );
        assert_eq!((record.text.as_str(), record.new_tokens), ("", 0));
        assert_eq!((record.ended, &record.archetype), (AnswerEnd::Given, &None));
    }
}

fn assert_tokens(model: &Path, answers: &[Answer]) {
    let vocabulary = std::fs::read_to_string(model.join("vocab.txt")).unwrap();
    let vocabulary: Vec<_> = vocabulary.lines().collect();
    let texts = items(answers.iter().map(|answer| answer.text.as_str()));
    let records = records(&request(model, "tokenize", 1), &texts);
    for (key, answer) in answers.iter().enumerate() {
        let record = &records[&key.to_string()];
        let expected: Vec<_> = answer.tokens.iter().map(|&id| vocabulary[id]).collect();
        assert_eq!(
            record.tokens.as_deref().unwrap(),
            expected,
            "{:?}",
            answer.text
        );
        assert_eq!(record.context, "");
    }
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    assert_answers(&tiny(), &answers("tiny/answers.json"));
}

#[test]
fn tokens_are_those_of_hugging_face() {
    assert_tokens(&tiny(), &answers("tiny/answers.json"));
}

#[test]
#[ignore = "needs a model: `just test-engines` runs it"]
fn minilm_is_that_of_sentence_transformers() {
    #[expect(
        clippy::disallowed_methods,
        reason = "says where the model is, nothing else"
    )]
    let folder = std::env::var_os("GENAIR_ENCODER_MODEL").map(PathBuf::from);
    let folder = folder.expect("GENAIR_ENCODER_MODEL names the folder of all-MiniLM-L6-v2");
    let answers = answers("minilm.json");
    assert_tokens(&folder, &answers);
    assert_answers(&folder, &answers);
    assert_eq!(info(&folder).unwrap().width, 384);
}

#[test]
fn a_vector_has_the_same_bits_in_any_company() {
    let answers = answers("tiny/answers.json");
    let lines = items(answers.iter().map(|answer| answer.text.as_str()));
    let reversed: Vec<_> = lines.iter().rev().cloned().collect();
    let together = records(&request(&tiny(), "encode", 1), &lines);
    assert_eq!(records(&request(&tiny(), "encode", 3), &reversed), together);
    let alone = records(&request(&tiny(), "encode", 1), &lines[3..4]);
    assert_eq!(alone["3"], together["3"]);

    // Of several lengths, many texts of each: they are encoded in batches.
    let texts = (0..200).map(|n| format!("title is {}{}", "is ".repeat(n % 5), n * 7));
    let texts: Vec<String> = texts.collect();
    let lines = items(texts.iter().map(String::as_str));
    let together = records(&request(&tiny(), "encode", 2), &lines);
    assert_eq!(together.len(), 200);
    for n in [0, 4, 101, 199] {
        let alone = records(&request(&tiny(), "encode", 1), &lines[n..=n]);
        assert_eq!(alone[&n.to_string()], together[&n.to_string()]);
    }
}

#[test]
fn ready_says_what_the_model_is() {
    let (events, ok) = run(&request(&tiny(), "encode", 1), &[]);
    assert!(ok);
    let engine = format!("genair-encoder {}, 16 rows", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        events,
        [EngineEvent::Ready {
            engine,
            width: 16,
            context: 40
        }]
    );
}

#[test]
fn info_says_what_decides_a_vector() {
    let output = Command::new(env!("CARGO_BIN_EXE_genair-encoder"))
        .arg("info")
        .arg(tiny())
        .output()
        .unwrap();
    assert!(output.status.success());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&found["width"], &found["max_tokens"]),
        (&json!(16), &json!(40))
    );
    // sha256sum tests/oracles/encoder/tiny/vocab.txt
    assert_eq!(
        found["files"]["vocab.txt"],
        "0c0b21f65a3be54cbfdcf4f26deffef87ef22946d6325ba90a0e2ec9a9847535"
    );
    assert_eq!(found["sha256"], found["files"]["model.safetensors"]);
    let Info { files, .. } = info(&tiny()).unwrap();
    assert!(files.contains_key("1_Pooling/config.json") && files.len() == 7);
}

/// A copy of the tiny model with one file changed.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in info(&tiny()).unwrap().files.keys() {
        let to = copy.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(tiny().join(name), to).unwrap();
    }
    let path = copy.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "no {from} in {file}");
    std::fs::write(path, text.replace(from, to)).unwrap();
    copy
}

#[test]
fn a_model_that_would_give_other_vectors_is_refused() {
    let cases = [
        (
            "config.json",
            r#""gelu""#,
            r#""relu""#,
            "`hidden_act` is `relu`",
        ),
        (
            "config.json",
            r#""bert""#,
            r#""mpnet""#,
            "`model_type` is `mpnet`",
        ),
        (
            "config.json",
            r#"heads": 4"#,
            r#"heads": 5"#,
            "`num_attention_heads` is 5",
        ),
        (
            "config.json",
            r#"hidden_size": 16"#,
            r#"hidden_size": 32"#,
            "has shape [63, 16]",
        ),
        (
            "config.json",
            r#"layers": 2"#,
            r#"layers": 3"#,
            "no tensor `encoder.layer.2.",
        ),
        (
            "config.json",
            r#"vocab_size": 63"#,
            r#"vocab_size": 62"#,
            "is 63",
        ),
        ("config.json", "{", "", "config.json is not as"),
        (
            "modules.json",
            "Normalize",
            "Dense",
            "`Transformer, Pooling, Dense`",
        ),
        ("modules.json", "1_Pooling", "2_Pooling", "cannot read"),
        (
            "1_Pooling/config.json",
            "true",
            "false",
            "`pooling_mode_mean_tokens` is `false`",
        ),
        (
            "1_Pooling/config.json",
            "false",
            "true",
            "`pooling_mode_cls_token`",
        ),
        (
            "sentence_bert_config.json",
            "40",
            "2",
            "`max_seq_length` is 2",
        ),
        (
            "sentence_bert_config.json",
            "false",
            "true",
            "`do_lower_case` is `true`",
        ),
        ("vocab.txt", "[CLS]", "[CLX]", "no token `[CLS]`"),
    ];
    for (file, from, to, expected) in cases {
        let model = changed(file, from, to);
        let message = failure(&request(model.path(), "encode", 1), &[]);
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
}

#[test]
fn damaged_weights_give_an_error_and_no_vector() {
    let model = changed("vocab.txt", "title", "title");
    let path = model.path().join("model.safetensors");
    let mut tensors = Tensor::read_safetensors(&path).unwrap();
    for (name, tensor) in &mut tensors {
        if name == "encoder.layer.1.output.dense.bias" {
            *tensor = tensor.full_like(f64::NAN);
        }
    }
    Tensor::write_safetensors(&tensors, &path).unwrap();
    let message = failure(&request(model.path(), "encode", 1), &items(["a"]));
    assert_eq!(message, "the vector of item `0` is not finite");
    std::fs::write(&path, "no weights").unwrap();
    let message = failure(&request(model.path(), "encode", 1), &[]);
    assert!(message.starts_with("cannot read weights from"), "{message}");
}

#[test]
fn what_an_encoder_cannot_do_is_refused() {
    let good = || request(&tiny(), "encode", 1);
    let with = |key: &str, value: Value| {
        let mut request = good();
        request[key] = value;
        request
    };
    let item = |text: &str| vec![text.to_owned()];
    let cases = [
        (with("task", json!("read")), vec![], "cannot read answers"),
        (
            with("task", json!({"generate": {}})),
            vec![],
            "cannot write answers",
        ),
        (with("threads", json!(0)), vec![], "`threads` is 0"),
        (with("parallel", json!(0)), vec![], "`parallel` is 0"),
        (good(), item("{}"), "line 1 of standard input is no item"),
        (
            good(),
            item(r#"{"key": "k", "prompt": "a", "text": "b"}"#),
            "item `k` has an answer",
        ),
    ];
    for (request, lines, expected) in cases {
        let message = failure(&request, &lines);
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
}

#[test]
fn a_failure_ends_the_worker_though_more_could_come() {
    let (mut child, _file) = start(&request(&tiny(), "encode", 2));
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "no item").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(matches!(
        events(&output).last(),
        Some(EngineEvent::Failed { .. })
    ));
    drop(input);
}

/// On Linux the system sees to it.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_ends_with_whoever_started_it() {
    use std::io::{BufRead, BufReader};
    use std::time::{Duration, Instant};

    let folder = tempfile::tempdir().unwrap();
    let request = folder.path().join("request");
    // A request that never comes: the worker waits in the middle of its work, and its input stays open.
    let made = Command::new("mkfifo").arg(&request).status().unwrap();
    assert!(made.success());
    let script = "\"$0\" run \"$1\" <&3 & echo $!; wait";
    let mut parent = Command::new("bash")
        .args([
            "-c",
            &format!("exec 3<&0; {script}"),
            env!("CARGO_BIN_EXE_genair-encoder"),
        ])
        .arg(&request)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut worker = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut worker)
        .unwrap();
    let proc = PathBuf::from(format!("/proc/{}", worker.trim()));
    // Once it sleeps for long in opening its request (`openat`), libtorch is loaded and `main` has begun.
    let deadline = Instant::now() + Duration::from_secs(120);
    let opens = || {
        let call = std::fs::read_to_string(proc.join("syscall"));
        call.is_ok_and(|call| {
            call.starts_with(if cfg!(target_arch = "x86_64") {
                "257 "
            } else {
                "56 "
            })
        })
    };
    let mut seen = 0;
    while seen < 20 && Instant::now() < deadline {
        seen = if opens() { seen + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(20));
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    let ended = || {
        let stat = std::fs::read_to_string(proc.join("stat"));
        !stat.is_ok_and(|stat| !stat.contains(") Z"))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ended() {
        assert!(
            Instant::now() < deadline,
            "{} is still there",
            proc.display()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
