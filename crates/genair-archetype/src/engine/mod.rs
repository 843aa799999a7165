//! What answers prompts, behind one trait: a worker process, a server, or a fake for tests.
//!
//! Engines know items and records, no settings of a spec, no cache and no dataset.

mod api_key;
mod backoff;
mod embeddings;
mod fake;
#[cfg(test)]
mod fake_server;
mod openai;
mod server;
mod worker;

use std::ops::ControlFlow;
use std::path::PathBuf;

use genair_protocol::{EngineEvent, EngineItem};

pub(crate) use api_key::ApiKey;
pub(crate) use embeddings::{EMBEDDINGS_ENGINE, embeddings};
pub(crate) use fake::{FAKE_ENGINE, FakeEngine};
pub(crate) use openai::{Batch, OPENAI_ENGINE, completions};
pub(crate) use worker::{WorkerEngine, end_of_log};

/// Something that makes records of items.
pub(crate) trait Engine {
    /// Works on all items and returns when everything is said: first `Ready`, then a `Record` for each in
    /// order of completion, on the caller's thread. `on_event` may end it early, as may `interrupted`.
    fn run(
        &mut self,
        items: Vec<EngineItem>,
        on_event: &mut dyn FnMut(EngineEvent) -> ControlFlow<()>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), EngineError>;
}

/// Why an engine did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The worker is missing.
    #[error("there is no worker binary `{}`; build it with `{command}`", path.display())]
    NoWorker {
        /// Where it was looked for.
        path: PathBuf,
        /// What builds it.
        command: &'static str,
    },
    /// The worker could not be started or heard.
    #[error("cannot run `{}`", path.display())]
    Start {
        /// The worker.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The worker ended before its work was done.
    #[error("`{}` {ending} before it was done; {}", path.display(), last_said(log))]
    Died {
        /// The worker.
        path: PathBuf,
        /// How it ended.
        ending: String,
        /// The end of its log.
        log: String,
    },
    /// The worker says what is wrong.
    #[error("`{}`: {message}{}", path.display(), hinted(hint.as_deref()))]
    Failed {
        /// The worker.
        path: PathBuf,
        /// What it says.
        message: String,
        /// What it advises.
        hint: Option<String>,
    },
    /// The worker says what cannot be understood.
    #[error("`{}` said {said:?}, which is no event; build it and this program from one source", path.display())]
    Garbled {
        /// The worker.
        path: PathBuf,
        /// The start of the line.
        said: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The worker is of another version than records would be kept under.
    #[error("`{}` is `{found}`, not `{expected}`; build it and this program from one source", path.display())]
    Version {
        /// The worker.
        path: PathBuf,
        /// What it calls itself.
        found: String,
        /// What its records would be kept as.
        expected: String,
    },
    /// A server refuses, or failed too often.
    #[error("{url} answered with status {status}: {body}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The start of what it says.
        body: String,
    },
    /// A server refuses texts. It was asked about the others, and their records are kept.
    #[error(
        "the server refuses {} {}; the first begins with `{begin}`; if it is too long for the model, lower `prompt.max_chars`",
        keys.len(),
        if keys.len() == 1 { "text" } else { "texts" }
    )]
    Refused {
        /// Keys of their items, at least one.
        keys: Vec<String>,
        /// The start of the first text.
        begin: String,
        /// What the server says of it.
        source: Box<EngineError>,
    },
    /// No answer from a server, too often.
    #[error("no answer from {url}; check `http.base_url` and that the server runs")]
    Transfer {
        /// The address.
        url: String,
        /// What went wrong last.
        source: Box<ureq::Error>,
    },
    /// A server's answer cannot be understood, again and again.
    #[error("{url} answered with what is no {what} ({reason}): {body}")]
    Answer {
        /// The address.
        url: String,
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
        /// The start of the answer.
        body: String,
    },
    /// A server sends its client elsewhere.
    #[error(
        "{url} answered with a redirect (status {status}) to `{target}`, which is not followed, so that key and prompts go to no other server; if that is the address, set `http.base_url` to it"
    )]
    Redirect {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Where to, without the key.
        target: String,
    },
    /// An answer has the key in it.
    #[error(
        "{url} repeats the key in `{variable}`, or a part of it, in an answer; the answer is neither kept nor shown. Use another key there, or look at what that server does with it"
    )]
    RepeatsKey {
        /// The address.
        url: String,
        /// The environment variable.
        variable: String,
    },
    /// The system refuses a thread.
    #[error(transparent)]
    Thread(#[from] genair_process::NoThread),
    /// A header cannot carry the key.
    #[error("the key in `{variable}` cannot be sent: it has characters that no header may have")]
    Key {
        /// The environment variable.
        variable: String,
    },
    /// Stopped on request.
    #[error("stopped on request; what is done is kept")]
    Interrupted,
}

impl EngineError {
    /// Whether a server refuses what was sent, which it may not do of other texts.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 400 | 413 | 422,
                ..
            }
        )
    }
}

fn last_said(log: &str) -> String {
    if log.is_empty() {
        "it said nothing".to_owned()
    } else {
        format!("it last said:\n{log}")
    }
}

fn hinted(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}
