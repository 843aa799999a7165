//! Which engine a spec asks for: each stage's, ready to run, and the one that cuts a prompt into tokens.

use std::ops::ControlFlow;
use std::path::Path;

use genair_protocol::{EngineEvent, EngineRequest, EngineTask};

use crate::assemble::RecordParts;
use crate::engine::{ApiKey, Engine, FakeEngine, WorkerEngine, completions, embeddings};
use crate::error::ArchetypeError;
use crate::installation::Installation;
use crate::models;
use crate::progress::Stage;
use crate::recipe::{ENCODER_ENGINE, LLAMA_ENGINE, Recipe, local_model};
use crate::record::RecordSettings;
use crate::settings::{ArchetypeSpec, EngineKind, HttpSpec, StateSource};

/// The tokens of a prompt as the model on this machine cuts it.
///
/// # Errors
/// There is no such model or worker, or it fails.
pub fn tokens(
    prompt: &str,
    spec: &ArchetypeSpec,
    installation: &Installation,
) -> Result<Vec<String>, ArchetypeError> {
    let folder = tempfile::tempdir().map_err(|source| ArchetypeError::Temporary { source })?;
    let settings = Recipe::new(spec, installation)?.answers;
    let item = settings.item(&settings.sha256(), prompt, None);
    let kind = match spec.engine {
        EngineKind::OpenAi => states_engine(spec),
        kind => kind,
    };
    let mut engine = local_engine(
        kind,
        EngineTask::Tokenize,
        folder.path(),
        spec,
        installation,
    )?;
    let mut tokens = Vec::new();
    let mut on_event = |event| {
        if let EngineEvent::Record(record) = event {
            tokens = record.tokens.unwrap_or_default();
        }
        ControlFlow::Continue(())
    };
    engine.run(vec![item], &mut on_event, &|| false)?;
    Ok(tokens)
}

/// The engine of a stage. Its request and log go to `folder`.
pub(crate) fn engine(
    stage: Stage,
    settings: &RecordSettings,
    folder: &Path,
    spec: &ArchetypeSpec,
    installation: &Installation,
) -> Result<Box<dyn Engine>, ArchetypeError> {
    let kind = match stage {
        Stage::Answers | Stage::Prompts => spec.engine,
        Stage::States => states_engine(spec),
    };
    if let (EngineKind::OpenAi, Some(http), Some(server)) = (kind, &spec.http, &settings.server) {
        let key = api_key(http)?;
        return Ok(match spec.parts {
            RecordParts::Text => Box::new(embeddings(http, server, key)?),
            RecordParts::Archetype | RecordParts::Context => {
                Box::new(completions(http, server, &spec.generation, key)?)
            }
        });
    }
    local_engine(kind, settings.task.clone(), folder, spec, installation)
}

/// What reads the answers of a server.
fn states_engine(spec: &ArchetypeSpec) -> EngineKind {
    match spec.states {
        Some(StateSource::Encoder) => EngineKind::Encoder,
        Some(StateSource::Local) | None => EngineKind::LlamaCpp,
    }
}

/// An engine on this machine; its request and log go to `folder`.
fn local_engine(
    kind: EngineKind,
    task: EngineTask,
    folder: &Path,
    spec: &ArchetypeSpec,
    installation: &Installation,
) -> Result<Box<dyn Engine>, ArchetypeError> {
    if kind == EngineKind::Fake {
        let settings = installation.fake_engine.as_ref();
        return Ok(Box::new(FakeEngine {
            task,
            waits_for: settings.and_then(|settings| settings.waits_for.clone()),
            parallel: spec.parallel,
        }));
    }
    let (program, engine) = match kind {
        EngineKind::Encoder => (&installation.encoder, ENCODER_ENGINE),
        _ => (&installation.llama, LLAMA_ENGINE),
    };
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
    Ok(Box::new(WorkerEngine {
        program: program.clone(),
        engine: engine.to_owned(),
        request: EngineRequest {
            model: models::path(local_model(spec), installation)?,
            task,
            parallel: spec.parallel,
            threads: spec.threads.unwrap_or_else(cores),
        },
        folder: folder.to_owned(),
    }))
}

/// The key that the settings name, if they name one.
pub(crate) fn api_key(http: &HttpSpec) -> Result<Option<ApiKey>, ArchetypeError> {
    let Some(variable) = &http.api_key_env else {
        return Ok(None);
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a secret belongs in no spec; the variable is named there, and decides no result"
    )]
    let value = std::env::var(variable);
    match value {
        Ok(value) => Ok(Some(ApiKey::new(variable, &value))),
        Err(_) => Err(ArchetypeError::NoKey {
            variable: variable.clone(),
        }),
    }
}
