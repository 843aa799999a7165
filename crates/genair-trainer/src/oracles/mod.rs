//! Parity with PyTorch: the real plugins against the numbers of `tests/fixtures` at the root, whose
//! README has every formula. Forward, scores, loss, the gradient of every parameter and five steps
//! of Adam; weights and gradients get here by the checkpoint import. A fixture with an adapter is of
//! GenAIR: frozen vectors and the calibration term.
//!
//! The fixtures pad on the left and count positions from 1; here sequences are packed and counted
//! from 0. Tolerances are the README's.

mod caser;
mod gru4rec;
mod transformers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use genair_calibration::Associations;
use genair_data::{Dataset, ItemId};
use genair_protocol::{
    CalibrationSpec, DatasetSpec, FrozenSpec, LossSpec, OptimizerSpec, TrainSpec, VectorSource,
};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::batch::TrainingBatch;
use crate::calibration::CalibrationTerm;
use crate::checkpoint::arrange_reference;
use crate::harness::built_plugin;
use crate::optimizer::{Adam, Gradient};
use crate::parameters::Parameters;
use crate::plugin::{BatchTensors, Plugin};
use crate::representation::FrozenVectors;
use crate::training::{Forward, SequenceModel};

/// Items of every fixture. In their tables row 0 is padding and row 21 spare or the mask token.
const ITEMS: i64 = 20;
/// Least difference that counts.
const ABSOLUTE: f64 = 1e-5;
/// What gradients may differ by, besides.
const RELATIVE: f64 = 1e-4;

/// One fixture file.
struct Fixture {
    tensors: Vec<(String, Tensor)>,
}

impl Fixture {
    fn read(name: &str) -> Self {
        let path = fixtures().join(format!("{name}.safetensors"));
        Self {
            tensors: Tensor::read_safetensors(path).unwrap(),
        }
    }

    fn get(&self, name: &str) -> &Tensor {
        let found = self.tensors.iter().find(|(theirs, _)| theirs == name);
        &found
            .unwrap_or_else(|| panic!("the fixture has no {name}"))
            .1
    }

    fn number(&self, name: &str) -> f64 {
        self.get(name).double_value(&[0])
    }

    /// A matrix of ids, row by row.
    fn ids(&self, name: &str) -> Vec<Vec<i64>> {
        let tensor = self.get(name);
        let tensor = if tensor.dim() == 1 {
            tensor.unsqueeze(1)
        } else {
            tensor.shallow_clone()
        };
        Vec::try_from(tensor).unwrap()
    }

    /// The vectors that a GenAIR model starts from, as the fixture has them row by row: shifted where
    /// the published code shifts them (`refinsert`).
    fn frozen(&self) -> Option<FrozenVectors> {
        let is_adapter = |(name, _): &(String, Tensor)| name.starts_with("w.adapter.");
        if !self.tensors.iter().any(is_adapter) {
            return None;
        }
        let rows = self.get("w.item_emb.weight").narrow(0, 0, ITEMS + 1);
        let width = rows.size()[1] as usize;
        let spec = FrozenSpec::new(VectorSource::Gaussian { width });
        let numbers = Vec::<f32>::try_from(rows.reshape([-1])).unwrap();
        Some(FrozenVectors::new(spec, width, numbers, ITEMS as usize).unwrap())
    }

    /// Tensors whose names start with `prefix`, under the rest of their names.
    fn below(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let below = self.tensors.iter().filter_map(|(name, tensor)| {
            Some((
                name.strip_prefix(prefix)?.to_owned(),
                tensor.shallow_clone(),
            ))
        });
        below.collect()
    }
}

/// A plugin's model with a fixture's weights.
struct Subject {
    model: SequenceModel<'static>,
    parameters: Parameters,
    /// Of a GenAIR fixture.
    calibration: Option<(CalibrationSpec, Arc<Associations>)>,
}

impl Subject {
    fn new(plugin: &str, params: Value, max_len: usize, fixture: &Fixture) -> Self {
        let plugin: &'static Plugin = Box::leak(Box::new(built_plugin(plugin)));
        let dataset = dataset(max_len);
        let Value::Object(params) = params else {
            panic!("{params} are no parameters")
        };
        let spec = TrainSpec::default();
        tch::set_num_threads(1);
        let frozen = fixture.frozen();
        let calibration = frozen
            .as_ref()
            .map(|_| (calibration_spec(), associations()));
        let (model, mut parameters) =
            SequenceModel::create(plugin, &params, &dataset, frozen, &spec, 1, Device::Cpu)
                .unwrap();
        let weights = arrange_reference(fixture.below("w."), &parameters).unwrap();
        parameters.restore(&weights).unwrap();
        Self {
            model,
            parameters,
            calibration,
        }
    }

    /// States of every token, `[N, S]`, in prediction.
    fn states(&self, batch: &TrainingBatch) -> Tensor {
        let _guard = tch::no_grad_guard();
        let vectors = self.model.items.catalogue().unwrap().inputs;
        let tokens = vectors.index_select(0, &Tensor::from_slice(&batch.tokens));
        self.encode(batch, &tokens, None)
    }

    /// States of vectors `[N, D]` of the batch's tokens.
    fn encode(&self, batch: &TrainingBatch, items: &Tensor, training: Option<u64>) -> Tensor {
        let users = Tensor::from_slice(&batch.users);
        let wants_users = self.model.backbone.capabilities().wants_users;
        let states = self.model.backbone.encode(&BatchTensors {
            items,
            positions: &Tensor::from_slice(&batch.positions),
            lengths: &batch.lengths,
            users: wants_users.then_some(&users),
            wanted: batch.wanted.as_deref(),
            training,
        });
        states.unwrap()
    }

    /// Scores of all items for states, `[M, I]`.
    fn scores(&self, states: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let outputs = self.model.items.catalogue().unwrap().outputs;
        states
            .linear(&outputs.vectors, outputs.bias.as_ref())
            .narrow(1, 1, ITEMS)
    }

    /// The whole loss of a batch.
    fn forward(&self, batch: &TrainingBatch, loss: &LossSpec) -> Forward {
        let mut forward = self.model.forward(batch, loss, 1).unwrap();
        if let Some((spec, associations)) = &self.calibration {
            let mut calibration = CalibrationTerm::new(spec, Arc::clone(associations));
            let term = calibration.of_batch(batch, &forward.items).unwrap();
            forward.loss.add(&term, spec.alpha).unwrap();
        }
        forward
    }

    /// Loss and gradients of a batch, then five steps of Adam, against the fixture.
    fn assert_training(&self, fixture: &Fixture, batch: &TrainingBatch, negatives: usize) {
        let loss = LossSpec {
            negatives,
            ..LossSpec::default()
        };
        let forward = self.forward(batch, &loss);
        assert_near(forward.loss.value, fixture.number("out.loss"), "loss");
        let gradients = forward.gradients(batch, &self.parameters).unwrap();
        self.assert_gradients(&gradients, fixture.below("g."));

        let spec = OptimizerSpec {
            lr: 1e-2,
            ..OptimizerSpec::default()
        };
        let mut adam = Adam::new(spec, &self.parameters);
        for step in 0..5 {
            let forward = self.forward(batch, &loss);
            let expected = fixture.get("out.adam_losses").double_value(&[step]);
            let what = format!("loss before step {}", step + 1);
            assert_near(forward.loss.value, expected, &what);
            let gradients = forward.gradients(batch, &self.parameters).unwrap();
            adam.step(&self.parameters, &gradients).unwrap();
        }
    }

    /// Every parameter has the gradient that the fixture has for it, by its reference name.
    fn assert_gradients(&self, gradients: &[Gradient], expected: Vec<(String, Tensor)>) {
        let expected = arrange_reference(expected, &self.parameters).unwrap();
        assert_eq!(gradients.len(), expected.len());
        for (((name, tensor), gradient), expected) in
            self.parameters.named().iter().zip(gradients).zip(&expected)
        {
            let gradient = match gradient {
                Gradient::None => panic!("{name} has no gradient"),
                Gradient::Dense(gradient) => gradient.shallow_clone(),
                Gradient::Rows { rows, values } => {
                    tensor
                        .zeros_like()
                        .index_add(0, &Tensor::from_slice(rows), values)
                }
            };
            assert_close(
                &gradient,
                expected,
                RELATIVE,
                &format!("gradient of {name}"),
            );
        }
    }
}

/// The calibration of the GenAIR fixtures.
fn calibration_spec() -> CalibrationSpec {
    CalibrationSpec {
        alpha: 0.1,
        gamma: 4.0,
        ..CalibrationSpec::default()
    }
}

fn associations() -> Arc<Associations> {
    let table = Tensor::read_npz(fixtures().join("calib_table.npz")).unwrap();
    let get = |name: &str| &table.iter().find(|(theirs, _)| theirs == name).unwrap().1;
    let pairs = Vec::<Vec<i64>>::try_from(get("pairs").to_kind(Kind::Int64)).unwrap();
    let counts = Vec::<i64>::try_from(get("counts")).unwrap();
    let pairs = pairs.iter().zip(counts).map(|(pair, count)| {
        let item = |id: i64| ItemId::new(id as u32);
        (item(pair[0]), item(pair[1]), count as u32)
    });
    Arc::new(Associations::from_counts(ITEMS as usize, pairs).unwrap())
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// A dataset with the fixtures' sizes: three users, twenty items. Its contents do not matter.
fn dataset(max_len: usize) -> Dataset {
    let rows =
        (0..3).flat_map(|user| (0..ITEMS).map(move |item| (user, (item * 7 + user) % ITEMS)));
    let folder = tempfile::tempdir().unwrap();
    let mut table = "user_id\titem_id\ttimestamp\n".to_owned();
    for (time, (user, item)) in rows.enumerate() {
        table.push_str(&format!("{user}\t{item}\t{time}\n"));
    }
    std::fs::write(folder.path().join("interactions.tsv"), table).unwrap();
    let path = Some(folder.path().to_owned());
    genair_data::load(&DatasetSpec {
        path,
        max_len,
        ..DatasetSpec::default()
    })
    .unwrap()
}

/// An empty batch in which an item's place is its id, and place 21 the mask token.
fn empty_batch() -> TrainingBatch {
    TrainingBatch {
        distinct: (0..=ITEMS).collect(),
        ..TrainingBatch::default()
    }
}

/// The valid tokens of left-padded rows, with positions from 0.
fn packed(rows: &[Vec<i64>]) -> TrainingBatch {
    let mut batch = empty_batch();
    for (user, row) in rows.iter().enumerate() {
        let items: Vec<i64> = row.iter().copied().filter(|&item| item != 0).collect();
        push_sequence(&mut batch, user, &items);
    }
    batch
}

/// Whole rows: padding is a token like any other.
fn full(rows: &[Vec<i64>]) -> TrainingBatch {
    let mut batch = empty_batch();
    for (user, row) in rows.iter().enumerate() {
        push_sequence(&mut batch, user, row);
    }
    batch
}

fn push_sequence(batch: &mut TrainingBatch, user: usize, tokens: &[i64]) {
    batch.tokens.extend(tokens);
    batch.positions.extend(0..tokens.len() as i64);
    batch.lengths.push(tokens.len() as i64);
    batch.users.push(user as i64);
}

/// Rows of `[B, T, S]` where `valid` is not 0, `[N, S]`.
fn valid_rows(x: &Tensor, valid: &[Vec<i64>]) -> Tensor {
    let valid: Vec<bool> = valid.iter().flatten().map(|&id| id != 0).collect();
    x.reshape([valid.len() as i64, -1])
        .index(&[Some(Tensor::from_slice(&valid))])
}

fn assert_near(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= ABSOLUTE,
        "{what}: {found}, the fixture says {expected}"
    );
}

fn assert_close(found: &Tensor, expected: &Tensor, relative: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let allowed: Tensor = expected.abs() * relative + ABSOLUTE;
    let excess = ((found.detach() - expected).abs() - allowed).max();
    let excess = excess.to_kind(Kind::Double).double_value(&[]);
    assert!(
        excess <= 0.0,
        "{what}: {excess:e} beyond the tolerance\n{found}\n{expected}"
    );
}
