//! The life of one run: data, plugin, model, epochs, best weights, ranks.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use genair_data::Dataset;
use genair_eval::{EvalSpec, Protocol, Split};
use genair_protocol::{
    ArtefactKind, BUILTIN_BACKBONES, DataFacts, MachineFacts, RunEvent, RunPhase, RunSpec,
    RunTotals, ValidationMetric, WorkerRequest,
};
use tch::Device;

use crate::batch::Batches;
use crate::error::During;
use crate::evaluation::{Evaluator, Scorer};
use crate::optimizer::Adam;
use crate::parameters::Parameters;
use crate::plugin::{Plugin, file_sha256};
use crate::popularity::Popularity;
use crate::random::Streams;
use crate::stopping::EarlyStopping;
use crate::training::{ModelScorer, SequenceModel};
use crate::{RunErrorKind, TrainError, checkpoint, device, machine};

/// Where a run's events go.
type Emit<'a> = &'a mut dyn FnMut(RunEvent);

/// Does the run and says how it goes; `failed` is for the caller to say.
///
/// # Errors
/// Why there are no results.
pub fn run(request: &WorkerRequest, emit: Emit<'_>) -> Result<(), TrainError> {
    work(request, None, emit)
}

/// Does the run with the weights of a file instead of training: the same events but for epochs
/// and the checkpoint.
///
/// The file is a checkpoint of a run, or PyTorch weights of the published GenAIR code, RecBole's
/// Caser or the original one, recognised by their names. Every tensor must fit the model, and the
/// model must get every tensor. Rows of such weights that have no meaning here are left out: row 0
/// (padding) of position and user tables, position rows beyond the window, and the row after the
/// last item where the model has no mask token.
///
/// # Errors
/// Why there are no results.
pub fn evaluate(
    request: &WorkerRequest,
    checkpoint: &Path,
    emit: Emit<'_>,
) -> Result<(), TrainError> {
    work(request, Some(checkpoint), emit)
}

fn work(
    request: &WorkerRequest,
    checkpoint: Option<&Path>,
    emit: Emit<'_>,
) -> Result<(), TrainError> {
    let started = Instant::now();
    let spec = &request.run;
    let device = device::choose(&spec.train.device).during(RunPhase::Starting)?;
    set_threads(spec.train.threads);
    let dataset = genair_data::load(&spec.dataset).during(RunPhase::LoadingData)?;
    let evaluator = Evaluator::new(&dataset, &spec.eval, spec.seed);

    let trained = match &request.plugin {
        Some(path) => {
            let plugin = Plugin::open(path, request.plugin_sha256.as_deref())
                .during(RunPhase::LoadingPlugin)?;
            let (model, mut parameters) = SequenceModel::create(
                &plugin,
                &spec.backbone.params,
                &dataset,
                &spec.train,
                spec.seed,
                device,
            )
            .during(RunPhase::Building)?;
            if let Some(file) = checkpoint {
                checkpoint::load(file, &mut parameters).during(RunPhase::Building)?;
            }
            let start = || RunEvent::Started {
                machine: machine_facts(spec, device),
                data: data_facts(&dataset),
                parameters: parameters.count(),
            };
            match checkpoint {
                Some(_) => {
                    emit(start());
                    let scorer = ModelScorer::new(&model, &dataset).during(RunPhase::Validating)?;
                    report(&scorer, &evaluator, &spec.eval, emit)?;
                    Trained::default()
                }
                None => {
                    let batches = batches(spec, &model, &dataset).during(RunPhase::LoadingData)?;
                    emit(start());
                    train(
                        request,
                        &model,
                        &mut parameters,
                        batches,
                        &dataset,
                        &evaluator,
                        emit,
                    )?
                }
            }
        }
        None if checkpoint.is_some() => {
            return Err(RunErrorKind::Spec {
                key: "backbone.name",
                value: format!("`{}`", spec.backbone.name),
                reason: "no plugin was given, so there is no model to load a checkpoint into"
                    .to_owned(),
            }
            .during(RunPhase::LoadingPlugin));
        }
        None if BUILTIN_BACKBONES.contains(&spec.backbone.name.as_str()) => {
            emit(RunEvent::Started {
                machine: machine_facts(spec, device),
                data: data_facts(&dataset),
                parameters: 0,
            });
            report(&Popularity::new(&dataset), &evaluator, &spec.eval, emit)?;
            Trained::default()
        }
        None => {
            return Err(RunErrorKind::Spec {
                key: "backbone.name",
                value: format!("`{}`", spec.backbone.name),
                reason: "it is not built in, and no plugin was given".to_owned(),
            }
            .during(RunPhase::LoadingPlugin));
        }
    };
    emit(RunEvent::Finished(RunTotals {
        best_epoch: trained.best_epoch,
        epochs: trained.epochs,
        seconds: started.elapsed().as_secs_f64(),
        train_seconds: trained.train_seconds,
        cpu_seconds: machine::cpu_time().map(|time| time.as_secs_f64()),
        peak_memory_bytes: machine::peak_memory(),
    }));
    Ok(())
}

/// What training came to.
#[derive(Clone, Copy, Debug, Default)]
struct Trained {
    best_epoch: usize,
    epochs: usize,
    train_seconds: f64,
}

/// The run's training batches.
fn batches<'a>(
    spec: &RunSpec,
    model: &SequenceModel<'_>,
    dataset: &'a Dataset,
) -> Result<Batches<'a>, RunErrorKind> {
    let capabilities = model.backbone.capabilities();
    let batches = Batches::new(dataset, capabilities, &spec.train, Streams::new(spec.seed));
    if batches.is_empty() {
        return Err(RunErrorKind::NothingToTrainOn {
            users: dataset.num_users(),
        });
    }
    Ok(batches)
}

/// Trains a model, restores its best epoch, saves it and reports its metrics and ranks.
fn train(
    request: &WorkerRequest,
    model: &SequenceModel<'_>,
    parameters: &mut Parameters,
    mut batches: Batches<'_>,
    dataset: &Dataset,
    evaluator: &Evaluator<'_>,
    emit: Emit<'_>,
) -> Result<Trained, TrainError> {
    let spec = &request.run;
    let streams = Streams::new(spec.seed);
    let mut optimizer = Adam::new(spec.train.optimizer.clone(), parameters);
    let mut stopping = EarlyStopping::new(&spec.train.stop);
    let mut best = parameters.snapshot().during(RunPhase::Building)?;
    let mut trained = Trained::default();
    let stop = &spec.train.stop;
    for epoch in 1..=stop.max_epochs {
        let start = Instant::now();
        let loss = model
            .train_epoch(
                epoch,
                &mut batches,
                &spec.train,
                streams,
                parameters,
                &mut optimizer,
            )
            .during(RunPhase::Training)?;
        let train_seconds = start.elapsed().as_secs_f64();
        trained.train_seconds += train_seconds;
        trained.epochs = epoch;
        let mut event = EpochEvent {
            epoch,
            loss,
            train_seconds,
            valid: None,
            best: false,
        };
        if epoch % stop.eval_every == 0 || epoch == stop.max_epochs {
            let scorer = ModelScorer::new(model, dataset).during(RunPhase::Validating)?;
            let value = validate(&scorer, evaluator, stop.metric).during(RunPhase::Validating)?;
            let verdict = stopping.observe(epoch, value);
            event = EpochEvent {
                valid: Some(value),
                best: verdict.best,
                ..event
            };
            if verdict.best {
                best = parameters.snapshot().during(RunPhase::Validating)?;
            }
            event.emit(stop.max_epochs, emit);
            if verdict.stop {
                break;
            }
        } else {
            event.emit(stop.max_epochs, emit);
        }
    }
    trained.best_epoch = stopping.best_epoch();
    parameters.restore(&best).during(RunPhase::Testing)?;
    let scorer = ModelScorer::new(model, dataset).during(RunPhase::Testing)?;
    report(&scorer, evaluator, &spec.eval, emit)?;
    save(request, parameters, trained.best_epoch, emit).during(RunPhase::Saving)?;
    Ok(trained)
}

struct EpochEvent {
    epoch: usize,
    loss: f64,
    train_seconds: f64,
    valid: Option<f64>,
    best: bool,
}

impl EpochEvent {
    fn emit(&self, max_epochs: usize, emit: Emit<'_>) {
        let &Self {
            epoch,
            loss,
            train_seconds,
            valid,
            best,
        } = self;
        emit(RunEvent::Epoch {
            epoch,
            max_epochs,
            loss,
            train_seconds,
            valid,
            best,
        });
    }
}

/// The early-stopping metric on the validation split, full ranking.
fn validate(
    scorer: &dyn Scorer,
    evaluator: &Evaluator<'_>,
    metric: ValidationMetric,
) -> Result<f64, RunErrorKind> {
    let ranks = evaluator.ranks(scorer, Split::Valid, &[Protocol::Full])?;
    let users = ranks[0].len() as f64;
    let sum: f64 = ranks[0]
        .iter()
        .map(|&rank| metric.metric.of_rank(rank, metric.k))
        .sum();
    Ok(sum / users)
}

/// Metrics of both splits and ranks of the test split, by every protocol of the spec.
fn report(
    scorer: &dyn Scorer,
    evaluator: &Evaluator<'_>,
    spec: &EvalSpec,
    emit: Emit<'_>,
) -> Result<(), TrainError> {
    for (split, phase) in [
        (Split::Valid, RunPhase::Validating),
        (Split::Test, RunPhase::Testing),
    ] {
        let all = evaluator
            .ranks(scorer, split, &spec.protocols)
            .during(phase)?;
        for (&protocol, ranks) in spec.protocols.iter().zip(all) {
            let rows = evaluator.metrics(&ranks, split).during(phase)?;
            emit(RunEvent::Metrics {
                epoch: None,
                split,
                protocol,
                rows,
            });
            if split == Split::Test {
                emit(RunEvent::Ranks {
                    split,
                    protocol,
                    ranks,
                });
            }
        }
    }
    Ok(())
}

/// Writes the weights as the run's checkpoint.
fn save(
    request: &WorkerRequest,
    parameters: &Parameters,
    best_epoch: usize,
    emit: Emit<'_>,
) -> Result<(), RunErrorKind> {
    let folder = &request.artefacts;
    std::fs::create_dir_all(folder).map_err(|source| RunErrorKind::Io {
        path: folder.clone(),
        source,
    })?;
    let path = folder.join("best.safetensors");
    let metadata = HashMap::from([
        ("run".to_owned(), serde_json::json!(request.run).to_string()),
        ("epoch".to_owned(), best_epoch.to_string()),
    ]);
    checkpoint::save(parameters, &path, metadata)?;
    let bytes = std::fs::metadata(&path)
        .map_err(|source| RunErrorKind::Io {
            path: path.clone(),
            source,
        })?
        .len();
    let sha256 = file_sha256(&path)?;
    let path = path.to_string_lossy().into_owned();
    emit(RunEvent::Artefact {
        kind: ArtefactKind::Checkpoint,
        path,
        sha256,
        bytes,
    });
    Ok(())
}

fn set_threads(threads: usize) {
    tch::set_num_threads(threads as i32);
    tch::set_num_interop_threads(1);
}

fn machine_facts(spec: &RunSpec, device: Device) -> MachineFacts {
    MachineFacts {
        host: machine::host(),
        device: device::name(device),
        threads: spec.train.threads,
        libtorch: device::loaded_version().unwrap_or_else(|| "unknown".to_owned()),
        trainer: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn data_facts(dataset: &Dataset) -> DataFacts {
    let statistics = dataset.statistics();
    DataFacts {
        users: dataset.num_users() as u64,
        items: dataset.num_items() as u64,
        interactions: dataset.num_interactions() as u64,
        sequences_sha256: dataset.sequences_sha256(),
        head_item: u64::from(statistics.head_item),
        long_user: u64::from(statistics.long_user),
    }
}
