//! A model's folder as sentence-transformers writes it: what its JSON files say about the model.
//!
//! Anything that would give other vectors than the reference implementation's is refused here, before
//! a weight is read: another architecture, pooling or activation.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::EncodeError;

/// Where the weights are.
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// Where the vocabulary is, one token a line.
pub(crate) const VOCABULARY: &str = "vocab.txt";
const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer_config.json";
const TRANSFORMER: &str = "sentence_bert_config.json";
const MODULES: &str = "modules.json";

/// What decides a model's vectors, apart from its weights and vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelFolder {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The network.
    pub(crate) bert: BertConfig,
    /// How text becomes words.
    pub(crate) text: TextConfig,
    /// Tokens of a text that are read, `[CLS]` and `[SEP]` included; the rest is cut off.
    pub(crate) max_tokens: usize,
    /// Whether vectors are scaled to length 1.
    pub(crate) normalize: bool,
    /// Every file read or named above, relative to the folder.
    pub(crate) files: Vec<PathBuf>,
}

/// `config.json` of a BERT model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct BertConfig {
    model_type: String,
    hidden_act: String,
    position_embedding_type: Option<String>,
    /// Width of every hidden state, and of the vectors.
    pub(crate) hidden_size: i64,
    /// Number of attention blocks.
    pub(crate) num_hidden_layers: usize,
    /// Heads of each; they divide `hidden_size`.
    pub(crate) num_attention_heads: i64,
    /// Width of the feed-forward layer.
    pub(crate) intermediate_size: i64,
    /// Epsilon of each layer normalisation.
    pub(crate) layer_norm_eps: f64,
    /// Positions that have an embedding.
    pub(crate) max_position_embeddings: usize,
    /// Kinds of segments; a sentence is of the first kind.
    pub(crate) type_vocab_size: i64,
    /// Tokens that have an embedding.
    pub(crate) vocab_size: usize,
}

/// `tokenizer_config.json`, as far as it decides tokens; defaults are those of transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct TextConfig {
    /// Whether case is dropped.
    #[serde(rename = "do_lower_case")]
    pub(crate) lowercase: bool,
    /// Whether accents are dropped; absent: as case is.
    pub(crate) strip_accents: Option<bool>,
    /// Whether each CJK ideograph is a word.
    #[serde(rename = "tokenize_chinese_chars")]
    pub(crate) split_ideographs: bool,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            lowercase: true,
            strip_accents: None,
            split_ideographs: true,
        }
    }
}

/// `sentence_bert_config.json`.
#[derive(Deserialize)]
struct TransformerConfig {
    max_seq_length: usize,
    #[serde(default)]
    do_lower_case: bool,
}

/// An entry of `modules.json`: what a text passes through, in order.
#[derive(Deserialize)]
struct Module {
    path: String,
    r#type: String,
}

/// `config.json` of the pooling module; the keys of all other poolings.
#[derive(Deserialize)]
struct PoolingConfig {
    pooling_mode_mean_tokens: bool,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl ModelFolder {
    /// Reads the JSON files of a folder.
    ///
    /// # Errors
    /// [`EncodeError::Read`] and [`EncodeError::Json`] for a file that is not there or not as expected,
    /// [`EncodeError::Unsupported`] for a model of another kind.
    pub(crate) fn read(path: &Path) -> Result<Self, EncodeError> {
        let bert: BertConfig = read_json(path, CONFIG)?;
        check_bert(&path.join(CONFIG), &bert)?;
        let transformer: TransformerConfig = read_json(path, TRANSFORMER)?;
        check_transformer(&path.join(TRANSFORMER), &transformer)?;
        let modules: Vec<Module> = read_json(path, MODULES)?;
        let (pooling, normalize) = check_modules(&path.join(MODULES), &modules)?;
        check_pooling(&path.join(&pooling), &read_json(path, &pooling)?)?;
        let files = [
            CONFIG,
            TOKENIZER,
            TRANSFORMER,
            MODULES,
            VOCABULARY,
            WEIGHTS,
            &pooling,
        ];
        Ok(Self {
            path: path.to_owned(),
            text: read_json(path, TOKENIZER)?,
            max_tokens: transformer.max_seq_length.min(bert.max_position_embeddings),
            bert,
            normalize,
            files: files.iter().map(PathBuf::from).collect(),
        })
    }
}

fn read_json<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, EncodeError> {
    let path = folder.join(name);
    let bytes = read(&path)?;
    serde_json::from_slice(&bytes).map_err(|source| EncodeError::Json { path, source })
}

/// Reads one file of a model's folder.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, EncodeError> {
    std::fs::read(path).map_err(|source| EncodeError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Refuses `found` unless it is one of `supported`.
fn require(
    path: &Path,
    key: &'static str,
    found: &str,
    supported: &[&str],
) -> Result<(), EncodeError> {
    if supported.contains(&found) {
        return Ok(());
    }
    let found = format!("`{found}`");
    Err(unsupported(path, key, found, &supported.join(" or ")))
}

/// A model of another kind.
pub(crate) fn unsupported(
    path: &Path,
    key: &'static str,
    found: impl ToString,
    supported: &str,
) -> EncodeError {
    EncodeError::Unsupported {
        path: path.to_owned(),
        key,
        found: found.to_string(),
        supported: supported.to_owned(),
    }
}

fn check_bert(path: &Path, bert: &BertConfig) -> Result<(), EncodeError> {
    require(path, "model_type", &bert.model_type, &["bert"])?;
    require(path, "hidden_act", &bert.hidden_act, &["gelu"])?;
    let positions = bert
        .position_embedding_type
        .as_deref()
        .unwrap_or("absolute");
    require(path, "position_embedding_type", positions, &["absolute"])?;
    let (width, heads) = (bert.hidden_size, bert.num_attention_heads);
    if width < 1 {
        return Err(unsupported(path, "hidden_size", width, "1 or more"));
    }
    if heads < 1 || width % heads != 0 {
        let supported = format!("a divisor of `hidden_size` ({width})");
        return Err(unsupported(path, "num_attention_heads", heads, &supported));
    }
    let kinds = bert.type_vocab_size;
    if kinds < 1 {
        return Err(unsupported(path, "type_vocab_size", kinds, "1 or more"));
    }
    Ok(())
}

fn check_transformer(path: &Path, transformer: &TransformerConfig) -> Result<(), EncodeError> {
    // It is a second lowering of case, before the tokenizer's own.
    let lowers = transformer.do_lower_case.to_string();
    require(path, "do_lower_case", &lowers, &["false"])?;
    // Room for `[CLS]`, a token and `[SEP]`.
    let longest = transformer.max_seq_length;
    if longest < 3 {
        return Err(unsupported(path, "max_seq_length", longest, "3 or more"));
    }
    Ok(())
}

/// Gives the pooling module's configuration file, and whether vectors are normalised.
fn check_modules(path: &Path, modules: &[Module]) -> Result<(String, bool), EncodeError> {
    let kinds: Vec<&str> = modules
        .iter()
        .map(|module| module.r#type.rsplit('.').next().unwrap_or_default())
        .collect();
    let supported = ["Transformer, Pooling, Normalize", "Transformer, Pooling"];
    let found = kinds.join(", ");
    require(path, "type", &found, &supported)?;
    Ok((
        format!("{}/{CONFIG}", modules[1].path),
        found == supported[0],
    ))
}

fn check_pooling(path: &Path, pooling: &PoolingConfig) -> Result<(), EncodeError> {
    let mean = pooling.pooling_mode_mean_tokens.to_string();
    require(path, "pooling_mode_mean_tokens", &mean, &["true"])?;
    let other = pooling
        .others
        .iter()
        .find(|(key, value)| key.starts_with("pooling_mode_") && value.as_bool() == Some(true));
    match other {
        None => Ok(()),
        Some((key, _)) => require(path, "pooling_mode", key, &["pooling_mode_mean_tokens"]),
    }
}
