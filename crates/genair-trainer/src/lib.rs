//! One run: item representation, backbone and loss to epochs, checkpoints and ranks.
//!
//! The library behind the worker binary `genair-trainer`. It is the only crate that opens plugins
//! and, with the SDK, the only one that links libtorch. It knows no database: what it finds it says
//! as events.

mod batch;
mod device;
mod error;
mod evaluation;
mod loss;
mod machine;
mod negatives;
mod optimizer;
mod parameters;
pub mod plugin;
mod popularity;
mod random;
mod representation;
mod run;
mod stopping;
mod training;

pub use device::{LibtorchFacts, libtorch_facts};
pub use error::{RunErrorKind, TrainError};
pub use run::run;
