//! The worker's conversation: items in, one record each, in order of completion.
//!
//! One thread reads, `threads` encode, the caller's says. The first error ends everything, also where
//! the reader still waits for a line.

use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use genair_protocol::{
    AnswerEnd, EngineEvent, EngineItem, EngineRecord, EngineRequest, EngineTask,
};

use crate::encoder::{Encoder, read_vocabulary};
use crate::folder::{ModelFolder, WEIGHTS};
use crate::weights::Weights;
use crate::wordpiece::WordPiece;
use crate::{ENGINE, EncodeError};

type Outcome = Result<EngineRecord, EncodeError>;

/// Answers the items of `input`, one JSON object a line, until it ends. Reads `parallel` items ahead and
/// works on `threads` at once.
///
/// # Errors
/// Whatever is wrong with request, model or an item; nothing is said after it. The caller is expected to
/// end the process, because the thread that reads cannot be stopped.
pub fn serve(
    request: &EngineRequest,
    input: impl BufRead + Send + 'static,
    mut say: impl FnMut(EngineEvent),
) -> Result<(), EncodeError> {
    for (key, value) in [("parallel", request.parallel), ("threads", request.threads)] {
        if value == 0 {
            return Err(EncodeError::Zero { key });
        }
    }
    let folder = ModelFolder::read(&request.model)?;
    let jobs = jobs(request, &folder)?;
    say(EngineEvent::Ready {
        engine: ENGINE.to_owned(),
        width: folder.bert.hidden_size as usize,
        context: folder.max_tokens,
    });

    let (items, waiting) = sync_channel(request.parallel);
    let (outcomes, finished) = channel();
    let waiting = Arc::new(Mutex::new(waiting));
    let reader = outcomes.clone();
    genair_process::spawn("reads items", move || read_items(input, &items, &reader))?;
    for (started, job) in jobs.into_iter().enumerate() {
        let (waiting, outcomes) = (Arc::clone(&waiting), outcomes.clone());
        let thread = genair_process::spawn("encodes", move || work(&job, &waiting, &outcomes));
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
    drop(outcomes);
    for outcome in finished {
        say(EngineEvent::Record(outcome?));
    }
    Ok(())
}

/// What one thread does with an item.
enum Job {
    Encode(Encoder),
    Tokenize {
        vocabulary: Arc<WordPiece>,
        max_tokens: usize,
    },
}

/// One job per thread.
fn jobs(request: &EngineRequest, folder: &ModelFolder) -> Result<Vec<Job>, EncodeError> {
    let threads = 0..request.threads;
    match request.task {
        EngineTask::Encode => {
            let vocabulary = Arc::new(read_vocabulary(folder)?);
            let weights = Weights::read(&folder.path.join(WEIGHTS))?;
            let job = |_| Encoder::new(folder, &weights, Arc::clone(&vocabulary)).map(Job::Encode);
            threads.map(job).collect()
        }
        EngineTask::Tokenize => {
            let vocabulary = Arc::new(read_vocabulary(folder)?);
            let job = |_| Job::Tokenize {
                vocabulary: Arc::clone(&vocabulary),
                max_tokens: folder.max_tokens,
            };
            Ok(threads.map(job).collect())
        }
        EngineTask::Generate(_) => Err(EncodeError::Task {
            task: "write answers",
        }),
        EngineTask::Prompt => Err(EncodeError::Task {
            task: "average hidden states over prompts",
        }),
        EngineTask::Read => Err(EncodeError::Task {
            task: "read answers",
        }),
    }
}

impl Job {
    fn answer(&self, item: EngineItem) -> Outcome {
        if item.text.is_some() {
            return Err(EncodeError::Answer { key: item.key });
        }
        let (vector, prompt_tokens, tokens) = match self {
            Self::Encode(encoder) => {
                let (vector, tokens) = match encoder.encode(&item.prompt) {
                    Ok(encoded) => encoded,
                    Err(source) => {
                        return Err(EncodeError::Tensor {
                            key: item.key,
                            source,
                        });
                    }
                };
                if !vector.iter().all(|component| component.is_finite()) {
                    return Err(EncodeError::NotFinite { key: item.key });
                }
                (vector, tokens, None)
            }
            Self::Tokenize {
                vocabulary,
                max_tokens,
            } => {
                let tokens = vocabulary.tokens(&item.prompt, *max_tokens);
                let names = tokens
                    .iter()
                    .map(|&token| vocabulary.name(token).to_owned());
                (Vec::new(), tokens.len(), Some(names.collect()))
            }
        };
        let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
        Ok(EngineRecord {
            key: item.key,
            text: String::new(),
            prompt_tokens,
            new_tokens: 0,
            ended: AnswerEnd::Given,
            context: STANDARD.encode(bytes),
            archetype: None,
            tokens,
        })
    }
}

/// Reads items until the input ends or nobody wants more of them.
fn read_items(input: impl BufRead, items: &SyncSender<EngineItem>, outcomes: &Sender<Outcome>) {
    for (line, text) in (1..).zip(input.lines()) {
        let item = text.map_err(EncodeError::Input).and_then(|text| {
            serde_json::from_str(&text).map_err(|source| EncodeError::Item { line, source })
        });
        let delivered = match item {
            Ok(item) => items.send(item).is_ok(),
            Err(error) => {
                // A closed channel means that an earlier error is being said.
                let _ = outcomes.send(Err(error));
                false
            }
        };
        if !delivered {
            return;
        }
    }
}

/// Takes items until there are no more, or nobody listens.
fn work(job: &Job, waiting: &Mutex<Receiver<EngineItem>>, outcomes: &Sender<Outcome>) {
    // Of this thread; other items are on other threads.
    tch::set_num_threads(1);
    loop {
        // The lock is held while a thread waits for its item: the others would wait as well.
        let item = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(item) = item else { return };
        let key = item.key.clone();
        // A thread that dies unheard would leave the other side waiting for its record.
        let outcome = catch_unwind(AssertUnwindSafe(|| job.answer(item)))
            .unwrap_or_else(|panic| Err(panicked(key, panic.as_ref())));
        if outcomes.send(outcome).is_err() {
            return;
        }
    }
}

fn panicked(key: String, panic: &(dyn std::any::Any + Send)) -> EncodeError {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it left no message");
    EncodeError::Panic {
        key,
        message: message.to_owned(),
    }
}
