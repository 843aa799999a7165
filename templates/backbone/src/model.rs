//! A personalised Markov chain: what a user likes, and what follows the last items. A model to replace with your own.
//!
//! FPMC (Rendle et al., "Factorizing Personalized Markov Chains for Next-Basket Recommendation", WWW 2010) scores item
//! i for user u after item l as <user_u, a_i> + <item_l, b_i>. Here the last `W` items count, with trainable weights,
//! as in Fossil (He & McAuley, ICDM 2016): the state is [user_u ; sum of weight_k item_k], and the trainer scores it
//! against a table of [a_i ; b_i]. Deviations: a bias for each item, and dropout.
//! Shapes: `M` wanted tokens, `W` window, `D` hidden size.

use genair_plugin_sdk::layers::Embedding;
use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Init, Mode, OutputItems, Padding, Result, SequenceBatch, TrainsOn,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// Settings under `[backbone.{{name}}]`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Width of item vectors and user vectors.
    #[schemars(range(min = 1))]
    hidden_size: i64,
    /// How many of the last items count.
    #[schemars(range(min = 1))]
    window: i64,
    /// Drop probability of the states.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            window: 3,
            dropout: 0.2,
        }
    }
}

/// A personalised Markov chain.
pub(crate) struct Model {
    dropout: f64,
    /// One vector for each user.
    users: Embedding,
    /// Of the items of a window, oldest first, `[W]`.
    weights: Tensor,
    window: i64,
}

impl Backbone for Model {
    type Config = Config;

    const NAME: &'static str = "{{name}}";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "A personalised Markov chain: the user and the last items";
    const REFERENCE: &'static str =
        "Rendle et al., Factorizing Personalized Markov Chains, WWW 2010";

    fn capabilities(config: &Config) -> Result<Capabilities> {
        Ok(Capabilities {
            hidden_size: config.hidden_size as usize,
            state_size: 2 * config.hidden_size as usize,
            trains_on: TrainsOn::EveryPosition,
            causal: true,
            wants_users: true,
            predicts_at_mask: false,
            output: OutputItems::Separate,
            padding: Padding::Packed,
        })
    }

    fn build(config: &Config, builder: &Builder<'_>) -> Result<Self> {
        let users = &builder.scope("users");
        let even = Init::Constant(1.0 / config.window as f64);
        Ok(Self {
            dropout: config.dropout,
            users: Embedding::build(users, builder.users(), config.hidden_size)?,
            weights: builder.parameter("weights", &[config.window], even)?,
            window: config.window,
        })
    }

    fn encode(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        let user_md = self.users.forward(&batch.wanted_users()?)?;
        let x_mwd = batch.wanted_windows(&batch.items_nd, self.window)?;
        let last_md = x_mwd
            .f_mul(&self.weights.f_unsqueeze(1)?)?
            .f_sum_dim_intlist(&[1_i64][..], false, None)?;
        mode.dropout(&Tensor::f_cat(&[user_md, last_md], 1)?, self.dropout)
    }
}
