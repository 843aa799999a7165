//! A model in training: one epoch, and its scores.
//!
//! Shapes: `N` valid tokens, `U` distinct items of a batch, `M` targets, `n` negatives per target,
//! `D` item width, `S` state size, `I` items.

use std::ops::Range;

use genair_data::Dataset;
use genair_eval::Split;
use genair_protocol::{LossSpec, TrainSpec};
use tch::{Device, Kind, Tensor};

use crate::RunErrorKind;
use crate::batch::{Batches, TrainingBatch, tail};
use crate::evaluation::{Scorer, input_and_target};
use crate::loss::loss;
use crate::optimizer::Adam;
use crate::parameters::Parameters;
use crate::plugin::{BatchTensors, Model};
use crate::random::Streams;
use crate::representation::{ItemVectors, Outputs};

/// A backbone with its item vectors, on one device.
pub(crate) struct SequenceModel<'a> {
    pub(crate) backbone: Model<'a>,
    pub(crate) items: ItemVectors,
    pub(crate) device: Device,
}

impl SequenceModel<'_> {
    /// One epoch of training; the mean loss of its steps.
    ///
    /// # Errors
    /// [`RunErrorKind::NotFinite`] at the first loss or gradient that is not a number; the
    /// plugin's failures.
    pub(crate) fn train_epoch(
        &self,
        epoch: usize,
        batches: &mut Batches<'_>,
        spec: &TrainSpec,
        streams: Streams,
        parameters: &Parameters,
        optimizer: &mut Adam,
    ) -> Result<f64, RunErrorKind> {
        batches.start_epoch(epoch);
        let mut sum = 0.0;
        for step in 0..batches.steps() {
            let batch = batches.batch(epoch, step);
            let seed = streams.number("dropout", epoch, step);
            let (loss, states) = self.loss(&batch, &spec.loss, seed)?;
            let value = f64::try_from(&loss)?;
            let not_finite = |what: String, value| RunErrorKind::NotFinite {
                what,
                value,
                epoch,
                step: step + 1,
            };
            if !value.is_finite() {
                let states_sum = f64::try_from(states.f_sum(Kind::Float)?)?;
                if !states_sum.is_finite() {
                    return Err(not_finite(
                        "the sum of the backbone's states".to_owned(),
                        states_sum,
                    ));
                }
                return Err(not_finite("the loss".to_owned(), value));
            }
            loss.f_backward()?;
            if let Some((name, value)) = parameters.non_finite_gradient()? {
                return Err(not_finite(format!("the gradient of `{name}`"), value));
            }
            optimizer.step(parameters)?;
            sum += value;
        }
        Ok(sum / batches.steps() as f64)
    }

    /// The loss of one batch, and the states `[M, S]` behind it.
    fn loss(
        &self,
        batch: &TrainingBatch,
        spec: &LossSpec,
        seed: u64,
    ) -> Result<(Tensor, Tensor), RunErrorKind> {
        let ids = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(self.device);
        let distinct_u = ids(&batch.distinct)?;
        // Every vector is computed once per distinct item, then gathered.
        let inputs = self.items.inputs(&distinct_u)?;
        let outputs = self.items.outputs(&distinct_u, &inputs)?;
        let users = self
            .backbone
            .capabilities()
            .wants_users
            .then(|| ids(&batch.users))
            .transpose()?;
        let wanted = batch.wanted.as_deref().map(ids).transpose()?;
        let states_ms = self.backbone.encode(&BatchTensors {
            items: &inputs.f_index_select(0, &ids(&batch.tokens)?)?,
            positions: &ids(&batch.positions)?,
            lengths: &batch.lengths,
            users: users.as_ref(),
            wanted: wanted.as_ref(),
            training: Some(seed),
        })?;
        let positives =
            scores_of(&states_ms, &outputs, &ids(&batch.targets)?, 1)?.f_squeeze_dim(1)?;
        let per_target = spec.negatives as i64;
        let negatives = scores_of(&states_ms, &outputs, &ids(&batch.negatives)?, per_target)?;
        Ok((loss(spec, &positives, &negatives)?, states_ms))
    }
}

/// Scores of `per_state` chosen items for each state, `[M, per_state]`.
fn scores_of(
    states_ms: &Tensor,
    outputs: &Outputs,
    places: &Tensor,
    per_state: i64,
) -> Result<Tensor, tch::TchError> {
    let shape = [-1, per_state, states_ms.size()[1]];
    let vectors = outputs.vectors.f_index_select(0, places)?.f_view(shape)?;
    let scores = vectors
        .f_mul(&states_ms.f_unsqueeze(1)?)?
        .f_sum_dim_intlist(-1, false, Kind::Float)?;
    match &outputs.bias {
        Some(bias) => scores.f_add(&bias.f_index_select(0, places)?.f_view([-1, per_state])?),
        None => Ok(scores),
    }
}

/// A model's scores, with the item vectors of this moment.
pub(crate) struct ModelScorer<'a> {
    model: &'a SequenceModel<'a>,
    dataset: &'a Dataset,
    /// `[I + 1 (+ 1), D]`.
    inputs: Tensor,
    /// `[I + 1, S]`.
    outputs: Outputs,
}

impl<'a> ModelScorer<'a> {
    pub(crate) fn new(
        model: &'a SequenceModel<'a>,
        dataset: &'a Dataset,
    ) -> Result<Self, tch::TchError> {
        let _guard = tch::no_grad_guard();
        let (inputs, outputs) = (model.items.all_inputs()?, model.items.all_outputs());
        Ok(Self {
            model,
            dataset,
            inputs,
            outputs,
        })
    }
}

impl Scorer for ModelScorer<'_> {
    fn score(
        &self,
        users: Range<usize>,
        split: Split,
        scores: &mut Vec<f32>,
    ) -> Result<(), RunErrorKind> {
        let _guard = tch::no_grad_guard();
        let capabilities = self.model.backbone.capabilities();
        let mask = i64::from(capabilities.predicts_at_mask);
        let window = self.dataset.max_len() - mask as usize;
        let (mut tokens, mut positions) = (Vec::new(), Vec::new());
        let (mut lengths, mut last) = (Vec::new(), Vec::new());
        for user in users.clone() {
            let (input, _) = input_and_target(self.dataset, user, split);
            let input = tail(input, window);
            tokens.extend(input.iter().map(|&item| i64::from(item)));
            // The mask token's vector is the row after the last item's.
            tokens.extend((0..mask).map(|_| self.dataset.num_items() as i64 + 1));
            let length = input.len() as i64 + mask;
            positions.extend(0..length);
            lengths.push(length);
            last.push(tokens.len() as i64 - 1);
        }
        let device = self.model.device;
        let ids = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        let numbers: Vec<i64> = users.clone().map(|user| user as i64).collect();
        let numbers = capabilities
            .wants_users
            .then(|| ids(&numbers))
            .transpose()?;
        let states_bs = self.model.backbone.encode(&BatchTensors {
            items: &self.inputs.f_index_select(0, &ids(&tokens)?)?,
            positions: &ids(&positions)?,
            lengths: &lengths,
            users: numbers.as_ref(),
            wanted: Some(&ids(&last)?),
            training: None,
        })?;
        let mut all = states_bs.f_linear(&self.outputs.vectors, self.outputs.bias.as_ref())?;
        all = all.f_to_device(Device::Cpu)?.f_contiguous()?;
        scores.resize(all.numel(), 0.0);
        let len = scores.len();
        all.f_copy_data(scores, len)?;
        Ok(())
    }
}
