//! What every backbone must do, as checks of a built plugin: `genair plugin test` starts the program
//! `genair-conformance`, which opens the plugin's file by the trainer's own code.
//!
//! A check knows of a backbone what it declares, and nothing else; each compares a model with itself, so there are no
//! expected numbers.

mod descriptions;
mod sequences;
mod training;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use genair_abi::Handshake;
use genair_data::Dataset;
use genair_protocol::{DatasetSpec, OptimizerSpec, Precision, TrainSpec};
use genair_trainer::harness::{ModelUnderTest, Sequence};
use genair_trainer::plugin::Plugin;
use serde_json::{Map, Value};

/// A check: why a plugin does not pass it.
pub type Check = fn(&Subject) -> Result<()>;

/// Every check, by its name.
pub const CHECKS: [(&str, Check); 14] = [
    (
        "the_handshake_is_complete",
        descriptions::the_handshake_is_complete,
    ),
    (
        "unknown_parameters_are_refused",
        descriptions::unknown_parameters_are_refused,
    ),
    (
        "parameters_out_of_range_are_refused",
        descriptions::parameters_out_of_range_are_refused,
    ),
    (
        "parameters_of_a_wrong_type_are_refused",
        descriptions::parameters_of_a_wrong_type_are_refused,
    ),
    (
        "states_have_the_declared_shape",
        sequences::states_have_the_declared_shape,
    ),
    (
        "causality_is_as_declared",
        sequences::causality_is_as_declared,
    ),
    (
        "other_sequences_of_a_batch_change_nothing",
        sequences::other_sequences_of_a_batch_change_nothing,
    ),
    (
        "states_belong_to_their_tokens",
        sequences::states_belong_to_their_tokens,
    ),
    (
        "the_seed_decides_every_number",
        training::the_seed_decides_every_number,
    ),
    (
        "dropout_is_for_training_alone",
        training::dropout_is_for_training_alone,
    ),
    (
        "gradients_reach_every_parameter",
        training::gradients_reach_every_parameter,
    ),
    (
        "checkpoints_bring_a_model_back",
        training::checkpoints_bring_a_model_back,
    ),
    ("it_overfits_eight_users", training::it_overfits_eight_users),
    (
        "it_trains_in_bfloat16_as_in_float32",
        training::it_trains_in_bfloat16_as_in_float32,
    ),
];

/// Longest sequence of the suite's dataset.
const MAX_LEN: usize = 10;
/// What two computations of one number may differ by, relative to 1 or the number.
const ROUNDING: f32 = 1e-5;
/// What a number must change by to count as changed; well above [`ROUNDING`].
const CHANGE: f32 = 1e-4;
/// Seed of models, unless a check is about seeds.
const SEED: u64 = 7;

/// A plugin with parameters, and the dataset that models are built for.
pub struct Subject {
    plugin: Plugin,
    params: Map<String, Value>,
    dataset: Dataset,
}

impl Subject {
    /// With the plugin in a file.
    ///
    /// # Errors
    /// A plugin that the trainer refuses.
    pub fn open(plugin: &Path, params: Map<String, Value>) -> Result<Self> {
        Self::new(Plugin::open(plugin, None)?, params)
    }

    /// With a plugin that is linked into this program.
    ///
    /// # Errors
    /// A handshake that the trainer refuses.
    pub fn linked(handshake: &'static Handshake, params: Map<String, Value>) -> Result<Self> {
        Self::new(Plugin::from_handshake(handshake)?, params)
    }

    fn new(plugin: Plugin, params: Map<String, Value>) -> Result<Self> {
        let spec: DatasetSpec = serde_json::from_value(serde_json::json!({
            "kind": "synthetic", "users": 8, "catalogue": 40, "mean_length": 12, "max_len": MAX_LEN,
        }))?;
        Ok(Self {
            plugin,
            params,
            dataset: genair_data::load(&spec)?,
        })
    }

    /// The schema's entry for each parameter.
    pub(crate) fn declared(&self) -> Result<&Map<String, Value>> {
        let schema = &self.plugin.descriptor().parameters;
        schema["properties"]
            .as_object()
            .context("the parameter schema has no `properties`")
    }

    /// The subject's parameters with one replaced.
    pub(crate) fn with(&self, key: &str, value: Value) -> Map<String, Value> {
        let mut params = self.params.clone();
        params.insert(key.to_owned(), value);
        params
    }

    /// The subject's parameters without dropout, where it has any.
    pub(crate) fn calm(&self) -> Result<Map<String, Value>> {
        let drops = self.declared()?.contains_key("dropout");
        Ok(if drops {
            self.with("dropout", 0.0.into())
        } else {
            self.params.clone()
        })
    }

    /// A model with the given parameters.
    pub(crate) fn model(
        &self,
        params: &Map<String, Value>,
        seed: u64,
    ) -> Result<ModelUnderTest<'_>> {
        self.model_in(Precision::Float32, params, seed)
    }

    /// A model that trains in this precision.
    pub(crate) fn model_in(
        &self,
        precision: Precision,
        params: &Map<String, Value>,
        seed: u64,
    ) -> Result<ModelUnderTest<'_>> {
        let train = TrainSpec {
            optimizer: OptimizerSpec {
                lr: 3e-3,
                ..OptimizerSpec::default()
            },
            precision,
            ..TrainSpec::default()
        };
        Ok(ModelUnderTest::create(
            &self.plugin,
            params,
            &self.dataset,
            &train,
            seed,
        )?)
    }

    /// A sequence of `user` with `length` different items, other ones for another `shift`.
    pub(crate) fn sequence(&self, user: usize, length: usize, shift: usize) -> Sequence {
        let items = self.dataset.num_items();
        let items = (0..length)
            .map(|place| ((place + shift) % items) as u32 + 1)
            .collect();
        Sequence { user, items }
    }
}

/// That two lists of states are the same but for rounding.
pub(crate) fn ensure_same(found: &[Vec<f32>], expected: &[Vec<f32>], what: &str) -> Result<()> {
    ensure!(
        found.len() == expected.len(),
        "{what}: {} states, not {}",
        found.len(),
        expected.len()
    );
    for (token, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (found, expected) in found.iter().zip(expected) {
            ensure!(
                (found - expected).abs() <= ROUNDING * expected.abs().max(1.0),
                "{what}: state {token} has {found}, not {expected}"
            );
        }
    }
    Ok(())
}

/// The largest difference between two lists of states of the same shape.
pub(crate) fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
