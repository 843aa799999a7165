//! A model in training: one epoch, and its scores.
//!
//! Shapes: `N` valid tokens, `U` distinct items of a batch, `M` targets, `n` negatives per target,
//! `D` item width, `S` state size, `I` items.

use genair_abi::CreateContext;
use genair_data::Dataset;
use genair_protocol::{LossSpec, NegativesFor, ScoreSpec, TrainSpec};
use tch::{Device, Kind, Tensor};

use crate::RunErrorKind;
use crate::autocast::Autocast;
use crate::batch::{Batches, TrainingBatch, padding_places, tail};
use crate::calibration::{CalibrationTerm, weight};
use crate::evaluation::{Input, Scorer};
use crate::loss::{Loss, LossInput, loss};
use crate::optimizer::{Adam, Gradient};
use crate::parameters::Parameters;
use crate::plugin::{BatchTensors, Model, Plugin, device_number};
use crate::random::Streams;
use crate::representation::{
    Catalogue, FrozenVectors, GatheredItems, ItemCounts, ItemVectors, Outputs, gather,
};
use crate::schedule::{Place, factor};
use crate::score;

/// What one epoch came to: means of its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EpochLoss {
    /// The recommendation loss alone.
    pub(crate) recommendation: f64,
    /// The calibration term before its weight, where there is one.
    pub(crate) calibration: Option<f64>,
}

/// A backbone with its item vectors, on one device.
pub(crate) struct SequenceModel<'a> {
    pub(crate) backbone: Model<'a>,
    pub(crate) items: ItemVectors,
    pub(crate) device: Device,
    score: ScoreSpec,
    /// For training; evaluation is in float32.
    autocast: Autocast,
}

impl<'a> SequenceModel<'a> {
    /// Builds a backbone and its item vectors for a dataset, learned from nothing where none are
    /// `frozen`; also every parameter of both.
    ///
    /// # Errors
    /// The plugin's refusals; widths that contradict each other.
    pub(crate) fn create(
        plugin: &'a Plugin,
        params: &serde_json::Map<String, serde_json::Value>,
        dataset: &Dataset,
        frozen: Option<FrozenVectors>,
        spec: &TrainSpec,
        seed: u64,
        device: Device,
    ) -> Result<(Self, Parameters), RunErrorKind> {
        let mut parameters = Parameters::new(spec.init, Streams::new(seed), device);
        let context = CreateContext {
            max_len: dataset.max_len(),
            users: dataset.num_users(),
            device: device_number(device),
        };
        let backbone = Model::create(plugin, params, context, &mut parameters)?;
        let items = ItemVectors::create(
            ItemCounts::of(dataset),
            frozen,
            backbone.capabilities(),
            &mut parameters,
        )?;
        Ok((
            Self {
                backbone,
                items,
                device,
                score: spec.score,
                autocast: Autocast::new(spec.precision, device)?,
            },
            parameters,
        ))
    }

    /// One epoch of training. `drops` are those of the learning rate's schedule so far.
    ///
    /// # Errors
    /// [`RunErrorKind::NotFinite`] at the first loss or gradient that is not a number; the
    /// plugin's failures.
    pub(crate) fn train_epoch(
        &self,
        epoch: usize,
        batches: &mut Batches<'_>,
        spec: &TrainSpec,
        mut calibration: Option<&mut CalibrationTerm>,
        parameters: &Parameters,
        (optimizer, drops): (&mut Adam, usize),
    ) -> Result<EpochLoss, RunErrorKind> {
        batches.start_epoch(epoch);
        let steps = batches.steps();
        let (mut recommendation, mut calibrated) = (0.0, 0.0);
        for step in 0..steps {
            let batch = batches.batch(epoch, step);
            let seed = batches.streams().number("dropout", epoch, step);
            let mut forward = self.forward(&batch, &spec.loss, seed)?;
            let value = forward.loss.value;
            let not_finite = |what: &str, value| RunErrorKind::NotFinite {
                what: what.to_owned(),
                value,
                epoch,
                step: step + 1,
            };
            if !value.is_finite() {
                let states = f64::try_from(forward.states_ms.f_sum(Kind::Float)?)?;
                return Err(if states.is_finite() {
                    not_finite("the loss", value)
                } else {
                    not_finite("the sum of the backbone's states", states)
                });
            }
            recommendation += value;
            if let Some(calibration) = &mut calibration {
                let term = calibration.of_batch(&batch, &forward.items)?;
                if !term.value.is_finite() {
                    return Err(not_finite("the calibration term", term.value));
                }
                let weight = weight(calibration.spec(), epoch, step, steps);
                forward.loss.add(&term, weight)?;
                calibrated += term.value;
            }
            let gradients = forward.gradients(&batch, parameters)?;
            let place = Place {
                epoch,
                step,
                steps,
                max_epochs: spec.stop.max_epochs,
            };
            optimizer.set_rate_factor(factor(&spec.optimizer.schedule, place, drops));
            optimizer
                .step(parameters, &gradients)
                .map_err(|error| error.at(epoch, step + 1))?;
            parameters.shorten()?;
        }
        Ok(EpochLoss {
            recommendation: recommendation / steps as f64,
            calibration: calibration.map(|_| calibrated / steps as f64),
        })
    }

    /// The recommendation loss of one batch.
    pub(crate) fn forward(
        &self,
        batch: &TrainingBatch,
        spec: &LossSpec,
        seed: u64,
    ) -> Result<Forward, RunErrorKind> {
        let ids = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(self.device);
        // Every vector is computed once per distinct item, then gathered.
        let items = self
            .autocast
            .run(|| self.items.gather(&batch.distinct, Some(seed)))?;
        let users = self
            .backbone
            .capabilities()
            .wants_users
            .then(|| ids(&batch.users))
            .transpose()?;
        let (tokens, positions) = (items.tokens(&ids(&batch.tokens)?)?, ids(&batch.positions)?);
        let input = BatchTensors {
            items: &tokens,
            positions: &positions,
            lengths: &batch.lengths,
            users: users.as_ref(),
            wanted: batch.wanted.as_deref(),
            training: Some(seed),
        };
        let states_ms = self.autocast.run(|| self.encode(&input))?;
        let (scored_ms, outputs) = score::prepared(self.score, &states_ms, &items.outputs)?;
        let rows = if spec.negatives_for == NegativesFor::Batch {
            1
        } else {
            states_ms.size()[0]
        };
        let log_probability = batch
            .log_probability
            .as_deref()
            .map(|values| Tensor::f_from_slice(values)?.f_to_device(self.device));
        let negatives = ids(&batch.negatives)?;
        let loss = loss(
            spec,
            &LossInput {
                states_ms: &scored_ms,
                outputs: &outputs,
                targets_m: &ids(&batch.targets)?,
                negatives: &negatives.f_view([rows, negatives.numel() as i64 / rows.max(1)])?,
                log_probability_u: log_probability.transpose()?.as_ref(),
                items: self.items.counts().warm,
            },
        )?;
        Ok(Forward {
            loss,
            states_ms,
            items,
        })
    }
}

impl SequenceModel<'_> {
    /// States `[M, S]` of a batch. Of several views each is encoded by itself, and the states are concatenated.
    fn encode(&self, batch: &BatchTensors<'_>) -> Result<Tensor, RunErrorKind> {
        let views = self.items.views();
        if views == 1 {
            return self.backbone.encode(batch);
        }
        let width = batch.items.size()[1] / views;
        let states = (0..views).map(|view| {
            let items = batch
                .items
                .f_narrow(1, view * width, width)?
                .f_contiguous()?;
            self.backbone.encode(&BatchTensors {
                items: &items,
                // Each view drops other elements.
                training: batch.training.map(|seed| seed.wrapping_add(view as u64)),
                ..*batch
            })
        });
        let states = states.collect::<Result<Vec<_>, RunErrorKind>>()?;
        Ok(Tensor::f_cat(&states, 1)?)
    }
}

/// One forward pass, ready to be differentiated.
pub(crate) struct Forward {
    pub(crate) loss: Loss,
    pub(crate) states_ms: Tensor,
    pub(crate) items: GatheredItems,
}

impl Forward {
    /// The gradient of every parameter, in their order. Tables get theirs by row: a dense gradient
    /// would be as large as the catalogue and almost all zero.
    pub(crate) fn gradients(
        &self,
        batch: &TrainingBatch,
        parameters: &Parameters,
    ) -> Result<Vec<Gradient>, tch::TchError> {
        let inputs: Vec<&Tensor> = parameters
            .named()
            .iter()
            .map(|(name, tensor)| self.items.rows_of(name).unwrap_or(tensor))
            .collect();
        let gradients =
            Tensor::f_run_backward(&[&self.loss.differentiable], &inputs, false, false)?;
        let named = parameters.named().iter().zip(gradients);
        Ok(named
            .map(|((name, _), gradient)| {
                if !gradient.defined() {
                    Gradient::None
                } else if self.items.rows_of(name).is_some() {
                    Gradient::Rows {
                        rows: batch.distinct.clone(),
                        values: gradient,
                    }
                } else {
                    Gradient::Dense(gradient)
                }
            })
            .collect())
    }
}

/// A model's scores, with the item vectors of this moment.
pub(crate) struct ModelScorer<'a> {
    model: &'a SequenceModel<'a>,
    dataset: &'a Dataset,
    items: Catalogue,
    outputs: Outputs,
}

impl<'a> ModelScorer<'a> {
    pub(crate) fn new(
        model: &'a SequenceModel<'a>,
        dataset: &'a Dataset,
    ) -> Result<Self, tch::TchError> {
        let items = model.items.catalogue()?;
        Ok(Self {
            model,
            dataset,
            outputs: score::of_items(model.score, &items.outputs)?,
            items,
        })
    }
}

impl Scorer for ModelScorer<'_> {
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind> {
        let _guard = tch::no_grad_guard();
        let capabilities = self.model.backbone.capabilities();
        let mask = i64::from(capabilities.predicts_at_mask);
        let window = self.dataset.max_len() - mask as usize;
        let (mut tokens, mut positions) = (Vec::new(), Vec::new());
        let (mut lengths, mut last) = (Vec::new(), Vec::new());
        for input in inputs {
            let input = tail(input.items, window);
            let padding = padding_places(capabilities.padding, window, input.len());
            tokens.extend(std::iter::repeat_n(0, padding));
            tokens.extend(input.iter().map(|&item| i64::from(item)));
            // The mask token's vector is the row after the last item's.
            tokens.extend((0..mask).map(|_| self.dataset.num_items() as i64 + 1));
            let length = (padding + input.len()) as i64 + mask;
            positions.extend(0..length);
            lengths.push(length);
            last.push(tokens.len() as i64 - 1);
        }
        let device = self.model.device;
        let ids = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        let numbers = match capabilities.wants_users {
            true => {
                let number = |input: &Input<'_>| input.user.map(|user| user as i64);
                let numbers: Option<Vec<i64>> = inputs.iter().map(number).collect();
                Some(ids(&numbers.ok_or(RunErrorKind::NobodysHistory)?)?)
            }
            false => None,
        };
        let states_bs = self.model.encode(&BatchTensors {
            items: &gather(&self.items.inputs, &ids(&tokens)?)?,
            positions: &ids(&positions)?,
            lengths: &lengths,
            users: numbers.as_ref(),
            wanted: Some(&last),
            training: None,
        })?;
        let states_bs = score::of_states(self.model.score, &states_bs)?;
        let outputs = &self.outputs;
        let mut all = states_bs.f_linear(&outputs.vectors, outputs.bias.as_ref())?;
        all = all.f_to_device(Device::Cpu)?.f_contiguous()?;
        scores.resize(all.numel(), 0.0);
        let len = scores.len();
        all.f_copy_data(scores, len)?;
        Ok(())
    }
}
