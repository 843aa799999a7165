//! Ranges of `[train]` that its types cannot say. The dataset's and evaluation's are their crates'.

use genair_protocol::{LossKind, TrainSpec};

/// What is wrong with the values: key within `[train]`, what the value is, what it must be.
pub(crate) fn train_problems(
    train: &TrainSpec,
) -> Vec<(&'static [&'static str], String, &'static str)> {
    let mut found: Vec<(&'static [&'static str], String, &'static str)> = Vec::new();
    let whole: [(&'static [&'static str], usize); 6] = [
        (&["batch_size"], train.batch_size),
        (&["threads"], train.threads),
        (&["loss", "negatives"], train.loss.negatives),
        (&["stop", "patience"], train.stop.patience),
        (&["stop", "max_epochs"], train.stop.max_epochs),
        (&["stop", "eval_every"], train.stop.eval_every),
    ];
    for (key, value) in whole {
        if value == 0 {
            found.push((key, value.to_string(), "at least 1"));
        }
    }
    if !(0.0..=1.0).contains(&train.loss.t) {
        let value = train.loss.t.to_string();
        found.push((&["loss", "t"], value, "from 0 to 1"));
    }
    if train.loss.kind == LossKind::CrossEntropy && train.loss.negatives > 1 {
        let value = train.loss.negatives.to_string();
        let must = "left out: cross-entropy compares with all items";
        found.push((&["loss", "negatives"], value, must));
    }
    let optimizer = &train.optimizer;
    if !(optimizer.lr.is_finite() && optimizer.lr > 0.0) {
        found.push((
            &["optimizer", "lr"],
            optimizer.lr.to_string(),
            "a finite number above 0",
        ));
    }
    if !(optimizer.weight_decay.is_finite() && optimizer.weight_decay >= 0.0) {
        let value = optimizer.weight_decay.to_string();
        found.push((
            &["optimizer", "weight_decay"],
            value,
            "a finite number, at least 0",
        ));
    }
    if !is_device(&train.device) {
        found.push((
            &["device"],
            format!("{:?}", train.device),
            "\"auto\", \"cpu\" or \"cuda:N\" with N from 0",
        ));
    }
    found
}

fn is_device(text: &str) -> bool {
    let index = |text: &str| text.bytes().all(|c| c.is_ascii_digit()) && text.parse::<u8>().is_ok();
    matches!(text, "auto" | "cpu") || text.strip_prefix("cuda:").is_some_and(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range() {
        assert_eq!(train_problems(&TrainSpec::default()), []);
    }

    #[test]
    fn every_range_is_checked() {
        let mut train = TrainSpec {
            batch_size: 0,
            threads: 0,
            device: "gpu".to_owned(),
            ..TrainSpec::default()
        };
        train.loss.negatives = 0;
        train.stop.patience = 0;
        train.stop.max_epochs = 0;
        train.stop.eval_every = 0;
        train.optimizer.lr = f64::NAN;
        train.optimizer.weight_decay = -1.0;
        train.loss.t = 1.5;
        assert_eq!(train_problems(&train).len(), 10);
        train.loss.kind = LossKind::CrossEntropy;
        train.loss.negatives = 5;
        assert_eq!(train_problems(&train).len(), 10);
    }

    #[test]
    fn devices() {
        for (text, valid) in [
            ("auto", true),
            ("cpu", true),
            ("cuda:0", true),
            ("cuda", false),
            ("cuda:", false),
            ("cuda:+1", false),
        ] {
            assert_eq!(is_device(text), valid, "{text}");
        }
    }
}
