//! Caser: convolutions over the last few items.
//!
//! Tang & Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence
//! Embedding", WSDM 2018, arXiv:1809.07426, in two forms. The original: the state is the convolved
//! sequence next to the user vector, scored against an output table of its own with a bias for each
//! item. RecBole's: a second fully connected layer joins the two, and its output is scored against
//! the item vectors. Deviations from both: every position predicts from the window that ends with it
//! (the paper slides the window over the sequence, which is the same set of samples), and a window
//! that reaches before the sequence's start is filled with zeros on its left, so that the newest
//! item always meets the same weights.
//! Shapes: `M` wanted tokens, `W` window, `D` hidden size, `V` vertical and `H` horizontal filters.

use genair_plugin_sdk::layers::Linear;
use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Init, Mode, OutputItems, Padding, Result, SequenceBatch,
    TrainsOn,
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
    /// Only the last one: one target per user and epoch.
    Last,
}

/// What becomes of the convolved sequence `z` and the user vector `p`, both of width D.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// States are relu(join [z ; p]), scored against the item vectors.
    Recbole,
    /// States are [z ; p], scored against an output table of its own (Tang & Wang).
    Original,
}

/// Settings under `[backbone.caser]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CaserConfig {
    /// How states are made of the sequence and the user, and what they are scored against.
    form: Form,
    /// Width of item vectors and user vectors.
    #[schemars(range(min = 1))]
    hidden_size: i64,
    /// How many of the last items a state sees: `L` in the paper.
    #[schemars(range(min = 1))]
    window: i64,
    /// Filters over the items of a window.
    #[schemars(range(min = 1))]
    vertical_filters: i64,
    /// Filters of each height from 1 to the window.
    #[schemars(range(min = 1))]
    horizontal_filters: i64,
    /// Drop probability of the convolutions' output.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// Whether each user has a trainable vector.
    user_vectors: bool,
    /// Which positions of a training sequence predict.
    trains_on: Positions,
}

impl Default for CaserConfig {
    fn default() -> Self {
        Self {
            form: Form::Recbole,
            hidden_size: 64,
            window: 5,
            vertical_filters: 4,
            horizontal_filters: 16,
            dropout: 0.5,
            user_vectors: true,
            trains_on: Positions::Every,
        }
    }
}

impl CaserConfig {
    /// Width of `z`, followed by the user vector where there is one.
    fn joined_size(&self) -> i64 {
        if self.user_vectors {
            2 * self.hidden_size
        } else {
            self.hidden_size
        }
    }
}

/// A convolutional network over a window of items.
pub(crate) struct Caser {
    window: i64,
    dropout: f64,
    /// `[V, W]` and `[V]`.
    vertical: (Tensor, Tensor),
    /// For heights 1 to W: `[H, 1, height, D]` and `[H]`.
    horizontal: Vec<(Tensor, Tensor)>,
    compress: Linear,
    /// In RecBole's form.
    join: Option<Linear>,
    users: Option<Tensor>,
}

impl Backbone for Caser {
    type Config = CaserConfig;

    const NAME: &'static str = "caser";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Horizontal and vertical convolutions over the last items";
    const REFERENCE: &'static str = "Tang & Wang, Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding, WSDM 2018, arXiv:1809.07426";

    fn capabilities(config: &CaserConfig) -> Result<Capabilities> {
        let (state_size, output) = match config.form {
            Form::Recbole => (config.hidden_size, OutputItems::Shared),
            Form::Original => (config.joined_size(), OutputItems::Separate),
        };
        Ok(Capabilities {
            hidden_size: config.hidden_size as usize,
            state_size: state_size as usize,
            trains_on: match config.trains_on {
                Positions::Every => TrainsOn::EveryPosition,
                Positions::Last => TrainsOn::LastPosition,
            },
            causal: true,
            wants_users: config.user_vectors,
            predicts_at_mask: false,
            output,
            padding: Padding::Packed,
        })
    }

    fn build(config: &CaserConfig, builder: &Builder<'_>) -> Result<Self> {
        let (d, window) = (config.hidden_size, config.window);
        let (v, h) = (config.vertical_filters, config.horizontal_filters);
        let vertical = builder.scope("vertical");
        let vertical = (
            vertical.parameter("weight", &[v, window], Init::Weight)?,
            vertical.parameter("bias", &[v], Init::bias(window))?,
        );
        let horizontal = (1..=window)
            .map(|height| {
                let filter = builder.scope(format!("horizontal.{height}"));
                Ok((
                    filter.parameter("weight", &[h, 1, height, d], Init::Weight)?,
                    filter.parameter("bias", &[h], Init::bias(height * d))?,
                ))
            })
            .collect::<Result<_>>()?;
        let compress = Linear::build(&builder.scope("compress"), v * d + h * window, d)?;
        let join = match config.form {
            Form::Recbole => Some(Linear::build(
                &builder.scope("join"),
                config.joined_size(),
                d,
            )?),
            Form::Original => None,
        };
        let users = config
            .user_vectors
            .then(|| builder.parameter("users", &[builder.users(), d], Init::Weight))
            .transpose()?;
        Ok(Self {
            window,
            dropout: config.dropout,
            vertical,
            horizontal,
            compress,
            join,
            users,
        })
    }

    fn encode(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        let x_mwd = batch.wanted_windows(&batch.items_nd, self.window)?;
        let (weight_vw, bias_v) = &self.vertical;
        let vertical = weight_vw.f_matmul(&x_mwd)?.f_add(&bias_v.f_unsqueeze(1)?)?;
        let mut features = vec![vertical.f_view([batch.wanted(), -1])?];
        let x_m1wd = x_mwd.f_unsqueeze(1)?;
        for (weight, bias) in &self.horizontal {
            let found = x_m1wd
                .f_conv2d(weight, Some(bias), [1, 1], [0, 0], [1, 1], 1)?
                .f_relu()?;
            features.push(found.f_squeeze_dim(3)?.f_amax([2], false)?);
        }
        let features = mode.dropout(&Tensor::f_cat(&features, 1)?, self.dropout)?;
        let mut z_md = self.compress.forward(&features)?.f_relu()?;
        if let Some(users) = &self.users {
            let user_md = users.f_index_select(0, &batch.wanted_users()?)?;
            z_md = Tensor::f_cat(&[z_md, user_md], 1)?;
        }
        match &self.join {
            Some(join) => Ok(join.forward(&z_md)?.f_relu()?),
            None => Ok(z_md),
        }
    }
}
