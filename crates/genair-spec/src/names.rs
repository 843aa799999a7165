//! What the names in a spec may hold. They become labels of runs, which every command shows.

use genair_protocol::text::{check_name, quoted};
use genair_toml::{KeyPath, Problems};
use toml::{Table, Value};

use super::axes::{Axis, value_label};
use super::check::listed;

/// The tables of the merged spec whose keys are names.
pub(crate) const NAMED: [&str; 5] = [
    "dataset",
    "backbone",
    "representation",
    "ensemble",
    "rerank",
];

/// Checks every name that the spec gives or uses.
pub(crate) fn check_names(tree: &Table, problems: &mut Problems<'_>) {
    for section in NAMED {
        let at = KeyPath::new([section]);
        for name in at.table(tree).keys() {
            check(problems, &at.child(name), "the name", name);
        }
    }
    let at = KeyPath::new(["sweep"]);
    for key in ["name", "backbone", "representation", "dataset"] {
        let key = at.child(key);
        let names = key.get(tree).into_iter().flat_map(listed);
        for name in names.filter_map(Value::as_str) {
            check(problems, &key, "the name", name);
        }
    }
}

/// Checks what axes put into the labels of runs. A value may have several lines, such as an instruction to a model:
/// it is a text, and shown in quotes.
pub(crate) fn check_axis_labels(axes: &[Axis], problems: &mut Problems<'_>) {
    for axis in axes {
        for label in axis.values.iter().map(value_label) {
            let line = label.replace(['\n', '\r', '\t'], " ");
            check(problems, &axis.path, "the value", &line);
        }
    }
}

fn check(problems: &mut Problems<'_>, key: &KeyPath, subject: &str, name: &str) {
    if let Some((message, hint)) = refusal(key, subject, name) {
        problems.report(key, message, Some(hint));
    }
}

/// What is wrong with a name, and what to do about it; none if it may be one.
pub(crate) fn refusal(key: &KeyPath, subject: &str, name: &str) -> Option<(String, String)> {
    let bad = check_name(name).err()?;
    let message = format!("`{key}`: {subject} {} {bad}", quoted(name));
    let hint = "take it out; letters, digits, spaces and punctuation are fine";
    Some((message, hint.to_owned()))
}
