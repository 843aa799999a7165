use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use genair_protocol::EngineEvent;
use serde_json::Map;

use super::super::Engine;
use super::super::fake_server::{Reply, at_once, items, run, serve};
use super::super::server::{Client, agent};
use super::*;

fn chat_answer(text: &str) -> Reply {
    let body = json!({
        "id": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    });
    Reply::Say(200, "", body.to_string())
}

fn text_answer(text: &str) -> Reply {
    let body = json!({"choices": [{"text": text, "finish_reason": "length"}]});
    Reply::Say(200, "", body.to_string())
}

const KEY: &str = "sk-very-secret";

/// Without proxies of the environment and without long pauses.
fn engine(url: &str, change: impl FnOnce(&mut Client<Completions>)) -> ServerEngine<Completions> {
    let http: HttpSpec = toml::from_str(&format!(
        "base_url = \"{url}\"\nmodel = \"tiny\"\nretries = 2\nconcurrency = 1"
    ))
    .unwrap();
    let server = ServerSettings {
        base_url: url.to_owned(),
        chat: true,
        system: Some("Be brief.".to_owned()),
        extra: Map::new(),
        dimensions: None,
    };
    let key = ApiKey::new("LAB_KEY", &format!("{KEY}\n"));
    let mut engine = completions(&http, &server, &GenerationSpec::default(), Some(key)).unwrap();
    change(at_once(&mut engine));
    engine
}

fn short_timeout(client: &mut Client<Completions>) {
    let timeout = Duration::from_millis(200);
    client.agent = agent(timeout).proxy(None).build().into();
}

#[test]
fn a_chat_is_asked_and_answered() {
    let (url, seen) = serve(vec![chat_answer(" People who read. ")]);
    let engine = engine(&url, |client| {
        client
            .protocol
            .server
            .extra
            .insert("repeat_penalty".to_owned(), json!(1.2));
        client.protocol.generation.stop = vec!["\n".to_owned()];
    });
    let records = run(engine, &["a"]).unwrap();
    // The space belongs to the text: a model reads it between prompt and answer.
    assert_eq!(records[0].text, " People who read. ");
    assert_eq!(
        (
            records[0].prompt_tokens,
            records[0].new_tokens,
            records[0].ended
        ),
        (12, 3, AnswerEnd::EndOfSequence)
    );
    let seen = &seen.lock().unwrap()[0];
    assert_eq!(seen.path, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(seen.authorization.as_deref(), Some("Bearer sk-very-secret"));
    let expected = json!({
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "prompt of a"},
        ],
        "temperature": 0.6,
        "top_p": 0.9,
        "max_tokens": 512,
        // Python: int.from_bytes(hashlib.sha256(struct.pack("<Q", 44) + b"a").digest()[:4], "little") >> 1.
        "seed": 455_379_491,
        "stop": ["\n"],
        "repeat_penalty": 1.2,
    });
    assert_eq!(seen.body, expected);
}

#[test]
fn an_answer_of_white_space_is_empty() {
    let (url, _) = serve(vec![chat_answer(" \n ")]);
    let records = run(engine(&url, |_| {}), &["a"]).unwrap();
    assert_eq!(records[0].text, "");
}

#[test]
fn raw_text_goes_to_the_other_address() {
    let (url, seen) = serve(vec![text_answer("who read")]);
    let engine = engine(&url, |client| {
        client.url = client.url.replace("chat/", "");
        client.protocol.server.chat = false;
        client.protocol.generation.greedy = true;
    });
    let records = run(engine, &["a"]).unwrap();
    assert_eq!(
        (records[0].text.as_str(), records[0].ended),
        ("who read", AnswerEnd::Length)
    );
    let seen = &seen.lock().unwrap()[0];
    assert_eq!(seen.path, "POST /v1/completions HTTP/1.1");
    assert_eq!(seen.body["prompt"], "prompt of a");
    assert_eq!(seen.body["temperature"], 0);
}

#[test]
fn what_may_pass_is_tried_again() {
    let busy = |headers| Reply::Say(429, headers, "{}".to_owned());
    let broken = || Reply::Say(200, "", "{\"choices\": [{\"mess".to_owned());
    for first in [
        vec![busy("Retry-After: 0\r\n"), busy("")],
        vec![
            Reply::Say(500, "", String::new()),
            Reply::Say(503, "Retry-After: later\r\n", String::new()),
        ],
        vec![broken(), Reply::HangUp],
    ] {
        let count = first.len();
        let replies = first.into_iter().chain([chat_answer("yes")]).collect();
        let (url, seen) = serve(replies);
        let records = run(engine(&url, |_| {}), &["a"]).unwrap();
        assert_eq!(records[0].text, "yes");
        assert_eq!(seen.lock().unwrap().len(), count + 1);
    }
}

#[test]
fn a_server_is_given_as_much_time_as_it_asks_for() {
    let (url, _) = serve(vec![
        Reply::Say(429, "Retry-After: 1\r\n", String::new()),
        chat_answer("yes"),
    ]);
    let begin = Instant::now();
    run(engine(&url, |_| {}), &["a"]).unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn what_will_not_pass_is_an_error_without_the_key() {
    let said = format!("{{\"error\": \"incorrect API key {KEY}\"}}");
    for (reply, times, expected) in [
        (
            &|| Reply::Say(401, "", said.clone()),
            1,
            "/v1/chat/completions answered with status 401: {\"error\": \"incorrect API key [the key]\"}",
        ),
        (
            &|| Reply::Say(500, "", "out of memory".to_owned()),
            3,
            "answered with status 500: out of memory",
        ),
        (
            &|| Reply::Say(200, "", "<html>".to_owned()),
            3,
            "is no completion (expected value at line 1 column 1): <html>",
        ),
        (
            &|| Reply::Say(200, "", "{\"choices\": []}".to_owned()),
            3,
            "is no completion (it has no choice)",
        ),
        (&|| Reply::HangUp, 3, "no answer from http://127.0.0.1"),
    ] as [(&dyn Fn() -> Reply, usize, &str); 5]
    {
        let (url, seen) = serve((0..times).map(|_| reply()).collect());
        let engine = engine(&url, |_| {});
        assert!(!format!("{engine:?}").contains(KEY));
        let error = run(engine, &["a"]).unwrap_err();
        let message = format!("{error} {error:?}");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains(KEY), "{message}");
        assert_eq!(seen.lock().unwrap().len(), times);
    }
}

#[test]
fn a_redirect_is_refused_wherever_it_leads() {
    for status in [301, 302, 303, 307, 308] {
        let (elsewhere, seen_elsewhere) = serve(vec![chat_answer("not asked")]);
        let location: &'static str =
            Box::leak(format!("Location: {elsewhere}/x?key={KEY}\r\n").into_boxed_str());
        for location in [location, "Location: /v2/chat/completions\r\n", ""] {
            let (url, seen) = serve(vec![Reply::Say(status, location, String::new())]);
            let error = run(engine(&url, |_| {}), &["a"]).unwrap_err();
            let message = format!("{error} {error:?}");
            let expected = format!("answered with a redirect (status {status}) to `");
            assert!(message.contains(&expected), "{message}");
            assert!(message.contains("`http.base_url`"), "{message}");
            assert!(!message.contains(KEY), "{message}");
            assert_eq!(seen.lock().unwrap().len(), 1, "not tried again");
        }
        assert_eq!(seen_elsewhere.lock().unwrap().len(), 0, "{status}");
    }
}

#[test]
fn an_answer_that_repeats_the_key_is_refused_and_not_shown() {
    let whole = format!("My key is {KEY}.");
    // Python: base64.b64encode(b"Bearer sk-very-secret"), and the same with a byte and two before it.
    for said in [
        whole.as_str(),
        "very-sec",
        "QmVhcmVyIHNrLXZlcnktc2VjcmV0",
        "eEJlYXJlciBzay12ZXJ5LXNlY3JldA==",
        "eHhCZWFyZXIgc2stdmVyeS1zZWNyZXQ=",
        "%73%6B%2d%76%65%72%79%2D%73%65%63%72%65%74",
    ] {
        let (url, seen) = serve(vec![chat_answer(said)]);
        let error = run(engine(&url, |_| {}), &["a"]).unwrap_err();
        let message = format!("{error} {error:?}");
        assert!(
            message.contains("repeats the key in `LAB_KEY`"),
            "{message}"
        );
        assert!(!message.contains(said), "{message}");
        assert_eq!(seen.lock().unwrap().len(), 1);
        // Nor is it shown where it is an error's text.
        let (url, _) = serve(vec![Reply::Say(400, "", said.to_owned())]);
        let Err(EngineError::Refused { source, .. }) = run(engine(&url, |_| {}), &["a"]) else {
            panic!("not refused");
        };
        let message = source.to_string();
        let hidden = said == whole && message.contains("My key is [the key].");
        assert!(hidden || message.contains("[not shown"), "{message}");
    }
}

/// Records of all items that are not refused, and the refusal.
fn run_to_refusal(replies: Vec<Reply>, keys: &[&str]) -> (Vec<String>, EngineError) {
    let (url, _) = serve(replies);
    let mut records = Vec::new();
    let result = engine(&url, |_| {}).run(
        items(keys),
        &mut |event| {
            if let EngineEvent::Record(record) = event {
                records.push(record.key);
            }
            ControlFlow::Continue(())
        },
        &|| false,
    );
    (records, result.unwrap_err())
}

#[test]
fn a_text_that_is_refused_costs_the_others_nothing() {
    let too_long = || Reply::Say(400, "", "context length exceeded".to_owned());
    let replies = vec![chat_answer("1"), too_long(), chat_answer("3"), too_long()];
    let (records, error) = run_to_refusal(replies, &["a", "b", "c", "d"]);
    assert_eq!(records, ["a", "c"]);
    let EngineError::Refused {
        keys,
        begin,
        source,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(keys, ["b", "d"]);
    assert_eq!(begin, "prompt of b");
    assert!(
        source
            .to_string()
            .contains("status 400: context length exceeded")
    );
    // Where nothing else comes, it is the settings that are wrong.
    let many = vec!["key"; 100];
    let (records, error) = run_to_refusal((0..100).map(|_| too_long()).collect(), &many);
    assert!(records.is_empty());
    assert!(matches!(error, EngineError::Refused { keys, .. } if keys.len() < 20));
}

#[test]
fn a_request_that_hangs_is_given_up_and_tried_again() {
    let (url, _) = serve(vec![Reply::Hang, chat_answer("yes")]);
    let records = run(engine(&url, short_timeout), &["a"]).unwrap();
    assert_eq!(records[0].text, "yes");
}

#[test]
fn several_requests_are_under_way_at_once() {
    // Two hang, and the third is answered: none waits for another.
    let (url, seen) = serve(vec![Reply::Hang, Reply::Hang, chat_answer("yes")]);
    let mut engine = engine(&url, |_| {});
    engine.concurrency = 3;
    let answered = std::cell::Cell::new(false);
    let begin = Instant::now();
    let result = engine.run(
        items(&["a", "b", "c"]),
        &mut |event| {
            answered.set(matches!(event, EngineEvent::Record(_)));
            ControlFlow::Continue(())
        },
        &|| answered.get(),
    );
    assert!(matches!(result, Err(EngineError::Interrupted)));
    assert_eq!(seen.lock().unwrap().len(), 3);
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "a stop waits for nobody"
    );
}
