//! The self-attention stack of SASRec and BERT4Rec, on packed sequences.
//!
//! Kang & McAuley 2018 (arXiv:1808.09781), section III, in the form of the published GenAIR and
//! LLM-ESR code: the query is normed, key and value are not, and both residuals start from the
//! normed value. Everything works on valid tokens `[N, D]`; only attention itself sees a padded
//! form, group by group of similar length. `H` heads, `A` channels of one head, `G` and `L` as in a
//! [`LengthGroup`].

use tch::{Kind, Tensor};

use super::{Activation, FeedForward, LayerNorm};
use crate::{Builder, Error, Init, LengthGroup, Mode, Result, SequenceBatch, gather_rows};

/// Added to variances, as in the published code.
const NORM_EPSILON: f64 = 1e-8;

/// Sizes and choices of a [`TransformerEncoder`].
#[derive(Clone, Copy, Debug)]
pub struct TransformerConfig {
    /// `D`, divisible by the heads.
    pub hidden_size: i64,
    /// Blocks of attention and feed-forward.
    pub num_blocks: i64,
    /// `H`.
    pub num_heads: i64,
    /// Width of the feed-forward layers' inside, in hidden sizes.
    pub feed_forward_ratio: i64,
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
        x_nd = x_nd.f_add(&gather_rows(&self.positions, &batch.positions_n)?)?;
        x_nd = mode.dropout(&x_nd, self.config.dropout)?;
        let Some((last, earlier)) = self.blocks.split_last() else {
            return self.norm.forward(&batch.select_wanted(&x_nd)?);
        };
        for block in earlier {
            x_nd = block.forward(&x_nd, batch, Queries::All, mode)?;
        }
        let queries = if batch.wants_last_tokens() {
            Queries::Last
        } else {
            Queries::Wanted
        };
        self.norm
            .forward(&last.forward(&x_nd, batch, queries, mode)?)
    }
}

/// Which tokens a block computes new values for. Only keys and values are needed of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queries {
    /// Every token.
    All,
    /// The batch's wanted tokens.
    Wanted,
    /// The wanted tokens, which are the last of each sequence.
    Last,
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
    feed_forward: FeedForward,
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
            feed_forward: FeedForward::build(
                builder,
                d,
                config.feed_forward_ratio * d,
                config.activation,
                config.dropout,
            )?,
            max_len: builder.max_len(),
        })
    }

    /// New values of the chosen tokens, `[N or M, D]`.
    fn forward(
        &self,
        x_nd: &Tensor,
        batch: &SequenceBatch,
        queries: Queries,
        mode: &Mode,
    ) -> Result<Tensor> {
        let (query, attended) = match queries {
            Queries::All => {
                let query_nd = self.attention_norm.forward(x_nd)?;
                let attended_nd = self.attend(&query_nd, x_nd, batch, None, mode)?;
                (query_nd, attended_nd)
            }
            Queries::Wanted => {
                let query_nd = self.attention_norm.forward(x_nd)?;
                let attended_md = self.attend(&query_nd, x_nd, batch, batch.wanted_m()?, mode)?;
                (batch.select_wanted(&query_nd)?, attended_md)
            }
            Queries::Last => {
                let query_bd = self.attention_norm.forward(&batch.select_wanted(x_nd)?)?;
                let attended_bd = self.attend_from_last(&query_bd, x_nd, batch, mode)?;
                (query_bd, attended_bd)
            }
        };
        let attended = attended.f_linear(&self.out_weight, Some(&self.out_bias))?;
        let x = self.feed_forward_norm.forward(&query.f_add(&attended)?)?;
        Ok(x.f_add(&self.feed_forward.forward(&x, mode)?)?)
    }

    /// Attention of every token (or of the chosen ones), `[N or M, D]`, before the output map.
    fn attend(
        &self,
        query_nd: &Tensor,
        x_nd: &Tensor,
        batch: &SequenceBatch,
        chosen: Option<&Tensor>,
        mode: &Mode,
    ) -> Result<Tensor> {
        let d = self.config.hidden_size;
        let query = self.project(query_nd, 0, d)?;
        let joined = Tensor::f_cat(&[query, self.project(x_nd, d, 2 * d)?], 1)?;
        let groups = batch.groups()?;
        let attended = groups
            .iter()
            .map(|group| {
                let joined = group.pad(&joined)?;
                let part = |number: i64| self.heads(&joined.f_narrow(2, number * d, d)?);
                let mask = self.mask(group, batch)?;
                self.weigh(&part(0)?, &part(1)?, &part(2)?, mask.as_ref(), group, mode)
            })
            .collect::<Result<Vec<_>>>()?;
        groups.pack(&attended, chosen)
    }

    /// Attention of the last token of every sequence, `[B, D]`, before the output map.
    fn attend_from_last(
        &self,
        query_bd: &Tensor,
        x_nd: &Tensor,
        batch: &SequenceBatch,
        mode: &Mode,
    ) -> Result<Tensor> {
        let d = self.config.hidden_size;
        let query_bd = self.project(query_bd, 0, d)?;
        let key_value = self.project(x_nd, d, 2 * d)?;
        let groups = batch.groups()?;
        let attended = groups
            .iter()
            .map(|group| {
                let query = self.heads(&group.choose_sequences(&query_bd)?.f_unsqueeze(1)?)?;
                let key_value = group.pad(&key_value)?;
                let part = |number: i64| self.heads(&key_value.f_narrow(2, number * d, d)?);
                // The last token may look at every token of its sequence, causal or not.
                let mask = padding_mask(group, batch)?;
                self.weigh(&query, &part(0)?, &part(1)?, mask.as_ref(), group, mode)
            })
            .collect::<Result<Vec<_>>>()?;
        groups.join_sequences(&attended)
    }

    /// Rows `first..first + width` of the input map.
    fn project(&self, x: &Tensor, first: i64, width: i64) -> Result<Tensor> {
        let weight = self.in_weight.f_narrow(0, first, width)?;
        let bias = self.in_bias.f_narrow(0, first, width)?;
        Ok(x.f_linear(&weight, Some(&bias))?)
    }

    /// `[G, L, D]` to `[G, H, L, A]`.
    fn heads(&self, x_gld: &Tensor) -> Result<Tensor> {
        let &[sequences, longest, width] = x_gld.size().as_slice() else {
            return Err(Error::Batch(format!(
                "expected [G, L, D], got {:?}",
                x_gld.size()
            )));
        };
        let heads = self.config.num_heads;
        Ok(x_gld
            .f_reshape([sequences, longest, heads, width / heads])?
            .f_transpose(1, 2)?)
    }

    /// Softmax of the logits, applied to the values: queries `[G, H, Q, A]`, keys and values
    /// `[G, H, L, A]` to `[G * Q, D]`.
    fn weigh(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Option<&Tensor>,
        group: &LengthGroup,
        mode: &Mode,
    ) -> Result<Tensor> {
        let d = self.config.hidden_size;
        let scale = ((d / self.config.num_heads) as f64).sqrt().recip();
        let query = query.f_mul_scalar(scale)?;
        let mut logits = query.f_matmul(&key.f_transpose(2, 3)?)?;
        if let Some(mask) = mask {
            logits = logits.f_add(mask)?;
        }
        let attended = if self.config.key_padding_mask {
            let weights = mode.dropout(&logits.f_softmax(-1, None)?, self.config.dropout)?;
            weights.f_matmul(value)?
        } else {
            self.weigh_with_padding(&query, &logits, value, group, mode)?
        };
        Ok(attended.f_transpose(1, 2)?.f_reshape([-1, d])?)
    }

    /// What is added to the logits of every token: minus infinity where a query may not look.
    fn mask(&self, group: &LengthGroup, batch: &SequenceBatch) -> Result<Option<Tensor>> {
        if !self.config.causal {
            return padding_mask(group, batch);
        }
        // Sequences start at column 0, so what a token may see is never padding.
        let longest = group.longest();
        let later = Tensor::f_ones([longest, longest], (Kind::Bool, batch.device()))?.f_triu(1)?;
        Ok(Some(minus_infinity_where(&later, batch)?))
    }

    /// Attention in which the padding of a window counts, as in the published code: a padding
    /// place's vector is zero, so its key and value are the biases, and `max_len - length` equal
    /// keys are one key whose logit is larger by ln(max_len - length).
    fn weigh_with_padding(
        &self,
        query: &Tensor,
        logits: &Tensor,
        value: &Tensor,
        group: &LengthGroup,
        mode: &Mode,
    ) -> Result<Tensor> {
        let (d, heads) = (self.config.hidden_size, self.config.num_heads);
        let bias = |first| {
            let bias = self.in_bias.f_narrow(0, first, d)?;
            Ok::<_, Error>(bias.f_view([heads, 1, d / heads])?)
        };
        let places: Vec<f32> = group
            .lengths()
            .iter()
            .map(|&length| ((self.max_len - length) as f32).ln())
            .collect();
        let places = Tensor::f_from_slice(&places)?.f_to_device(query.device())?;
        let padding = query.f_matmul(&bias(d)?.f_transpose(1, 2)?)?;
        let padding = padding.f_add(&places.f_view([-1, 1, 1, 1])?)?;
        let weights = Tensor::f_cat(&[logits, &padding], -1)?.f_softmax(-1, None)?;
        let weights = mode.dropout(&weights, self.config.dropout)?;
        let seen = weights.f_narrow(3, 0, group.longest())?.f_matmul(value)?;
        Ok(seen.f_add(
            &weights
                .f_narrow(3, group.longest(), 1)?
                .f_mul(&bias(2 * d)?)?,
        )?)
    }
}

/// Hides padding from every query, `[G, 1, 1, L]`; nothing where there is none.
fn padding_mask(group: &LengthGroup, batch: &SequenceBatch) -> Result<Option<Tensor>> {
    if group.is_full() {
        return Ok(None);
    }
    let padding = group.valid_gl()?.f_logical_not()?;
    let padding = padding.f_view([group.sequences(), 1, 1, group.longest()])?;
    Ok(Some(minus_infinity_where(&padding, batch)?))
}

fn minus_infinity_where(hidden: &Tensor, batch: &SequenceBatch) -> Result<Tensor> {
    let mask = Tensor::f_zeros(hidden.size(), (batch.items_nd.kind(), batch.device()))?;
    Ok(mask.f_masked_fill(hidden, f64::NEG_INFINITY)?)
}
