//! An object per line: JSON, or a Python dictionary. Of an object only what has a meaning is kept.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use genair_protocol::{Column, DatasetSpec, FormatKind, Missing};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::layout::Layout;
use super::rows::{Role, Rows};
use super::text::Lines;
use super::{file, parquet, python};
use crate::{DataError, LineProblem};

/// A field that is wanted and what there is of it.
struct Wanted {
    role: Role,
    /// A key, or keys of objects in each other joined by `.`.
    path: String,
    value: Found,
}

/// What a line has of a field.
#[derive(Clone, Debug, Default, PartialEq)]
enum Found {
    #[default]
    Nothing,
    Text(String),
    /// A list or an object.
    Compound,
}

/// Streams the objects of a file.
pub(super) struct Objects {
    lines: Lines,
    is_python: bool,
    wanted: Vec<Wanted>,
    /// The first row is there already.
    is_ahead: bool,
}

/// The lines of a file that has an object in each.
pub(super) fn lines(path: &Path, layout: &Layout) -> Result<Lines, DataError> {
    let bytes = match layout.kind {
        FormatKind::Parquet => parquet::open(path)?,
        _ => file::open(path)?,
    };
    Lines::new(path, bytes, layout.encoding, layout.encoding_key())
}

/// The object of a line, as JSON or as Python.
pub(super) fn parse(
    text: &str,
    is_python: bool,
) -> Result<serde_json::Map<String, Value>, LineProblem> {
    let text = text.trim();
    if is_python {
        return match python::parse(text) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(LineProblem::NotADictionary {
                reason: "it is another value".to_owned(),
            }),
            Err(reason) => Err(LineProblem::NotADictionary { reason }),
        };
    }
    serde_json::from_str(text).map_err(|error| not_an_object(text, &error))
}

/// Why a line is no JSON object, with what it is instead where that shows.
fn not_an_object(text: &str, error: &serde_json::Error) -> LineProblem {
    let has = |word: &str| {
        let mut parts = text.split(|c: char| !c.is_ascii_alphanumeric());
        parts.any(|part| part == word)
    };
    let reason = error.to_string();
    if text.starts_with('[') {
        LineProblem::JsonArray
    } else if error.is_syntax() && (text.starts_with("{'") || text.starts_with("{u'")) {
        LineProblem::PythonLine
    } else if error.is_syntax() && (has("NaN") || has("Infinity")) {
        LineProblem::JsonNan
    } else {
        LineProblem::NotAnObject { reason }
    }
}

/// The value at a path; a key may have the `.` of the path in it.
pub(super) fn at<'v>(object: &'v serde_json::Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.')
        .find_map(|(dot, _)| match object.get(&path[..dot]) {
            Some(Value::Object(inner)) => at(inner, &path[dot + 1..]),
            _ => None,
        })
}

impl Objects {
    /// Opens a file and finds the fields that the spec names, or the default ones, in its first object.
    pub(super) fn open(
        path: &Path,
        layout: &Layout,
        spec: &DatasetSpec,
    ) -> Result<Self, DataError> {
        let mut objects = Self {
            lines: lines(path, layout)?,
            is_python: layout.kind == FormatKind::PythonLines,
            wanted: Vec::new(),
            is_ahead: true,
        };
        if !objects.lines.advance()? {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        }
        let first = parse(objects.lines.text()?, objects.is_python);
        let first = first.map_err(|problem| objects.error(problem))?;
        let columns = spec.columns.clone().unwrap_or_default();
        let named = |role| match role {
            Role::User => Some(&columns.user),
            Role::Item => Some(&columns.item),
            Role::Time => columns.time.as_ref(),
            Role::Rating => columns.rating.as_ref(),
        };
        for role in Role::ALL {
            let path = match (named(role), role) {
                (Some(Column::Name(name)), _) => {
                    // Where rows may lack a field, the first one may.
                    if at(&first, name).is_none() && spec.missing != Some(Missing::Drop) {
                        return Err(objects.no_column(name, role, &first));
                    }
                    Some(name.clone())
                }
                (Some(Column::Position(position)), _) => {
                    return Err(objects.no_column(&position.to_string(), role, &first));
                }
                (Some(Column::Off), _) => None,
                (None, Role::Time) => ["timestamp", "order"]
                    .into_iter()
                    .find(|name| first.contains_key(*name))
                    .map(str::to_owned),
                (None, _) => first.contains_key("rating").then(|| "rating".to_owned()),
            };
            objects.wanted.extend(path.map(|path| Wanted {
                role,
                path,
                value: Found::Nothing,
            }));
        }
        if spec.min_rating.is_some() && !objects.has(Role::Rating) {
            return Err(DataError::NoRating {
                path: path.to_owned(),
                header: keys(&first),
            });
        }
        objects.pick(Some(&first))?;
        Ok(objects)
    }

    fn no_column(
        &self,
        name: &str,
        role: Role,
        first: &serde_json::Map<String, Value>,
    ) -> DataError {
        DataError::NoColumn {
            path: self.lines.path().to_owned(),
            column: name.to_owned(),
            key: role.key(),
            header: keys(first),
        }
    }

    /// Takes from the line what is wanted; `parsed` is its object, if it is known.
    fn pick(&mut self, parsed: Option<&serde_json::Map<String, Value>>) -> Result<(), DataError> {
        for wanted in &mut self.wanted {
            wanted.value = Found::Nothing;
        }
        let of_python;
        let parsed = match (parsed, self.is_python) {
            (None, true) => {
                let object =
                    parse(self.lines.text()?, true).map_err(|problem| self.error(problem))?;
                of_python = object;
                Some(&of_python)
            }
            (parsed, _) => parsed,
        };
        if let Some(object) = parsed {
            for wanted in &mut self.wanted {
                wanted.value = at(object, &wanted.path).map_or(Found::Nothing, Found::of);
            }
            return Ok(());
        }
        let text = self.lines.text()?.trim();
        let mut found = vec![Found::Nothing; self.wanted.len()];
        let paths = self.wanted.iter().map(|wanted| wanted.path.as_str());
        let paths: Vec<(usize, &str)> = paths.enumerate().collect();
        let mut json = serde_json::Deserializer::from_str(text);
        let pick = Pick {
            paths: &paths,
            found: &mut found,
        };
        let picked = pick.deserialize(&mut json).and_then(|()| json.end());
        picked.map_err(|error| self.error(not_an_object(text, &error)))?;
        for (wanted, found) in self.wanted.iter_mut().zip(found) {
            wanted.value = found;
        }
        Ok(())
    }

    fn wanted(&self, role: Role) -> Option<&Wanted> {
        self.wanted.iter().find(|wanted| wanted.role == role)
    }
}

fn keys(object: &serde_json::Map<String, Value>) -> Vec<String> {
    object.keys().cloned().collect()
}

impl Rows for Objects {
    fn advance(&mut self) -> Result<bool, DataError> {
        if std::mem::take(&mut self.is_ahead) {
            return Ok(true);
        }
        if !self.lines.advance()? {
            return Ok(false);
        }
        self.pick(None)?;
        Ok(true)
    }

    fn has(&self, role: Role) -> bool {
        self.wanted(role).is_some()
    }

    fn field(&self, role: Role) -> Result<Cow<'_, str>, DataError> {
        match self.wanted(role).map(|wanted| &wanted.value) {
            Some(Found::Text(text)) => Ok(Cow::Borrowed(text)),
            Some(Found::Compound) => Err(self.error(LineProblem::Compound {
                column: self.column(role),
            })),
            Some(Found::Nothing) | None => Ok(Cow::Borrowed("")),
        }
    }

    fn column(&self, role: Role) -> String {
        self.wanted(role)
            .map(|wanted| wanted.path.clone())
            .unwrap_or_default()
    }

    fn path(&self) -> &Path {
        self.lines.path()
    }

    fn error(&self, problem: LineProblem) -> DataError {
        self.lines.error(problem)
    }
}

impl Found {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::String(text) => Self::Text(text.clone()),
            Value::Bool(_) | Value::Number(_) => Self::Text(value.to_string()),
            Value::Array(_) | Value::Object(_) => Self::Compound,
        }
    }
}

/// Takes the values at some paths from a JSON object, and skips the rest without keeping it.
struct Pick<'p, 'f> {
    /// The place of each path in `found`, and what is left of the path.
    paths: &'p [(usize, &'p str)],
    found: &'f mut Vec<Found>,
}

impl<'de> DeserializeSeed<'de> for Pick<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let mut leaf = None;
            let mut inner = Vec::new();
            for &(place, path) in self.paths {
                if path == key {
                    leaf = Some(place);
                } else if let Some(rest) = path
                    .strip_prefix(&*key)
                    .and_then(|rest| rest.strip_prefix('.'))
                {
                    inner.push((place, rest));
                }
            }
            match leaf {
                Some(place) => self.found[place] = map.next_value_seed(Scalar)?,
                None if inner.is_empty() => drop(map.next_value::<IgnoredAny>()?),
                None => map.next_value_seed(Within(Pick {
                    paths: &inner,
                    found: &mut *self.found,
                }))?,
            }
        }
        Ok(())
    }
}

/// [`Pick`] where there may be something else than an object, in which nothing is found.
struct Within<'p, 'f>(Pick<'p, 'f>);

impl<'de> DeserializeSeed<'de> for Within<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A single value as text.
struct Scalar;

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Found, E> {
        Ok(Found::of(&value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Found, E> {
        Ok(Found::of(&value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Found, E> {
        Ok(Found::of(&value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Found, E> {
        Ok(Found::of(&value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Found, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Compound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Compound)
    }
}
