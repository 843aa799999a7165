//! SASRec: causal self-attention over a user's item sequence.
//!
//! Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, arXiv:1808.09781.
//! Deviations from the paper, all shared with its PyTorch descendants: the residual of attention
//! starts from the normed query, the position-wise layers have biases, and item vectors are
//! multiplied by sqrt(D).
//! Shapes: `N` valid tokens of a batch, `D` hidden size, `M` wanted tokens.

use genair_plugin_sdk::layers::{Activation, TransformerConfig, TransformerEncoder};
use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Mode, OutputItems, Padding, Result, SequenceBatch, TrainsOn,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Settings under `[backbone.sasrec]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SasRecConfig {
    /// Width of every hidden state. Divisible by `num_heads`.
    #[schemars(range(min = 1))]
    hidden_size: i64,
    /// Number of attention blocks.
    #[schemars(range(min = 1))]
    num_blocks: i64,
    /// Heads of each attention.
    #[schemars(range(min = 1))]
    num_heads: i64,
    /// Width of the feed-forward layers' inside, in hidden sizes.
    #[schemars(range(min = 1))]
    feed_forward_ratio: i64,
    /// Drop probability of inputs, attention weights and feed-forward outputs.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// Non-linearity of the feed-forward layers.
    activation: Activation,
    /// Whether a position sees only what came before it. The published GenAIR code runs without.
    causal: bool,
    /// Whether attention leaves padding out. The published GenAIR code lets padding take attention mass.
    key_padding_mask: bool,
    /// Whether item vectors are multiplied by sqrt(hidden_size) before positions are added.
    scale_items: bool,
}

impl Default for SasRecConfig {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            num_blocks: 2,
            num_heads: 1,
            feed_forward_ratio: 1,
            dropout: 0.5,
            activation: Activation::Relu,
            causal: true,
            key_padding_mask: true,
            scale_items: true,
        }
    }
}

impl SasRecConfig {
    fn transformer(&self) -> TransformerConfig {
        TransformerConfig {
            hidden_size: self.hidden_size,
            num_blocks: self.num_blocks,
            num_heads: self.num_heads,
            feed_forward_ratio: self.feed_forward_ratio,
            dropout: self.dropout,
            activation: self.activation,
            causal: self.causal,
            key_padding_mask: self.key_padding_mask,
            scale_items: self.scale_items,
        }
    }
}

/// A causal transformer whose state at each position predicts the next item.
pub(crate) struct SasRec {
    encoder: TransformerEncoder,
}

impl Backbone for SasRec {
    type Config = SasRecConfig;

    const NAME: &'static str = "sasrec";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Causal self-attention; every position predicts the next item";
    const REFERENCE: &'static str =
        "Kang & McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, arXiv:1808.09781";

    fn capabilities(config: &SasRecConfig) -> Result<Capabilities> {
        config.transformer().check()?;
        Ok(Capabilities {
            hidden_size: config.hidden_size as usize,
            state_size: config.hidden_size as usize,
            trains_on: TrainsOn::EveryPosition,
            causal: config.causal,
            wants_users: false,
            predicts_at_mask: false,
            output: OutputItems::Shared,
            padding: Padding::Packed,
        })
    }

    fn build(config: &SasRecConfig, builder: &Builder<'_>) -> Result<Self> {
        Ok(Self {
            encoder: TransformerEncoder::build(config.transformer(), builder)?,
        })
    }

    fn encode(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        self.encoder.forward(batch, mode)
    }
}
