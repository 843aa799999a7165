//! What crosses between the archetype pipeline and an engine: a worker process that runs a language
//! model (`genair-llama`) or a sentence encoder (`genair-encoder`).
//!
//! A worker is started with the path of an [`EngineRequest`] as JSON. It says `ready`, then reads
//! [`EngineItem`]s from its standard input, one JSON object a line, works on as many at once as it was
//! told, and says `record` for each in order of completion. It ends when its input ends and
//! everything is said. Standard error is its log.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a worker is to do with each item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineRequest {
    /// The model: a GGUF file for `genair-llama`, a folder for `genair-encoder`.
    pub model: PathBuf,
    /// What happens to an item.
    pub task: EngineTask,
    /// Items at work at once, at least 1.
    pub parallel: usize,
    /// Threads, at least 1.
    pub threads: usize,
}

/// What happens to an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineTask {
    /// Read the prompt, write an answer, and average hidden states over both.
    Generate(GenerationSpec),
    /// Read prompt and given answer (teacher forcing), and average hidden states over both.
    Read,
    /// Read the prompt alone, and average hidden states over it; there is no answer.
    Prompt,
    /// One sentence vector of the prompt; there is no answer.
    Encode,
    /// Say the tokens of the prompt; nothing is computed.
    Tokenize,
}

/// How an answer is sampled (docs/method.md, section 3): repetition penalty over prompt and answer, then
/// temperature, then top-p, in the order of Hugging Face's generate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationSpec {
    /// Above 0; ignored where greedy.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub temperature: f32,
    /// In (0, 1]; 1 keeps every token.
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub top_p: f32,
    /// Above 0; 1 does nothing.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub repetition_penalty: f32,
    /// Always the likeliest token (after the repetition penalty).
    pub greedy: bool,
    /// Tokens before an end of sequence or a stop string may end the answer.
    pub min_new_tokens: usize,
    /// Tokens at the most, at least 1 and at least `min_new_tokens`.
    #[schemars(range(min = 1))]
    pub max_new_tokens: usize,
    /// An answer ends where one of these begins; the string itself is cut off the text. The tokens
    /// it came with stay in the mean up to, not including, the first token that carries a part of it.
    #[schemars(inner(length(min = 1)))]
    pub stop: Vec<String>,
    /// Seeds each item's own stream together with its key.
    pub seed: u64,
}

impl Default for GenerationSpec {
    fn default() -> Self {
        Self {
            temperature: 0.6,
            top_p: 0.9,
            repetition_penalty: 1.2,
            greedy: false,
            min_new_tokens: 1,
            max_new_tokens: 512,
            stop: Vec::new(),
            seed: 44,
        }
    }
}

/// One item for a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineItem {
    /// Its record's key; with the seed, all that its random stream depends on.
    pub key: String,
    /// The text the model sees, special tokens of a chat template included.
    pub prompt: String,
    /// The answer to read, for [`EngineTask::Read`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a worker says, one JSON object a line on its standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EngineEvent {
    /// The model is loaded.
    Ready {
        /// Engine and version, such as `llama-cpp-2 0.1.160`.
        engine: String,
        /// Width of its vectors.
        width: usize,
        /// Tokens of prompt and answer that fit.
        context: usize,
    },
    /// An item is done.
    Record(EngineRecord),
    /// Nothing more will come; also an item that cannot be done, named in the message.
    Failed {
        /// What went wrong, naming the value.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// What came of one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineRecord {
    /// The item's key.
    pub key: String,
    /// The answer, without prompt, special tokens or stop string; empty where there is none.
    pub text: String,
    /// Tokens of the prompt, at least 1.
    pub prompt_tokens: usize,
    /// Tokens of the answer, the end of sequence left out.
    pub new_tokens: usize,
    /// Why the answer ended.
    pub ended: AnswerEnd,
    /// Mean over the prompt's tokens: little-endian f32 in standard base64.
    pub context: String,
    /// Mean over the answer's tokens that were fed back, likewise; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archetype: Option<String>,
    /// The prompt's tokens as text, for [`EngineTask::Tokenize`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<String>>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerEnd {
    /// The model said so.
    EndOfSequence,
    /// A stop string.
    Stop,
    /// The limit of new tokens.
    Length,
    /// There was nothing to write: the answer was given, or there is none.
    Given,
}
