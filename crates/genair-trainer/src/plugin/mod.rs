//! Backbone plugins: finding, opening, checking and calling them.

mod host;
mod library;
mod model;
mod search;

pub use library::Plugin;
pub(crate) use model::{BatchTensors, Model, device_number};
pub use search::{find, name, report};
