//! What every backbone must do, as tests: one call of [`conformance!`] in the plugin's
//! `tests/conformance.rs`.
//!
//! A crate of its own, so that a plugin's tests build no database and the system's tests no tensor
//! library. The plugin is linked into the test and called through its exported handshake, by the
//! trainer's own code, so that what is proven holds for the built plugin. A check knows of a
//! backbone what it declares, and nothing else; each compares a model with itself, so there are no
//! expected numbers.

mod descriptions;
mod sequences;
mod training;

use anyhow::{Context, Result, ensure};
use genair_abi::Handshake;
use genair_data::Dataset;
use genair_protocol::{DatasetSpec, OptimizerSpec, Precision, TrainSpec};
use genair_trainer::harness::{ModelUnderTest, Sequence};
use genair_trainer::plugin::Plugin;
use serde_json::{Map, Value};

pub use descriptions::{
    parameters_of_a_wrong_type_are_refused, parameters_out_of_range_are_refused,
    the_handshake_is_complete, unknown_parameters_are_refused,
};
pub use sequences::{
    causality_is_as_declared, other_sequences_of_a_batch_change_nothing,
    states_belong_to_their_tokens, states_have_the_declared_shape,
};
pub use training::{
    checkpoints_bring_a_model_back, dropout_is_for_training_alone, gradients_reach_every_parameter,
    it_overfits_eight_users, it_trains_in_bfloat16_as_in_float32, the_seed_decides_every_number,
};

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
    package: &'static str,
    params: Map<String, Value>,
    dataset: Dataset,
}

impl Subject {
    /// `package` is the plugin's cargo package, `params` a JSON object.
    ///
    /// # Errors
    /// A handshake that the trainer would refuse, or parameters that are no object.
    pub fn new(
        handshake: &'static Handshake,
        package: &'static str,
        params: Value,
    ) -> Result<Self> {
        let Value::Object(params) = params else {
            anyhow::bail!("parameters must be a JSON object, not {params}");
        };
        let plugin = Plugin::from_handshake(handshake)?;
        let spec: DatasetSpec = serde_json::from_value(serde_json::json!({
            "kind": "synthetic", "users": 8, "catalogue": 40, "mean_length": 12, "max_len": MAX_LEN,
        }))?;
        Ok(Self {
            plugin,
            package,
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

/// Runs every check on a plugin, each a test of its own, once for each named set of parameters:
///
/// ```text
/// genair_conformance::conformance!(genair_backbone_sasrec::GENAIR_BACKBONE_HANDSHAKE, {
///     defaults: {},
///     bidirectional: {"causal": false},
/// });
/// ```
#[macro_export]
macro_rules! conformance {
    ($handshake:path, { $($variant:ident: $params:tt),+ $(,)? }) => {
        $(mod $variant {
            $crate::conformance_checks! { $handshake, $params,
                the_handshake_is_complete,
                unknown_parameters_are_refused,
                parameters_out_of_range_are_refused,
                parameters_of_a_wrong_type_are_refused,
                states_have_the_declared_shape,
                causality_is_as_declared,
                other_sequences_of_a_batch_change_nothing,
                states_belong_to_their_tokens,
                the_seed_decides_every_number,
                dropout_is_for_training_alone,
                gradients_reach_every_parameter,
                checkpoints_bring_a_model_back,
                it_overfits_eight_users,
                it_trains_in_bfloat16_as_in_float32,
            }
        })+
    };
}

/// One test for each check; part of [`conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_checks {
    ($handshake:path, $params:tt, $($check:ident),+ $(,)?) => {
        $(#[test]
        fn $check() {
            let params = $crate::private::json!($params);
            let package = env!("CARGO_PKG_NAME");
            let subject = $crate::Subject::new(&$handshake, package, params);
            if let Err(error) = subject.and_then(|subject| $crate::$check(&subject)) {
                panic!("{error:#}");
            }
        })+
    };
}

/// What the macros expand to; not for use by hand.
#[doc(hidden)]
pub mod private {
    pub use serde_json::json;
}
