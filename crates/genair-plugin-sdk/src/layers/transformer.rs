//! The self-attention stack of SASRec and BERT4Rec, on packed sequences.
//!
//! Kang & McAuley 2018 (arXiv:1808.09781), section III, in the form of the published GenAIR and
//! LLM-ESR code: the query is normed, key and value are not, and both residuals start from the
//! normed value. Everything works on valid tokens `[N, D]`; only attention itself sees the padded
//! form. `H` heads, `A` channels of one head.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{LayerNorm, Linear};
use crate::{Builder, Error, Init, Mode, Result, SequenceBatch};

/// Added to variances, as in the published code.
const NORM_EPSILON: f64 = 1e-8;

/// The non-linearity of the feed-forward layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// The exact (erf) form.
    Gelu,
}

/// Sizes and choices of a [`TransformerEncoder`].
#[derive(Clone, Copy, Debug)]
pub struct TransformerConfig {
    /// `D`, divisible by the heads.
    pub hidden_size: i64,
    /// Blocks of attention and feed-forward.
    pub num_blocks: i64,
    /// `H`.
    pub num_heads: i64,
    /// Drop probability of inputs, attention weights and feed-forward outputs, in `[0, 1)`.
    pub dropout: f64,
    /// Feed-forward non-linearity.
    pub activation: Activation,
    /// Whether a token sees only itself and what came before.
    pub causal: bool,
    /// Whether attention leaves padding out. `false` reproduces the published code, where each of
    /// the `max_len - length` padding places is a key that takes attention mass.
    pub key_padding_mask: bool,
    /// Whether item vectors are multiplied by sqrt(D) before positions are added.
    pub scale_items: bool,
}

impl TransformerConfig {
    /// # Errors
    /// [`Error::Parameter`] where the heads do not divide the width.
    pub fn check(&self) -> Result<()> {
        if self.hidden_size % self.num_heads != 0 {
            return Err(Error::parameter(
                "num_heads",
                format!(
                    "{} does not divide hidden_size = {}",
                    self.num_heads, self.hidden_size
                ),
            ));
        }
        Ok(())
    }
}

/// Positions, blocks and the final norm.
#[derive(Debug)]
pub struct TransformerEncoder {
    config: TransformerConfig,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl TransformerEncoder {
    /// Parameters `positions [max_len, D]`, `blocks.I.*` and `norm.*`.
    ///
    /// # Errors
    /// The host's refusals.
    pub fn build(config: TransformerConfig, builder: &Builder<'_>) -> Result<Self> {
        let shape = [builder.max_len(), config.hidden_size];
        let positions = builder.parameter("positions", &shape, Init::Weight)?;
        let blocks = (0..config.num_blocks)
            .map(|block| Block::build(config, &builder.scope(format!("blocks.{block}"))))
            .collect::<Result<_>>()?;
        let norm = LayerNorm::build(&builder.scope("norm"), config.hidden_size, NORM_EPSILON)?;
        Ok(Self {
            config,
            positions,
            blocks,
            norm,
        })
    }

    /// States of the wanted tokens, `[M, D]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn forward(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        let mut x_nd = batch.items_nd.shallow_clone();
        if self.config.scale_items {
            x_nd = x_nd.f_mul_scalar((self.config.hidden_size as f64).sqrt())?;
        }
        x_nd = x_nd.f_add(&self.positions.f_index_select(0, &batch.positions_n)?)?;
        x_nd = mode.dropout(&x_nd, self.config.dropout)?;
        for block in &self.blocks {
            x_nd = block.forward(&x_nd, batch, mode)?;
        }
        self.norm.forward(&batch.select_wanted(&x_nd)?)
    }
}

/// One block: attention on a normed query, then the feed-forward layer.
#[derive(Debug)]
struct Block {
    config: TransformerConfig,
    attention_norm: LayerNorm,
    /// Rows query, key, value: `[3D, D]`, as PyTorch's `MultiheadAttention` keeps (and starts) them.
    in_weight: Tensor,
    in_bias: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    feed_forward_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    max_len: i64,
}

impl Block {
    fn build(config: TransformerConfig, builder: &Builder<'_>) -> Result<Self> {
        let d = config.hidden_size;
        let attention = builder.scope("attention");
        Ok(Self {
            config,
            attention_norm: LayerNorm::build(&builder.scope("attention_norm"), d, NORM_EPSILON)?,
            in_weight: attention.parameter("in_weight", &[3 * d, d], Init::Weight)?,
            in_bias: attention.parameter("in_bias", &[3 * d], Init::Constant(0.0))?,
            out_weight: attention.parameter("out_weight", &[d, d], Init::Weight)?,
            out_bias: attention.parameter("out_bias", &[d], Init::Constant(0.0))?,
            feed_forward_norm: LayerNorm::build(
                &builder.scope("feed_forward_norm"),
                d,
                NORM_EPSILON,
            )?,
            expand: Linear::build(&builder.scope("expand"), d, d)?,
            contract: Linear::build(&builder.scope("contract"), d, d)?,
            max_len: builder.max_len(),
        })
    }

    fn forward(&self, x_nd: &Tensor, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        let query_nd = self.attention_norm.forward(x_nd)?;
        let attended_nd = self.attention(&query_nd, x_nd, batch, mode)?;
        let x_nd = self
            .feed_forward_norm
            .forward(&query_nd.f_add(&attended_nd)?)?;
        let mut inner_nd = mode.dropout(&self.expand.forward(&x_nd)?, self.config.dropout)?;
        inner_nd = match self.config.activation {
            Activation::Relu => inner_nd.f_relu()?,
            Activation::Gelu => inner_nd.f_gelu("none")?,
        };
        let inner_nd = mode.dropout(&self.contract.forward(&inner_nd)?, self.config.dropout)?;
        Ok(x_nd.f_add(&inner_nd)?)
    }

    fn attention(
        &self,
        query_nd: &Tensor,
        x_nd: &Tensor,
        batch: &SequenceBatch,
        mode: &Mode,
    ) -> Result<Tensor> {
        let d = self.config.hidden_size;
        let part = |x: &Tensor, first: i64, width: i64| {
            let weight = self.in_weight.f_narrow(0, first, width)?;
            let bias = self.in_bias.f_narrow(0, first, width)?;
            Ok::<_, Error>(x.f_linear(&weight, Some(&bias))?)
        };
        let query = self.heads(&batch.pad(&part(query_nd, 0, d)?)?)?;
        let key_value = batch.pad(&part(x_nd, d, 2 * d)?)?;
        let key = self.heads(&key_value.f_narrow(2, 0, d)?)?;
        let value = self.heads(&key_value.f_narrow(2, d, d)?)?;

        let scale = ((d / self.config.num_heads) as f64).sqrt().recip();
        let query = query.f_mul_scalar(scale)?;
        let mut logits_bhll = query.f_matmul(&key.f_transpose(2, 3)?)?;
        logits_bhll = logits_bhll.f_add(&self.mask(batch)?)?;
        let attended_bhla = if self.config.key_padding_mask {
            let weights = mode.dropout(&logits_bhll.f_softmax(-1, None)?, self.config.dropout)?;
            weights.f_matmul(&value)?
        } else {
            self.attend_with_padding(&query, &logits_bhll, &value, batch, mode)?
        };
        let attended_bld =
            attended_bhla
                .f_transpose(1, 2)?
                .f_reshape([batch.sequences(), batch.longest(), d])?;
        let attended_nd = batch.unpad(&attended_bld)?;
        Ok(attended_nd.f_linear(&self.out_weight, Some(&self.out_bias))?)
    }

    /// `[B, L, D]` to `[B, H, L, A]`.
    fn heads(&self, x_bld: &Tensor) -> Result<Tensor> {
        let &[sequences, longest, width] = x_bld.size().as_slice() else {
            return Err(Error::Batch(format!(
                "expected [B, L, D], got {:?}",
                x_bld.size()
            )));
        };
        let heads = self.config.num_heads;
        Ok(x_bld
            .f_reshape([sequences, longest, heads, width / heads])?
            .f_transpose(1, 2)?)
    }

    /// What is added to the logits: minus infinity where a query may not look, `[1 or B, 1, 1 or L, L]`.
    fn mask(&self, batch: &SequenceBatch) -> Result<Tensor> {
        let hidden = if self.config.causal {
            // Sequences start at column 0, so what a token may see is never padding.
            let ones = Tensor::f_ones([batch.longest(); 2], (Kind::Bool, batch.device()))?;
            ones.f_triu(1)?
                .f_view([1, 1, batch.longest(), batch.longest()])?
        } else {
            let valid = batch.valid_bl()?.f_logical_not()?;
            valid.f_view([batch.sequences(), 1, 1, batch.longest()])?
        };
        let mask = Tensor::f_zeros(hidden.size(), (batch.items_nd.kind(), batch.device()))?;
        Ok(mask.f_masked_fill(&hidden, f64::NEG_INFINITY)?)
    }

    /// Attention in which the padding of a window counts, as in the published code: a padding
    /// place's vector is zero, so its key and value are the biases, and `max_len - length` equal
    /// keys are one key whose logit is larger by ln(max_len - length).
    fn attend_with_padding(
        &self,
        query: &Tensor,
        logits_bhll: &Tensor,
        value: &Tensor,
        batch: &SequenceBatch,
        mode: &Mode,
    ) -> Result<Tensor> {
        let (d, heads) = (self.config.hidden_size, self.config.num_heads);
        let bias = |first| {
            Ok::<_, Error>(
                self.in_bias
                    .f_narrow(0, first, d)?
                    .f_view([heads, 1, d / heads])?,
            )
        };
        let key_ha1 = bias(d)?.f_transpose(1, 2)?;
        let places = batch.lengths_b()?.f_neg()?.f_add_scalar(self.max_len)?;
        let places = places
            .f_to_kind(logits_bhll.kind())?
            .f_log()?
            .f_view([-1, 1, 1, 1])?;
        let padding_bhl1 = query.f_matmul(&key_ha1)?.f_add(&places)?;
        let weights = Tensor::f_cat(&[logits_bhll, &padding_bhl1], -1)?.f_softmax(-1, None)?;
        let weights = mode.dropout(&weights, self.config.dropout)?;
        let seen = weights.f_narrow(3, 0, batch.longest())?.f_matmul(value)?;
        Ok(seen.f_add(
            &weights
                .f_narrow(3, batch.longest(), 1)?
                .f_mul(&bias(2 * d)?)?,
        )?)
    }
}
