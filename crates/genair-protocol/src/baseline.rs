//! `[backbone.NAME]` of the backbones that the trainer knows without a plugin. They have nothing to train.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{BackboneDescriptor, BackboneSpec};

/// Names of the built-in backbones.
pub const BUILTIN_BACKBONES: [&str; 5] = [
    "popularity",
    "random",
    "item_knn",
    "session_knn",
    "content_knn",
];

/// A built-in backbone with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// Items by their training interactions.
    Popularity(PopularitySpec),
    /// Items in an order that each user and seed draws.
    Random,
    /// Items that go with those of the history.
    ItemKnn(ItemKnnSpec),
    /// Items of users who are like this one.
    SessionKnn(SessionKnnSpec),
    /// Items whose vectors are near those of the history.
    ContentKnn(ContentKnnSpec),
}

/// Popularity: the score of an item is the number of its training interactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PopularitySpec {
    /// Counts only the interactions that are less than so many days older than the newest one of training, at least 1;
    /// all without it. Of items with equally many of them, all interactions decide. Needs Unix times.
    #[schemars(range(min = 1))]
    pub days: Option<u32>,
}

/// Item kNN (Sarwar et al., WWW 2001): the score of an item is the sum, over the history, of its cosine similarity to the
/// item there, where it is among that item's nearest; columns of the users x items table of training are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ItemKnnSpec {
    /// Nearest items of each item, at least 1; of equally near ones the lesser number.
    #[schemars(range(min = 1))]
    pub neighbours: u32,
}

impl Default for ItemKnnSpec {
    fn default() -> Self {
        Self { neighbours: 100 }
    }
}

/// Vector session kNN (VSKNN; Ludewig and Jannach, UMUAI 28, 2018), where the session is the history and the training
/// sequences of all other users are its candidates: recent items weigh more, both in the similarity and in the scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionKnnSpec {
    /// Nearest users, at least 1; of equally near ones the lesser number.
    #[schemars(range(min = 1))]
    pub neighbours: u32,
}

impl Default for SessionKnnSpec {
    fn default() -> Self {
        Self { neighbours: 100 }
    }
}

/// Content kNN: the cosine similarity of an item's vector to the history's. Takes the vectors of the representation as
/// they are before training; adapter and fusion have no effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContentKnnSpec {
    /// What stands for the history.
    pub pooling: Pooling,
}

/// What stands for the items of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The vector of the last item.
    Last,
    /// The mean of all vectors, each of length 1.
    #[default]
    Mean,
    /// Of each candidate, the item of the history that is nearest to it.
    Max,
}

impl Baseline {
    /// The built-in backbone of a run; `None` where it is a plugin's.
    ///
    /// # Errors
    /// Settings that it does not have.
    pub fn of(backbone: &BackboneSpec) -> Result<Option<Self>, serde_json::Error> {
        fn read<T: serde::de::DeserializeOwned>(
            backbone: &BackboneSpec,
        ) -> Result<T, serde_json::Error> {
            serde_json::from_value(Value::Object(backbone.params.clone()))
        }
        Ok(Some(match backbone.name.as_str() {
            "popularity" => Self::Popularity(read(backbone)?),
            "random" => Self::Random,
            "item_knn" => Self::ItemKnn(read(backbone)?),
            "session_knn" => Self::SessionKnn(read(backbone)?),
            "content_knn" => Self::ContentKnn(read(backbone)?),
            _ => return Ok(None),
        }))
    }
}

/// What a built-in backbone says of itself; `None` for any other name.
pub fn builtin_descriptor(name: &str) -> Option<BackboneDescriptor> {
    let none = || serde_json::json!({"type": "object", "additionalProperties": false});
    let (summary, reference, parameters) = match name {
        "popularity" => (
            "The items with the most training interactions, of all or of the last days",
            "",
            schemars::schema_for!(PopularitySpec).into(),
        ),
        "random" => ("Items in a random order", "", none()),
        "item_knn" => (
            "Items that go with those of the history",
            "Sarwar et al., WWW 2001",
            schemars::schema_for!(ItemKnnSpec).into(),
        ),
        "session_knn" => (
            "Items of users whose training sequences are like the history",
            "Ludewig and Jannach, UMUAI 28, 2018",
            schemars::schema_for!(SessionKnnSpec).into(),
        ),
        "content_knn" => (
            "Items whose vectors are near those of the history",
            "",
            schemars::schema_for!(ContentKnnSpec).into(),
        ),
        _ => return None,
    };
    Some(BackboneDescriptor {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: summary.to_owned(),
        reference: reference.to_owned(),
        parameters,
    })
}

/// Whether a built-in backbone needs item vectors, and so runs for each representation that has some.
pub fn builtin_needs_vectors(name: &str) -> bool {
    name == "content_knn"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_backbone_reads_its_own_defaults() {
        for name in BUILTIN_BACKBONES {
            let descriptor = builtin_descriptor(name).unwrap();
            let properties = &descriptor.parameters["properties"];
            let properties = properties.as_object().into_iter().flatten();
            let params = properties.map(|(key, schema)| (key.clone(), schema["default"].clone()));
            let mut backbone = BackboneSpec {
                name: name.to_owned(),
                params: params.collect(),
            };
            assert!(Baseline::of(&backbone).unwrap().is_some(), "{name}");
            backbone.params.insert("other".to_owned(), 1.into());
            let takes_none = name == "random";
            assert!(takes_none || Baseline::of(&backbone).is_err(), "{name}");
        }
        let plugin = BackboneSpec {
            name: "sasrec".to_owned(),
            params: serde_json::Map::new(),
        };
        assert_eq!(Baseline::of(&plugin).unwrap(), None);
    }
}
