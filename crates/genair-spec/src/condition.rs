//! Which runs are meant: conditions on their settings, as `search.exclude` and `schedule.first` have them.
//!
//! A condition is a table in the shape of the spec: `backbone = "gru4rec"` names, a setting is a value, a
//! list of values, or bounds such as `{ above = 1e-3 }`. All of it must hold.

use genair_toml::{KeyPath, Problems, suggestion};
use toml::{Table, Value};

use super::axes::{Axis, OF_RUNS, value_label};
use super::check::{Cell, Checker, listed};
use super::names::NAMED;
use super::settings::schema_at;

const BOUNDS: [&str; 4] = ["above", "at_least", "at_most", "below"];

/// Says whether a spec has a name or a setting, and a hint where it has not.
pub(crate) type Known<'a> = dyn Fn(&KeyPath, &Value) -> Result<(), Option<String>> + 'a;

/// Holds for some runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Condition {
    tests: Vec<(KeyPath, Test)>,
}

/// What a setting must be.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    OneOf(Vec<Value>),
    /// Number by number, in the order of [`BOUNDS`].
    Within([Option<f64>; 4]),
}

impl Condition {
    /// Reads the table at `at`.
    pub(crate) fn read(
        at: &KeyPath,
        table: &Table,
        known: &Known<'_>,
        problems: &mut Problems<'_>,
    ) -> Self {
        let mut condition = Self::default();
        if table.is_empty() {
            let message = format!("`{at}` is empty; it would hold for every run");
            problems.report(at, message, None);
        }
        for (section, value) in table {
            let (key, path) = (at.child(section), KeyPath::new([section]));
            if !OF_RUNS.contains(&section.as_str()) {
                let message = format!("unknown key `{key}`");
                problems.report(&key, message, suggestion(section, OF_RUNS));
            } else {
                condition.add(&key, path, value, known, problems);
            }
        }
        condition
    }

    fn add(
        &mut self,
        key: &KeyPath,
        path: KeyPath,
        value: &Value,
        known: &Known<'_>,
        problems: &mut Problems<'_>,
    ) {
        let is_name = matches!(path.keys(), [section] if NAMED.contains(&section.as_str()));
        let test = match value {
            Value::Table(table) if !is_bounds(table) => {
                for (name, value) in table {
                    self.add(&key.child(name), path.child(name), value, known, problems);
                }
                return;
            }
            Value::Table(table) => match bounds(key, table, problems) {
                Some(bounds) => Test::Within(bounds),
                None => return,
            },
            Value::Array(values) => Test::OneOf(values.clone()),
            value => Test::OneOf(vec![value.clone()]),
        };
        let asked = match &test {
            Test::OneOf(values) if is_name => values.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for value in asked {
            if let Err(hint) = known(&path, value) {
                let message = if is_name {
                    format!("`{key}` is {value}, which the sweep does not have")
                } else {
                    format!("`{key}`: no run has a setting `{path}`")
                };
                problems.report(key, message, hint);
                return;
            }
        }
        self.tests.push((path, test));
    }

    /// Whether it holds for a run with these settings; a setting that the run has not fails its test.
    pub(crate) fn holds(&self, value_of: &dyn Fn(&KeyPath) -> Option<Value>) -> bool {
        let passes = |(path, test): &(KeyPath, Test)| {
            value_of(path).is_some_and(|value| test.passes(&value))
        };
        self.tests.iter().all(passes)
    }
}

impl Checker<'_> {
    /// Reads the conditions listed at `at`.
    pub(crate) fn conditions(&mut self, at: &KeyPath, tables: &[Table]) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            let key = at.child(&number.to_string());
            let names = |section: &str| match KeyPath::new(["sweep", section]).get(&self.tree) {
                Some(names) => listed(names).iter().map(value_label).collect(),
                None => self.file.sources.names(&KeyPath::new([section])),
            };
            let known = |path: &KeyPath, value: &Value| match path.keys() {
                [section] => {
                    let (name, names) = (value_label(value), names(section));
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    match names.contains(&name.as_str()) {
                        true => Ok(()),
                        false => Err(suggestion(&name, &names)),
                    }
                }
                _ if self.setting(path).is_some() => Ok(()),
                [around @ .., last] => {
                    let around = KeyPath::new(around).table(&self.tree);
                    let known: Vec<&str> = around.keys().map(String::as_str).collect();
                    Err(suggestion(last, &known))
                }
                [] => Ok(()),
            };
            // Problems are collected beside, as `known` reads the spec.
            let mut problems = Problems::new(&self.file.sources);
            conditions.push(Condition::read(&key, table, &known, &mut problems));
            self.problems.extend(problems);
        }
        conditions
    }

    /// The value the spec has at `path`, a list where it is an axis; else the default of the backbone's plugin.
    fn setting(&self, path: &KeyPath) -> Option<Value> {
        path.get(&self.tree).cloned().or_else(|| match path.keys() {
            [section, backbone, inside @ ..] if section == "backbone" => {
                let schema = self.schema(backbone)?;
                Value::try_from(&schema_at(&schema, inside)["default"]).ok()
            }
            _ => None,
        })
    }

    /// Whether a condition holds for the runs of a cell with these values.
    pub(crate) fn holds(
        &self,
        condition: &Condition,
        cell: &Cell<'_>,
        chosen: &[(&Axis, &Value)],
    ) -> bool {
        condition.holds(&|path| {
            let own = match path.keys() {
                [section, ..] if section == "train" => None,
                [section, ..] if section == "dataset" => Some(cell.dataset),
                [section, ..] if section == "backbone" => Some(cell.backbone),
                _ => Some(cell.representation),
            };
            match (own, path.keys()) {
                (Some(own), [_]) => Some(own.into()),
                (Some(own), [_, of, ..]) if own != of => None,
                _ => {
                    let value = chosen.iter().find(|(axis, _)| axis.path == *path);
                    value.map_or_else(|| self.setting(path), |(_, value)| Some((*value).clone()))
                }
            }
        })
    }
}

impl Test {
    fn passes(&self, value: &Value) -> bool {
        match self {
            Self::OneOf(values) => values.iter().any(|own| same(own, value)),
            Self::Within([above, at_least, at_most, below]) => {
                let Some(number) = number(value) else {
                    return false;
                };
                above.is_none_or(|bound| number > bound)
                    && at_least.is_none_or(|bound| number >= bound)
                    && at_most.is_none_or(|bound| number <= bound)
                    && below.is_none_or(|bound| number < bound)
            }
        }
    }
}

fn is_bounds(table: &Table) -> bool {
    BOUNDS.iter().any(|bound| table.contains_key(*bound))
}

fn bounds(key: &KeyPath, table: &Table, problems: &mut Problems<'_>) -> Option<[Option<f64>; 4]> {
    let mut bounds = [None; 4];
    for (name, value) in table {
        let key = key.child(name);
        match (BOUNDS.iter().position(|bound| bound == name), number(value)) {
            (Some(at), Some(number)) => bounds[at] = Some(number),
            (Some(_), None) => {
                problems.about(&key, format!("is {value}; it must be a number"), None);
                return None;
            }
            (None, _) => {
                let message = format!("unknown key `{key}`");
                problems.report(&key, message, suggestion(name, BOUNDS));
                return None;
            }
        }
    }
    Some(bounds)
}

/// Equal, a whole number also to the same number written with a point.
fn same(one: &Value, other: &Value) -> bool {
    one == other || number(one).is_some_and(|one| number(other) == Some(one))
}

/// A number, whole or not.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|whole| whole as f64))
}
