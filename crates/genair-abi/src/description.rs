//! What a plugin says of itself, and of one configuration of it; crosses as JSON.

use serde::{Deserialize, Serialize};

/// What a backbone is, before any parameter is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackboneDescriptor {
    /// Name in specs, such as `sasrec`.
    pub name: String,
    /// Version of the plugin's package.
    pub version: String,
    /// One line.
    pub summary: String,
    /// The paper it implements.
    pub reference: String,
    /// JSON schema of its parameters: types, ranges, defaults, docs.
    pub parameters: serde_json::Value,
}

/// What one configuration of a backbone needs and gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Width `d` of the item vectors it takes.
    pub hidden_size: usize,
    /// Width of the states it returns.
    pub state_size: usize,
    /// Which positions have a target in training.
    pub trains_on: TrainsOn,
    /// Whether state `t` depends on items up to `t` of its own sequence only.
    pub causal: bool,
    /// Whether batches must carry user numbers.
    pub wants_users: bool,
    /// Whether prediction appends a mask token and reads its state.
    pub predicts_at_mask: bool,
    /// Which vectors states are scored against.
    pub output: OutputItems,
    /// What stands where a window has no item.
    pub padding: Padding,
}

/// Which positions of a training sequence have a target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainsOn {
    /// Every position predicts the next item.
    EveryPosition,
    /// Masked positions predict the item under the mask.
    MaskedPositions(MaskedTraining),
    /// The last position predicts the next item.
    LastPosition,
}

/// How masked training hides items (BERT4Rec, Sun et al. 2019).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskedTraining {
    /// Probability that a token is chosen, in (0, 1].
    pub probability: f64,
    /// Of the chosen, the share replaced by the mask token.
    pub mask_share: f64,
    /// Of the chosen, the share replaced by a random item; the rest is kept.
    pub random_share: f64,
    /// Copies of each sequence per epoch with only the last item masked.
    pub last_item_copies: usize,
}

/// What stands where a sequence is shorter than the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Nothing: sequences are packed, and padding never reaches a layer.
    #[default]
    Packed,
    /// Row 0 of the item table, as an input like any other on the window's left; it is read and
    /// never trained. A trap of the published code (docs/method.md, section 8), where it feeds noise to
    /// the GRU: here only to reproduce that code's GRU4Rec.
    Input,
}

/// Which vectors a state is scored against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputItems {
    /// The same item vectors as the input.
    Shared,
    /// A trainable table of its own with a bias per item (Tang & Wang 2018).
    Separate,
}
