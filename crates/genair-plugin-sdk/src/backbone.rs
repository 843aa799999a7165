//! The trait a plugin implements.

use genair_abi::Capabilities;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tch::Tensor;

use crate::{Builder, Mode, Result, SequenceBatch};

/// A sequential recommendation backbone: item vectors in, user states out.
pub trait Backbone: Sized + 'static {
    /// Parameters under `[backbone.NAME]`. Derive `JsonSchema` and `Deserialize` with
    /// `#[serde(default, deny_unknown_fields)]`; docs and `#[schemars(range(..))]` become the
    /// schema that specs are checked against.
    type Config: DeserializeOwned + JsonSchema;

    /// Name in specs; the plugin's file is `libgenair_backbone_NAME.so`.
    const NAME: &'static str;
    /// Version of the plugin's package: `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// One line for `genair plugin list`.
    const SUMMARY: &'static str;
    /// The paper it implements.
    const REFERENCE: &'static str;

    /// What this configuration needs and gives.
    ///
    /// # Errors
    /// Parameters that do not fit each other, such as a width not divisible by the heads. Ranges
    /// of single parameters have been checked against the schema before.
    fn capabilities(config: &Self::Config) -> Result<Capabilities>;

    /// Builds the model. Every trainable tensor comes from `builder`, here and not later.
    ///
    /// # Errors
    /// The host's refusals.
    fn build(config: &Self::Config, builder: &Builder<'_>) -> Result<Self>;

    /// The states `[M, S]` of the batch's wanted tokens ([`SequenceBatch::select_wanted`]), from
    /// its item vectors `[N, D]`. State of a token predicts the item that follows it (or, for a
    /// masked token, the item under the mask).
    ///
    /// # Errors
    /// What libtorch refuses. Use the fallible `f_*` methods of tensors.
    fn encode(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor>;
}
