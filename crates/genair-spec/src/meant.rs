//! Keys by names that other programs have for them, or in a place where one would look for them.

use genair_toml::{KeyPath, nearest, suggestion};

/// Keys of a spec, and what they are taken for. `NAME` stands for any name; a key of a backbone is one of its
/// plugin's, if that has it.
const SYNONYMS: [(&str, &[&str]); 32] = [
    ("sweep.name", &["name", "experiment", "title"]),
    ("sweep.preset", &["preset"]),
    (
        "sweep.seeds",
        &["seed", "seeds", "random_seed", "num_seeds", "n_seeds"],
    ),
    (
        "sweep.backbone",
        &["model", "models", "backbones", "architecture"],
    ),
    (
        "sweep.representation",
        &[
            "representations",
            "embedding",
            "embeddings",
            "item_embedding",
        ],
    ),
    ("sweep.dataset", &["datasets"]),
    (
        "dataset.NAME.path",
        &["data_path", "data_dir", "folder", "dir"],
    ),
    (
        "dataset.NAME.max_len",
        &[
            "max_len",
            "maxlen",
            "max_length",
            "max_seq_len",
            "max_seq_length",
            "seq_len",
            "sequence_length",
            "history",
        ],
    ),
    (
        "dataset.NAME.k_core",
        &[
            "kcore",
            "core",
            "min_interactions",
            "min_user",
            "min_item",
            "min_count",
        ],
    ),
    (
        "train.batch_size",
        &["batch", "bs", "batch_size", "train_batch_size", "minibatch"],
    ),
    (
        "train.init",
        &[
            "initializer",
            "initialization",
            "initialisation",
            "weight_init",
        ],
    ),
    (
        "train.precision",
        &["dtype", "amp", "fp16", "bf16", "mixed_precision"],
    ),
    ("train.device", &["device", "gpu", "cuda", "accelerator"]),
    (
        "train.threads",
        &[
            "threads",
            "num_threads",
            "n_threads",
            "workers",
            "num_workers",
            "cpus",
        ],
    ),
    ("train.loss", &["loss"]),
    ("train.optimizer", &["optimizer"]),
    ("train.stop", &["stop", "stopping"]),
    (
        "train.loss.kind",
        &[
            "loss_type",
            "loss_fn",
            "loss_function",
            "criterion",
            "objective",
        ],
    ),
    (
        "train.loss.negatives",
        &[
            "negatives",
            "num_negatives",
            "n_negatives",
            "neg_samples",
            "num_neg",
            "negative_samples",
        ],
    ),
    (
        "train.loss.sampler",
        &["sampler", "neg_sampler", "negative_sampler"],
    ),
    ("train.optimizer.kind", &["optim", "opt", "optimizer_type"]),
    (
        "train.optimizer.lr",
        &["lr", "learning_rate", "eta", "step_size"],
    ),
    (
        "train.optimizer.weight_decay",
        &["weight_decay", "wd", "l2", "l2_reg", "l2_emb", "decay"],
    ),
    (
        "train.stop.metric",
        &["metric", "monitor", "valid_metric", "early_stopping_metric"],
    ),
    (
        "train.stop.patience",
        &[
            "patience",
            "early_stopping",
            "early_stop",
            "early_stopping_patience",
            "stopping_step",
        ],
    ),
    (
        "train.stop.max_epochs",
        &[
            "epoch",
            "epochs",
            "max_epochs",
            "max_epoch",
            "num_epochs",
            "n_epochs",
            "train_epochs",
        ],
    ),
    (
        "train.stop.eval_every",
        &[
            "eval_every",
            "eval_step",
            "eval_interval",
            "valid_every",
            "validate_every",
        ],
    ),
    (
        "eval.k",
        &["topk", "top_k", "cutoff", "cutoffs", "cut_offs", "ks"],
    ),
    ("eval.metrics", &["metrics"]),
    (
        "schedule.jobs",
        &["jobs", "n_jobs", "num_jobs", "parallel", "parallelism"],
    ),
    (
        "backbone.NAME.hidden_size",
        &[
            "hidden_size",
            "hidden",
            "hidden_dim",
            "hidden_units",
            "dim",
            "d_model",
            "emb_size",
            "embedding_dim",
            "embedding_size",
        ],
    ),
    (
        "backbone.NAME.dropout",
        &["dropout", "dropout_rate", "dropout_prob", "drop"],
    ),
];

/// What to do about the unknown key `name` of the table at `section`, which knows `known`: the key that is near
/// to it, the one that is meant by it elsewhere, or all there are.
pub(crate) fn hint(section: &KeyPath, name: &str, known: &[&str]) -> Option<String> {
    if nearest(name, known.iter().copied()).is_none()
        && let Some(meant) = meant(section, name, known)
    {
        return Some(format!("did you mean `{meant}`?"));
    }
    suggestion(name, known)
}

fn meant(section: &KeyPath, name: &str, known: &[&str]) -> Option<String> {
    let name = name.to_lowercase().replace('-', "_");
    let (key, _) = SYNONYMS
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()))?;
    let (table, last) = key.rsplit_once('.')?;
    let own = match section.keys() {
        [kind, own] if format!("{kind}.NAME") == table => Some(own),
        _ => None,
    };
    if own.is_some() || section.to_string() == table {
        // Here, if the table has it: a plugin may call it otherwise.
        return known.contains(&last).then(|| last.to_owned());
    }
    Some((*key).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_by_another_name_or_in_another_place_is_found() {
        for (section, name, known, expected) in [
            (
                "train",
                "learning_rate",
                &["batch_size"][..],
                Some("train.optimizer.lr"),
            ),
            (
                "train",
                "Learning-Rate",
                &["batch_size"],
                Some("train.optimizer.lr"),
            ),
            (
                "train.optimizer",
                "learning_rate",
                &["kind", "lr"],
                Some("lr"),
            ),
            ("train", "epochs", &["stop"], Some("train.stop.max_epochs")),
            ("train", "batch", &["batch_size"], Some("batch_size")),
            ("", "seed", &["sweep"], Some("sweep.seeds")),
            (
                "train",
                "hidden_size",
                &["stop"],
                Some("backbone.NAME.hidden_size"),
            ),
            (
                "backbone.sasrec",
                "lr",
                &["dropout"],
                Some("train.optimizer.lr"),
            ),
            (
                "backbone.sasrec",
                "d_model",
                &["hidden_size"],
                Some("hidden_size"),
            ),
            ("backbone.own", "d_model", &["width"], None),
            ("dataset.made", "maxlen", &["max_len"], Some("max_len")),
            (
                "train",
                "max_seq_len",
                &["stop"],
                Some("dataset.NAME.max_len"),
            ),
            ("train", "nonsense", &["stop"], None),
        ] {
            let section = KeyPath::new(section.split('.').filter(|key| !key.is_empty()));
            let found = hint(&section, name, known);
            let expected = match expected {
                Some(key) => format!("did you mean `{key}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            assert_eq!(found, Some(expected), "{section} {name}");
        }
    }

    #[test]
    fn every_key_that_is_meant_exists() {
        for (key, _) in SYNONYMS {
            let last = key.rsplit_once('.').unwrap().1;
            let written = [" = ", " = \""].iter().any(|sign| {
                super::super::load::DEFAULT_SPEC.lines().any(|line| {
                    line.trim_start_matches("# ")
                        .starts_with(&format!("{last}{sign}"))
                })
            });
            let is_table = super::super::load::DEFAULT_SPEC.contains(&format!("[{key}]"));
            let of_plugins = ["hidden_size", "dropout"].contains(&last);
            assert!(written || is_table || of_plugins, "{key}");
        }
    }
}
