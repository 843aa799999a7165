//! From a catalogue to a record of each item: what is in the cache is taken, the rest is asked of the
//! engine and kept as it comes.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use genair_data::{Catalogue, Metadata};
use genair_protocol::{EngineEvent, EngineItem, EngineRecord, EngineTask, nearest};

use crate::assemble::components;
use crate::engine::{Engine, EngineError};
use crate::engine_choice::engine;
use crate::error::ArchetypeError;
use crate::installation::Installation;
use crate::progress::{GenerationProgress, Stage};
use crate::recipe::{Prompts, Recipe};
use crate::record::{RecordSettings, decode_vector};
use crate::record_log::{self, RecordLog, Records};
use crate::settings::ArchetypeSpec;

/// What came of a catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// In the catalogue's order.
    pub items: Vec<ItemArchetype>,
    /// What the records were made under: of answers, then of hidden states if they have settings of
    /// their own.
    pub settings: Vec<RecordSettings>,
    /// How many of what.
    pub counts: GenerationCounts,
}

/// An item's archetype.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemArchetype {
    /// The item's raw id.
    pub item: String,
    /// What the engine was sent; `None` where nothing is known of the item.
    pub prompt: Option<String>,
    /// What came of it, shared by items with the same prompt; there is one if there is a prompt.
    pub record: Option<Arc<EngineRecord>>,
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GenerationCounts {
    /// Items of the catalogue.
    pub items: usize,
    /// Items of which nothing is known: they have no prompt.
    pub without_metadata: usize,
    /// Items whose answer is empty; none where nothing is answered.
    pub empty_answers: usize,
    /// Different prompts.
    pub prompts: usize,
    /// Records made now, and not found in the cache.
    pub made: usize,
}

/// What the model sees for an item; `None` where nothing is known of it. For a chat on a server, what the
/// user says: the server renders the rest.
///
/// # Errors
/// The settings are wrong, or the model's chat template cannot be had or used.
pub fn prompt(
    metadata: &Metadata,
    spec: &ArchetypeSpec,
    installation: &Installation,
) -> Result<Option<String>, ArchetypeError> {
    let problems = spec.validate();
    if !problems.is_empty() {
        return Err(ArchetypeError::Settings { problems });
    }
    Ok(Prompts::new(spec, installation)?.render(metadata)?)
}

/// Has a record made of every item of which anything is known, unless the cache has it.
///
/// Blocks; `progress` is called from this thread, `interrupted` is asked every few dozen milliseconds.
/// However it ends, what was done is kept, and the next call goes on from there.
///
/// # Errors
/// Any [`ArchetypeError`]; [`ArchetypeError::is_interruption`] tells a request to stop from a failure.
pub fn generate(
    catalogue: &Catalogue,
    spec: &ArchetypeSpec,
    installation: &Installation,
    progress: &mut dyn FnMut(GenerationProgress),
    interrupted: &dyn Fn() -> bool,
) -> Result<Generated, ArchetypeError> {
    let recipe = Recipe::new(spec, installation)?;
    let prompts = render(catalogue, spec, installation)?;
    let mut session = Session {
        spec,
        installation,
        progress,
        interrupted,
        made: 0,
    };

    let settings_sha256 = recipe.answers.sha256();
    let items: Vec<Option<EngineItem>> = prompts
        .iter()
        .map(|prompt| {
            let prompt = prompt.as_ref()?;
            Some(recipe.answers.item(&settings_sha256, prompt, None))
        })
        .collect();
    let has_answers = matches!(recipe.answers.task, EngineTask::Generate(_));
    let stage = match has_answers {
        true => Stage::Answers,
        false => Stage::Prompts,
    };
    let answers = session.complete(stage, &recipe.answers, items.iter().flatten());
    let of_key = |key: &str| {
        let known = items.iter().zip(&catalogue.items);
        let own = known.filter(|(item, _)| item.as_ref().is_some_and(|item| item.key == key));
        own.map(|(_, item)| item.id.clone()).collect()
    };
    let answers = answers.map_err(|error| name_items(error, of_key))?;
    let mut records: Vec<Option<Arc<EngineRecord>>> = items
        .iter()
        .map(|item| answers.get(&item.as_ref()?.key).cloned())
        .collect();
    if let Some(states) = &recipe.states {
        records = session.add_states(states, catalogue, &prompts, &records)?;
    }

    let known = || records.iter().flatten();
    let counts = GenerationCounts {
        items: catalogue.items.len(),
        without_metadata: records.len() - known().count(),
        empty_answers: known()
            .filter(|record| has_answers && record.text.trim().is_empty())
            .count(),
        prompts: prompts.iter().flatten().collect::<HashSet<_>>().len(),
        made: session.made,
    };
    (session.progress)(GenerationProgress::Counted(counts));
    let items = catalogue.items.iter().zip(prompts).zip(records);
    Ok(Generated {
        items: items
            .map(|((item, prompt), record)| ItemArchetype {
                item: item.id.clone(),
                prompt,
                record,
            })
            .collect(),
        settings: [Some(recipe.answers), recipe.states]
            .into_iter()
            .flatten()
            .collect(),
        counts,
    })
}

/// Puts the ids of items for their keys in what an engine says of them.
fn name_items(error: ArchetypeError, of_key: impl Fn(&str) -> Vec<String>) -> ArchetypeError {
    let keys: Vec<String> = match &error {
        ArchetypeError::Engine(EngineError::Refused { keys, .. }) => keys.clone(),
        ArchetypeError::Engine(EngineError::Failed { message, .. }) => {
            let quoted = message.split('`').skip(1).step_by(2);
            quoted.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let items: Vec<String> = keys.iter().flat_map(|key| of_key(key)).collect();
    match error {
        ArchetypeError::Engine(source) if !items.is_empty() => {
            let source = Box::new(source);
            ArchetypeError::Items { items, source }
        }
        error => error,
    }
}

/// The prompt of each item, in the order of the catalogue; `None` where nothing is known of one.
pub(crate) fn render(
    catalogue: &Catalogue,
    spec: &ArchetypeSpec,
    installation: &Installation,
) -> Result<Vec<Option<String>>, ArchetypeError> {
    let prompts = Prompts::new(spec, installation)?;
    check_fields(catalogue, prompts.fields())?;
    let render = |item: &genair_data::CatalogueItem| {
        prompts
            .render(&item.metadata)
            .map_err(|source| ArchetypeError::ItemPrompt {
                item: item.id.clone(),
                source,
            })
    };
    catalogue.items.iter().map(render).collect()
}

/// Refuses a field that no item has: the prompts would lack it in silence. Items without any metadata have no prompts
/// anyway.
fn check_fields(catalogue: &Catalogue, fields: Option<&[String]>) -> Result<(), ArchetypeError> {
    let items = &catalogue.items;
    let has = |field: &String| items.iter().any(|item| item.metadata.contains_key(field));
    let Some(field) = fields.into_iter().flatten().find(|field| !has(field)) else {
        return Ok(());
    };
    let known: BTreeSet<&String> = items.iter().flat_map(|item| item.metadata.keys()).collect();
    if known.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
    Err(ArchetypeError::NoField {
        field: field.clone(),
        nearest: nearest(field, known.iter().copied()).map(str::to_owned),
        fields: known.into_iter().map(str::to_owned).collect(),
    })
}

/// One call of [`generate`].
struct Session<'a> {
    spec: &'a ArchetypeSpec,
    installation: &'a Installation,
    progress: &'a mut dyn FnMut(GenerationProgress),
    interrupted: &'a dyn Fn() -> bool,
    made: usize,
}

impl Session<'_> {
    /// The records of all items, whose keys may repeat.
    fn complete<'i>(
        &mut self,
        stage: Stage,
        settings: &RecordSettings,
        items: impl Iterator<Item = &'i EngineItem>,
    ) -> Result<Records, ArchetypeError> {
        let mut seen = HashSet::new();
        let items: Vec<&EngineItem> = items.filter(|item| seen.insert(&item.key)).collect();
        let folder = self.installation.cache.records(&settings.sha256());
        // Without the lock first: what is complete needs no turn.
        let records = record_log::read(&folder)?;
        if items.iter().all(|item| records.contains_key(&item.key)) {
            return Ok(records);
        }
        drop(records);
        let mut log = RecordLog::open(&folder, settings, self.progress, self.interrupted)?;
        let missing: Vec<EngineItem> = items
            .iter()
            .filter(|item| !log.records().contains_key(&item.key))
            .map(|&item| item.clone())
            .collect();
        if !missing.is_empty() {
            let engine = engine(stage, settings, &folder, self.spec, self.installation)?;
            self.ask(stage, engine, missing, items.len(), &folder, &mut log)?;
        }
        Ok(log.close()?)
    }

    /// Has the engine make the missing records and keeps each as it comes.
    fn ask(
        &mut self,
        stage: Stage,
        mut engine: Box<dyn Engine>,
        missing: Vec<EngineItem>,
        total: usize,
        folder: &Path,
        log: &mut RecordLog,
    ) -> Result<(), ArchetypeError> {
        let mut done = total - missing.len();
        (self.progress)(GenerationProgress::Started { stage, done, total });
        let keys: Vec<String> = missing.iter().map(|item| item.key.clone()).collect();
        let mut due: HashSet<&String> = keys.iter().collect();
        let mut vector_width = 0;
        let mut keep = |event: EngineEvent| -> Result<(), ArchetypeError> {
            match event {
                EngineEvent::Ready { engine, width, .. } => {
                    let known = log.records().values().next();
                    let known = known.map(|record| components(&record.context));
                    if let Some(stored) = known.filter(|&stored| width > 0 && stored != width) {
                        return Err(ArchetypeError::OtherWidth {
                            width,
                            stored,
                            records: log.records().len(),
                            folder: folder.to_owned(),
                        });
                    }
                    vector_width = width;
                    (self.progress)(GenerationProgress::Ready { engine });
                }
                EngineEvent::Record(record) => {
                    if !due.remove(&record.key) {
                        return Err(ArchetypeError::Unasked { key: record.key });
                    }
                    check_vectors(&record, vector_width)?;
                    log.append(record)?;
                    done += 1;
                    self.made += 1;
                    (self.progress)(GenerationProgress::Advanced { stage, done, total });
                }
                // Engines make an error of it themselves.
                EngineEvent::Failed { .. } => {}
            }
            Ok(())
        };
        let mut failure = None;
        let mut on_event = |event| match keep(event) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        };
        engine.run(missing, &mut on_event, self.interrupted)?;
        if let Some(error) = failure {
            return Err(error);
        }
        match keys.iter().find(|key| due.contains(key)) {
            None => Ok(()),
            Some(first) => Err(ArchetypeError::Missing {
                missing: due.len(),
                key: first.clone(),
            }),
        }
    }

    /// Adds vectors to records that are text alone.
    fn add_states(
        &mut self,
        settings: &RecordSettings,
        catalogue: &Catalogue,
        prompts: &[Option<String>],
        answers: &[Option<Arc<EngineRecord>>],
    ) -> Result<Vec<Option<Arc<EngineRecord>>>, ArchetypeError> {
        let sha256 = settings.sha256();
        let is_encoder = settings.task == EngineTask::Encode;
        let template = Prompts::states(self.spec, self.installation)?;
        // What is read of each item: prompt and answer at once, or each by itself.
        let mut reads = Vec::with_capacity(answers.len());
        for (prompt, answer) in prompts.iter().zip(answers) {
            let (Some(prompt), Some(answer)) = (prompt, answer) else {
                reads.push(Vec::new());
                continue;
            };
            reads.push(if is_encoder {
                let texts = [prompt.as_str(), answer.text.as_str()];
                let texts = texts.into_iter().filter(|text| !text.is_empty());
                texts
                    .map(|text| settings.item(&sha256, text, None))
                    .collect()
            } else {
                let seen = template.wrap(prompt.clone())?;
                vec![settings.item(&sha256, &seen, Some(&answer.text))]
            });
        }
        let states = self.complete(Stage::States, settings, reads.iter().flatten());
        let of_key = |key: &str| {
            let known = reads.iter().zip(&catalogue.items);
            let own = known.filter(|(reads, _)| reads.iter().any(|item| item.key == key));
            own.map(|(_, item)| item.id.clone()).collect()
        };
        let states = states.map_err(|error| name_items(error, of_key))?;
        let of = |item: &EngineItem| states.get(&item.key);
        let merged = answers.iter().zip(&reads).map(|(answer, reads)| {
            let answer = answer.as_ref()?;
            let first = of(reads.first()?)?;
            let second = reads.get(1).and_then(of);
            let archetype = if is_encoder {
                second.map(|record| record.context.clone())
            } else {
                first.archetype.clone()
            };
            let read_tokens = if is_encoder {
                second.map_or(0, |record| record.prompt_tokens)
            } else {
                first.new_tokens
            };
            Some(Arc::new(EngineRecord {
                context: first.context.clone(),
                archetype,
                // A server need not count.
                prompt_tokens: or_else(answer.prompt_tokens, first.prompt_tokens),
                new_tokens: or_else(answer.new_tokens, read_tokens),
                ..(**answer).clone()
            }))
        });
        Ok(merged.collect())
    }
}

fn or_else(count: usize, other: usize) -> usize {
    if count == 0 { other } else { count }
}

/// Whether a record has vectors of the engine's width; an engine of width 0 has none.
fn check_vectors(record: &EngineRecord, width: usize) -> Result<(), ArchetypeError> {
    let parts = [
        ("context", Some(&record.context)),
        ("archetype", record.archetype.as_ref()),
    ];
    for (part, text) in parts {
        if let Some(text) = text {
            decode_vector(text, width).map_err(|source| ArchetypeError::Vector {
                key: record.key.clone(),
                part,
                source,
            })?;
        }
    }
    Ok(())
}
