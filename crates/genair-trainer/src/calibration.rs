//! The calibration term of a training step, beside the recommendation loss (docs/method.md, section 6).
//!
//! Which items, with which weight, and the way back into the graph; the mathematics is
//! `genair-calibration`'s, which knows no tensors.

use std::sync::Arc;

use genair_calibration::{Associations, CalibrationLoss};
use genair_data::Dataset;
use genair_protocol::{CalibrationOn, CalibrationSpec, InputFile, RepresentationSpec};
use tch::{Device, Kind, Tensor};

use crate::batch::TrainingBatch;
use crate::loss::Loss;
use crate::representation::{GatheredItems, gather};
use crate::{RunErrorKind, input};

/// What the file of [`read_associations`] holds.
const ASSOCIATIONS: &str = "association scores";

/// The term, for any representation and backbone.
pub(crate) struct CalibrationTerm {
    spec: CalibrationSpec,
    loss: CalibrationLoss,
}

impl CalibrationTerm {
    pub(crate) fn new(spec: &CalibrationSpec, associations: Arc<Associations>) -> Self {
        Self {
            spec: spec.clone(),
            loss: CalibrationLoss::new(associations, spec.gamma),
        }
    }

    /// The term that a representation asks for; `None` where it asks for none, or for one of no
    /// weight, which costs nothing.
    ///
    /// # Errors
    /// [`RunErrorKind::MissingInput`] where there are no associations.
    pub(crate) fn of(
        representation: &RepresentationSpec,
        associations: Option<&Arc<Associations>>,
    ) -> Result<Option<Self>, RunErrorKind> {
        let spec = representation.calibration.as_ref();
        let Some(spec) = spec.filter(|spec| spec.alpha > 0.0) else {
            return Ok(None);
        };
        let what = ASSOCIATIONS;
        let associations = associations.ok_or(RunErrorKind::MissingInput { what })?;
        Ok(Some(Self::new(spec, Arc::clone(associations))))
    }

    pub(crate) fn spec(&self) -> &CalibrationSpec {
        &self.spec
    }

    /// The term of one batch, without its weight. Its differentiable scalar reaches the adapter and
    /// the tables through the item vectors, for which the gradient is known.
    pub(crate) fn of_batch(
        &mut self,
        batch: &TrainingBatch,
        items: &GatheredItems,
    ) -> Result<Loss, tch::TchError> {
        let (places, counts) = self.calibrated(batch);
        let ids: Vec<u32> = places
            .iter()
            .map(|&place| batch.distinct[place as usize] as u32)
            .collect();
        let device = items.inputs.device();
        let places_u = Tensor::f_from_slice(&places)?.f_to_device(device)?;
        let vectors_ud = gather(&items.inputs, &places_u)?;
        let numbers = vectors_ud.f_detach()?.f_to_device(Device::Cpu)?;
        let numbers = Vec::<f32>::try_from(numbers.f_view([-1])?)?;
        let term = self.loss.value_and_gradient(&numbers, &ids, &counts);
        let gradient_ud = Tensor::f_from_slice(&term.gradient)?
            .f_view_as(&vectors_ud)?
            .f_to_device(device)?;
        Ok(Loss {
            value: term.loss,
            differentiable: vectors_ud.f_mul(&gradient_ud)?.f_sum(Kind::Float)?,
        })
    }

    /// Places of the distinct items that a step calibrates, and how often each counts.
    fn calibrated(&self, batch: &TrainingBatch) -> (Vec<i64>, Vec<u32>) {
        match self.spec.on {
            CalibrationOn::Items => (batch.sampled.clone(), vec![1; batch.sampled.len()]),
            CalibrationOn::Targets => {
                let mut counts = vec![0; batch.distinct.len()];
                for &place in &batch.targets {
                    counts[place as usize] += 1;
                }
                let counted = (0..).zip(counts).filter(|&(_, count)| count > 0);
                counted.unzip()
            }
        }
    }
}

/// The term's weight at a step (from 0) of an epoch (from 1) of `steps`: alpha, once it has risen
/// linearly from 0 over the warm-up.
pub(crate) fn weight(spec: &CalibrationSpec, epoch: usize, step: usize, steps: usize) -> f64 {
    let warm_up = spec.warm_up * steps;
    let before = (epoch - 1) * steps + step;
    if before >= warm_up {
        return spec.alpha;
    }
    spec.alpha * before as f64 / warm_up as f64
}

/// The association scores of the dataset's training sequences.
///
/// # Errors
/// The errors of [`input::check`], and [`RunErrorKind::Associations`] for what is in the file.
pub(crate) fn read_associations(
    file: &InputFile,
    dataset: &Dataset,
) -> Result<Associations, RunErrorKind> {
    Ok(Associations::read(
        input::check(file, ASSOCIATIONS)?,
        dataset,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_rises_over_the_warm_up_and_stays() {
        let weights = |warm_up| -> Vec<f64> {
            let spec = CalibrationSpec {
                alpha: 0.5,
                warm_up,
                ..CalibrationSpec::default()
            };
            (1..=3)
                .flat_map(|epoch| (0..2).map(move |step| (epoch, step)))
                .map(|(epoch, step)| weight(&spec, epoch, step, 2))
                .collect()
        };
        assert_eq!(weights(0), [0.5; 6]);
        assert_eq!(weights(2), [0.0, 0.125, 0.25, 0.375, 0.5, 0.5]);
    }
}
