//! BERT's encoder, forward only, for texts of one length.
//!
//! Devlin et al. 2019, arXiv:1810.04805; names of tensors are those of transformers' `BertModel`.
//! Deviations: none; dropout is off, and without padding there is nothing to mask.
//! Shapes: B texts, T tokens, D hidden size, F feed-forward size, H heads, V vocabulary, P positions.

use tch::{TchError, Tensor};

use crate::EncodeError;
use crate::folder::BertConfig;
use crate::weights::Weights;

/// The network. Its weights share the storage of the [`Weights`] it was built from.
pub(crate) struct Bert {
    words_vd: Tensor,
    positions_pd: Tensor,
    sentence_d: Tensor,
    norm: LayerNorm,
    blocks: Vec<Block>,
}

impl Bert {
    /// Finds every tensor.
    ///
    /// # Errors
    /// [`EncodeError::MissingTensor`] and [`EncodeError::TensorShape`].
    pub(crate) fn new(config: &BertConfig, weights: &Weights) -> Result<Self, EncodeError> {
        let d = config.hidden_size;
        let table = |name: &str, rows: i64| {
            weights.get(&format!("embeddings.{name}_embeddings.weight"), &[rows, d])
        };
        let blocks = (0..config.num_hidden_layers)
            .map(|index| Block::new(config, weights, &format!("encoder.layer.{index}")));
        Ok(Self {
            words_vd: table("word", config.vocab_size as i64)?,
            positions_pd: table("position", config.max_position_embeddings as i64)?,
            sentence_d: table("token_type", config.type_vocab_size)?.select(0, 0),
            norm: LayerNorm::new(config, weights, "embeddings.LayerNorm")?,
            blocks: blocks.collect::<Result<_, _>>()?,
        })
    }

    /// Hidden states of the last block, `[B, T, D]`, of tokens `[B, T]` (i64, below V; T at most P).
    pub(crate) fn forward(&self, tokens_bt: &Tensor) -> Result<Tensor, TchError> {
        let (b, t) = tokens_bt.size2()?;
        let positions_td = self.positions_pd.f_narrow(0, 0, t)?;
        let words_nd = self
            .words_vd
            .f_index_select(0, &tokens_bt.f_view([b * t])?)?;
        let words_btd = words_nd.f_view([b, t, -1])?;
        let x_btd = words_btd.f_add(&self.sentence_d)?.f_add(&positions_td)?;
        let mut x_btd = self.norm.forward(&x_btd)?;
        for block in &self.blocks {
            x_btd = block.forward(&x_btd)?;
        }
        Ok(x_btd)
    }
}

/// Self-attention and feed-forward, each with a residual, normalised after it.
struct Block {
    heads: i64,
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

impl Block {
    fn new(config: &BertConfig, weights: &Weights, prefix: &str) -> Result<Self, EncodeError> {
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let linear =
            |name: &str, from, to| Linear::new(weights, &format!("{prefix}.{name}"), from, to);
        let norm = |name: &str| LayerNorm::new(config, weights, &format!("{prefix}.{name}"));
        Ok(Self {
            heads: config.num_attention_heads,
            query: linear("attention.self.query", d, d)?,
            key: linear("attention.self.key", d, d)?,
            value: linear("attention.self.value", d, d)?,
            attention_output: linear("attention.output.dense", d, d)?,
            attention_norm: norm("attention.output.LayerNorm")?,
            intermediate: linear("intermediate.dense", d, f)?,
            output: linear("output.dense", f, d)?,
            output_norm: norm("output.LayerNorm")?,
        })
    }

    /// `[B, T, D]` to `[B, T, D]`.
    fn forward(&self, x_btd: &Tensor) -> Result<Tensor, TchError> {
        let attended_btd = self.attention_output.forward(&self.attend(x_btd)?)?;
        let x_btd = self.attention_norm.forward(&attended_btd.f_add(x_btd)?)?;
        let hidden_btf = self.intermediate.forward(&x_btd)?.f_gelu("none")?;
        let fed_btd = self.output.forward(&hidden_btf)?;
        self.output_norm.forward(&fed_btd.f_add(&x_btd)?)
    }

    fn attend(&self, x_btd: &Tensor) -> Result<Tensor, TchError> {
        let (b, t, d) = x_btd.size3()?;
        // [B, T, D] to [B, H, T, D/H].
        let heads = |x_btd: Tensor| {
            x_btd
                .f_view([b, t, self.heads, d / self.heads])?
                .f_transpose(1, 2)
        };
        let attended = Tensor::f_scaled_dot_product_attention(
            &heads(self.query.forward(x_btd)?)?,
            &heads(self.key.forward(x_btd)?)?,
            &heads(self.value.forward(x_btd)?)?,
            None::<Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        attended.f_transpose(1, 2)?.f_reshape([b, t, d])
    }
}

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(weights: &Weights, prefix: &str, from: i64, to: i64) -> Result<Self, EncodeError> {
        Ok(Self {
            weight: weights.get(&format!("{prefix}.weight"), &[to, from])?,
            bias: weights.get(&format!("{prefix}.bias"), &[to])?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    fn new(config: &BertConfig, weights: &Weights, prefix: &str) -> Result<Self, EncodeError> {
        let d = config.hidden_size;
        Ok(Self {
            weight: weights.get(&format!("{prefix}.weight"), &[d])?,
            bias: weights.get(&format!("{prefix}.bias"), &[d])?,
            eps: config.layer_norm_eps,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let width = self.weight.size();
        x.f_layer_norm(width, Some(&self.weight), Some(&self.bias), self.eps, false)
    }
}
