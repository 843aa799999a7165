//! BERT's encoder, forward only, for one text at a time.
//!
//! Devlin et al. 2019, arXiv:1810.04805; names of tensors are those of transformers' `BertModel`.
//! Deviations: none; dropout is off, and without padding there is nothing to mask.
//! Shapes: T tokens, D hidden size, F feed-forward size, H heads, V vocabulary, P positions.

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

    /// Hidden states of the last block, `[T, D]`, of tokens `[T]` (i64, below V; T at most P).
    pub(crate) fn forward(&self, tokens_t: &Tensor) -> Result<Tensor, TchError> {
        let positions_td = self.positions_pd.f_narrow(0, 0, tokens_t.size1()?)?;
        let words_td = self.words_vd.f_index_select(0, tokens_t)?;
        let x_td = words_td.f_add(&self.sentence_d)?.f_add(&positions_td)?;
        let mut x_td = self.norm.forward(&x_td)?;
        for block in &self.blocks {
            x_td = block.forward(&x_td)?;
        }
        Ok(x_td)
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

    /// `[T, D]` to `[T, D]`.
    fn forward(&self, x_td: &Tensor) -> Result<Tensor, TchError> {
        let attended_td = self.attention_output.forward(&self.attend(x_td)?)?;
        let x_td = self.attention_norm.forward(&attended_td.f_add(x_td)?)?;
        let hidden_tf = self.intermediate.forward(&x_td)?.f_gelu("none")?;
        let fed_td = self.output.forward(&hidden_tf)?;
        self.output_norm.forward(&fed_td.f_add(&x_td)?)
    }

    fn attend(&self, x_td: &Tensor) -> Result<Tensor, TchError> {
        let (t, d) = x_td.size2()?;
        // [T, D] to [1, H, T, D/H].
        let heads = |x_td: Tensor| {
            x_td.f_view([1, t, self.heads, d / self.heads])?
                .f_transpose(1, 2)
        };
        let attended = Tensor::f_scaled_dot_product_attention(
            &heads(self.query.forward(x_td)?)?,
            &heads(self.key.forward(x_td)?)?,
            &heads(self.value.forward(x_td)?)?,
            None::<Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        attended.f_transpose(1, 2)?.f_reshape([t, d])
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
