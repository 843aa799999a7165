//! Axes of a sweep: settings given as a list, as a range, or by points. Finds and names them, and walks the
//! product of the lists.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use genair_protocol::Axes;
use genair_toml::{KeyPath, Problems, Sources};
use toml::{Table, Value};

use super::range::Range;

/// The tables that hold settings of runs.
pub(crate) const OF_RUNS: [&str; 4] = ["dataset", "backbone", "representation", "train"];

/// A setting with several values, of which each run has one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) path: KeyPath,
    /// At least one, no two alike. Of a range its ends and something between them: what holds for
    /// these holds for the rest.
    pub(crate) values: Vec<Value>,
    pub(crate) kind: AxisKind,
    /// Its name in a run's labels, such as `lr`.
    pub(crate) label: String,
}

/// How the values of an axis were written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AxisKind {
    /// One by one; the grid has all of them.
    List,
    /// As a range, from which a search draws.
    Range(Range),
    /// By the points of a search, together with those of other settings.
    Points,
}

impl Axis {
    /// Whether the grid has all of its values.
    pub(crate) fn is_list(&self) -> bool {
        self.kind == AxisKind::List
    }

    /// What a search draws its values from, if it does.
    pub(crate) fn range(&self) -> Option<&Range> {
        match &self.kind {
            AxisKind::Range(range) => Some(range),
            AxisKind::List | AxisKind::Points => None,
        }
    }
}

/// All axes in the sections of `tree` and those that `points` set, in the order of the file. `is_list`
/// says which keys are lists by their type. What makes no axis is reported and taken out of the tree.
pub(crate) fn find_axes(
    tree: &mut Table,
    points: Vec<(KeyPath, Vec<Value>)>,
    sources: &Sources,
    is_list: &dyn Fn(&KeyPath) -> bool,
    problems: &mut Problems<'_>,
) -> Vec<Axis> {
    let mut written = Vec::new();
    for section in OF_RUNS {
        let path = KeyPath::new([section]);
        find_written(&path, &path.table(tree), is_list, &mut written);
    }
    let mut axes = Vec::new();
    let of_points: HashSet<&KeyPath> = points.iter().map(|(path, _)| path).collect();
    for (path, value) in written {
        if of_points.contains(&path) {
            continue; // Each point says which value it has.
        }
        let read = match &value {
            Value::Table(table) => Range::read(&path, table, problems)
                .map(|range| (range.examples(), AxisKind::Range(range))),
            Value::Array(values) => {
                axis_values(&path, values, problems).map(|values| (values, AxisKind::List))
            }
            _ => None,
        };
        match read {
            Some((values, kind)) => axes.push(Axis {
                path,
                values,
                kind,
                label: String::new(),
            }),
            None => drop(path.remove(tree)),
        }
    }
    axes.sort_by_cached_key(|axis| sources.position(&axis.path));
    axes.extend(points.into_iter().map(|(path, values)| Axis {
        path,
        values,
        kind: AxisKind::Points,
        label: String::new(),
    }));
    name(&mut axes);
    axes
}

/// Every list and range below `at`.
fn find_written(
    at: &KeyPath,
    table: &Table,
    is_list: &dyn Fn(&KeyPath) -> bool,
    found: &mut Vec<(KeyPath, Value)>,
) {
    for (key, value) in table {
        let path = at.child(key);
        match value {
            Value::Table(inner) if !Range::is_meant(inner) => {
                find_written(&path, inner, is_list, found);
            }
            Value::Array(_) if is_list(&path) => {}
            Value::Table(_) | Value::Array(_) => found.push((path, value.clone())),
            _ => {}
        }
    }
}

/// The values of an axis; an empty one is reported, and so are values that are no scalars or alike.
pub(crate) fn axis_values(
    path: &KeyPath,
    values: &[Value],
    problems: &mut Problems<'_>,
) -> Option<Vec<Value>> {
    if values.is_empty() {
        let message = "is an empty list; an axis needs at least one value";
        problems.about(path, message, None);
        return None;
    }
    let mut seen = BTreeSet::new();
    for value in values {
        if value.is_table() || value.is_array() {
            let message = format!("lists {value}; an axis holds numbers, strings or booleans");
            let hint = "list the values of the single setting that varies".to_owned();
            problems.about(path, message, Some(hint));
            return None;
        }
        let label = value_label(value);
        if !seen.insert(label.clone()) {
            problems.about(path, format!("lists {label} twice; list it once"), None);
            return None;
        }
    }
    Some(values.to_vec())
}

/// Names every axis by its last key, or its last two where another setting of the sweep ends alike.
/// The same setting of two datasets or backbones is one setting.
fn name(axes: &mut [Axis]) {
    let setting = |axis: &Axis| match axis.path.keys() {
        [section, _, rest @ ..] if section != "train" => format!("{section}.*.{}", rest.join(".")),
        keys => keys.join("."),
    };
    let mut settings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for axis in axes.iter() {
        settings
            .entry(axis.path.tail(1))
            .or_default()
            .insert(setting(axis));
    }
    for axis in axes {
        let last = axis.path.tail(1);
        let ambiguous = settings
            .get(&last)
            .is_some_and(|settings| settings.len() > 1);
        axis.label = if ambiguous { axis.path.tail(2) } else { last };
    }
}

/// A value as labels have it: floats in the shorter of decimal and exponent form.
pub(crate) fn value_label(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => {
            let (decimal, exponent) = (number.to_string(), format!("{number:e}"));
            if exponent.len() < decimal.len() {
                exponent
            } else {
                decimal
            }
        }
        other => other.to_string(),
    }
}

/// Every combination of the axes' values, the last axis fastest; one empty combination for none.
pub(crate) fn combinations<'a>(
    axes: &[&'a Axis],
) -> impl Iterator<Item = Vec<(&'a Axis, &'a Value)>> + use<'a> {
    let axes = axes.to_vec();
    // More than fit are more than anybody takes: a caller stops at the most runs that a sweep may have.
    let lengths = axes.iter().map(|axis| axis.values.len());
    let total = lengths.fold(1, usize::saturating_mul);
    (0..total).map(move |at| {
        let mut rest = at;
        let mut chosen: Vec<_> = axes
            .iter()
            .rev()
            .map(|axis| {
                let value = &axis.values[rest % axis.values.len()];
                rest /= axis.values.len();
                (*axis, value)
            })
            .collect();
        chosen.reverse();
        chosen
    })
}

/// One combination by the names of its axes, as labels have it.
pub(crate) fn labelled(chosen: &[(&Axis, &Value)]) -> Axes {
    let labelled = chosen.iter();
    labelled
        .map(|(axis, value)| (axis.label.as_str(), value_label(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use genair_toml::Document;

    fn axes_of(text: &str) -> Vec<Axis> {
        let file = Document::parse(Path::new("s.toml"), text).unwrap();
        let sources = Sources::new(vec![file], Vec::new());
        let mut problems = Problems::new(&sources);
        let axes = find_axes(
            &mut toml::from_str(text).unwrap(),
            Vec::new(),
            &sources,
            &|path| path.tail(1) == "widths",
            &mut problems,
        );
        problems.finish().unwrap();
        axes
    }

    fn variants(text: &str) -> Vec<String> {
        let axes = axes_of(text);
        combinations(&axes.iter().collect::<Vec<_>>())
            .map(|chosen| labelled(&chosen).to_string())
            .collect()
    }

    #[test]
    fn the_last_axis_of_the_file_is_the_fastest() {
        let text = "[train]\noptimizer.lr = [1e-2, 1e-4]\nbatch_size = [64, 128]\n[backbone.x]\nwidths = [1, 2]";
        let expected = [
            "lr=0.01,batch_size=64",
            "lr=0.01,batch_size=128",
            "lr=1e-4,batch_size=64",
            "lr=1e-4,batch_size=128",
        ];
        assert_eq!(variants(text), expected);
        assert_eq!(variants(""), [""]);
    }

    #[test]
    fn labels_are_as_short_as_they_can_be() {
        let labels = |text| {
            axes_of(text)
                .into_iter()
                .map(|axis| axis.label)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            labels("backbone.a.dropout = [0, 1]\nbackbone.b.dropout = [0, 1]"),
            ["dropout", "dropout"]
        );
        assert_eq!(
            labels("backbone.a.seed = [0, 1]\ndataset.b.seed = [0, 1]"),
            ["a.seed", "b.seed"]
        );
    }

    #[test]
    fn floats_are_written_the_shorter_way() {
        for (number, label) in [
            (1e-4, "1e-4"),
            (0.01, "0.01"),
            (1e-3, "1e-3"),
            (0.5, "0.5"),
            (128.0, "128"),
            (2.5e-5, "2.5e-5"),
            (1e9, "1e9"),
        ] {
            assert_eq!(value_label(&Value::Float(number)), label);
        }
    }
}
