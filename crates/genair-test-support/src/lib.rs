//! What tests of several crates share: [`lab`], a folder in which the real program runs, and [`run_spec()`], a run's
//! spec. Fails by panicking, as tests do. What every backbone must do is `genair-conformance`'s.

pub mod lab;
mod run_spec;

pub use run_spec::{labels, run_spec};
