//! GRU4Rec: a gated recurrent network over a user's item sequence.
//!
//! Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016,
//! arXiv:1511.06939, in the form of the published GenAIR code: no biases, the hidden state is the
//! user state. Deviations from the paper: sequences are users' histories, not parallel sessions,
//! and the loss is the trainer's.
//! Shapes: `N` valid tokens, `L` tokens of the longest sequence, `D` hidden size.

use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Init, Mode, OutputItems, Padding, Result, SequenceBatch,
    TrainsOn, gather_rows,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Which positions of a training sequence predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Positions {
    /// Every position predicts the next item.
    Every,
    /// Only the last one: one target per user and epoch, as in the published GenAIR code.
    Last,
}

/// What stands where a window has no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PaddingPlaces {
    /// Nothing: padding never reaches the network.
    Packed,
    /// Row 0 of the item table, an input like any other, as in the published GenAIR code.
    Input,
}

/// Settings under `[backbone.gru4rec]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gru4RecConfig {
    /// Width of item vectors and hidden states.
    #[schemars(range(min = 1))]
    hidden_size: i64,
    /// Number of recurrent layers.
    #[schemars(range(min = 1))]
    num_layers: i64,
    /// Drop probability of every layer's input.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// Which positions of a training sequence predict.
    trains_on: Positions,
    /// What stands where a window has no item.
    padding: PaddingPlaces,
}

impl Default for Gru4RecConfig {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            num_layers: 1,
            dropout: 0.2,
            trains_on: Positions::Every,
            padding: PaddingPlaces::Packed,
        }
    }
}

/// A recurrent network whose state at each position predicts the next item.
pub(crate) struct Gru4Rec {
    dropout: f64,
    layers: Vec<Layer>,
}

/// Gates stacked reset, update, new, as PyTorch keeps them: `[3D, D]` each.
struct Layer {
    input_weight: Tensor,
    hidden_weight: Tensor,
}

impl Backbone for Gru4Rec {
    type Config = Gru4RecConfig;

    const NAME: &'static str = "gru4rec";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "A gated recurrent network; the state at a position predicts the next item";
    const REFERENCE: &'static str = "Hidasi et al., Session-based Recommendations with Recurrent Neural Networks, ICLR 2016, arXiv:1511.06939";

    fn capabilities(config: &Gru4RecConfig) -> Result<Capabilities> {
        Ok(Capabilities {
            hidden_size: config.hidden_size as usize,
            state_size: config.hidden_size as usize,
            trains_on: match config.trains_on {
                Positions::Every => TrainsOn::EveryPosition,
                Positions::Last => TrainsOn::LastPosition,
            },
            causal: true,
            wants_users: false,
            predicts_at_mask: false,
            output: OutputItems::Shared,
            padding: match config.padding {
                PaddingPlaces::Packed => Padding::Packed,
                PaddingPlaces::Input => Padding::Input,
            },
        })
    }

    fn build(config: &Gru4RecConfig, builder: &Builder<'_>) -> Result<Self> {
        let shape = [3 * config.hidden_size, config.hidden_size];
        let layers = (0..config.num_layers)
            .map(|layer| {
                let builder = builder.scope(format!("layers.{layer}"));
                Ok(Layer {
                    input_weight: builder.parameter("input_weight", &shape, Init::Weight)?,
                    hidden_weight: builder.parameter("hidden_weight", &shape, Init::Weight)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            dropout: config.dropout,
            layers,
        })
    }

    fn encode(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        let order = StepOrder::new(batch)?;
        let mut x_nd = gather_rows(&batch.items_nd, &order.tokens_n)?;
        for layer in &self.layers {
            x_nd = mode.dropout(&x_nd, self.dropout)?;
            let start = [1, batch.sequences(), x_nd.size()[1]];
            let start = Tensor::f_zeros(start, (x_nd.kind(), x_nd.device()))?;
            let weights = [&layer.input_weight, &layer.hidden_weight];
            let training = mode.is_training();
            let (states_nd, _last) = Tensor::f_gru_data(
                &x_nd,
                &order.sizes_l,
                &start,
                &weights,
                false,
                1,
                0.0,
                training,
                false,
            )?;
            x_nd = states_nd;
        }
        match batch.wanted_m()? {
            Some(wanted_m) => gather_rows(&x_nd, &order.places_n.f_index_select(0, wanted_m)?),
            None => gather_rows(&x_nd, &order.places_n),
        }
    }
}

/// Tokens in the order in which a recurrent network takes them: the first tokens of all sequences,
/// longest sequence first, then the second tokens, and so on. No step computes padding.
struct StepOrder {
    /// Token at each place, int64 `[N]`.
    tokens_n: Tensor,
    /// Place of each token, int64 `[N]`.
    places_n: Tensor,
    /// Sequences that have a token in each step, int64 `[L]`, on the CPU.
    sizes_l: Tensor,
}

impl StepOrder {
    fn new(batch: &SequenceBatch) -> Result<Self> {
        let mut start = 0;
        let mut sequences: Vec<(i64, i64)> = Vec::with_capacity(batch.lengths().len());
        for &length in batch.lengths() {
            sequences.push((length, start));
            start += length;
        }
        sequences.sort_by_key(|&(length, _)| std::cmp::Reverse(length));
        let mut tokens = Vec::with_capacity(start as usize);
        let mut sizes = Vec::with_capacity(batch.longest() as usize);
        for step in 0..batch.longest() {
            sequences.truncate(sequences.partition_point(|&(length, _)| length > step));
            tokens.extend(sequences.iter().map(|&(_, start)| start + step));
            sizes.push(sequences.len() as i64);
        }
        let mut places = vec![0; tokens.len()];
        for (place, &token) in tokens.iter().enumerate() {
            places[token as usize] = place as i64;
        }
        Ok(Self {
            tokens_n: Tensor::f_from_slice(&tokens)?.f_to_device(batch.device())?,
            places_n: Tensor::f_from_slice(&places)?.f_to_device(batch.device())?,
            sizes_l: Tensor::f_from_slice(&sizes)?,
        })
    }
}
