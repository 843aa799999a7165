//! An engine that is a server speaking the OpenAI protocol. It gives text, without hidden states: the
//! records have no vectors.
//!
//! The key is read once, sent, and kept out of logs, errors and the cache.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use genair_protocol::{AnswerEnd, EngineEvent, EngineItem, EngineRecord, GenerationSpec};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::http::HeaderValue;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::typestate::AgentScope;

use super::api_key::ApiKey;
use super::backoff::{RateLimit, pause, retry_after};
use super::{Engine, EngineError};
use crate::record::ServerSettings;
use crate::settings::HttpSpec;

/// Engine and version in records.
pub(crate) const OPENAI_ENGINE: &str = "openai 1";

/// How often requests to stop are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 << 20;
/// Characters of a server's answer that an error shows.
const MAX_SHOWN: usize = 300;

/// See the module.
#[derive(Debug)]
pub(crate) struct OpenAiEngine {
    client: Arc<Client>,
    concurrency: usize,
}

impl OpenAiEngine {
    pub(crate) fn new(
        http: &HttpSpec,
        server: &ServerSettings,
        generation: &GenerationSpec,
        key: Option<ApiKey>,
    ) -> Result<Self, EngineError> {
        let authorization = match &key {
            Some(key) => Some(key.header()?),
            None => None,
        };
        let agent = agent(Duration::from_secs(http.timeout)).build();
        let path = if server.chat {
            "chat/completions"
        } else {
            "completions"
        };
        Ok(Self {
            client: Arc::new(Client {
                agent: agent.into(),
                url: format!("{}/{path}", server.base_url),
                model: http.model.clone(),
                server: server.clone(),
                generation: generation.clone(),
                authorization,
                key,
                retries: http.retries,
                first_pause: Duration::from_secs(1),
                limit: http.requests_per_minute.map(RateLimit::new),
                stopped: AtomicBool::new(false),
            }),
            concurrency: http.concurrency,
        })
    }
}

/// Without following redirects: a key is for the server that the spec names, and an answer must be its own.
fn agent(timeout: Duration) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(timeout))
}

impl Engine for OpenAiEngine {
    fn run(
        &mut self,
        items: Vec<EngineItem>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        let ready = EngineEvent::Ready {
            engine: OPENAI_ENGINE.to_owned(),
            width: 0,
            context: 0,
        };
        if on_event(ready).is_break() {
            return Ok(());
        }
        let mut left = items.len();
        let queue = Arc::new(Mutex::new(VecDeque::from(items)));
        let (sender, outcomes) = channel();
        for started in 0..self.concurrency.min(left) {
            let (client, queue, sender) =
                (Arc::clone(&self.client), Arc::clone(&queue), sender.clone());
            // Not scoped: nobody waits for a request that hangs once the others are told to stop.
            let thread =
                genair_process::spawn("asks the server", move || client.work(&queue, &sender));
            match thread {
                Err(refused) if started == 0 => return Err(refused.into()),
                // The others do its work.
                Err(refused) => {
                    tracing::warn!("{refused}: {}; {started} do", refused.source);
                    break;
                }
                Ok(_) => {}
            }
        }
        drop(sender);
        let _stop = StopOnDrop(Arc::clone(&self.client));
        while left > 0 {
            if interrupted() {
                return Err(EngineError::Interrupted);
            }
            match outcomes.recv_timeout(TICK) {
                Ok(outcome) => {
                    left -= 1;
                    if on_event(EngineEvent::Record(outcome?)).is_break() {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(EngineError::Interrupted),
            }
        }
        Ok(())
    }
}

/// Tells the threads to stop, however the run ends.
struct StopOnDrop(Arc<Client>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

/// What the threads share.
#[derive(Debug)]
struct Client {
    agent: Agent,
    url: String,
    model: String,
    server: ServerSettings,
    generation: GenerationSpec,
    authorization: Option<HeaderValue>,
    key: Option<ApiKey>,
    retries: u32,
    first_pause: Duration,
    limit: Option<RateLimit>,
    stopped: AtomicBool,
}

/// Why an attempt failed, and whether another may succeed.
enum Failure {
    Final(EngineError),
    Transient(EngineError, Option<Duration>),
}

impl Client {
    fn work(
        &self,
        queue: &Mutex<VecDeque<EngineItem>>,
        outcomes: &Sender<Result<EngineRecord, EngineError>>,
    ) {
        loop {
            let item = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(item) = item.filter(|_| !self.stopped.load(Ordering::Relaxed)) else {
                return;
            };
            if outcomes.send(self.complete(&item)).is_err() {
                return;
            }
        }
    }

    fn complete(&self, item: &EngineItem) -> Result<EngineRecord, EngineError> {
        let body = self.request(item);
        let mut attempt = 1;
        loop {
            if let Some(limit) = &self.limit {
                self.sleep(limit.reserve())?;
            }
            match self.attempt(item, &body) {
                Ok(record) => return Ok(record),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient(error, _)) if attempt > self.retries => return Err(error),
                Err(Failure::Transient(error, asked)) => {
                    let own = pause(self.first_pause, attempt, &item.key);
                    let pause = asked.unwrap_or(own);
                    tracing::warn!("{error}; again in {pause:.1?}");
                    self.sleep(pause)?;
                }
            }
            attempt += 1;
        }
    }

    fn request(&self, item: &EngineItem) -> String {
        let spec = &self.generation;
        let mut body = json!({
            "model": self.model,
            "temperature": if spec.greedy { json!(0) } else { rounded(spec.temperature) },
            "top_p": if spec.greedy { json!(1) } else { rounded(spec.top_p) },
            "max_tokens": spec.max_new_tokens,
            "seed": seed(spec.seed, &item.key),
        });
        if !spec.stop.is_empty() {
            body["stop"] = json!(spec.stop);
        }
        if self.server.chat {
            let system = self.server.system.as_ref();
            let system = system.map(|content| json!({"role": "system", "content": content}));
            let user = json!({"role": "user", "content": item.prompt});
            body["messages"] = system.into_iter().chain([user]).collect();
        } else {
            body["prompt"] = json!(item.prompt);
        }
        for (member, value) in &self.server.extra {
            body[member] = value.clone();
        }
        body.to_string()
    }

    fn attempt(&self, item: &EngineItem, body: &str) -> Result<EngineRecord, Failure> {
        let mut request = self
            .agent
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let transfer = |source: ureq::Error| {
            let url = self.url.clone();
            let transient = !matches!(source, ureq::Error::BadUri(_) | ureq::Error::Http(_));
            let source = Box::new(source);
            let error = EngineError::Transfer { url, source };
            if transient {
                Failure::Transient(error, None)
            } else {
                Failure::Final(error)
            }
        };
        let mut response = request.send(body).map_err(transfer)?;
        let status = response.status().as_u16();
        let asked = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
        let bytes = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec()
            .map_err(transfer)?;
        let text = String::from_utf8_lossy(&bytes);
        if response.status().is_redirection() {
            let target = response.headers().get(LOCATION);
            let target = target.map_or_else(String::new, |target| {
                self.shown(&String::from_utf8_lossy(target.as_bytes()))
            });
            return Err(Failure::Final(EngineError::Redirect {
                url: self.url.clone(),
                status,
                target,
            }));
        }
        if !response.status().is_success() {
            let url = self.url.clone();
            let body = self.shown(&text);
            let error = EngineError::Status { url, status, body };
            return Err(match status {
                408 | 429 | 500.. => Failure::Transient(error, asked),
                _ => Failure::Final(error),
            });
        }
        let record = record(item, &text).map_err(|reason| {
            let url = self.url.clone();
            let body = self.shown(&text);
            Failure::Transient(EngineError::Answer { url, reason, body }, None)
        })?;
        match &self.key {
            Some(key) if key.is_in(&record.text) => Err(Failure::Final(EngineError::RepeatsKey {
                url: self.url.clone(),
                variable: key.variable.clone(),
            })),
            _ => Ok(record),
        }
    }

    /// The start of what a server says, without the key: some servers repeat it.
    fn shown(&self, text: &str) -> String {
        let text = match &self.key {
            Some(key) => key.hidden_in(text),
            None => text.to_owned(),
        };
        text.trim().chars().take(MAX_SHOWN).collect()
    }

    /// Sleeps, but not past the end of the run.
    fn sleep(&self, duration: Duration) -> Result<(), EngineError> {
        let end = Instant::now() + duration;
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(EngineError::Interrupted);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(TICK));
        }
    }
}

/// What is read of an answer; servers say more.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    /// Of a chat.
    #[serde(default)]
    message: Option<Message>,
    /// Of raw text.
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: usize,
    #[serde(default)]
    completion_tokens: usize,
}

/// An answer as a record without vectors; tokens are 0 where the server does not count them.
fn record(item: &EngineItem, answer: &str) -> Result<EngineRecord, String> {
    let completion: Completion = serde_json::from_str(answer).map_err(|error| error.to_string())?;
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err("it has no choice".to_owned());
    };
    let text = match (choice.message, choice.text) {
        (Some(message), _) => message.content.unwrap_or_default(),
        (None, Some(text)) => text,
        (None, None) => return Err("its choice has neither message nor text".to_owned()),
    };
    let usage = completion.usage;
    Ok(EngineRecord {
        key: item.key.clone(),
        // As it came: a model that reads it after the prompt needs the space in between.
        text: if text.trim().is_empty() {
            String::new()
        } else {
            text
        },
        prompt_tokens: usage.as_ref().map_or(0, |usage| usage.prompt_tokens),
        new_tokens: usage.as_ref().map_or(0, |usage| usage.completion_tokens),
        // The protocol does not tell a stop string from the end of sequence.
        ended: match choice.finish_reason.as_deref() {
            Some("length") => AnswerEnd::Length,
            _ => AnswerEnd::EndOfSequence,
        },
        context: String::new(),
        archetype: None,
        tokens: None,
    })
}

/// The item's own seed: 31 bits, which every server takes.
fn seed(seed: u64, key: &str) -> u32 {
    let hash = Sha256::new_with_prefix(seed.to_le_bytes())
        .chain_update(key)
        .finalize();
    u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]) >> 1
}

/// 0.6 as 0.6, not as 0.6000000238418579.
fn rounded(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests;
