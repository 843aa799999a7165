//! The life of one run: data, plugin, model, epochs, best weights, ranks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use genair_data::{Case, Dataset, ItemVectors, Statistics};
use genair_process::NoThread;
use genair_protocol::{
    ArtefactKind, BUILTIN_BACKBONES, DataFacts, Diagnostic, FEWEST_NEGATIVES, InputCount,
    InputFile, RunEvent, RunPhase, RunSpec, RunTotals, Split, WorkerRequest,
};
use serde_json::{Value, json};
use tch::Device;

use crate::batch::Batches;
use crate::calibration::{CalibrationTerm, read_associations};
use crate::checkpoint::resume::{Origin, Resume};
use crate::diagnostics::diagnostics;
use crate::epochs::{Trained, Training};
use crate::error::{During, io};
use crate::evaluation::{Evaluator, Scorer};
use crate::item_space::item_space;
use crate::lists::{COLD_SHARE, ListFacts};
use crate::parameters::Parameters;
use crate::patience::{LOAD_LIMIT, within};
use crate::plugin::Plugin;
use crate::random::Streams;
use crate::representation::{FrozenVectors, Imputation};
use crate::training::{ModelScorer, SequenceModel};
use crate::{RunErrorKind, TrainError, baselines, checkpoint, combination, device, input, machine};

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
    set_threads(spec.train.threads).during(RunPhase::Starting)?;
    let dataset = dataset(request).during(RunPhase::LoadingData)?;
    let evaluator = Evaluator::new(&dataset, &spec.eval);

    if let Some(combination) = &spec.combination {
        if checkpoint.is_some() {
            let error = RunErrorKind::Spec {
                key: "combination",
                value: format!("`{}`", spec.representation.name),
                reason: "it has no weights of its own to load a checkpoint into".to_owned(),
            };
            return Err(error.during(RunPhase::Building));
        }
        combination::run(request, combination, device, &dataset, &evaluator, emit)?;
        finish(&Trained::default(), started, emit);
        return Ok(());
    }
    let trained = match &request.plugin {
        Some(plugin) => {
            let work = ModelWork {
                request,
                started,
                device,
                dataset: &dataset,
                evaluator: &evaluator,
            };
            work.run(plugin, checkpoint, emit)?
        }
        None if checkpoint.is_none()
            && BUILTIN_BACKBONES.contains(&spec.backbone.name.as_str()) =>
        {
            let scorer = baselines::of_run(request, &dataset)?;
            emit(RunEvent::Started {
                machine: machine::facts(spec, device),
                data: data_facts(&dataset, &evaluator, request.vectors.as_ref()),
                parameters: 0,
            });
            emit(ids(&dataset));
            let facts = ListFacts::of(request, &dataset).during(RunPhase::Testing)?;
            report(&*scorer, &evaluator, &facts, emit)?;
            Trained::default()
        }
        None => {
            let reason = match checkpoint {
                Some(_) => "no plugin was given, so there is no model to load a checkpoint into",
                None => "it is not built in, and no plugin was given",
            };
            let error = RunErrorKind::Spec {
                key: "backbone.name",
                value: format!("`{}`", spec.backbone.name),
                reason: reason.to_owned(),
            };
            return Err(error.during(RunPhase::LoadingPlugin));
        }
    };
    finish(&trained, started, emit);
    Ok(())
}

/// Says that the run is done, and what it took.
fn finish(trained: &Trained, started: Instant, emit: Emit<'_>) {
    let spent = trained.before.and_since(started);
    emit(RunEvent::Finished(RunTotals {
        best_epoch: trained.best_epoch,
        epochs: trained.epochs,
        seconds: spent.seconds,
        train_seconds: trained.train_seconds,
        cpu_seconds: spent.cpu_seconds,
        peak_memory_bytes: spent.peak_memory_bytes,
    }));
}

/// The run's data, prepared or not.
pub(crate) fn dataset(request: &WorkerRequest) -> Result<Dataset, RunErrorKind> {
    let spec = &request.run.dataset;
    match &request.data {
        Some(file) => Ok(Dataset::read_prepared(
            input::check(file, "prepared data")?,
            spec,
        )?),
        None => Ok(genair_data::load(spec)?),
    }
}

/// A run that has a model.
struct ModelWork<'a> {
    request: &'a WorkerRequest,
    started: Instant,
    device: Device,
    dataset: &'a Dataset,
    evaluator: &'a Evaluator<'a>,
}

impl ModelWork<'_> {
    fn run(
        &self,
        plugin: &Path,
        checkpoint: Option<&Path>,
        emit: Emit<'_>,
    ) -> Result<Trained, TrainError> {
        let (request, dataset, device) = (self.request, self.dataset, self.device);
        let spec = &request.run;
        let plugin = Plugin::open(plugin, request.plugin_sha256.as_deref())
            .during(RunPhase::LoadingPlugin)?;
        let associations = request.associations.as_ref();
        let associations = associations
            .map(|file| read_associations(file, dataset).map(Arc::new))
            .transpose()
            .during(RunPhase::LoadingData)?;
        let calibration = CalibrationTerm::of(&spec.representation, associations.as_ref())
            .during(RunPhase::LoadingData)?;
        let vectors = request.vectors.as_ref();
        let (model, mut parameters) = model(&plugin, spec, vectors, dataset, device)?;
        let batches = match checkpoint {
            Some(file) => {
                checkpoint::load(file, &mut parameters).during(RunPhase::Building)?;
                None
            }
            None => {
                let batches = batches(spec, &model, calibration.as_ref(), dataset);
                Some(batches.during(RunPhase::LoadingData)?)
            }
        };
        emit(RunEvent::Started {
            machine: machine::facts(spec, device),
            data: data_facts(dataset, self.evaluator, request.vectors.as_ref()),
            parameters: parameters.count(),
        });
        emit(ids(dataset));
        let diagnose = |epoch| -> Result<RunEvent, RunErrorKind> {
            let rows = diagnostics(&model.items, associations.as_deref(), dataset, spec.seed)?;
            Ok(RunEvent::Diagnostics { epoch, rows })
        };
        let picture = |epoch| -> Result<RunEvent, RunErrorKind> {
            let items = item_space(&model.items, dataset)?;
            Ok(RunEvent::ItemSpace { epoch, items })
        };
        let mut trained = Trained::default();
        if let Some(batches) = batches {
            emit(diagnose(Some(0)).during(RunPhase::Building)?);
            emit(picture(Some(0)).during(RunPhase::Building)?);
            let training = Training {
                spec,
                model: &model,
                calibration,
                dataset,
                evaluator: self.evaluator,
                resume: self.resume(&parameters),
            };
            trained = training.run(&mut parameters, batches, emit)?;
        }
        let scorer = ModelScorer::new(&model, dataset).during(RunPhase::Testing)?;
        let facts = ListFacts::of(request, dataset).during(RunPhase::Testing)?;
        report(&scorer, self.evaluator, &facts, emit)?;
        emit(diagnose(None).during(RunPhase::Testing)?);
        emit(picture(None).during(RunPhase::Testing)?);
        if checkpoint.is_none() {
            save(request, &parameters, trained.best_epoch, emit).during(RunPhase::Saving)?;
        }
        Ok(trained)
    }

    /// Where the run's training is kept, if it is.
    fn resume(&self, parameters: &Parameters) -> Option<Resume> {
        let request = self.request;
        let spec = request.resume.as_ref()?;
        let machine = machine::facts(&request.run, self.device);
        let associations = request.associations.as_ref();
        let origin = Origin {
            identity: spec.identity.clone(),
            sequences_sha256: self.dataset.sequences_sha256(),
            frozen_sha256: parameters.frozen().map(|frozen| frozen.sha256.clone()),
            associations_sha256: associations.map(|file| file.sha256.clone()),
            device: machine.device,
            libtorch: machine.libtorch,
            trainer: machine.trainer,
        };
        Some(Resume::new(&request.artefacts, spec, origin, self.started))
    }
}

/// The model of a run before training.
pub(crate) fn model<'p>(
    plugin: &'p Plugin,
    spec: &RunSpec,
    vectors: Option<&InputFile>,
    dataset: &Dataset,
    device: Device,
) -> Result<(SequenceModel<'p>, Parameters), TrainError> {
    let streams = Streams::new(spec.seed);
    let frozen = FrozenVectors::of(&spec.representation, vectors, dataset, streams)
        .during(RunPhase::LoadingData)?;
    let imputation = spec.representation.imputed.as_ref();
    let imputation = imputation.map(|own| Imputation::of(own, vectors, dataset, device));
    let imputation = imputation.transpose().during(RunPhase::LoadingData)?;
    let (mut model, parameters) = SequenceModel::create(
        plugin,
        &spec.backbone.params,
        dataset,
        frozen,
        &spec.train,
        spec.seed,
        device,
    )
    .during(RunPhase::Building)?;
    model.items.impute(imputation.flatten());
    Ok((model, parameters))
}

/// The run's training batches.
fn batches<'a>(
    spec: &RunSpec,
    model: &SequenceModel<'_>,
    calibration: Option<&CalibrationTerm>,
    dataset: &'a Dataset,
) -> Result<Batches<'a>, RunErrorKind> {
    let capabilities = model.backbone.capabilities();
    let mut batches = Batches::new(dataset, capabilities, &spec.train, Streams::new(spec.seed));
    if batches.is_empty() {
        return Err(RunErrorKind::NothingToTrainOn {
            users: dataset.num_users(),
        });
    }
    if let Some(calibration) = calibration {
        batches = batches.calibrated(calibration.spec());
    }
    Ok(batches)
}

/// Metrics of both splits, of ranks and of lists, and ranks of the test split, by every protocol of the spec and of the
/// split.
pub(crate) fn report(
    scorer: &dyn Scorer,
    evaluator: &Evaluator<'_>,
    facts: &ListFacts,
    emit: Emit<'_>,
) -> Result<(), TrainError> {
    let protocols = evaluator.protocols();
    for (split, phase) in [
        (Split::Valid, RunPhase::Validating),
        (Split::Test, RunPhase::Testing),
    ] {
        let mut lists = evaluator.lists(facts, split);
        let mut list = |case: &Case<'_>, scores: &[f32]| lists.add(case, scores);
        let all = evaluator.ranks_and(scorer, split, &protocols, &mut list);
        for (&protocol, ranks) in protocols.iter().zip(all.during(phase)?) {
            let mut rows = evaluator.metrics(&ranks, split, protocol);
            if rows.is_empty() {
                // No target of the split is of this kind.
                continue;
            }
            rows.extend(lists.rows(protocol));
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
                    ranks: evaluator.by_user(ranks, split),
                });
            }
        }
        if let Some(value) = lists.cold_share().filter(|_| split == Split::Test) {
            let name = COLD_SHARE.to_owned();
            let rows = vec![Diagnostic { name, value }];
            emit(RunEvent::Diagnostics { epoch: None, rows });
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
    let path = request.artefacts.join("best.safetensors");
    let metadata = HashMap::from([
        ("run".to_owned(), serde_json::json!(request.run).to_string()),
        ("epoch".to_owned(), best_epoch.to_string()),
    ]);
    checkpoint::save(parameters, &path, metadata)?;
    let bytes = std::fs::metadata(&path).map_err(io(&path))?.len();
    let sha256 = genair_files::sha256_of_file(&path).map_err(io(&path))?;
    emit(RunEvent::Artefact {
        kind: ArtefactKind::Checkpoint,
        path: path.to_string_lossy().into_owned(),
        sha256,
        bytes,
    });
    Ok(())
}

/// Has libtorch compute on so many threads.
pub(crate) fn set_threads(threads: usize) -> Result<(), RunErrorKind> {
    if threads > 1 {
        // Its pool waits for ever for a thread that it was refused.
        let set = move || tch::set_num_threads(threads as i32);
        within(LOAD_LIMIT, set)?.ok_or_else(|| NoThread {
            work: "computes",
            source: std::io::ErrorKind::WouldBlock.into(),
        })?;
    }
    // Some of it holds for the thread that says it.
    tch::set_num_threads(threads as i32);
    tch::set_num_interop_threads(1);
    Ok(())
}

pub(crate) fn data_facts(
    dataset: &Dataset,
    evaluator: &Evaluator<'_>,
    vectors: Option<&InputFile>,
) -> Box<DataFacts> {
    let statistics = dataset.statistics();
    Box::new(DataFacts {
        users: dataset.num_users() as u64,
        items: dataset.num_items() as u64,
        interactions: dataset.num_interactions() as u64,
        cold_items: statistics.cold_items,
        sequences_sha256: dataset.sequences_sha256(),
        head_item: u64::from(statistics.head_item),
        long_user: u64::from(statistics.long_user),
        counts: input_counts(statistics, evaluator.fewest_negatives(Split::Test), vectors),
    })
}

/// What there was to begin with, and what each rule left out; of vectors what their file says, which those of other
/// programs do not.
fn input_counts(
    statistics: &Statistics,
    fewest_negatives: Option<u64>,
    vectors: Option<&InputFile>,
) -> Vec<InputCount> {
    let mut counts = Vec::new();
    let mut add = |input: &str, own: &Value, with_zeros: bool| {
        for (what, count) in own.as_object().into_iter().flatten() {
            let count = count.as_u64().filter(|&count| count > 0 || with_zeros);
            counts.extend(count.map(|count| InputCount {
                input: input.to_owned(),
                what: what.clone(),
                count,
            }));
        }
    };
    add("data", &json!({ "rows_read": statistics.rows_read }), true);
    add("data", &json!(statistics.removed), false);
    add("data", &json!({ FEWEST_NEGATIVES: fewest_negatives }), true);
    let provenance = vectors.map(|file| ItemVectors::read_provenance(&file.path));
    if let Some(Ok(provenance)) = provenance {
        add(
            "vectors",
            provenance.get("counts").unwrap_or(&Value::Null),
            true,
        );
    }
    counts
}

/// The ids that the data have.
pub(crate) fn ids(dataset: &Dataset) -> RunEvent {
    let users = 0..dataset.num_users();
    RunEvent::Ids {
        sha256: dataset.ids_sha256(),
        users: users
            .map(|user| dataset.raw_user(user).to_owned())
            .collect(),
        items: dataset
            .items()
            .map(|item| dataset.raw_item(item).to_owned())
            .collect(),
    }
}
