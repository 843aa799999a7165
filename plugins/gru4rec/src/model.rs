//! GRU4Rec: a gated recurrent network over a user's item sequence.
//!
//! Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016,
//! arXiv:1511.06939, in the form of the published GenAIR code: no biases, the hidden state is the
//! user state. Deviations from the paper: sequences are users' histories, not parallel sessions,
//! and the loss is the trainer's.
//! Shapes: `N` valid tokens, `B` sequences, `L` longest, `D` hidden size, `M` wanted tokens.

use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Init, Mode, OutputItems, Result, SequenceBatch, TrainsOn,
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
}

impl Default for Gru4RecConfig {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            num_layers: 1,
            dropout: 0.2,
            trains_on: Positions::Every,
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
        // Padding follows each sequence, so no state of a valid token ever sees it.
        let mut x_bld = batch.pad(&mode.dropout(&batch.items_nd, self.dropout)?)?;
        for (number, layer) in self.layers.iter().enumerate() {
            if number > 0 {
                x_bld = mode.dropout(&x_bld, self.dropout)?;
            }
            let width = x_bld.size()[2];
            let start = Tensor::f_zeros(
                [1, batch.sequences(), width],
                (x_bld.kind(), x_bld.device()),
            )?;
            let weights = [&layer.input_weight, &layer.hidden_weight];
            let (states, _last) = x_bld.f_gru(
                &start,
                &weights,
                false,
                1,
                0.0,
                mode.is_training(),
                false,
                true,
            )?;
            x_bld = states;
        }
        batch.select_wanted(&batch.unpad(&x_bld)?)
    }
}
