//! The worker's conversation: items in, one record each, in order of completion.
//!
//! One thread reads, `threads` encode, the caller's says. The first error ends everything, also where
//! the reader still waits for a line.

use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use genair_protocol::{
    AnswerEnd, EngineEvent, EngineItem, EngineRecord, EngineRequest, EngineTask,
};

use crate::encoder::{Encoder, most_texts, read_vocabulary};
use crate::folder::{ModelFolder, WEIGHTS};
use crate::pool::{AHEAD, Pool, Waiting};
use crate::weights::Weights;
use crate::wordpiece::WordPiece;
use crate::{ENGINE, EncodeError};

type Outcome = Result<EngineRecord, EncodeError>;

/// Answers the items of `input`, one JSON object a line, until it ends. Reads items ahead and encodes those of one
/// length together, on `threads` at once. `parallel` decides nothing: a text has the same bits in any company.
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

    let (items, waiting) = sync_channel(AHEAD);
    let (outcomes, finished) = channel();
    let pool = Arc::new(Mutex::new(Pool::new(waiting)));
    let reader = outcomes.clone();
    genair_process::spawn("reads items", move || read_items(input, &items, &reader))?;
    for (started, job) in jobs.into_iter().enumerate() {
        let (pool, outcomes) = (Arc::clone(&pool), outcomes.clone());
        let thread = genair_process::spawn("encodes", move || work(&job, &pool, &outcomes));
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
    Encode {
        encoder: Encoder,
        /// Whether several texts may be encoded at once.
        batches: bool,
    },
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
            let encoder = || Encoder::new(folder, &weights, Arc::clone(&vocabulary));
            // As the threads that encode.
            tch::set_num_threads(1);
            let batches = encoder()?
                .batches_are_exact()
                .map_err(|source| EncodeError::Tensor {
                    key: "of a trial".to_owned(),
                    source,
                })?;
            if !batches {
                tracing::warn!("batches would change bits on this processor; one text at a time");
            }
            let job = |_| {
                let encoder = encoder()?;
                Ok(Job::Encode { encoder, batches })
            };
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
    fn tokens(&self, text: &str) -> Vec<i64> {
        match self {
            Self::Encode { encoder, .. } => encoder.tokens(text),
            Self::Tokenize {
                vocabulary,
                max_tokens,
            } => vocabulary.tokens(text, *max_tokens),
        }
    }

    /// Items of so many tokens that are answered at once.
    fn most(&self, tokens: usize) -> usize {
        match self {
            Self::Encode { batches: true, .. } => most_texts(tokens),
            Self::Encode { batches: false, .. } | Self::Tokenize { .. } => 1,
        }
    }

    /// The records of items with one number of tokens, in their order.
    fn answer(&self, batch: &[Waiting]) -> Result<Vec<EngineRecord>, EncodeError> {
        if let Some(own) = batch.iter().find(|own| own.item.text.is_some()) {
            return Err(EncodeError::Answer {
                key: own.item.key.clone(),
            });
        }
        let vectors = match self {
            Self::Encode { encoder, .. } => {
                let texts: Vec<&[i64]> = batch.iter().map(|own| &*own.tokens).collect();
                encoder
                    .encode(&texts)
                    .map_err(|source| EncodeError::Tensor {
                        key: batch
                            .first()
                            .map_or_else(String::new, |own| own.item.key.clone()),
                        source,
                    })?
            }
            Self::Tokenize { .. } => vec![Vec::new(); batch.len()],
        };
        let record = |(own, vector): (&Waiting, Vec<f32>)| {
            let key = own.item.key.clone();
            if !vector.iter().all(|component| component.is_finite()) {
                return Err(EncodeError::NotFinite { key });
            }
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            Ok(EngineRecord {
                key,
                text: String::new(),
                prompt_tokens: own.tokens.len(),
                new_tokens: 0,
                ended: AnswerEnd::Given,
                context: STANDARD.encode(bytes),
                archetype: None,
                tokens: match self {
                    Self::Encode { .. } => None,
                    Self::Tokenize { vocabulary, .. } => {
                        let name = |&token: &i64| vocabulary.name(token).to_owned();
                        Some(own.tokens.iter().map(name).collect())
                    }
                },
            })
        };
        batch.iter().zip(vectors).map(record).collect()
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
fn work(job: &Job, pool: &Mutex<Pool>, outcomes: &Sender<Outcome>) {
    // Of this thread; other items are on other threads.
    tch::set_num_threads(1);
    loop {
        // The lock is held while a thread waits for its items: the others would wait as well.
        let batch = pool
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(|text| job.tokens(text), |tokens| job.most(tokens));
        let Some(first) = batch.first() else { return };
        let key = first.item.key.clone();
        // A thread that dies unheard would leave the other side waiting for its records.
        let answered = catch_unwind(AssertUnwindSafe(|| job.answer(&batch)))
            .unwrap_or_else(|panic| Err(panicked(key, panic.as_ref())));
        let is_heard = match answered {
            Ok(records) => records
                .into_iter()
                .all(|record| outcomes.send(Ok(record)).is_ok()),
            Err(error) => outcomes.send(Err(error)).is_ok(),
        };
        if !is_heard {
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
