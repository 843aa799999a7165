//! Parity with PyTorch: the real plugins against the numbers of `tests/fixtures` at the root, whose
//! README has every formula. Forward, scores, loss, the gradient of every parameter and five steps
//! of Adam; weights and gradients get here by the checkpoint import.
//!
//! The fixtures pad on the left and count positions from 1; here sequences are packed and counted
//! from 0. Tolerances are the README's.

mod caser;
mod gru4rec;
mod transformers;

use std::path::{Path, PathBuf};

use genair_data::{Dataset, DatasetSpec};
use genair_protocol::{LossSpec, OptimizerSpec, TrainSpec};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::batch::TrainingBatch;
use crate::checkpoint::arrange;
use crate::optimizer::{Adam, Gradient};
use crate::parameters::Parameters;
use crate::plugin::{BatchTensors, Plugin};
use crate::training::SequenceModel;

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
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        let path = folder.join(format!("{name}.safetensors"));
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
}

impl Subject {
    fn new(plugin: &str, params: Value, max_len: usize, fixture: &Fixture) -> Self {
        let plugin: &'static Plugin = Box::leak(Box::new(open(plugin)));
        let dataset = dataset(max_len);
        let Value::Object(params) = params else {
            panic!("{params} are no parameters")
        };
        let spec = TrainSpec::default();
        tch::set_num_threads(1);
        let (model, mut parameters) =
            SequenceModel::create(plugin, &params, &dataset, &spec, 1, Device::Cpu).unwrap();
        let weights = arrange(fixture.below("w."), &parameters).unwrap();
        parameters.restore(&weights).unwrap();
        Self { model, parameters }
    }

    /// States of every token, `[N, S]`, in prediction.
    fn states(&self, batch: &TrainingBatch) -> Tensor {
        let _guard = tch::no_grad_guard();
        let vectors = self.model.items.all_inputs().unwrap();
        self.encode(batch, &vectors, None)
    }

    fn encode(&self, batch: &TrainingBatch, vectors: &Tensor, training: Option<u64>) -> Tensor {
        let users = Tensor::from_slice(&batch.users);
        let tokens = Tensor::from_slice(&batch.tokens);
        let wants_users = self.model.backbone.capabilities().wants_users;
        let states = self.model.backbone.encode(&BatchTensors {
            items: &crate::training::gather_tokens(vectors, batch, &tokens).unwrap(),
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
        let outputs = self.model.items.all_outputs().unwrap();
        states
            .linear(&outputs.vectors, outputs.bias.as_ref())
            .narrow(1, 1, ITEMS)
    }

    /// Loss and gradients of a batch, then five steps of Adam, against the fixture.
    fn assert_training(&self, fixture: &Fixture, batch: &TrainingBatch, negatives: usize) {
        let loss = LossSpec {
            negatives,
            ..LossSpec::default()
        };
        let forward = self.model.forward(batch, &loss, 1).unwrap();
        assert_near(forward.loss.value, fixture.number("out.loss"), "loss");
        let gradients = forward.gradients(batch, &self.parameters).unwrap();
        self.assert_gradients(&gradients, fixture.below("g."));

        let spec = OptimizerSpec {
            lr: 1e-2,
            ..OptimizerSpec::default()
        };
        let mut adam = Adam::new(spec, &self.parameters);
        for step in 0..5 {
            let forward = self.model.forward(batch, &loss, 1).unwrap();
            let expected = fixture.get("out.adam_losses").double_value(&[step]);
            let what = format!("loss before step {}", step + 1);
            assert_near(forward.loss.value, expected, &what);
            let gradients = forward.gradients(batch, &self.parameters).unwrap();
            adam.step(&self.parameters, &gradients).unwrap();
        }
    }

    /// Every parameter has the gradient that the fixture has for it, by its reference name.
    fn assert_gradients(&self, gradients: &[Gradient], expected: Vec<(String, Tensor)>) {
        let expected = arrange(expected, &self.parameters).unwrap();
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

/// A plugin as it was built, from beside the tests' own folder.
fn open(name: &str) -> Plugin {
    let file = format!(
        "{}{name}.{}",
        genair_abi::PLUGIN_FILE_PREFIX,
        std::env::consts::DLL_EXTENSION
    );
    let tests = std::env::current_exe().unwrap();
    let built: Option<PathBuf> = tests
        .ancestors()
        .map(|folder| folder.join(&file))
        .find(|path| path.exists());
    let path = built.unwrap_or_else(|| panic!("{file} is not built: run `just build` first"));
    Plugin::open(&path, None).unwrap()
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
