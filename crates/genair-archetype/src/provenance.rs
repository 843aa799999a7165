//! How item vectors came to be, typed: what `genair_data::ItemVectors::provenance` holds.

use genair_data::ItemVectors;
use genair_protocol::PcaSummary;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::assemble::VectorsRecipe;

/// How the vectors of a file came to be: its provenance, typed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorsProvenance {
    /// What was to be made.
    pub recipe: VectorsRecipe,
    /// Its hash.
    pub recipe_sha256: String,
    /// The settings behind the recipe's hashes, for people.
    pub settings: Value,
    /// What there was to make it of.
    pub counts: ItemCounts,
    /// What was made, in the order of the file's parts.
    pub parts: Vec<PartSummary>,
}

/// How many items there were, and how many lacked something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemCounts {
    /// All items.
    pub items: usize,
    /// Those without metadata: zero vectors.
    pub without_metadata: usize,
    /// Those whose prompt is that of another item before them.
    #[serde(default)]
    pub equal_prompts: usize,
    /// Those with metadata whose answer has no hidden state: zero archetype.
    pub empty_answers: usize,
}

/// How a part was reduced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartSummary {
    /// The part.
    pub name: String,
    /// Items that have a vector of their own; the others are zero.
    pub vectors: usize,
    /// Those of them that principal components were fitted to, where not all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted: Option<usize>,
    /// Components before.
    pub width: usize,
    /// What PCA did; absent where the vectors were kept as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pca: Option<PcaSummary>,
}

impl VectorsProvenance {
    /// Of vectors that [`crate::assemble`] made; none of others.
    pub fn of(vectors: &ItemVectors) -> Option<Self> {
        serde_json::from_value(Value::Object(vectors.provenance.clone())).ok()
    }

    pub(crate) fn into_map(self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(entries)) => entries,
            // A struct is an object, and its keys are text.
            _ => Map::new(),
        }
    }
}
