//! One model by hand, for tests of plugins: what a run does with a model, step by step, through the
//! same code and the same function table as in a run.
//!
//! The conformance suite of `genair-test-support` and the checks against trained weights stand on
//! it. Plain numbers in and out, so that a test needs no tensor library.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use genair_abi::Capabilities;
use genair_data::Dataset;
use genair_eval::{EvalSpec, Protocol, Split};
use genair_protocol::TrainSpec;
use tch::{Device, Tensor};

use crate::batch::Batches;
use crate::evaluation::{Evaluator, Scorer};
use crate::optimizer::{Adam, Gradient};
use crate::parameters::Parameters;
use crate::plugin::{BatchTensors, Plugin};
use crate::random::Streams;
use crate::training::{ModelScorer, SequenceModel};
use crate::{RunErrorKind, checkpoint};

/// A plugin's model for a dataset, on the CPU.
pub struct ModelUnderTest<'a> {
    model: SequenceModel<'a>,
    parameters: Parameters,
    dataset: &'a Dataset,
    train: TrainSpec,
    seed: u64,
}

/// One input sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// From 0.
    pub user: usize,
    /// Oldest first, at least one: 1 to the number of items; the number after the last item is the
    /// mask token, for backbones that have one.
    pub items: Vec<u32>,
}

impl<'a> ModelUnderTest<'a> {
    /// Builds a model as a run with this seed does.
    ///
    /// # Errors
    /// The plugin's refusals.
    pub fn create(
        plugin: &'a Plugin,
        params: &serde_json::Map<String, serde_json::Value>,
        dataset: &'a Dataset,
        train: &TrainSpec,
        seed: u64,
    ) -> Result<Self, RunErrorKind> {
        tch::set_num_threads(train.threads as i32);
        let (model, parameters) =
            SequenceModel::create(plugin, params, dataset, train, seed, Device::Cpu)?;
        Ok(Self {
            model,
            parameters,
            dataset,
            train: train.clone(),
            seed,
        })
    }

    /// What the backbone says of itself.
    pub fn capabilities(&self) -> &Capabilities {
        self.model.backbone.capabilities()
    }

    /// States of the wanted tokens, counted through all sequences from 0 and ascending, or of all;
    /// with a `dropout_seed` as in training, otherwise as in prediction.
    ///
    /// # Errors
    /// The plugin's failures.
    pub fn states(
        &self,
        sequences: &[Sequence],
        wanted: Option<&[i64]>,
        dropout_seed: Option<u64>,
    ) -> Result<Vec<Vec<f32>>, RunErrorKind> {
        let _guard = tch::no_grad_guard();
        let items = sequences.iter().flat_map(|sequence| &sequence.items);
        let items: Vec<i64> = items.map(|&item| i64::from(item)).collect();
        let lengths: Vec<i64> = sequences
            .iter()
            .map(|sequence| sequence.items.len() as i64)
            .collect();
        let positions: Vec<i64> = lengths.iter().flat_map(|&length| 0..length).collect();
        let users: Vec<i64> = sequences
            .iter()
            .map(|sequence| sequence.user as i64)
            .collect();
        let users = Tensor::f_from_slice(&users)?;
        let vectors = self.model.items.all_inputs()?;
        let states_ms = self.model.backbone.encode(&BatchTensors {
            items: &vectors.f_index_select(0, &Tensor::f_from_slice(&items)?)?,
            positions: &Tensor::f_from_slice(&positions)?,
            lengths: &lengths,
            users: self.capabilities().wants_users.then_some(&users),
            wanted,
            training: dropout_seed,
        })?;
        let width = states_ms.size()[1] as usize;
        let numbers = Vec::<f32>::try_from(states_ms.f_contiguous()?.f_view([-1])?)?;
        Ok(numbers
            .chunks_exact(width.max(1))
            .map(<[f32]>::to_vec)
            .collect())
    }

    /// The largest absolute value in the gradient of each parameter, by name, in the first batch of
    /// the first epoch; `None` where the loss does not depend on the parameter at all.
    ///
    /// # Errors
    /// The plugin's failures.
    pub fn gradients(&self) -> Result<Vec<(String, Option<f64>)>, RunErrorKind> {
        let (mut batches, streams) = self.batches();
        batches.start_epoch(1);
        let batch = batches.batch(1, 0);
        let seed = streams.number("dropout", 1, 0);
        let forward = self.model.forward(&batch, &self.train.loss, seed)?;
        let gradients = forward.gradients(&batch, &self.parameters)?;
        self.parameters
            .named()
            .iter()
            .zip(gradients)
            .map(|((name, _), gradient)| {
                let largest = match gradient {
                    Gradient::None => None,
                    Gradient::Dense(values) | Gradient::Rows { values, .. } => {
                        Some(f64::try_from(values.f_abs()?.f_max()?)?)
                    }
                };
                Ok((name.clone(), largest))
            })
            .collect()
    }

    /// Trains from the first epoch on; the mean loss of each epoch.
    ///
    /// # Errors
    /// The plugin's failures, and numbers that are not finite.
    pub fn train(&mut self, epochs: usize) -> Result<Vec<f64>, RunErrorKind> {
        let (mut batches, streams) = self.batches();
        let mut optimizer = Adam::new(self.train.optimizer.clone(), &self.parameters);
        (1..=epochs)
            .map(|epoch| {
                self.model.train_epoch(
                    epoch,
                    &mut batches,
                    &self.train,
                    streams,
                    &self.parameters,
                    &mut optimizer,
                )
            })
            .collect()
    }

    /// Rank of every user's target of a split, from 0, among all items outside the user's input.
    ///
    /// # Errors
    /// The plugin's failures, and scores that cannot be ranked.
    pub fn ranks(&self, split: Split) -> Result<Vec<u32>, RunErrorKind> {
        let spec = EvalSpec::default();
        let scorer = ModelScorer::new(&self.model, self.dataset)?;
        let evaluator = Evaluator::new(self.dataset, &spec, self.seed);
        Ok(evaluator
            .ranks(&scorer, split, &[Protocol::Full])?
            .swap_remove(0))
    }

    /// Scores of all items for each of `users` by their input of a split; number 0 of each list,
    /// padding's, is meaningless.
    ///
    /// # Errors
    /// The plugin's failures.
    pub fn scores(&self, users: Range<usize>, split: Split) -> Result<Vec<Vec<f32>>, RunErrorKind> {
        let mut scores = Vec::new();
        ModelScorer::new(&self.model, self.dataset)?.score(users, split, &mut scores)?;
        Ok(scores
            .chunks_exact(self.dataset.num_items() + 1)
            .map(<[f32]>::to_vec)
            .collect())
    }

    /// Writes the weights as a run does; the file appears whole or not at all.
    ///
    /// # Errors
    /// That the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), RunErrorKind> {
        checkpoint::save(&self.parameters, path, HashMap::new())
    }

    /// Puts weights into the model as [`crate::evaluate`] does.
    ///
    /// # Errors
    /// That the file cannot be read, or is not this model's.
    pub fn load(&mut self, path: &Path) -> Result<(), RunErrorKind> {
        checkpoint::load(path, &mut self.parameters)
    }

    fn batches(&self) -> (Batches<'a>, Streams) {
        let streams = Streams::new(self.seed);
        (
            Batches::new(self.dataset, self.capabilities(), &self.train, streams),
            streams,
        )
    }
}
