//! Backbone plugins: opening, checking and calling them.

mod host;
mod library;
mod model;
mod report;

pub use library::Plugin;
pub(crate) use model::{BatchTensors, Model, device_number};
pub use report::report;
