//! The whole system through its command: real binary, real workers, real plugins, real database.
//!
//! Each module is one promise of the README. Data are made up, folders temporary; no network.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod archetypes;
mod axes;
mod baselines;
mod causes;
mod clusters;
mod combining;
mod composing;
mod configurations;
mod database;
mod datasets;
mod exports;
mod importing;
mod inputs;
mod output;
mod plugins;
mod provenance;
mod reading;
mod recommending;
mod reports;
mod representations;
mod searching;
mod splits;
mod stages;
mod starting;
mod sweeping;
mod terminal;
mod upkeep;
mod watching;
