//! Ranges of settings, `{ uniform = [0.1, 0.6] }` and the like: what a search draws from.

use genair_toml::{KeyPath, Problems, nearest, suggestion};
use toml::{Table, Value};

use super::axes::axis_values;
use super::condition::number;

/// How a range is written: its name is the only key of a table.
const NAMES: [&str; 4] = ["uniform", "log_uniform", "int", "choice"];

/// Significant digits of a number drawn from a logarithmic range, and of the steps of a uniform one: finer
/// differences than one in a thousand only make names long.
const DIGITS: i32 = 3;

/// What a setting may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Range {
    /// Any number from the first to the second.
    Uniform(f64, f64),
    /// The same, every order of magnitude as likely as another; both above 0.
    LogUniform(f64, f64),
    /// Any whole number from the first to the second, both included.
    Int(i64, i64),
    /// One of these.
    Choice(Vec<Value>),
}

impl Range {
    /// Whether a table is a range, or was meant to be one.
    pub(crate) fn is_meant(table: &Table) -> bool {
        let mut entries = table.iter();
        let misspelt = match (entries.next(), entries.next()) {
            (Some((name, Value::Array(_))), None) => nearest(name, NAMES).is_some(),
            _ => false,
        };
        misspelt || NAMES.iter().any(|name| table.contains_key(*name))
    }

    /// Reads the range at `path`; what is wrong with it is reported.
    pub(crate) fn read(path: &KeyPath, table: &Table, problems: &mut Problems<'_>) -> Option<Self> {
        let mut entries = table.iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            let keys: Vec<&str> = table.keys().map(String::as_str).collect();
            let message = format!("`{path}` has {}; a range has one key", keys.join(" and "));
            problems.report(path, message, suggestion("", NAMES));
            return None;
        };
        let at = path.child(name);
        let mut wrong = |message: String| {
            problems.report(path, message, None);
            None
        };
        let numbers = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match (name.as_str(), numbers) {
            ("choice", _) => {
                let Some(values) = value.as_array() else {
                    return wrong(format!("`{at}` is {value}; it must be a list"));
                };
                Some(Self::Choice(axis_values(&at, values, problems)?))
            }
            ("int", [Value::Integer(low), Value::Integer(high)]) if low < high => {
                Some(Self::Int(*low, *high))
            }
            ("int", _) => wrong(format!(
                "`{at}` is {value}; it must be two whole numbers, the lowest and the highest"
            )),
            ("uniform" | "log_uniform", _) => {
                let finite = |end| number(end).filter(|end| end.is_finite());
                let ends = match numbers {
                    [low, high] => finite(low).zip(finite(high)),
                    _ => None,
                };
                match ends.filter(|(low, high)| low < high) {
                    None => wrong(format!(
                        "`{at}` is {value}; it must be two finite numbers, the lowest and the highest"
                    )),
                    Some((low, high)) if name == "uniform" => Some(Self::Uniform(low, high)),
                    Some((low, high)) if low > 0.0 => Some(Self::LogUniform(low, high)),
                    Some(_) => wrong(format!(
                        "`{at}` is {value}; a logarithmic range begins above 0"
                    )),
                }
            }
            (other, _) => {
                let message = format!("`{path}`: there is no range `{other}`");
                problems.report(path, message, suggestion(other, NAMES));
                None
            }
        }
    }

    /// The value at `unit`, from 0 (the lowest) to below 1.
    pub(crate) fn at(&self, unit: f64) -> Value {
        match self {
            Self::Uniform(low, high) => {
                let decimals = DIGITS - (high - low).log10().ceil() as i32;
                let value = low + unit * (high - low);
                let text = format!("{value:.*}", decimals.max(0) as usize);
                Value::Float(text.parse().unwrap_or(value).clamp(*low, *high))
            }
            Self::LogUniform(low, high) => {
                // As many more digits as the ends have in common.
                let more = (-(high / low - 1.0).log10()).ceil().clamp(0.0, 17.0) as usize;
                let value = low * (high / low).powf(unit);
                let text = format!("{value:.*e}", DIGITS as usize - 1 + more);
                Value::Float(text.parse().unwrap_or(value).clamp(*low, *high))
            }
            Self::Int(low, high) => {
                let steps = (unit * (high.abs_diff(*low) as f64 + 1.0)) as u64;
                Value::Integer(low.saturating_add_unsigned(steps).min(*high))
            }
            Self::Choice(values) => {
                let at = (unit * values.len() as f64) as usize;
                values[at.min(values.len() - 1)].clone()
            }
        }
    }

    /// Values to check a setting by: the ends and one between them that is no round number; all choices.
    pub(crate) fn examples(&self) -> Vec<Value> {
        let between = self.at(0.381_966);
        let mut values = match self {
            Self::Uniform(low, high) | Self::LogUniform(low, high) => {
                vec![Value::Float(*low), between, Value::Float(*high)]
            }
            Self::Int(low, high) => vec![Value::Integer(*low), between, Value::Integer(*high)],
            Self::Choice(values) => return values.clone(),
        };
        values.dedup();
        values
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::axes::value_label;
    use genair_toml::{Document, Sources};

    fn read(text: &str) -> Result<Range, String> {
        let text = format!("lr = {text}");
        let file = Document::parse(Path::new("s.toml"), &text).unwrap();
        let sources = Sources::new(vec![file], Vec::new());
        let table: Table = toml::from_str(&text).unwrap();
        let mut problems = Problems::new(&sources);
        let table = table["lr"].as_table().unwrap();
        assert!(Range::is_meant(table), "{text}");
        let range = Range::read(&KeyPath::new(["lr"]), table, &mut problems);
        problems.finish().map_err(|error| error.to_string())?;
        Ok(range.unwrap())
    }

    /// The values at some hundred places, as names show them.
    fn values(text: &str) -> Vec<String> {
        let range = read(text).unwrap();
        let units = (0..100).map(|at| f64::from(at) / 100.0);
        units
            .chain([0.999_999])
            .map(|unit| value_label(&range.at(unit)))
            .collect()
    }

    #[test]
    fn values_are_within_the_range_and_short() {
        for (text, longest) in [
            ("{ uniform = [0.1, 0.6] }", 6),
            ("{ uniform = [0, 1000] }", 4),
            ("{ uniform = [0.9001, 0.9002] }", 9),
            ("{ log_uniform = [1e-4, 1e-2] }", 7),
            ("{ log_uniform = [0.5, 0.51] }", 7),
            ("{ int = [-1, 3] }", 2),
        ] {
            let range = read(text).unwrap();
            let (ends, all) = (range.examples(), values(text));
            let bounds = [&ends[0], &ends[ends.len() - 1]].map(|end| number(end).unwrap());
            for value in &all {
                let value: f64 = value.parse().unwrap();
                assert!(bounds[0] <= value && value <= bounds[1], "{text}: {value}");
            }
            let length = all.iter().map(String::len).max().unwrap();
            assert!(length <= longest, "{text}: {all:?}");
        }
        assert_eq!(values("{ int = [-1, 3] }")[99], "3");
        assert_eq!(values("{ int = [-1, 3] }")[0], "-1");
        assert_eq!(values("{ choice = [32, \"x\", true] }")[0], "32");
        assert_eq!(values("{ choice = [32, \"x\", true] }")[100], "true");
    }

    #[test]
    fn a_logarithmic_range_gives_each_order_of_magnitude_its_share() {
        let below = |text: &str, limit: f64| {
            let values = values(text)
                .into_iter()
                .map(|value| value.parse::<f64>().unwrap());
            values.filter(|value| *value < limit).count()
        };
        assert_eq!(below("{ log_uniform = [1e-4, 1e-2] }", 1e-3), 50);
        assert_eq!(below("{ uniform = [1e-4, 1e-2] }", 1e-3), 10);
    }

    #[test]
    fn narrow_ranges_have_more_than_a_few_values() {
        for text in [
            "{ uniform = [0.9001, 0.9002] }",
            "{ log_uniform = [0.5, 0.501] }",
        ] {
            let mut all = values(text);
            all.dedup();
            assert!(all.len() > 90, "{text}: {all:?}");
        }
    }

    #[test]
    fn what_is_no_range_is_said() {
        let wrong = |text| read(text).unwrap_err();
        let all = [
            "{ uniform = [0.6, 0.1] }",
            "{ uniform = 0.6 }",
            "{ log_uniform = [0, 0.1] }",
            "{ uniform = [0, inf] }",
            "{ int = [1, 2.5] }",
            "{ int = [2, 2] }",
            "{ choice = [] }",
            "{ choice = [1, 1] }",
            "{ uniform = [0, 1], step = 0.1 }",
            "{ unifrom = [0, 1] }",
        ];
        insta::assert_snapshot!(all.map(wrong).join("\n"), @r"
    s.toml:1: `lr.uniform` is [0.6, 0.1]; it must be two finite numbers, the lowest and the highest
    s.toml:1: `lr.uniform` is 0.6; it must be two finite numbers, the lowest and the highest
    s.toml:1: `lr.log_uniform` is [0, 0.1]; a logarithmic range begins above 0
    s.toml:1: `lr.uniform` is [0, inf]; it must be two finite numbers, the lowest and the highest
    s.toml:1: `lr.int` is [1, 2.5]; it must be two whole numbers, the lowest and the highest
    s.toml:1: `lr.int` is [2, 2]; it must be two whole numbers, the lowest and the highest
    s.toml:1: `lr.choice` is an empty list; an axis needs at least one value
    s.toml:1: `lr.choice` lists 1 twice; list it once
    s.toml:1: `lr` has step and uniform; a range has one key
    hint: known here: uniform, log_uniform, int, choice
    s.toml:1: `lr`: there is no range `unifrom`
    hint: did you mean `uniform`?
    ");
    }
}
