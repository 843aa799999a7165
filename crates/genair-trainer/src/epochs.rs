//! Training to the best epoch: epochs, validation, early stopping.

use std::time::Instant;

use genair_data::Dataset;
use genair_eval::{Protocol, Split};
use genair_protocol::{RunEvent, RunPhase, RunSpec, ValidationMetric};

use crate::batch::Batches;
use crate::calibration::CalibrationTerm;
use crate::error::During;
use crate::evaluation::{Evaluator, Scorer};
use crate::optimizer::Adam;
use crate::parameters::Parameters;
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
}

/// What training came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trained {
    pub(crate) best_epoch: usize,
    pub(crate) epochs: usize,
    pub(crate) train_seconds: f64,
}

impl Training<'_> {
    /// Trains until there is no better epoch within the patience, says how each went, and leaves
    /// the parameters as they were after the best.
    pub(crate) fn run(
        mut self,
        parameters: &mut Parameters,
        mut batches: Batches<'_>,
        emit: &mut dyn FnMut(RunEvent),
    ) -> Result<Trained, TrainError> {
        let (train, stop) = (&self.spec.train, &self.spec.train.stop);
        let mut optimizer = Adam::new(train.optimizer.clone(), parameters);
        let mut stopping = EarlyStopping::new(stop);
        let mut best = parameters.snapshot().during(RunPhase::Building)?;
        let mut trained = Trained::default();
        for epoch in 1..=stop.max_epochs {
            let start = Instant::now();
            let loss = self
                .model
                .train_epoch(
                    epoch,
                    &mut batches,
                    train,
                    self.calibration.as_mut(),
                    parameters,
                    &mut optimizer,
                )
                .during(RunPhase::Training)?;
            let train_seconds = start.elapsed().as_secs_f64();
            trained.train_seconds += train_seconds;
            trained.epochs = epoch;
            let (mut valid, mut verdict) = (None, Verdict::default());
            if epoch % stop.eval_every == 0 || epoch == stop.max_epochs {
                let value = self.validate(stop.metric).during(RunPhase::Validating)?;
                verdict = stopping.observe(epoch, value);
                valid = Some(value);
                if verdict.best {
                    best = parameters.snapshot().during(RunPhase::Validating)?;
                }
            }
            emit(RunEvent::Epoch {
                epoch,
                max_epochs: stop.max_epochs,
                loss: loss.recommendation,
                calibration: loss.calibration,
                train_seconds,
                valid,
                best: verdict.best,
            });
            if verdict.stop {
                break;
            }
        }
        trained.best_epoch = stopping.best_epoch();
        parameters.restore(&best).during(RunPhase::Testing)?;
        Ok(trained)
    }

    /// The early-stopping metric on the validation split, full ranking.
    fn validate(&self, metric: ValidationMetric) -> Result<f64, RunErrorKind> {
        let scorer: &dyn Scorer = &ModelScorer::new(self.model, self.dataset)?;
        let ranks = self
            .evaluator
            .ranks(scorer, Split::Valid, &[Protocol::Full])?;
        let users = ranks[0].len() as f64;
        let sum: f64 = ranks[0]
            .iter()
            .map(|&rank| metric.metric.of_rank(rank, metric.k))
            .sum();
        Ok(sum / users)
    }
}
