//! What identifies a record, and what its vectors say.
//!
//! A record's key covers all that decides its content: the settings it was made under and the text the
//! model saw. How many items were at work at once, on how many threads and in which order, is no part of
//! it, since engines give the same bits whatever these are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use genair_protocol::{EngineItem, EngineTask};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bumped whenever hidden states are pooled in another way, so that no record of the old way is reused.
pub(crate) const POOLING_VERSION: u32 = 1;

/// Everything but the prompt that decides a record's content. Its hash names the folder of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSettings {
    /// How hidden states become one vector.
    pub pooling: u32,
    /// Engine and version, such as `llama-cpp-2 0.1.160`; `fake` for made-up records.
    pub engine: String,
    /// Identity of the model: hashes, or a server's name for it.
    pub model: String,
    /// What is done with an item.
    pub task: EngineTask,
    /// For a server: what else it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerSettings>,
}

/// What a server is told with every prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Its address: another server may know another model by the same name.
    pub base_url: String,
    /// Whether the prompt is what a user says in a chat, or raw text.
    pub chat: bool,
    /// What the system says in a chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Members added to a request.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Components of a vector that it is asked for; absent: as many as its model has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<usize>,
}

impl RecordSettings {
    /// SHA-256, lower-case hex, of the settings as JSON.
    pub fn sha256(&self) -> String {
        genair_files::sha256(self.json())
    }

    /// One form for equal settings: members in the order of the struct, those of maps sorted.
    pub(crate) fn json(&self) -> String {
        // Plain data with text keys cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The item for a prompt and, where it is to be read, an answer; the key tells it from every other.
    pub(crate) fn item(
        &self,
        settings_sha256: &str,
        prompt: &str,
        text: Option<&str>,
    ) -> EngineItem {
        let identity = serde_json::to_string(&(settings_sha256, prompt, text)).unwrap_or_default();
        EngineItem {
            key: genair_files::sha256(identity),
            prompt: prompt.to_owned(),
            text: text.map(str::to_owned),
        }
    }
}

/// Why a vector of a record cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// Not base64.
    #[error("it is not base64 ({reason})")]
    Base64 {
        /// What the decoder says.
        reason: String,
    },
    /// Not a whole number of values, or another number than asked for.
    #[error("it has {found} bytes, not {expected} (4 for each component)")]
    Length {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// NaN or an infinity.
    #[error("component {component} is {value}")]
    NotFinite {
        /// The component, from 0.
        component: usize,
        /// Its value.
        value: f32,
    },
}

/// The components of a record's vector: little-endian f32 in standard base64.
///
/// # Errors
/// The text is something else, or a component is not finite.
pub fn decode_vector(text: &str, width: usize) -> Result<Vec<f32>, VectorError> {
    let bytes = STANDARD.decode(text).map_err(|error| VectorError::Base64 {
        reason: error.to_string(),
    })?;
    if bytes.len() != 4 * width {
        return Err(VectorError::Length {
            found: bytes.len(),
            expected: 4 * width,
        });
    }
    let (chunks, _) = bytes.as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().copied().map(f32::from_le_bytes).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(component) => Err(VectorError::NotFinite {
            component,
            value: values[component],
        }),
        None => Ok(values),
    }
}

/// The inverse of [`decode_vector`].
pub fn encode_vector(values: &[f32]) -> String {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use genair_protocol::GenerationSpec;
    use proptest::prelude::*;

    use super::*;

    fn settings() -> RecordSettings {
        RecordSettings {
            pooling: POOLING_VERSION,
            engine: "llama-cpp-2 0.1.160".to_owned(),
            model: "sha256:00".to_owned(),
            task: EngineTask::Generate(GenerationSpec::default()),
            server: None,
        }
    }

    #[test]
    fn a_key_changes_with_everything_that_decides_a_record() {
        let key = |settings: &RecordSettings, prompt: &str, text| {
            settings.item(&settings.sha256(), prompt, text).key
        };
        let base = settings();
        let other = |change: &dyn Fn(&mut RecordSettings)| {
            let mut settings = settings();
            change(&mut settings);
            settings
        };
        let generation = |change: &dyn Fn(&mut GenerationSpec)| {
            let mut spec = GenerationSpec::default();
            change(&mut spec);
            other(&|settings| settings.task = EngineTask::Generate(spec.clone()))
        };
        let keys = [
            key(&base, "a", None),
            key(&base, "b", None),
            key(&base, "a", Some("")),
            key(&base, "a", Some("b")),
            key(&base, "ab", None),
            key(&other(&|s| s.pooling += 1), "a", None),
            key(&other(&|s| s.engine.push('1')), "a", None),
            key(&other(&|s| s.model.push('1')), "a", None),
            key(&other(&|s| s.task = EngineTask::Read), "a", None),
            key(&generation(&|g| g.seed += 1), "a", None),
            key(&generation(&|g| g.temperature = 0.7), "a", None),
            key(&generation(&|g| g.max_new_tokens = 64), "a", None),
            key(&generation(&|g| g.stop.push("x".to_owned())), "a", None),
        ];
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(keys[0], key(&settings(), "a", None));
        assert_eq!(keys[0].len(), 64);
    }

    #[test]
    fn a_vector_that_is_none_is_refused() {
        assert!(matches!(
            decode_vector("*", 1),
            Err(VectorError::Base64 { .. })
        ));
        assert_eq!(
            decode_vector("AACAPw==", 2),
            Err(VectorError::Length {
                found: 4,
                expected: 8
            })
        );
        let infinite = encode_vector(&[1.0, f32::INFINITY]);
        assert_eq!(
            decode_vector(&infinite, 2),
            Err(VectorError::NotFinite {
                component: 1,
                value: f32::INFINITY
            })
        );
        // Python: base64.b64encode(struct.pack("<f", 1.0)).
        assert_eq!(decode_vector("AACAPw==", 1).unwrap(), [1.0]);
    }

    proptest! {
        #[test]
        fn vectors_survive_to_the_bit(values in proptest::collection::vec(any::<f32>().prop_filter("finite", |v| v.is_finite()), 0..20)) {
            let back = decode_vector(&encode_vector(&values), values.len()).unwrap();
            prop_assert_eq!(
                back.iter().map(|value| value.to_bits()).collect::<Vec<_>>(),
                values.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
            );
        }
    }
}
