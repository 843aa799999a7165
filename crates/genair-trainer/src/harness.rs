//! One model by hand, for tests of plugins: what a run does with a model, step by step, through the
//! same code and the same function table as in a run.
//!
//! The conformance suite (`genair-conformance`) and the checks against trained weights stand on it.
//! Plain numbers in and out, so that a test needs no tensor library.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use genair_abi::{Capabilities, PLUGIN_FILE_PREFIX};
use genair_calibration::Associations;
use genair_data::{Case, Dataset};
use genair_protocol::{
    EvalSpec, Protocol, RepresentationKind, RepresentationSpec, Split, TrainSpec,
};
use tch::{Device, Tensor};

use crate::batch::Batches;
use crate::calibration::CalibrationTerm;
use crate::evaluation::{Evaluator, Scorer, inputs_of};
use crate::optimizer::{Adam, Gradient};
use crate::parameters::Parameters;
use crate::plugin::{BatchTensors, Plugin};
use crate::random::Streams;
use crate::representation::FrozenVectors;
use crate::training::{EpochLoss, ModelScorer, SequenceModel};
use crate::{RunErrorKind, checkpoint};

/// A plugin's model for a dataset, on the CPU.
pub struct ModelUnderTest<'a> {
    model: SequenceModel<'a>,
    parameters: Parameters,
    dataset: &'a Dataset,
    representation: RepresentationSpec,
    associations: Option<Arc<Associations>>,
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
    /// Builds a model of the `id` representation as a run with this seed does.
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
        let id = RepresentationSpec {
            name: "id".to_owned(),
            kind: RepresentationKind::Id,
            frozen: None,
            imputed: None,
            calibration: None,
        };
        Self::with_representation(plugin, params, dataset, &id, train, seed)
    }

    /// Builds a model of a representation that needs no file, as a run with this seed does.
    /// Associations, where it is calibrated, are counted here.
    ///
    /// # Errors
    /// The plugin's refusals, and that a file is needed.
    pub fn with_representation(
        plugin: &'a Plugin,
        params: &serde_json::Map<String, serde_json::Value>,
        dataset: &'a Dataset,
        representation: &RepresentationSpec,
        train: &TrainSpec,
        seed: u64,
    ) -> Result<Self, RunErrorKind> {
        tch::set_num_threads(train.threads as i32);
        let frozen = FrozenVectors::of(representation, None, dataset, Streams::new(seed))?;
        let (model, parameters) =
            SequenceModel::create(plugin, params, dataset, frozen, train, seed, Device::Cpu)?;
        let calibration = representation.calibration.as_ref();
        Ok(Self {
            model,
            parameters,
            dataset,
            representation: representation.clone(),
            associations: calibration
                .map(|spec| Arc::new(Associations::count(dataset, &spec.association))),
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
        let vectors = self.model.items.catalogue()?.inputs;
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
        let mut batches = self.batches()?;
        batches.start_epoch(1);
        let batch = batches.batch(1, 0);
        let seed = batches.streams().number("dropout", 1, 0);
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

    /// Trains from the first epoch on; the mean recommendation loss of each epoch.
    ///
    /// # Errors
    /// The plugin's failures, and numbers that are not finite.
    pub fn train(&mut self, epochs: usize) -> Result<Vec<f64>, RunErrorKind> {
        let losses = self.train_epochs(epochs)?;
        Ok(losses.iter().map(|loss| loss.recommendation).collect())
    }

    /// [`Self::train`], with the calibration term.
    pub(crate) fn train_epochs(&mut self, epochs: usize) -> Result<Vec<EpochLoss>, RunErrorKind> {
        let mut batches = self.batches()?;
        let mut calibration = self.calibration()?;
        let mut optimizer = Adam::new(self.train.optimizer.clone(), &self.parameters);
        (1..=epochs)
            .map(|epoch| {
                self.model.train_epoch(
                    epoch,
                    &mut batches,
                    &self.train,
                    calibration.as_mut(),
                    &self.parameters,
                    (&mut optimizer, 0),
                )
            })
            .collect()
    }

    /// Rank of the target of every case of a split, from 0, among all items outside the input; of one with several
    /// targets, one after the other.
    ///
    /// # Errors
    /// The plugin's failures, and scores that cannot be ranked.
    pub fn ranks(&self, split: Split) -> Result<Vec<u32>, RunErrorKind> {
        let spec = EvalSpec::default();
        let scorer = ModelScorer::new(&self.model, self.dataset)?;
        let evaluator = Evaluator::new(self.dataset, &spec);
        let ranks = evaluator.ranks(&scorer, split, &[Protocol::Full])?;
        Ok(ranks.into_iter().flatten().flatten().collect())
    }

    /// Scores of all items for these cases of a split; number 0 of each list, padding's, is meaningless.
    ///
    /// # Errors
    /// The plugin's failures.
    pub fn scores(&self, cases: Range<usize>, split: Split) -> Result<Vec<Vec<f32>>, RunErrorKind> {
        let cases: Vec<Case<'_>> = cases.map(|case| self.dataset.case(split, case)).collect();
        let mut scores = Vec::new();
        ModelScorer::new(&self.model, self.dataset)?.score(&inputs_of(&cases), &mut scores)?;
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

    /// The model's parameters.
    #[cfg(test)]
    pub(crate) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn calibration(&self) -> Result<Option<CalibrationTerm>, RunErrorKind> {
        CalibrationTerm::of(&self.representation, self.associations.as_ref())
    }

    fn batches(&self) -> Result<Batches<'a>, RunErrorKind> {
        let streams = Streams::new(self.seed);
        let mut batches = Batches::new(self.dataset, self.capabilities(), &self.train, streams);
        if let Some(calibration) = self.calibration()? {
            batches = batches.calibrated(calibration.spec());
        }
        Ok(batches)
    }
}

/// The file of a plugin as cargo built it, found from a test's or benchmark's own place.
///
/// # Panics
/// If it is not built.
pub fn built_plugin_file(name: &str) -> PathBuf {
    let file = format!(
        "{PLUGIN_FILE_PREFIX}{name}.{}",
        std::env::consts::DLL_EXTENSION
    );
    let here = std::env::current_exe().unwrap_or_default();
    let built = here
        .ancestors()
        .map(|folder| folder.join(&file))
        .find(|path| path.exists());
    built.unwrap_or_else(|| panic!("{file} is not built: run `just build` first"))
}

/// A plugin as cargo built it.
///
/// # Panics
/// If it is not built, or refused.
pub fn built_plugin(name: &str) -> Plugin {
    let plugin = Plugin::open(&built_plugin_file(name), None);
    plugin.unwrap_or_else(|error| panic!("{error}"))
}
