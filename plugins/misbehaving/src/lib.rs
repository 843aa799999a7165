//! A plugin that fails in every way a plugin can, by parameter; only tests load it.
//!
//! Wrong handshakes cannot be a parameter: those are the examples of this package, one library each.

use genair_plugin_sdk::{
    Backbone, Builder, Capabilities, Error, Init, Mode, OutputItems, Padding, Result,
    SequenceBatch, TrainsOn, gather_rows,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

genair_plugin_sdk::export_backbone!(Misbehaving);

/// How to fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    /// Works, as a bag of one layer.
    #[default]
    None,
    /// Panics while the model is built.
    PanicInBuild,
    /// Panics in the first training step.
    PanicInTraining,
    /// Panics while predicting.
    PanicInPrediction,
    /// Returns an error in the first training step.
    Error,
    /// Asks for a tensor of a shape that makes no sense.
    BadParameterShape,
    /// Asks for the same tensor twice.
    DuplicateParameter,
    /// Returns states that are not numbers.
    Nan,
    /// Returns NaN while predicting only.
    NanInPrediction,
    /// Returns states of the wrong width.
    WrongWidth,
    /// Returns one state too few.
    WrongCount,
    /// Returns integers.
    WrongKind,
    /// Claims to be causal, and lets each state see the next item.
    LooksAhead,
    /// Claims not to be causal, and is.
    ClaimsToLookAhead,
    /// Lets each state see all sequences of the batch.
    MixesSequences,
    /// Returns the first states instead of the wanted ones.
    IgnoresWanted,
    /// Has a parameter that no state depends on.
    UnusedParameter,
    /// Draws dropout masks from libtorch's own generator.
    OwnRandomness,
    /// Drops out while predicting, too.
    DropsInPrediction,
    /// Cuts its states off from every gradient.
    DetachesStates,
    /// Cannot go on from a matrix product of 16 bits.
    WantsFloat32,
    /// Ends the whole process.
    Abort,
    /// Never comes back; whoever waits must be able to end it.
    Hang,
}

/// Settings under `[backbone.misbehaving]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// How to fail.
    fault: Fault,
    /// Width of item vectors and states.
    #[schemars(range(min = 1))]
    hidden_size: i64,
    /// Any text; it decides nothing.
    note: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            hidden_size: 8,
            note: String::new(),
        }
    }
}

struct Misbehaving {
    fault: Fault,
    weight: Tensor,
}

impl Backbone for Misbehaving {
    type Config = Config;

    const NAME: &'static str = "misbehaving";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Fails on demand; for tests";
    const REFERENCE: &'static str = "none";

    fn capabilities(config: &Config) -> Result<Capabilities> {
        Ok(Capabilities {
            hidden_size: config.hidden_size as usize,
            state_size: config.hidden_size as usize,
            trains_on: TrainsOn::EveryPosition,
            causal: config.fault != Fault::ClaimsToLookAhead,
            wants_users: false,
            predicts_at_mask: false,
            output: OutputItems::Shared,
            padding: Padding::Packed,
        })
    }

    fn build(config: &Config, builder: &Builder<'_>) -> Result<Self> {
        let d = config.hidden_size;
        match config.fault {
            Fault::PanicInBuild => panic!("as asked, while building"),
            Fault::BadParameterShape => {
                let _ = builder.parameter("bad", &[-3, d], Init::Weight)?;
            }
            Fault::DuplicateParameter => {
                let _ = builder.parameter("weight", &[d, d], Init::Weight)?;
            }
            Fault::UnusedParameter => {
                let _ = builder.parameter("unused", &[d], Init::Constant(1.0))?;
            }
            _ => {}
        }
        Ok(Self {
            fault: config.fault,
            weight: builder.parameter("weight", &[d, d], Init::Weight)?,
        })
    }

    fn encode(&self, batch: &SequenceBatch, mode: &Mode) -> Result<Tensor> {
        let states = batch.select_wanted(&batch.items_nd.f_matmul(&self.weight)?)?;
        Ok(match (self.fault, mode.is_training()) {
            (Fault::PanicInTraining, true) => panic!("as asked, while training"),
            (Fault::PanicInPrediction, false) => panic!("as asked, while predicting"),
            (Fault::Error, true) => return Err(Error::Batch("as asked".to_owned())),
            (Fault::Nan, true) | (Fault::NanInPrediction, false) => {
                states.f_mul_scalar(f64::NAN)?
            }
            (Fault::WrongWidth, _) => states.f_narrow(1, 0, states.size()[1] - 1)?,
            (Fault::WrongCount, _) => states.f_narrow(0, 0, states.size()[0] - 1)?,
            (Fault::WrongKind, _) => states.f_to_kind(tch::Kind::Int64)?,
            (Fault::LooksAhead, _) => states.f_add(&batch.select_wanted(&next_items(batch)?)?)?,
            (Fault::MixesSequences, _) => {
                states.f_add(&batch.items_nd.f_mean_dim(0, true, None)?)?
            }
            (Fault::IgnoresWanted, _) => {
                batch
                    .items_nd
                    .f_matmul(&self.weight)?
                    .f_narrow(0, 0, batch.wanted())?
            }
            (Fault::OwnRandomness, true) | (Fault::DropsInPrediction, false) => {
                states.f_dropout(0.5, true)?
            }
            (Fault::DetachesStates, _) => states.f_detach()?,
            (Fault::WantsFloat32, _) if states.kind() != tch::Kind::Float => {
                return Err(Error::Batch(format!(
                    "expected Float, got {:?}",
                    states.kind()
                )));
            }
            (Fault::Abort, true) => std::process::abort(),
            (Fault::Hang, true) => loop {
                std::thread::sleep(std::time::Duration::from_secs(1));
            },
            _ => states,
        })
    }
}

/// The vector of the item after each token in its sequence, or its own at the end, `[N, D]`.
fn next_items(batch: &SequenceBatch) -> Result<Tensor> {
    let mut next: Vec<i64> = (1..=batch.tokens()).collect();
    let mut end = 0;
    for &length in batch.lengths() {
        end += length;
        next[end as usize - 1] = end - 1;
    }
    gather_rows(&batch.items_nd, &Tensor::f_from_slice(&next)?)
}
