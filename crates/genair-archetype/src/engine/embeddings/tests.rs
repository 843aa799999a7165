use genair_protocol::EngineRecord;
use serde_json::{Map, Value};

use super::super::fake_server::{Reply, at_once, run, serve};
use super::*;
use crate::record::decode_vector;

const KEY: &str = "sk-very-secret";

/// Two texts in a request.
fn engine(url: &str, dimensions: Option<usize>) -> ServerEngine<Embeddings> {
    let http: HttpSpec = toml::from_str(&format!(
        "base_url = \"{url}\"\nmodel = \"tiny\"\nretries = 1\nconcurrency = 1\nbatch = 2"
    ))
    .unwrap();
    let server = ServerSettings {
        base_url: url.to_owned(),
        chat: false,
        system: None,
        extra: Map::from_iter([("truncate_prompt_tokens".to_owned(), json!(512))]),
        dimensions,
    };
    let key = ApiKey::new("LAB_KEY", KEY);
    let mut engine = embeddings(&http, &server, Some(key)).unwrap();
    at_once(&mut engine);
    engine
}

fn answer(data: Value) -> Reply {
    let body =
        json!({"object": "list", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}});
    Reply::Say(200, "", body.to_string())
}

fn vectors(records: &[EngineRecord], width: usize) -> Vec<Vec<f32>> {
    let vectors = records
        .iter()
        .map(|record| decode_vector(&record.context, width));
    vectors.collect::<Result<_, _>>().unwrap()
}

#[test]
fn texts_go_in_batches_and_vectors_are_told_apart_by_their_index() {
    let (url, seen) = serve(vec![
        answer(json!([
            {"object": "embedding", "index": 1, "embedding": [0.25, -2]},
            {"object": "embedding", "index": 0, "embedding": [1e-3, 4.0]},
        ])),
        answer(json!([{"index": 0, "embedding": [5.5, 6.5]}])),
    ]);
    let records = run(engine(&url, Some(2)), &["a", "b", "c"]).unwrap();
    let keys: Vec<&str> = records.iter().map(|record| &*record.key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(
        vectors(&records, 2),
        [[1e-3, 4.0], [0.25, -2.0], [5.5, 6.5]]
    );
    // Of two texts at once, nobody knows the tokens of each.
    let tokens: Vec<usize> = records.iter().map(|record| record.prompt_tokens).collect();
    assert_eq!(tokens, [0, 0, 7]);
    assert!(records.iter().all(|record| record.text.is_empty()));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].path, "POST /v1/embeddings HTTP/1.1");
    assert_eq!(
        seen[0].authorization.as_deref(),
        Some("Bearer sk-very-secret")
    );
    let expected = json!({
        "model": "tiny",
        "input": ["prompt of a", "prompt of b"],
        "encoding_format": "float",
        "dimensions": 2,
        "truncate_prompt_tokens": 512,
    });
    assert_eq!(seen[0].body, expected);
    assert_eq!(seen[1].body["input"], json!(["prompt of c"]));
}

#[test]
fn what_may_pass_is_tried_again() {
    let (url, seen) = serve(vec![
        Reply::Say(503, "", "loading model".to_owned()),
        answer(json!([{"index": 0, "embedding": [1.0]}])),
    ]);
    let records = run(engine(&url, None), &["a"]).unwrap();
    assert_eq!(vectors(&records, 1), [[1.0]]);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn an_answer_that_is_not_one_vector_for_each_text_is_refused() {
    let good = |index: usize| json!({"index": index, "embedding": [1.0, 2.0]});
    for (data, expected) in [
        (json!([good(0)]), "it has 1 vectors for 2 texts"),
        (
            json!([good(0), good(1), good(2)]),
            "it has 3 vectors for 2 texts",
        ),
        (json!([good(0), good(0)]), "it has two vectors of index 0"),
        (json!([good(0), good(2)]), "it has a vector of index 2"),
        (
            json!([good(0), {"embedding": [1.0, 2.0]}]),
            "missing field `index`",
        ),
        (
            json!([good(0), {"index": 1, "embedding": [1.0]}]),
            "its vector of index 1 has 1 components, and that of index 0 has 2",
        ),
        (
            json!([good(0), {"index": 1, "embedding": [1.0, 1e39]}]),
            "number out of range",
        ),
        (
            json!([good(0), {"index": 1, "embedding": [1.0, null]}]),
            "invalid type: null",
        ),
        (
            json!([{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]),
            "its vectors have no components",
        ),
        (
            json!([good(0), {"index": 1, "embedding": "AACAPw=="}]),
            "invalid type: string",
        ),
    ] {
        let (url, seen) = serve(vec![answer(data.clone()), answer(data)]);
        let message = run(engine(&url, None), &["a", "b"])
            .unwrap_err()
            .to_string();
        assert!(message.contains("is no list of embeddings ("), "{message}");
        assert!(message.contains(expected), "{message}");
        assert_eq!(seen.lock().unwrap().len(), 2);
    }
    let data = json!([good(0), good(1)]);
    let (url, _) = serve(vec![answer(data.clone()), answer(data)]);
    let message = run(engine(&url, Some(3)), &["a", "b"])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("have 2 components, and `http.dimensions` asks for 3; remove the key"),
        "{message}"
    );
}

#[test]
fn a_refusal_is_told_without_the_key() {
    let said = format!("no model for {KEY}");
    let (url, seen) = serve(vec![Reply::Say(404, "", said)]);
    let message = run(engine(&url, None), &["a"]).unwrap_err().to_string();
    assert!(
        message.contains("/v1/embeddings answered with status 404: no model for [the key]"),
        "{message}"
    );
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn of_a_batch_that_is_refused_each_text_is_asked_about() {
    let refused = || Reply::Say(413, "", "too long".to_owned());
    let one = answer(json!([{"index": 0, "embedding": [1.0, 2.0]}]));
    let (url, seen) = serve(vec![refused(), refused(), one]);
    let error = run(engine(&url, None), &["a", "b"]).unwrap_err();
    assert!(
        matches!(&error, EngineError::Refused { keys, .. } if keys == &["a"]),
        "{error}"
    );
    assert_eq!(seen.lock().unwrap().len(), 3);
}
