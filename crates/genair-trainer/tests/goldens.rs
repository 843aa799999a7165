//! Weights trained by the Python reference on MovieLens-100k, through the real plugins: the rank of
//! every user's target must be the reference's. Run by `just test-data`, which brings the data and
//! says where the weights are; neither is part of this project.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(
    clippy::disallowed_methods,
    reason = "the environment says where the weights are"
)]

use std::path::{Path, PathBuf};

use genair_data::Dataset;
use genair_eval::rank;
use genair_protocol::{DatasetSpec, Split, TrainSpec};
use genair_trainer::harness::{ModelUnderTest, built_plugin};
use serde_json::{Value, json};
use tch::Tensor;

/// SHA-256 of the sequences that the weights were trained on.
const SEQUENCES: &str = "9e69dfa7f43def8195279fc196aad900fe37138db0205b180268e2571a9c1165";
/// Scores of two programs differ by rounding.
const SCORE_TOLERANCE: f32 = 1e-4;

/// MovieLens-100k as the reference filters it.
fn dataset() -> Dataset {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/ml-100k");
    let spec: DatasetSpec = serde_json::from_value(json!({
        "kind": "table", "path": path, "max_len": 50,
        "k_core": {"mode": "single_pass", "user": 5, "item": 5},
    }))
    .unwrap();
    let dataset = genair_data::load(&spec).unwrap();
    assert_eq!(dataset.sequences_sha256(), SEQUENCES);
    dataset
}

fn check(golden: &str, backbone: &str, params: Value) {
    let folder = std::env::var_os("GENAIR_GOLDENS")
        .expect("GENAIR_GOLDENS must name the folder of the weights; `just test-data` sets it");
    let path = PathBuf::from(folder).join(golden);
    let expected = Tensor::read_safetensors(&path).unwrap();
    let expected = |name: &str| {
        &expected
            .iter()
            .find(|(theirs, _)| theirs == name)
            .unwrap()
            .1
    };
    let ranks = |name: &str| -> Vec<i64> { Vec::try_from(expected(name)).unwrap() };

    let (dataset, plugin) = (dataset(), built_plugin(backbone));
    let Value::Object(params) = params else {
        panic!("{params} are no parameters")
    };
    let train = TrainSpec::default();
    let mut model = ModelUnderTest::create(&plugin, &params, &dataset, &train, 44).unwrap();
    model.load(&path).unwrap();

    let (users, items) = (dataset.num_users(), dataset.num_items());
    let scores = model.scores(0..users, Split::Test).unwrap();
    for (user, scores) in scores.iter().take(5).enumerate() {
        for item in 1..=items {
            let reference =
                expected("test.scores_first5users").double_value(&[user as i64, item as i64 - 1]);
            let difference = scores[item] - reference as f32;
            assert!(
                difference.abs() <= SCORE_TOLERANCE,
                "user {user}, item {item}: {difference:e}"
            );
        }
    }
    let among_all: Vec<u32> = (0..users)
        .map(|user| {
            let target = dataset.case(Split::Test, user).targets[0];
            rank(&scores[user], target.row(), &[]).unwrap()
        })
        .collect();
    for (name, found) in [
        ("test.rank_excl_history", model.ranks(Split::Test).unwrap()),
        (
            "valid.rank_excl_history",
            model.ranks(Split::Valid).unwrap(),
        ),
        ("test.rank_incl_history", among_all),
    ] {
        let different: Vec<String> = ranks(name)
            .iter()
            .zip(&found)
            .enumerate()
            .filter(|(_, (reference, found))| **reference != i64::from(**found))
            .map(|(user, (reference, found))| format!("user {user}: {found}, not {reference}"))
            .collect();
        assert_eq!(found.len(), users);
        assert!(
            different.is_empty(),
            "{name}: {} of {users} differ: {different:?}",
            different.len()
        );
    }
}

#[test]
fn sasrec_ranks_as_the_reference() {
    let params = json!({"hidden_size": 64, "key_padding_mask": false});
    check("sasrec_seq-causal-e20-s44.safetensors", "sasrec", params);
}

#[test]
fn gru4rec_ranks_as_the_reference() {
    let params =
        json!({"hidden_size": 64, "num_layers": 1, "trains_on": "last", "padding": "input"});
    check("gru4rec-ref-e20-s44.safetensors", "gru4rec", params);
}
