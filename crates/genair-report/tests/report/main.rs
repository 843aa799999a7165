//! Reports through the public API, from real databases of invented runs.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

mod axes;
mod database;
mod exports;
mod figures;
mod html;
mod latex;
mod queries;
mod refusals;
mod selection;
mod specs;
mod tables;
