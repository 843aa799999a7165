//! Keys by names that other programs have for them, or in a place where one would look for them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use genair_toml::{KeyPath, nearest, suggestion};

/// Keys of a spec, and what they are taken for; see the file.
static SYNONYMS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let synonyms = include_str!("synonyms.toml");
    toml::from_str(synonyms).expect("the synonyms are part of the program, and tested")
});

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
    let (key, _) = SYNONYMS.iter().find(|(_, names)| names.contains(&name))?;
    let (table, last) = key.rsplit_once('.')?;
    let own = match section.keys() {
        [kind, own] if format!("{kind}.NAME") == table => Some(own),
        _ => None,
    };
    if own.is_some() || section.to_string() == table {
        // Here, if the table has it: a plugin may call it otherwise.
        return known.contains(&last).then(|| last.to_owned());
    }
    Some(key.clone())
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
        for key in SYNONYMS.keys() {
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
