//! The conformance suite against plugins that break its rules: for each fault, the checks that fail,
//! and that the others pass.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use genair_abi::Handshake;
use genair_conformance::{CHECKS, Subject};
use genair_misbehaving::GENAIR_BACKBONE_HANDSHAKE;
use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Init, Mode, OutputItems, Padding, Result, SequenceBatch,
    TrainsOn,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tch::Tensor;

/// Names and messages of the checks that a plugin fails.
fn failures(handshake: &'static Handshake, params: Value) -> Vec<(&'static str, String)> {
    let params = params.as_object().unwrap().clone();
    let subject = Subject::linked(handshake, params).unwrap();
    let results = CHECKS.map(|(name, check)| (name, check(&subject)));
    results
        .into_iter()
        .filter_map(|(name, result)| Some((name, format!("{:#}", result.err()?))))
        .collect()
}

fn assert_fails(fault: &str, expected: &[(&str, &str)]) {
    let found = failures(
        &GENAIR_BACKBONE_HANDSHAKE,
        json!({"fault": fault, "hidden_size": 64}),
    );
    let names =
        |list: &[(&'static str, String)]| list.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let expected_names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&found), expected_names, "{fault}: {found:#?}");
    for ((name, message), (_, part)) in found.iter().zip(expected) {
        assert!(message.contains(part), "{fault}, {name}: {message}");
    }
}

#[test]
fn without_a_fault_every_check_passes() {
    assert_fails("none", &[]);
}

#[test]
fn a_look_ahead_is_found() {
    assert_fails(
        "looks-ahead",
        &[(
            "causality_is_as_declared",
            "editing item 1 changes an earlier state",
        )],
    );
    assert_fails(
        "claims-to-look-ahead",
        &[(
            "causality_is_as_declared",
            "no state depends on a later item",
        )],
    );
}

#[test]
fn sequences_that_mix_are_found() {
    assert_fails(
        "mixes-sequences",
        &[
            ("causality_is_as_declared", "changes an earlier state"),
            (
                "other_sequences_of_a_batch_change_nothing",
                "sequence 0 in a batch, against alone",
            ),
        ],
    );
}

#[test]
fn states_of_other_tokens_are_found() {
    assert_fails(
        "ignores-wanted",
        &[("states_belong_to_their_tokens", "the last tokens")],
    );
}

#[test]
fn parameters_without_a_gradient_are_found() {
    let unused = "the loss does not depend on `backbone.unused`";
    assert_fails(
        "unused-parameter",
        &[("gradients_reach_every_parameter", unused)],
    );
    let weight = "the loss does not depend on `backbone.weight`";
    assert_fails(
        "detaches-states",
        &[
            ("gradients_reach_every_parameter", weight),
            ("it_overfits_eight_users", "the loss fell from"),
        ],
    );
}

#[test]
fn randomness_that_no_seed_governs_is_found() {
    assert_fails(
        "own-randomness",
        &[
            ("the_seed_decides_every_number", "losses of one seed"),
            (
                "dropout_is_for_training_alone",
                "with one dropout seed differ",
            ),
        ],
    );
    let found = failures(
        &GENAIR_BACKBONE_HANDSHAKE,
        json!({"fault": "drops-in-prediction", "hidden_size": 64}),
    );
    let dropout = found
        .iter()
        .find(|(name, _)| *name == "dropout_is_for_training_alone")
        .unwrap();
    assert!(
        dropout.1.contains("two predictions of one model differ"),
        "{found:#?}"
    );
}

#[test]
fn a_model_that_fails_in_bfloat16_is_found() {
    assert_fails(
        "wants-float32",
        &[(
            "it_trains_in_bfloat16_as_in_float32",
            "expected Float, got BFloat16",
        )],
    );
}

#[test]
fn failed_calls_and_states_that_are_no_numbers_are_found() {
    for (fault, message) in [
        ("nan", "is not finite"),
        ("panic-in-prediction", "panicked in `encode`: as asked"),
        ("wrong-width", "returned states of shape"),
    ] {
        let found = failures(
            &GENAIR_BACKBONE_HANDSHAKE,
            json!({"fault": fault, "hidden_size": 64}),
        );
        let shape = found
            .iter()
            .find(|(name, _)| *name == "states_have_the_declared_shape")
            .unwrap();
        assert!(shape.1.contains(message), "{fault}: {found:#?}");
    }
}

/// Takes any parameter, documents none, and ignores what it sees.
struct Careless {
    weight: Tensor,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct CarelessConfig {
    layers: Option<Value>,
}

impl Backbone for Careless {
    type Config = CarelessConfig;

    const NAME: &'static str = "careless";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "";
    const REFERENCE: &'static str = "none";

    fn capabilities(_config: &CarelessConfig) -> Result<Capabilities> {
        Ok(Capabilities {
            hidden_size: 8,
            state_size: 8,
            trains_on: TrainsOn::EveryPosition,
            causal: true,
            wants_users: false,
            predicts_at_mask: false,
            output: OutputItems::Shared,
            padding: Padding::Packed,
        })
    }

    fn build(_config: &CarelessConfig, builder: &Builder<'_>) -> Result<Self> {
        Ok(Self {
            weight: builder.parameter("weight", &[1, 8], Init::Constant(0.5))?,
        })
    }

    fn encode(&self, batch: &SequenceBatch, _mode: &Mode) -> Result<Tensor> {
        Ok(self.weight.f_expand([batch.wanted(), 8], false)?)
    }
}

static CARELESS: Handshake =
    genair_plugin_sdk::private::handshake(genair_plugin_sdk::private::VTable {
        describe: genair_plugin_sdk::private::describe::<Careless>,
        capabilities: genair_plugin_sdk::private::capabilities::<Careless>,
        create: genair_plugin_sdk::private::create::<Careless>,
        encode: genair_plugin_sdk::private::encode::<Careless>,
        drop: genair_plugin_sdk::private::drop_model::<Careless>,
    });

#[test]
fn carelessness_is_found() {
    let found = failures(&CARELESS, json!({}));
    let message = |check: &str| {
        let failure = found.iter().find(|(name, _)| *name == check);
        failure
            .unwrap_or_else(|| panic!("{check} passes: {found:#?}"))
            .1
            .clone()
    };
    for (check, part) in [
        ("the_handshake_is_complete", "the descriptor has no summary"),
        (
            "unknown_parameters_are_refused",
            "`no_such_parameter` = 1 is taken",
        ),
        (
            "parameters_of_a_wrong_type_are_refused",
            "`layers` = \"no such value\" is taken",
        ),
        (
            "causality_is_as_declared",
            "state 1 does not depend on item 1",
        ),
        (
            "states_belong_to_their_tokens",
            "are different and have the same state",
        ),
        (
            "the_seed_decides_every_number",
            "another seed gives the same start",
        ),
        ("it_overfits_eight_users", "the loss fell from"),
    ] {
        assert!(message(check).contains(part), "{check}: {}", message(check));
    }
}
