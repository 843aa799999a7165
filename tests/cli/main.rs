//! The whole system through its command: real binary, real workers, real plugins, real database.
//!
//! Each module is one promise of issue A. Data are made up, folders temporary; no network.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod crashes;
mod database;
mod inputs;
mod plugins;
mod repeatability;
mod sweeping;
