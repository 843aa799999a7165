//! GRU4Rec: the last-item form with two negatives, and two layers with a loss at every position.
//! The published code runs over padding, so here it is a token like any other.

use serde_json::json;

use super::{Fixture, Subject, assert_close, full};

const WINDOW: i64 = 7;

fn subject(fixture: &Fixture, layers: usize) -> Subject {
    let params = json!({"hidden_size": 8, "num_layers": layers, "dropout": 0.0});
    Subject::new("gru4rec", params, WINDOW as usize, fixture)
}

fn assert_predictions(fixture: &Fixture, subject: &Subject) {
    let states = subject.states(&full(&fixture.ids("in.seq")));
    assert_close(
        &states.view([3, WINDOW, 8]),
        fixture.get("out.feats"),
        0.0,
        "features",
    );
    let mut batch = full(&fixture.ids("in.eval_seq"));
    batch.wanted = Some(vec![6, 13, 20]);
    let all = subject.scores(&subject.states(&batch));
    assert_close(&all, fixture.get("out.predict_all"), 0.0, "all predictions");
    let chosen = all.gather(1, &(fixture.get("in.candidates") - 1), false);
    assert_close(&chosen, fixture.get("out.predict"), 0.0, "predictions");
}

fn assert_last_item_form(name: &str) {
    let fixture = Fixture::read(name);
    let subject = subject(&fixture, 1);
    assert_predictions(&fixture, &subject);
    let mut batch = full(&fixture.ids("in.seq"));
    batch.wanted = Some(vec![6, 13, 20]);
    batch.targets = fixture.ids("in.pos").concat();
    batch.negatives = fixture.ids("in.neg").concat();
    subject.assert_training(&fixture, &batch, 2);
}

#[test]
fn last_item_form() {
    assert_last_item_form("gru4rec");
}

/// Padding is the adapter's answer to zero, and trains it.
#[test]
fn last_item_form_of_genair() {
    assert_last_item_form("genair_gru4rec");
}

#[test]
fn every_position_and_two_layers() {
    let fixture = Fixture::read("gru4rec_seq2layer");
    let subject = subject(&fixture, 2);
    assert_predictions(&fixture, &subject);
    let mut batch = full(&fixture.ids("in.seq"));
    let (targets, negatives) = (
        fixture.ids("in.pos").concat(),
        fixture.ids("in.neg").concat(),
    );
    let wanted = (0..targets.len()).filter(|&token| targets[token] != 0);
    batch.wanted = Some(wanted.clone().map(|token| token as i64).collect());
    batch.targets = wanted.clone().map(|token| targets[token]).collect();
    batch.negatives = wanted.map(|token| negatives[token]).collect();
    subject.assert_training(&fixture, &batch, 1);
}
