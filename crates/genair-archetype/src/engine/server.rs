//! An engine that is a server speaking the OpenAI protocol: what its addresses have in common. Threads send
//! requests, try again what may pass, and hand back records; what is asked and what an answer means is a
//! [`Protocol`]'s.
//!
//! The key is read once, sent, and kept out of logs, errors and the cache.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use genair_protocol::{EngineEvent, EngineItem, EngineRecord};
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::http::HeaderValue;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::typestate::AgentScope;

use super::api_key::ApiKey;
use super::backoff::{RateLimit, pause, retry_after};
use super::{Engine, EngineError};
use crate::settings::HttpSpec;

/// Characters that are shown of a text that a server refuses.
const REFUSED_CHARS: usize = 80;
/// Texts that a server may refuse before it has answered one: then the fault is in the settings.
const REFUSALS_AT_FIRST: usize = 8;
/// How often requests to stop are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Longest answer that is read, in bytes for each item that it is about.
const MAX_ANSWER: u64 = 16 << 20;
/// Characters of a server's answer that an error shows.
const MAX_SHOWN: usize = 300;

/// What is asked of a server, and what its answer means.
pub(crate) trait Protocol: Debug + Send + Sync + 'static {
    /// Engine and version in records.
    const ENGINE: &'static str;
    /// What an answer has to be, for errors.
    const ANSWER: &'static str;
    /// Whether records have vectors, whose width the first answer tells.
    const HAS_VECTORS: bool;

    /// The body of the request about some items, at least one.
    fn body(&self, items: &[EngineItem]) -> String;

    /// A record for each of them, and the width of their vectors (0 where they have none).
    ///
    /// # Errors
    /// What is wrong with the answer.
    fn records(&self, items: &[EngineItem], answer: &str) -> Result<Answered, String>;
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(super) records: Vec<EngineRecord>,
    pub(super) width: usize,
}

/// What came of a batch.
#[derive(Debug, Default)]
struct Outcome {
    answered: Vec<Answered>,
    refused: Vec<Refusal>,
}

/// A text that the server refuses.
#[derive(Debug)]
struct Refusal {
    key: String,
    /// The start of the text.
    begin: String,
    error: EngineError,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ServerEngine<P> {
    pub(super) client: Arc<Client<P>>,
    pub(super) concurrency: usize,
    /// Items of a request at the most, at least 1.
    pub(super) batch: usize,
}

impl<P: Protocol> ServerEngine<P> {
    /// Sends requests to `path` below the server's address.
    pub(super) fn of(
        http: &HttpSpec,
        path: &str,
        batch: usize,
        protocol: P,
        key: Option<ApiKey>,
    ) -> Result<Self, EngineError> {
        let authorization = match &key {
            Some(key) => Some(key.header()?),
            None => None,
        };
        let agent = agent(Duration::from_secs(http.timeout)).build();
        Ok(Self {
            client: Arc::new(Client {
                agent: agent.into(),
                url: format!("{}/{path}", http.base_url.trim_end_matches('/')),
                protocol,
                authorization,
                key,
                retries: http.retries,
                first_pause: Duration::from_secs(1),
                limit: http.requests_per_minute.map(RateLimit::new),
                stopped: AtomicBool::new(false),
            }),
            concurrency: http.concurrency,
            batch,
        })
    }
}

/// Without following redirects: a key is for the server that the spec names, and an answer must be its own.
pub(super) fn agent(timeout: Duration) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(timeout))
}

impl<P: Protocol> Engine for ServerEngine<P> {
    fn run(
        &mut self,
        items: Vec<EngineItem>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        let ready = |width| EngineEvent::Ready {
            engine: P::ENGINE.to_owned(),
            width,
            context: 0,
        };
        let mut is_ready = !P::HAS_VECTORS;
        if is_ready && on_event(ready(0)).is_break() {
            return Ok(());
        }
        let mut items = items.into_iter();
        // The last batch on top.
        let batches = std::iter::from_fn(|| {
            let batch: Vec<EngineItem> = items.by_ref().take(self.batch).collect();
            (!batch.is_empty()).then_some(batch)
        });
        let mut batches: Vec<Vec<EngineItem>> = batches.collect();
        batches.reverse();
        let mut left = batches.len();
        let queue = Arc::new(Mutex::new(batches));
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
        let (mut refused, mut has_answers): (Vec<Refusal>, bool) = (Vec::new(), false);
        while left > 0 {
            if interrupted() {
                return Err(EngineError::Interrupted);
            }
            match outcomes.recv_timeout(TICK) {
                Ok(outcome) => {
                    left -= 1;
                    let outcome = outcome?;
                    refused.extend(outcome.refused);
                    for answered in outcome.answered {
                        if !is_ready && on_event(ready(answered.width)).is_break() {
                            return Ok(());
                        }
                        (is_ready, has_answers) = (true, true);
                        for record in answered.records {
                            if on_event(EngineEvent::Record(record)).is_break() {
                                return Ok(());
                            }
                        }
                    }
                    if !has_answers && refused.len() >= REFUSALS_AT_FIRST {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(EngineError::Interrupted),
            }
        }
        let keys = refused.iter().map(|own| own.key.clone()).collect();
        match refused.into_iter().next() {
            None => Ok(()),
            Some(Refusal { begin, error, .. }) => Err(EngineError::Refused {
                keys,
                begin,
                source: Box::new(error),
            }),
        }
    }
}

/// Tells the threads to stop, however the run ends.
struct StopOnDrop<P>(Arc<Client<P>>);

impl<P> Drop for StopOnDrop<P> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Client<P> {
    pub(super) agent: Agent,
    pub(super) url: String,
    pub(super) protocol: P,
    authorization: Option<HeaderValue>,
    key: Option<ApiKey>,
    retries: u32,
    pub(super) first_pause: Duration,
    limit: Option<RateLimit>,
    stopped: AtomicBool,
}

/// Why an attempt failed, and whether another may succeed.
enum Failure {
    Final(EngineError),
    Transient(EngineError, Option<Duration>),
}

impl<P: Protocol> Client<P> {
    fn work(
        &self,
        queue: &Mutex<Vec<Vec<EngineItem>>>,
        outcomes: &Sender<Result<Outcome, EngineError>>,
    ) {
        loop {
            let batch = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(batch) = batch.filter(|_| !self.stopped.load(Ordering::Relaxed)) else {
                return;
            };
            if outcomes.send(self.complete(&batch)).is_err() {
                return;
            }
        }
    }

    /// Asks about items, and about each by itself where the server refuses them together.
    fn complete(&self, items: &[EngineItem]) -> Result<Outcome, EngineError> {
        let mut outcome = Outcome::default();
        match (self.ask(items), items) {
            (Ok(answered), _) => outcome.answered.push(answered),
            (Err(error), [item]) if error.is_refusal() => outcome.refused.push(Refusal {
                key: item.key.clone(),
                begin: item.prompt.chars().take(REFUSED_CHARS).collect(),
                error,
            }),
            (Err(error), _) if error.is_refusal() => {
                for item in items {
                    let one = self.complete(std::slice::from_ref(item))?;
                    outcome.answered.extend(one.answered);
                    outcome.refused.extend(one.refused);
                }
            }
            (Err(error), _) => return Err(error),
        }
        Ok(outcome)
    }

    fn ask(&self, items: &[EngineItem]) -> Result<Answered, EngineError> {
        let body = self.protocol.body(items);
        let key = items.first().map_or("", |item| &item.key);
        let mut attempt = 1;
        loop {
            if let Some(limit) = &self.limit {
                self.sleep(limit.reserve())?;
            }
            match self.attempt(items, &body) {
                Ok(answered) => return Ok(answered),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient(error, _)) if attempt > self.retries => return Err(error),
                Err(Failure::Transient(error, asked)) => {
                    let own = pause(self.first_pause, attempt, key);
                    let pause = asked.unwrap_or(own);
                    tracing::warn!("{error}; again in {pause:.1?}");
                    self.sleep(pause)?;
                }
            }
            attempt += 1;
        }
    }

    fn attempt(&self, items: &[EngineItem], body: &str) -> Result<Answered, Failure> {
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
            .limit(MAX_ANSWER * items.len() as u64)
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
        let answered = self.protocol.records(items, &text).map_err(|reason| {
            let error = EngineError::Answer {
                url: self.url.clone(),
                what: P::ANSWER,
                reason,
                body: self.shown(&text),
            };
            Failure::Transient(error, None)
        })?;
        let mut texts = answered.records.iter().map(|record| &record.text);
        match &self.key {
            Some(key) if texts.any(|text| key.is_in(text)) => {
                Err(Failure::Final(EngineError::RepeatsKey {
                    url: self.url.clone(),
                    variable: key.variable.clone(),
                }))
            }
            _ => Ok(answered),
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
