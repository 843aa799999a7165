//! FPMC: what a user likes, and what follows the last item. A model to replace with your own.
//!
//! Rendle, Freudenthaler & Schmidt-Thieme, "Factorizing Personalized Markov Chains for Next-Basket
//! Recommendation", WWW 2010, with baskets of one item: the score of item i for user u after item l
//! is <user_u, a_i> + <item_l, b_i>. The state is [user_u ; item_l], and the trainer scores it
//! against a table of [a_i ; b_i]. Deviations: a bias for each item, and dropout.
//! Shapes: `N` tokens of a batch, `M` wanted tokens, `B` sequences, `D` hidden size.

use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Error, Init, Mode, OutputItems, Padding, Result,
    SequenceBatch, TrainsOn, gather_rows,
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
    /// Drop probability of the states.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            dropout: 0.2,
        }
    }
}

/// A personalised Markov chain.
pub(crate) struct Model {
    dropout: f64,
    /// One vector for each user, `[users, D]`.
    users: Tensor,
}

impl Backbone for Model {
    type Config = Config;

    const NAME: &'static str = "{{name}}";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "A personalised Markov chain: the user and the last item";
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
        let shape = [builder.users(), config.hidden_size];
        Ok(Self {
            dropout: config.dropout,
            users: builder.parameter("users", &shape, Init::Weight)?,
        })
    }

    fn encode(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        let users_b = batch
            .users_b
            .as_ref()
            .ok_or_else(|| Error::Batch("it has no user numbers".to_owned()))?;
        // Which sequence, and so which user, each wanted token belongs to.
        let (_, sequences_m) = batch.wanted_windows(1)?;
        let users_m = users_b.f_index_select(0, &sequences_m)?;
        let user_md = gather_rows(&self.users, &users_m)?;
        let last_md = batch.select_wanted(&batch.items_nd)?;
        mode.dropout(&Tensor::f_cat(&[user_md, last_md], 1)?, self.dropout)
    }
}
