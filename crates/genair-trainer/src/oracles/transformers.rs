//! SASRec, causal and not, and BERT4Rec. All let padding keys take attention mass, as the published
//! code does, hence `key_padding_mask = false`.

use serde_json::json;
use tch::Tensor;

use super::{Fixture, ITEMS, Subject, assert_close, packed, push_sequence, valid_rows};
use crate::batch::TrainingBatch;

/// Window of the fixtures.
const WINDOW: usize = 7;

fn params() -> serde_json::Value {
    json!({"hidden_size": 8, "num_heads": 2, "num_blocks": 2, "dropout": 0.0, "key_padding_mask": false})
}

/// The batch of `in.seq`, with a target wherever `in.pos` is not 0.
fn training_batch(fixture: &Fixture) -> TrainingBatch {
    let (tokens, targets, negatives) = (
        fixture.ids("in.seq"),
        fixture.ids("in.pos"),
        fixture.ids("in.neg"),
    );
    let valid: Vec<bool> = tokens.iter().flatten().map(|&token| token != 0).collect();
    let mut batch = packed(&tokens);
    let mut wanted = Vec::new();
    let mut token = 0;
    for ((valid, target), negative) in valid
        .iter()
        .zip(targets.iter().flatten())
        .zip(negatives.iter().flatten())
    {
        if *target != 0 {
            wanted.push(token);
            batch.targets.push(*target);
            batch.negatives.push(*negative);
        }
        token += i64::from(*valid);
    }
    batch.wanted = Some(wanted);
    batch
}

/// States of every token of `in.seq`.
fn assert_features(fixture: &Fixture, subject: &Subject) {
    let sequences = fixture.ids("in.seq");
    let states = subject.states(&packed(&sequences));
    assert_close(
        &states,
        &valid_rows(fixture.get("out.feats"), &sequences),
        0.0,
        "features",
    );
}

fn assert_predictions(fixture: &Fixture, states: &Tensor, subject: &Subject) {
    let all = subject.scores(states);
    assert_close(&all, fixture.get("out.predict_all"), 0.0, "all predictions");
    let candidates = fixture.get("in.candidates") - 1;
    let chosen = all.gather(1, &candidates, false);
    assert_close(&chosen, fixture.get("out.predict"), 0.0, "predictions");
}

fn last_tokens(batch: &TrainingBatch) -> Vec<i64> {
    let ends = batch.lengths.iter().scan(0, |end, &length| {
        *end += length;
        Some(*end - 1)
    });
    ends.collect()
}

fn assert_sasrec(name: &str, causal: bool) {
    let fixture = Fixture::read(name);
    let mut params = params();
    params["causal"] = causal.into();
    let subject = Subject::new("sasrec", params, WINDOW, &fixture);
    assert_features(&fixture, &subject);
    let mut batch = packed(&fixture.ids("in.eval_seq"));
    batch.wanted = Some(last_tokens(&batch));
    assert_predictions(&fixture, &subject.states(&batch), &subject);
    subject.assert_training(&fixture, &training_batch(&fixture), 1);
}

#[test]
fn causal_sasrec() {
    assert_sasrec("sasrec_causal", true);
}

#[test]
fn sasrec_without_its_causal_mask() {
    assert_sasrec("sasrec_noncausal", false);
}

#[test]
fn genair_causal_sasrec() {
    assert_sasrec("genair_sasrec_causal", true);
}

/// The published code as it is: no causal mask, and vectors shifted by a row, so that the last item
/// has none.
#[test]
fn genair_sasrec_with_the_traps_of_the_published_code() {
    assert_sasrec("genair_sasrec_noncausal_refinsert", false);
}

#[test]
fn bert4rec() {
    assert_bert4rec("bert4rec");
}

#[test]
fn genair_bert4rec() {
    assert_bert4rec("genair_bert4rec");
}

/// A window's worth of items and the mask get the positions after the first in the reference, so
/// that the last is one beyond the window; here the window holds the mask. A model of one place more
/// has that position, and since the window is then full, no padding whose mass would depend on it.
fn assert_bert4rec(name: &str) {
    let fixture = Fixture::read(name);
    let subject = Subject::new("bert4rec", params(), WINDOW, &fixture);
    assert_features(&fixture, &subject);

    let mut longer = params();
    longer["key_padding_mask"] = true.into();
    let longer = Subject::new("bert4rec", longer, WINDOW + 1, &fixture);
    let states: Vec<Tensor> = fixture
        .ids("in.eval_seq")
        .into_iter()
        .enumerate()
        .map(|(user, row)| {
            let full = row[0] != 0;
            let mut items: Vec<i64> = row[1..].iter().copied().filter(|&item| item != 0).collect();
            items.push(ITEMS + 1);
            let mut batch = super::empty_batch();
            push_sequence(&mut batch, user, &items);
            if full {
                batch.positions = (1..=WINDOW as i64).collect();
            }
            batch.wanted = Some(last_tokens(&batch));
            if full {
                longer.states(&batch)
            } else {
                subject.states(&batch)
            }
        })
        .collect();
    assert_predictions(&fixture, &Tensor::cat(&states, 0), &subject);
    subject.assert_training(&fixture, &training_batch(&fixture), 1);
}
