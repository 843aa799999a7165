//! Training to the best epoch: epochs, validation, early stopping; going on where a checkpoint is.

use std::time::Instant;

use genair_data::Dataset;
use genair_protocol::{Protocol, RunEvent, RunPhase, RunSpec, Split, ValidationMetric};
use tch::Tensor;

use crate::batch::Batches;
use crate::calibration::CalibrationTerm;
use crate::checkpoint::resume::{Resume, Spent};
use crate::error::During;
use crate::evaluation::{Evaluator, Scorer};
use crate::optimizer::Adam;
use crate::parameters::Parameters;
use crate::schedule::drops;
use crate::stopping::{EarlyStopping, Verdict};
use crate::training::{ModelScorer, SequenceModel};
use crate::{RunErrorKind, TrainError};

/// What a run trains with.
pub(crate) struct Training<'a> {
    pub(crate) spec: &'a RunSpec,
    pub(crate) model: &'a SequenceModel<'a>,
    pub(crate) calibration: Option<CalibrationTerm>,
    pub(crate) dataset: &'a Dataset,
    pub(crate) evaluator: &'a Evaluator<'a>,
    /// Where training begins and is kept, if it is to survive its worker.
    pub(crate) resume: Option<Resume>,
}

/// How far training is. With the parameters, all that the next epoch depends on.
pub(crate) struct Progress {
    /// The last epoch trained; 0 before the first.
    pub(crate) epoch: usize,
    /// Whether it was the last of all.
    pub(crate) ended: bool,
    pub(crate) optimizer: Adam,
    pub(crate) stopping: EarlyStopping,
    /// Weights after the best epoch; those of the start before the first validation.
    pub(crate) best: Vec<Tensor>,
    pub(crate) train_seconds: f64,
    /// What was said of each epoch.
    pub(crate) said: Vec<RunEvent>,
}

/// What training came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trained {
    pub(crate) best_epoch: usize,
    pub(crate) epochs: usize,
    pub(crate) train_seconds: f64,
    /// What earlier workers took of what is kept of theirs.
    pub(crate) before: Spent,
}

impl Training<'_> {
    /// Trains until there is no better epoch within the patience, says how each went, and leaves
    /// the parameters as they were after the best. Goes on from the resume checkpoint, if there is one.
    pub(crate) fn run(
        mut self,
        parameters: &mut Parameters,
        mut batches: Batches<'_>,
        emit: &mut dyn FnMut(RunEvent),
    ) -> Result<Trained, TrainError> {
        let train = &self.spec.train;
        let mut progress = Progress {
            epoch: 0,
            ended: false,
            optimizer: Adam::new(train.optimizer.clone(), parameters),
            stopping: EarlyStopping::new(&train.stop),
            best: parameters.snapshot().during(RunPhase::Building)?,
            train_seconds: 0.0,
            said: Vec::new(),
        };
        if let Some(resume) = &mut self.resume {
            match resume.load(parameters, &mut progress) {
                Ok(false) => {}
                Ok(true) => {
                    let epoch = progress.epoch;
                    emit(RunEvent::Resumed { epoch });
                    progress.said.iter().cloned().for_each(&mut *emit);
                }
                Err(error) => {
                    let reason = error.to_string();
                    emit(RunEvent::StartedOver { reason });
                }
            }
        }
        while !progress.ended {
            let said = self.epoch(&mut progress, parameters, &mut batches)?;
            progress.said.push(said.clone());
            // First: whoever hears of the epoch may end this process.
            if let Some(resume) = &mut self.resume {
                resume.keep(parameters, &progress);
            }
            emit(said);
        }
        parameters
            .restore(&progress.best)
            .during(RunPhase::Testing)?;
        Ok(Trained {
            best_epoch: progress.stopping.best_epoch(),
            epochs: progress.epoch,
            train_seconds: progress.train_seconds,
            before: self
                .resume
                .map(|resume| resume.before())
                .unwrap_or_default(),
        })
    }

    /// Trains the next epoch, and validates it if it is one of those.
    fn epoch(
        &mut self,
        progress: &mut Progress,
        parameters: &Parameters,
        batches: &mut Batches<'_>,
    ) -> Result<RunEvent, TrainError> {
        let (train, stop) = (&self.spec.train, &self.spec.train.stop);
        let epoch = progress.epoch + 1;
        let start = Instant::now();
        let validated = progress.said.iter().filter_map(|event| match event {
            RunEvent::Epoch { valid, .. } => *valid,
            _ => None,
        });
        let drops = drops(validated, train.optimizer.schedule.patience);
        let loss = self
            .model
            .train_epoch(
                epoch,
                batches,
                train,
                self.calibration.as_mut(),
                parameters,
                (&mut progress.optimizer, drops),
            )
            .during(RunPhase::Training)?;
        let train_seconds = start.elapsed().as_secs_f64();
        let (mut valid, mut verdict) = (None, Verdict::default());
        if epoch.is_multiple_of(stop.eval_every) || epoch == stop.max_epochs {
            let value = self.validate(stop.metric).during(RunPhase::Validating)?;
            verdict = progress.stopping.observe(epoch, value);
            valid = Some(value);
            if verdict.best {
                progress.best = parameters.snapshot().during(RunPhase::Validating)?;
            }
        }
        progress.epoch = epoch;
        progress.ended = verdict.stop || epoch >= stop.max_epochs;
        progress.train_seconds += train_seconds;
        Ok(RunEvent::Epoch {
            epoch,
            max_epochs: stop.max_epochs,
            loss: loss.recommendation,
            calibration: loss.calibration,
            train_seconds,
            valid,
            best: verdict.best,
        })
    }

    /// The early-stopping metric on the validation split, full ranking.
    fn validate(&self, metric: ValidationMetric) -> Result<f64, RunErrorKind> {
        let scorer: &dyn Scorer = &ModelScorer::new(self.model, self.dataset)?;
        let ranks = self
            .evaluator
            .ranks(scorer, Split::Valid, &[Protocol::Full])?;
        Ok(self.evaluator.stopping_value(&ranks[0], metric))
    }
}
