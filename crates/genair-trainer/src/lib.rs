//! One run: item representation, backbone and loss to epochs, checkpoints and ranks.
//!
//! The library behind the worker binary `genair-trainer`. It is the only crate that opens plugins
//! and, with the SDK, the only one that links libtorch. It knows no database: what it finds it says
//! as events.

mod attempt;
mod autocast;
mod baselines;
mod batch;
#[doc(hidden)]
pub mod bench;
mod calibration;
mod checkpoint;
mod combination;
mod device;
mod diagnostics;
mod epochs;
mod error;
mod evaluation;
pub mod harness;
mod input;
mod item_space;
mod lists;
mod loss;
mod machine;
mod masking;
mod negatives;
mod optimizer;
#[cfg(test)]
mod oracles;
mod parameters;
mod patience;
pub mod pca;
pub mod plugin;
mod random;
mod recommend;
mod representation;
mod run;
mod schedule;
mod score;
mod stopping;
mod training;

pub use attempt::Attempt;
pub use device::{LibtorchFacts, libtorch_facts};
pub use error::{RunErrorKind, TrainError};
pub use patience::is_stuck;
pub use recommend::recommend;
pub use run::{evaluate, run};
