//! The work itself: items from standard input onto free sequences of one or several contexts, one token for each per
//! step, records to standard output in order of completion.

use std::io::Write;
use std::sync::Once;

use genair_llama::{Answer, ENGINE, Mean, Sampler, check_settings, encode_vector};
use genair_process::NoThread;
use genair_protocol::{
    AnswerEnd, EngineEvent, EngineItem, EngineRecord, EngineRequest, EngineTask, GenerationSpec,
};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use crate::embedder::Embedder;
use crate::engine::{Engine, Feed, MOST_SEQUENCES, index, load};
use crate::error::WorkerError;
use crate::items::{Items, Next};
use crate::native;
use crate::prefix::SharedPrefix;

/// Room for a prompt, in tokens, beside that of its answer. Memory for keys and values is claimed in
/// advance, for all sequences: a 7B model takes half a megabyte per token.
const PROMPT_ROOM: usize = 1024;

/// Room for prompt and given answer.
const READING_ROOM: usize = 2048;

/// The weights of a small model, in bytes at the most. On a larger one, threads share a context, because the memory's
/// speed is the limit, and a context for each would read all weights by itself.
const SMALL_MODEL: u64 = 1 << 30;

/// Contexts at once at the most: each takes memory of its own, some 300 MB.
const MOST_CONTEXTS: usize = 8;

/// Does a request until standard input ends.
pub(crate) fn work(backend: &LlamaBackend, request: &EngineRequest) -> Result<(), WorkerError> {
    check_range("parallel", request.parallel, MOST_SEQUENCES - 1)?;
    check_range("threads", request.threads, 512)?;
    if let EngineTask::Generate(spec) = &request.task {
        check_settings(spec)?;
    }
    let model = load(backend, &request.model, &LlamaModelParams::default())?;
    let contexts = contexts(&model, request);
    let share = Share {
        backend,
        model: &model,
        task: &request.task,
        parallel: request.parallel.div_ceil(contexts),
        threads: request.threads / contexts,
        ready: Once::new(),
    };
    let items = Items::of_standard_input(request.parallel)?;
    in_contexts(contexts, &items, || share.work(&items))
}

/// Contexts that work at once. Those of one thread each have no barriers, at which a thread would wait for one whose core
/// has another process to run.
fn contexts(model: &LlamaModel, request: &EngineRequest) -> usize {
    match model.size() <= SMALL_MODEL {
        true => request.threads.min(request.parallel).min(MOST_CONTEXTS),
        false => 1,
    }
}

/// Calls `work` in `count` threads. After an error the others end what they have begun.
fn in_contexts(
    count: usize,
    items: &Items,
    work: impl Fn() -> Result<(), WorkerError> + Sync,
) -> Result<(), WorkerError> {
    let work = || work().inspect_err(|_| items.stop());
    std::thread::scope(|scope| {
        let others = (1..count).map(|_| {
            let thread = std::thread::Builder::new().name("context".to_owned());
            thread.spawn_scoped(scope, work)
        });
        let others: Vec<_> = others.collect();
        let first = work();
        let others = others.into_iter().map(|other| {
            let work = "runs a context";
            let other = other.map_err(|source| NoThread { work, source })?;
            other.join().unwrap_or(Err(WorkerError::Lost))
        });
        std::iter::once(first).chain(others).collect()
    })
}

/// What one of several contexts needs to work.
struct Share<'a> {
    backend: &'a LlamaBackend,
    model: &'a LlamaModel,
    task: &'a EngineTask,
    /// Items at once.
    parallel: usize,
    threads: usize,
    /// Said by the context that is ready first, before any of them takes an item.
    ready: Once,
}

impl Share<'_> {
    /// Does items until there are no more.
    fn work(&self, items: &Items) -> Result<(), WorkerError> {
        let (sequences, room) = match self.task {
            // One more for what prompts share.
            EngineTask::Generate(spec) => (self.parallel + 1, PROMPT_ROOM + spec.max_new_tokens),
            EngineTask::Read => (1, READING_ROOM),
            // The second one for what prompts share.
            EngineTask::Prompt => (2, READING_ROOM),
            EngineTask::Tokenize => (1, 1),
            EngineTask::Encode => return self.encode(items),
        };
        let mut engine = Engine::new(self.backend, self.model, sequences, self.threads, room)?;
        self.say_ready(engine.width(), engine.room());
        if let EngineTask::Generate(spec) = self.task {
            return Writer::new(&mut engine, spec, self.parallel).run(items);
        }
        let mut prefix = SharedPrefix::new(1);
        while let Next::Item(item) = items.wait()? {
            match self.task {
                EngineTask::Read => read_item(&mut engine, item)?,
                EngineTask::Prompt => read_prompt(&mut engine, &mut prefix, item)?,
                _ => tokenize_item(&engine, item)?,
            }
        }
        Ok(())
    }

    fn say_ready(&self, width: usize, context: usize) {
        self.ready.call_once(|| {
            say(&EngineEvent::Ready {
                engine: format!("{ENGINE} ({})", native::features()),
                width,
                context,
            });
        });
    }

    /// Gives each text its vector.
    fn encode(&self, items: &Items) -> Result<(), WorkerError> {
        let mut embedder = Embedder::new(self.backend, self.model, self.threads)?;
        self.say_ready(embedder.width(), embedder.room());
        while let Next::Item(item) = items.wait()? {
            let tokens = embedder.tokenize(&item.prompt);
            check_length(&item.key, tokens.len(), 0, embedder.room())?;
            let vector = embedder.embed(&tokens)?;
            if !vector.iter().all(|component| component.is_finite()) {
                return Err(WorkerError::NotFinite { key: item.key });
            }
            say(&EngineEvent::Record(EngineRecord {
                key: item.key,
                text: String::new(),
                prompt_tokens: tokens.len(),
                new_tokens: 0,
                ended: AnswerEnd::Given,
                context: encode_vector(&vector),
                archetype: None,
                tokens: None,
            }));
        }
        Ok(())
    }
}

fn check_range(key: &'static str, value: usize, most: usize) -> Result<(), WorkerError> {
    if (1..=most).contains(&value) {
        Ok(())
    } else {
        Err(WorkerError::OutOfRange { key, value, most })
    }
}

/// Writes answers to several items at once.
struct Writer<'a, 'm> {
    engine: &'a mut Engine<'m>,
    spec: &'a GenerationSpec,
    /// One place for each sequence.
    places: Vec<Option<Writing<'a>>>,
    prefix: SharedPrefix,
}

/// One item at work.
struct Writing<'a> {
    key: String,
    prompt_tokens: usize,
    context_mean: String,
    sampler: Sampler<'a>,
    answer: Answer<'a>,
    /// Hidden states of the answer's tokens that were fed back, one after another. All are kept until
    /// the end, because a stop string takes back the tokens it came with.
    states: Vec<f32>,
    /// The token to feed back next.
    next: LlamaToken,
}

impl<'a, 'm> Writer<'a, 'm> {
    fn new(engine: &'a mut Engine<'m>, spec: &'a GenerationSpec, sequences: usize) -> Self {
        Self {
            engine,
            spec,
            places: (0..sequences).map(|_| None).collect(),
            prefix: SharedPrefix::new(sequences),
        }
    }

    fn run(mut self, items: &Items) -> Result<(), WorkerError> {
        loop {
            while let Some(free) = self.places.iter().position(Option::is_none) {
                let is_idle = self.places.iter().all(Option::is_none);
                let next = if is_idle { items.wait() } else { items.look() };
                match next? {
                    Next::Item(item) => self.start(free, item)?,
                    Next::End if is_idle => return Ok(()),
                    Next::End | Next::Nothing => break,
                }
            }
            self.step()?;
        }
    }

    /// Reads an item's prompt and draws the first token of its answer.
    fn start(&mut self, place: usize, item: EngineItem) -> Result<(), WorkerError> {
        let tokens = self.engine.tokenize_prompt(&item.prompt);
        check_length(
            &item.key,
            tokens.len(),
            self.spec.max_new_tokens,
            self.engine.room(),
        )?;
        let mut mean = Mean::new(self.engine.width());
        let row = self
            .prefix
            .read(self.engine, place, &tokens, |_, state| mean.add(state))?;
        let writing = Writing {
            sampler: Sampler::new(
                self.spec,
                &item.key,
                tokens.iter().map(|&token| index(token)),
            ),
            key: item.key,
            prompt_tokens: tokens.len(),
            context_mean: encode_mean(mean).unwrap_or_default(),
            answer: Answer::new(&self.spec.stop, self.spec.min_new_tokens),
            states: Vec::new(),
            next: LlamaToken::new(0),
        };
        self.go_on(place, writing, row)
    }

    /// Feeds every answer's last token back and draws its next.
    fn step(&mut self) -> Result<(), WorkerError> {
        let feeds: Vec<Feed> = self
            .places
            .iter()
            .enumerate()
            .filter_map(|(sequence, place)| {
                let writing = place.as_ref()?;
                Some(Feed {
                    sequence,
                    position: writing.prompt_tokens + writing.answer.tokens() - 1,
                    token: writing.next,
                })
            })
            .collect();
        if feeds.is_empty() {
            return Ok(());
        }
        self.engine.decode(&feeds)?;
        for (row, feed) in feeds.iter().enumerate() {
            if let Some(mut writing) = self.places[feed.sequence].take() {
                writing.states.extend_from_slice(self.engine.state(row)?);
                self.go_on(feed.sequence, writing, row)?;
            }
        }
        Ok(())
    }

    /// Draws the next token from the logits of `row`; puts the answer back to its place, or ends it.
    fn go_on(
        &mut self,
        place: usize,
        mut writing: Writing<'a>,
        row: usize,
    ) -> Result<(), WorkerError> {
        let ends = self.engine.ends();
        let banned = if writing.answer.tokens() < self.spec.min_new_tokens {
            ends
        } else {
            &[]
        };
        let token = writing
            .sampler
            .sample(self.engine.logits(row), banned)
            .ok_or_else(|| WorkerError::NoLogit {
                key: writing.key.clone(),
                tokens: writing.prompt_tokens + writing.answer.tokens(),
            })?;
        let ended = if ends.contains(&token) {
            Some(AnswerEnd::EndOfSequence)
        } else if writing.answer.push(&self.engine.piece(token)) {
            Some(AnswerEnd::Stop)
        } else if writing.answer.tokens() == self.spec.max_new_tokens {
            Some(AnswerEnd::Length)
        } else {
            None
        };
        match ended {
            Some(ended) => {
                self.engine.forget(place);
                say(&EngineEvent::Record(
                    writing.finish(ended, self.engine.width()),
                ));
            }
            None => {
                writing.next = LlamaToken::new(token as i32);
                self.places[place] = Some(writing);
            }
        }
        Ok(())
    }
}

impl Writing<'_> {
    fn finish(self, ended: AnswerEnd, width: usize) -> EngineRecord {
        let new_tokens = self.answer.kept_tokens();
        let kept = self.states.len().min(new_tokens * width);
        EngineRecord {
            key: self.key,
            text: self.answer.text(),
            prompt_tokens: self.prompt_tokens,
            new_tokens,
            ended,
            context: self.context_mean,
            archetype: encode_mean(Mean::of(width, &self.states[..kept])),
            tokens: None,
        }
    }
}

/// Reads prompt and given answer.
fn read_item(engine: &mut Engine, item: EngineItem) -> Result<(), WorkerError> {
    let text = item.text.unwrap_or_default();
    let mut tokens = engine.tokenize_prompt(&item.prompt);
    let prompt_tokens = tokens.len();
    tokens.extend(engine.tokenize_answer(&text));
    let new_tokens = tokens.len() - prompt_tokens;
    check_length(&item.key, prompt_tokens, new_tokens, engine.room())?;
    let mut prompt_mean = Mean::new(engine.width());
    let mut answer_mean = Mean::new(engine.width());
    engine.read(0, 0, &tokens, |position, state| {
        if position < prompt_tokens {
            prompt_mean.add(state);
        } else {
            answer_mean.add(state);
        }
    })?;
    engine.forget(0);
    say(&EngineEvent::Record(EngineRecord {
        key: item.key,
        text,
        prompt_tokens,
        new_tokens,
        ended: AnswerEnd::Given,
        context: encode_mean(prompt_mean).unwrap_or_default(),
        archetype: encode_mean(answer_mean),
        tokens: None,
    }));
    Ok(())
}

/// Reads a prompt that nothing answers.
fn read_prompt(
    engine: &mut Engine,
    prefix: &mut SharedPrefix,
    item: EngineItem,
) -> Result<(), WorkerError> {
    let tokens = engine.tokenize_prompt(&item.prompt);
    check_length(&item.key, tokens.len(), 0, engine.room())?;
    let mut mean = Mean::new(engine.width());
    prefix.read(engine, 0, &tokens, |_, state| mean.add(state))?;
    engine.forget(0);
    say(&EngineEvent::Record(EngineRecord {
        key: item.key,
        text: String::new(),
        prompt_tokens: tokens.len(),
        new_tokens: 0,
        ended: AnswerEnd::Given,
        context: encode_mean(mean).unwrap_or_default(),
        archetype: None,
        tokens: None,
    }));
    Ok(())
}

/// Says the tokens of a prompt.
fn tokenize_item(engine: &Engine, item: EngineItem) -> Result<(), WorkerError> {
    let tokens = engine.tokenize_prompt(&item.prompt);
    say(&EngineEvent::Record(EngineRecord {
        key: item.key,
        text: String::new(),
        prompt_tokens: tokens.len(),
        new_tokens: 0,
        ended: AnswerEnd::Given,
        context: String::new(),
        archetype: None,
        tokens: Some(tokens.into_iter().map(|token| engine.name(token)).collect()),
    }));
    Ok(())
}

fn check_length(
    key: &str,
    prompt: usize,
    answer: usize,
    context: usize,
) -> Result<(), WorkerError> {
    if prompt == 0 {
        return Err(WorkerError::EmptyPrompt {
            key: key.to_owned(),
        });
    }
    if prompt + answer > context {
        return Err(WorkerError::TooLong {
            key: key.to_owned(),
            needed: prompt + answer,
            prompt,
            answer,
            context,
        });
    }
    Ok(())
}

fn encode_mean(mean: Mean) -> Option<String> {
    mean.finish().map(|mean| encode_vector(&mean))
}

/// Writes one event. Without a reader there is nobody to work for.
pub(crate) fn say(event: &EngineEvent) {
    if write_line(event).is_err() {
        std::process::exit(1);
    }
}

/// Writes one line of JSON to standard output.
pub(crate) fn write_line(value: &impl serde::Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
