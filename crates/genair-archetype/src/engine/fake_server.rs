//! A server on this machine for tests, which answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use genair_protocol::{EngineEvent, EngineItem, EngineRecord};
use serde_json::Value;

use super::server::{Client, Protocol, ServerEngine, agent};
use super::{Engine, EngineError};

/// What the server does with one connection.
pub(super) enum Reply {
    /// Status, further header lines, body.
    Say(u16, &'static str, String),
    /// Takes the request and never answers.
    Hang,
    /// Hangs up without a word.
    HangUp,
}

/// A request as the server saw it.
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) body: Value,
}

/// Answers one connection per reply, in order.
pub(super) fn serve(replies: Vec<Reply>) -> (String, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let serving = genair_process::spawn("answers as it is told", move || {
        let mut hanging = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            let header = |name: &str| {
                lines.iter().find_map(|line| {
                    let (key, value) = line.split_once(": ")?;
                    key.eq_ignore_ascii_case(name).then(|| value.to_owned())
                })
            };
            let length = header("content-length").unwrap().parse().unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            log.lock().unwrap().push(Seen {
                path: lines[0].clone(),
                authorization: header("authorization"),
                body: serde_json::from_slice(&body).unwrap(),
            });
            match reply {
                Reply::Say(status, headers, body) => {
                    let length = body.len();
                    let text = format!(
                        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"
                    );
                    // A client that has timed out may have hung up.
                    let _ = stream.write_all(text.as_bytes());
                }
                Reply::Hang => hanging.push(stream),
                Reply::HangUp => {}
            }
        }
        // Hanging connections stay open as long as the test runs.
        std::thread::park();
    });
    drop(serving.unwrap());
    (url, seen)
}

/// The engine without proxies of the environment and without long pauses.
pub(super) fn at_once<P: Protocol>(engine: &mut ServerEngine<P>) -> &mut Client<P> {
    let client = Arc::get_mut(&mut engine.client).unwrap();
    client.agent = agent(Duration::from_secs(20)).proxy(None).build().into();
    client.first_pause = Duration::from_millis(1);
    client
}

pub(super) fn items(keys: &[&str]) -> Vec<EngineItem> {
    keys.iter()
        .map(|key| EngineItem {
            key: (*key).to_owned(),
            prompt: format!("prompt of {key}"),
            text: None,
        })
        .collect()
}

/// The records of some items, by their keys.
pub(super) fn run(
    mut engine: impl Engine,
    keys: &[&str],
) -> Result<Vec<EngineRecord>, EngineError> {
    let mut records = Vec::new();
    engine.run(
        items(keys),
        &mut |event| {
            if let EngineEvent::Record(record) = event {
                records.push(record);
            }
            ControlFlow::Continue(())
        },
        &|| false,
    )?;
    records.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(records)
}
