//! BERT4Rec: a bidirectional transformer trained to name masked items.
//!
//! Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations
//! from Transformer", CIKM 2019, arXiv:1904.06690. Deviations: the stack is SASRec's without its
//! mask (as in the published GenAIR and LLM-ESR code), so normalisation comes before attention and
//! the output is scored against the item vectors without a projection; the mask token's vector and
//! the choice of masked tokens are the trainer's, by the [`MaskedTraining`] declared here.
//! Shapes: `N` valid tokens of a batch, `D` hidden size, `M` wanted tokens.

use genair_plugin_sdk::layers::{Activation, TransformerConfig, TransformerEncoder};
use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Error, MaskedTraining, Mode, OutputItems, Padding, Result,
    SequenceBatch, TrainsOn,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Settings under `[backbone.bert4rec]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Bert4RecConfig {
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
    /// Whether attention leaves padding out. The published GenAIR code lets padding take attention mass.
    key_padding_mask: bool,
    /// Whether item vectors are multiplied by sqrt(hidden_size) before positions are added.
    scale_items: bool,
    /// Probability that an item of a training sequence is chosen for prediction.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    mask_probability: f64,
    /// Of the chosen items, the share replaced by the mask token.
    #[schemars(range(min = 0.0, max = 1.0))]
    mask_share: f64,
    /// Of the chosen items, the share replaced by a random item; the rest is kept as it is.
    #[schemars(range(min = 0.0, max = 1.0))]
    random_share: f64,
    /// Copies of each sequence per epoch in which only the last item is masked.
    last_item_copies: usize,
}

impl Default for Bert4RecConfig {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            num_blocks: 2,
            num_heads: 1,
            feed_forward_ratio: 1,
            dropout: 0.5,
            activation: Activation::Relu,
            key_padding_mask: true,
            scale_items: true,
            mask_probability: 0.6,
            mask_share: 0.8,
            random_share: 0.1,
            last_item_copies: 1,
        }
    }
}

impl Bert4RecConfig {
    fn transformer(&self) -> TransformerConfig {
        TransformerConfig {
            hidden_size: self.hidden_size,
            num_blocks: self.num_blocks,
            num_heads: self.num_heads,
            feed_forward_ratio: self.feed_forward_ratio,
            dropout: self.dropout,
            activation: self.activation,
            causal: false,
            key_padding_mask: self.key_padding_mask,
            scale_items: self.scale_items,
        }
    }
}

/// A bidirectional transformer whose state at a mask predicts the item under it.
pub(crate) struct Bert4Rec {
    encoder: TransformerEncoder,
}

impl Backbone for Bert4Rec {
    type Config = Bert4RecConfig;

    const NAME: &'static str = "bert4rec";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Bidirectional self-attention; masked positions predict their item";
    const REFERENCE: &'static str = "Sun et al., BERT4Rec, CIKM 2019, arXiv:1904.06690";

    fn capabilities(config: &Bert4RecConfig) -> Result<Capabilities> {
        config.transformer().check()?;
        if config.mask_share + config.random_share > 1.0 {
            return Err(Error::parameter(
                "random_share",
                format!(
                    "{} and mask_share = {} are more than the whole",
                    config.random_share, config.mask_share
                ),
            ));
        }
        Ok(Capabilities {
            hidden_size: config.hidden_size as usize,
            state_size: config.hidden_size as usize,
            trains_on: TrainsOn::MaskedPositions(MaskedTraining {
                probability: config.mask_probability,
                mask_share: config.mask_share,
                random_share: config.random_share,
                last_item_copies: config.last_item_copies,
            }),
            causal: false,
            wants_users: false,
            predicts_at_mask: true,
            output: OutputItems::Shared,
            padding: Padding::Packed,
        })
    }

    fn build(config: &Bert4RecConfig, builder: &Builder<'_>) -> Result<Self> {
        Ok(Self {
            encoder: TransformerEncoder::build(config.transformer(), builder)?,
        })
    }

    fn encode(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        self.encoder.forward(batch, mode)
    }
}
