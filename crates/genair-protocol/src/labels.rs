//! What tells a run from the others of its sweep.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::{is_control, quoted};

/// Values of the swept axes beyond the named ones, in the order of the spec. In JSON it is an object,
/// `{"alpha":"1e-4","gamma":"4"}`; a value may be any text.
///
/// [`Display`](fmt::Display) gives the variant, `alpha=1e-4,gamma=4`, which is empty for no axes. It is for readers:
/// a text that would make it ambiguous stands in quotes, so that no two axes are shown alike. Nothing parses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Axes(Vec<(String, String)>);

impl Axes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(axis, value)| (&**axis, &**value))
    }

    /// The value of an axis.
    pub fn get(&self, axis: &str) -> Option<&str> {
        self.iter()
            .find_map(|(own, value)| (own == axis).then_some(value))
    }

    /// Gives an axis that is there another value, in its place; takes it out if the value is empty.
    pub fn replace(&mut self, axis: &str, value: &str) {
        self.0.retain(|(own, _)| own != axis || !value.is_empty());
        for (_, own) in self.0.iter_mut().filter(|(own, _)| own == axis) {
            value.clone_into(own);
        }
    }

    /// As JSON, with the axes in their order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts have a JSON form")
    }

    /// These axes and then `others`, such as what else tells a configuration from others of its labels.
    pub fn and(&self, others: Option<&Self>) -> Self {
        self.iter()
            .chain(others.into_iter().flat_map(Self::iter))
            .collect()
    }
}

impl<A: Into<String>, V: Into<String>> FromIterator<(A, V)> for Axes {
    fn from_iter<I: IntoIterator<Item = (A, V)>>(axes: I) -> Self {
        let axes = axes.into_iter();
        Self(
            axes.map(|(axis, value)| (axis.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Display for Axes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (axis, value)) in self.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let axis = unambiguous(axis, &[',', '"', '=']);
            write!(f, "{comma}{axis}={}", unambiguous(value, &[',', '"']))?;
        }
        Ok(())
    }
}

/// A text as it is, or as a TOML string where it holds one of `marks` or a control character.
fn unambiguous(text: &str, marks: &[char]) -> String {
    match text.contains(|c| marks.contains(&c) || is_control(c)) {
        true => quoted(text),
        false => text.to_owned(),
    }
}

impl Serialize for Axes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Axes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Axes, M::Error> {
                let mut axes = Vec::new();
                while let Some(axis) = map.next_entry()? {
                    axes.push(axis);
                }
                Ok(Axes(axes))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What tells a run from the others of its sweep. In JSON it has a `variant` as well: the axes as they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Labels {
    /// Name of the dataset in the spec.
    pub dataset: String,
    /// Name of the backbone.
    pub backbone: String,
    /// Name of the representation; `none` for a built-in backbone.
    pub representation: String,
    /// Values of the swept axes beyond these; none where there are no such axes.
    pub axes: Axes,
    /// Seed of the run.
    pub seed: u64,
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.dataset, self.backbone, self.representation
        )?;
        if !self.axes.is_empty() {
            write!(f, " {}", self.axes)?;
        }
        write!(f, " seed {}", self.seed)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut labels = serializer.serialize_struct("Labels", 6)?;
        labels.serialize_field("dataset", &self.dataset)?;
        labels.serialize_field("backbone", &self.backbone)?;
        labels.serialize_field("representation", &self.representation)?;
        labels.serialize_field("variant", &self.axes.to_string())?;
        labels.serialize_field("axes", &self.axes)?;
        labels.serialize_field("seed", &self.seed)?;
        labels.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes<const N: usize>(axes: [(&str, &str); N]) -> Axes {
        axes.into_iter().collect()
    }

    #[test]
    fn a_variant_is_written_for_readers() {
        for (axes, variant) in [
            (axes([]), ""),
            (
                axes([("alpha", "1e-4"), ("gamma", "4")]),
                "alpha=1e-4,gamma=4",
            ),
            (axes([("expr", "a=b")]), "expr=a=b"),
            (
                axes([("prompt", "who, and why"), ("pca", "64")]),
                r#"prompt="who, and why",pca=64"#,
            ),
            (axes([("prompt", "it's \"x\"")]), r#"prompt="it's \"x\"""#),
            (axes([("a=b", "1"), ("c", "")]), r#""a=b"=1,c="#),
            (
                axes([("prompt", "one\ntwo\u{1b}")]),
                r#"prompt="one\ntwo\u001b""#,
            ),
        ] {
            assert_eq!(axes.to_string(), variant);
        }
    }

    #[test]
    fn what_differs_is_shown_differently_and_comes_back_from_json() {
        let texts = [
            "",
            "1",
            "1,b=2",
            "1\",b=\"2",
            "1\nb",
            "1\\nb",
            "a=1",
            "\"1\"",
            "é\u{202e}",
        ];
        let mut shown = std::collections::HashSet::new();
        for own in texts {
            for other in texts {
                for axes in [
                    axes([("a", own), ("b", other)]),
                    axes([("a", &format!("{own},b={other}"))]),
                    axes([(own, other)]),
                ] {
                    let json = axes.to_json();
                    assert_eq!(serde_json::from_str::<Axes>(&json).unwrap(), axes, "{json}");
                    assert!(!axes.to_string().contains(is_control), "{axes}");
                    shown.insert((axes.to_string(), axes));
                }
            }
        }
        let variants: std::collections::HashSet<&str> =
            shown.iter().map(|(shown, _)| &**shown).collect();
        assert_eq!(variants.len(), shown.len());
    }

    #[test]
    fn an_axis_is_replaced_in_place() {
        for (value, expected) in [("0,1", r#"alpha="0,1",gamma=4"#), ("", "gamma=4")] {
            let mut axes = axes([("alpha", "1e-4"), ("gamma", "4")]);
            axes.replace("beta", "7");
            axes.replace("alpha", value);
            assert_eq!(axes.to_string(), expected);
            assert_eq!(
                axes.get("alpha"),
                Some(value).filter(|value| !value.is_empty())
            );
        }
        let more = axes([("b", "2")]);
        assert_eq!(axes([("a", "1")]).and(Some(&more)).to_string(), "a=1,b=2");
        assert_eq!(more.and(None), more);
    }

    #[test]
    fn labels_are_told_with_their_variant() {
        let labels = Labels {
            dataset: "d".to_owned(),
            axes: axes([("z", "1"), ("a", "2")]),
            seed: 4,
            ..Labels::default()
        };
        let json = r#"{"dataset":"d","backbone":"","representation":"","variant":"z=1,a=2","axes":{"z":"1","a":"2"},"seed":4}"#;
        assert_eq!(serde_json::to_string(&labels).unwrap(), json);
        assert_eq!(labels.to_string(), "d   z=1,a=2 seed 4");
    }
}
