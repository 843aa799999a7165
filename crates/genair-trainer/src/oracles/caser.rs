//! Caser in RecBole's form, with both of its losses and its regularisation, and in the original one.
//! Both read padding as an item, so here it is a token like any other.

use genair_protocol::{LossKind, LossSpec};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::{Fixture, ITEMS, Subject, assert_close, assert_near, full};
use crate::batch::TrainingBatch;
use crate::loss::{Loss, LossInput, loss};
use crate::representation::GatheredItems;
use crate::training::Forward;

/// Items a window holds.
const WINDOW: usize = 5;
/// RecBole's `reg_weight`.
const REGULARISATION: f64 = 1e-4;

fn params(form: &str) -> Value {
    json!({
        "form": form, "hidden_size": 8, "window": WINDOW, "vertical_filters": 2,
        "horizontal_filters": 3, "dropout": 0.0,
    })
}

/// Whole windows, of whose last token the state is wanted.
fn batch(fixture: &Fixture) -> TrainingBatch {
    let mut batch = full(&fixture.ids("in.seq"));
    batch.users = fixture
        .ids("in.user")
        .concat()
        .iter()
        .map(|user| user - 1)
        .collect();
    batch.wanted = Some(vec![4, 9, 14]);
    batch
}

/// States and item vectors, ready for a loss: these fixtures' are not a run's.
fn encode(subject: &Subject, batch: &TrainingBatch) -> (Tensor, GatheredItems) {
    let items = subject.model.items.gather(&batch.distinct, None).unwrap();
    let tokens = items.tokens(&Tensor::from_slice(&batch.tokens)).unwrap();
    (subject.encode(batch, &tokens, Some(1)), items)
}

/// RecBole's penalty: the norms, not squared, of these weights. The item table is the rows taken
/// from it, which in these tests are all of them.
fn penalty(subject: &Subject, items: &GatheredItems) -> Tensor {
    let weights = subject
        .parameters
        .named()
        .iter()
        .filter(|(name, _)| !name.ends_with("bias"));
    let norms = weights.map(|(name, tensor)| {
        items
            .rows_of(name)
            .unwrap_or(tensor)
            .square()
            .sum(Kind::Float)
            .sqrt()
    });
    norms.sum::<Tensor>() * REGULARISATION
}

#[test]
fn recbole_form() {
    let fixture = Fixture::read("caser");
    let subject = Subject::new("caser", params("recbole"), WINDOW, &fixture);
    let batch = batch(&fixture);
    let states = subject.states(&batch);
    assert_close(&states, fixture.get("out.seq_output"), 0.0, "states");
    let all = fixture.get("out.scores_all").narrow(1, 1, ITEMS);
    assert_close(&subject.scores(&states), &all, 0.0, "scores");

    for (kind, name) in [(LossKind::CrossEntropy, "ce"), (LossKind::Bpr, "bpr")] {
        let (states_ms, items) = encode(&subject, &batch);
        let penalty = penalty(&subject, &items);
        assert_near(
            penalty.double_value(&[]),
            fixture.number("out.reg"),
            "penalty",
        );
        let input = LossInput {
            states_ms: &states_ms,
            outputs: &items.outputs,
            targets_m: fixture.get("in.pos"),
            negatives: &fixture.get("in.neg").unsqueeze(1),
            log_probability_u: None,
            // RecBole's softmax goes over the padding row, too.
            items: ITEMS as usize + 1,
        };
        let spec = LossSpec {
            kind,
            ..LossSpec::default()
        };
        let Loss {
            value,
            differentiable,
        } = loss(&spec, &input).unwrap();
        let value = value + penalty.double_value(&[]);
        assert_near(value, fixture.number(&format!("out.loss_{name}")), name);
        let loss = Loss {
            value,
            differentiable: differentiable + penalty,
        };
        let forward = Forward {
            loss,
            states_ms,
            items,
        };
        let gradients = forward.gradients(&batch, &subject.parameters).unwrap();
        subject.assert_gradients(&gradients, fixture.below(&format!("g_{name}.")));
    }
}

#[test]
fn original_form() {
    let fixture = Fixture::read("caser_original");
    let subject = Subject::new("caser", params("original"), WINDOW, &fixture);
    let batch = batch(&fixture);
    let states = subject.states(&batch);
    assert_close(&states, fixture.get("out.x"), 0.0, "states");
    assert_close(
        &states.narrow(1, 0, 8),
        fixture.get("out.z"),
        0.0,
        "convolved sequences",
    );
    let all = subject.scores(&states);
    let chosen = |name: &str| all.gather(1, &(fixture.get(name) - 1), false);
    assert_close(
        &chosen("in.pos"),
        fixture.get("out.pos_scores"),
        0.0,
        "scores of targets",
    );
    assert_close(
        &chosen("in.neg"),
        fixture.get("out.neg_scores"),
        0.0,
        "scores of negatives",
    );

    // Two targets and three negatives for each state; the trainer's losses take one target.
    let (states_ms, items) = encode(&subject, &batch);
    let all = states_ms.linear(&items.outputs.vectors, items.outputs.bias.as_ref());
    let of = |name: &str| all.gather(1, fixture.get(name), false);
    let loss =
        (-of("in.pos")).softplus().mean(Kind::Float) + of("in.neg").softplus().mean(Kind::Float);
    let loss = Loss {
        value: loss.double_value(&[]),
        differentiable: loss,
    };
    assert_near(loss.value, fixture.number("out.loss"), "loss");
    let forward = Forward {
        loss,
        states_ms,
        items,
    };
    let gradients = forward.gradients(&batch, &subject.parameters).unwrap();
    subject.assert_gradients(&gradients, fixture.below("g."));
}
